# SPDX-License-Identifier: Apache-2.0
"""Writes tests/reference/metrics_fixture.hpp: rows with ties and weights, and scikit-learn's figures for them.

Made with scikit-learn 1.9.1: python tests/reference/metrics_fixture.py > tests/reference/metrics_fixture.hpp
"""
import numpy as np
from sklearn import metrics as skm

ROWS = 90


def array(kind, name, values):
    body = ", ".join(repr(v.item()) for v in np.asarray(values).ravel())
    print(f"inline const std::vector<{kind}> {name}{{{body}}};")


def figures(name, truth, probabilities, predicted, weight):
    binary = probabilities.shape[1] == 2
    common = dict(sample_weight=weight, zero_division=0.0)
    values = {
        "accuracy": skm.accuracy_score(truth, predicted, sample_weight=weight),
        "log_loss": skm.log_loss(truth, probabilities, sample_weight=weight),
        "f1": skm.f1_score(truth, predicted, average="weighted", **common),
        "weighted_precision": skm.precision_score(truth, predicted, average="weighted", **common),
        "weighted_recall": skm.recall_score(truth, predicted, average="weighted", **common),
    }
    if binary:
        values["area_under_roc"] = skm.roc_auc_score(truth, probabilities[:, 1], sample_weight=weight)
        precision, recall, _ = skm.precision_recall_curve(truth, probabilities[:, 1], sample_weight=weight)
        precision[-1] = precision[-2]  # MLlib starts at (0, precision of the first point), scikit-learn at (0, 1)
        values["area_under_pr"] = skm.auc(recall, precision)
        values["f1_positive"] = skm.f1_score(truth, predicted, **common)
    pairs = ", ".join(f'{{"{key}", {float(value)!r}}}' for key, value in values.items())
    print(f"inline const std::vector<std::pair<std::string, double>> {name}{{{pairs}}};")


print("// SPDX-License-Identifier: Apache-2.0")
print("// Written by tests/reference/metrics_fixture.py.")
print("// clang-format off")
print("#pragma once\n\n#include <cstdint>\n#include <string>\n#include <utility>\n#include <vector>\n")
print("namespace firesteel::fixture {\n")
rng = np.random.default_rng(20)
weight = rng.integers(1, 9, ROWS) / 4.0
array("double", "kWeight", weight)
for classes, prefix in ((2, "kBinary"), (3, "kThree")):
    truth = rng.integers(0, classes, ROWS)
    raw = rng.integers(1, 10, (ROWS, classes)) + 4.0 * (np.arange(classes) == truth[:, None]) * rng.random((ROWS, 1)).round()
    probabilities = raw / raw.sum(axis=1, keepdims=True)
    predicted = probabilities.argmax(axis=1)
    array("std::int64_t", prefix + "Truth", truth)
    array("double", prefix + "Probabilities", probabilities)
    array("std::int64_t", prefix + "Predicted", predicted)
    figures(prefix + "Plain", truth, probabilities, predicted, np.ones(ROWS))
    figures(prefix + "Weighted", truth, probabilities, predicted, weight)

truth = rng.normal(size=ROWS)
prediction = truth + rng.normal(size=ROWS) / 3
array("double", "kRegressionTruth", truth)
array("double", "kRegressionPrediction", prediction)
for name, w in (("kRegressionPlain", np.ones(ROWS)), ("kRegressionWeighted", weight)):
    mse = skm.mean_squared_error(truth, prediction, sample_weight=w)
    values = {"rmse": mse**0.5, "mse": mse, "mae": skm.mean_absolute_error(truth, prediction, sample_weight=w),
              "r2": skm.r2_score(truth, prediction, sample_weight=w)}
    pairs = ", ".join(f'{{"{key}", {float(value)!r}}}' for key, value in values.items())
    print(f"inline const std::vector<std::pair<std::string, double>> {name}{{{pairs}}};")
print("\n}  // namespace firesteel::fixture")
