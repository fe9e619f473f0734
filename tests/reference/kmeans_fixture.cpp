// SPDX-License-Identifier: Apache-2.0
#include "kmeans_fixture.hpp"

#include <fstream>
#include <nlohmann/json.hpp>

namespace firesteel::reference {

namespace {
template <class Value>
Value fixture(const char* name) {
  static const auto values = nlohmann::json::parse(std::ifstream("tests/reference/kmeans_fixture.json"));
  return values.at(name).get<Value>();
}
}  // namespace

const std::vector<double> kIris = fixture<std::vector<double>>("Iris");
const std::vector<double> kDigits = fixture<std::vector<double>>("Digits");
const std::vector<int> kIris3Start = fixture<std::vector<int>>("Iris3Start");
const std::vector<int> kIris3Labels = fixture<std::vector<int>>("Iris3Labels");
const std::vector<double> kIris3Centres = fixture<std::vector<double>>("Iris3Centres");
const std::vector<int> kIris8Start = fixture<std::vector<int>>("Iris8Start");
const std::vector<int> kIris8Labels = fixture<std::vector<int>>("Iris8Labels");
const std::vector<double> kIris8Centres = fixture<std::vector<double>>("Iris8Centres");
const std::vector<int> kWeightedStart = fixture<std::vector<int>>("WeightedStart");
const std::vector<int> kWeightedLabels = fixture<std::vector<int>>("WeightedLabels");
const std::vector<double> kWeightedCentres = fixture<std::vector<double>>("WeightedCentres");
const std::vector<int> kDigits10Start = fixture<std::vector<int>>("Digits10Start");
const std::vector<int> kDigits10Labels = fixture<std::vector<int>>("Digits10Labels");
const std::vector<double> kDigits10Centres = fixture<std::vector<double>>("Digits10Centres");
const double kIris3Inertia = fixture<double>("Iris3Inertia");
const double kIris8Inertia = fixture<double>("Iris8Inertia");
const double kWeightedInertia = fixture<double>("WeightedInertia");
const double kDigits10Inertia = fixture<double>("Digits10Inertia");

}  // namespace firesteel::reference
