// SPDX-License-Identifier: Apache-2.0
#pragma once

// What scikit-learn computes, from kmeans_fixture.json (written by kmeans_fixture.py): data, rows of the data
// that the centres start from, labels, centres and inertia. Tests run in the root of the repository.
#include <vector>

namespace firesteel::reference {

extern const std::vector<double> kIris;
extern const std::vector<double> kDigits;
extern const std::vector<int> kIris3Start;
extern const std::vector<int> kIris3Labels;
extern const std::vector<double> kIris3Centres;
extern const std::vector<int> kIris8Start;
extern const std::vector<int> kIris8Labels;
extern const std::vector<double> kIris8Centres;
extern const std::vector<int> kWeightedStart;
extern const std::vector<int> kWeightedLabels;
extern const std::vector<double> kWeightedCentres;
extern const std::vector<int> kDigits10Start;
extern const std::vector<int> kDigits10Labels;
extern const std::vector<double> kDigits10Centres;
extern const double kIris3Inertia;
extern const double kIris8Inertia;
extern const double kWeightedInertia;
extern const double kDigits10Inertia;

}  // namespace firesteel::reference
