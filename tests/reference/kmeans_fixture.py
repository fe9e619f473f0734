#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/reference/kmeans_fixture.hpp: data, initial centres and what scikit-learn makes of them.

Run with scikit-learn 1.9.1: python3 tests/reference/kmeans_fixture.py > tests/reference/kmeans_fixture.hpp
"""

import numpy as np
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits, load_iris


def numbers(values):
    text = ", ".join(repr(float(v)).removesuffix(".0") for v in np.asarray(values).ravel())
    lines, line = [], "   "
    for word in text.split(" "):
        if len(line) + 1 + len(word) > 108:
            lines.append(line)
            line = "   "
        line += " " + word
    return "{\n" + "\n".join(lines + [line]) + "}"


def case(name, x, start_rows, weights=None):
    start = x[start_rows]
    model = KMeans(n_clusters=len(start), init=start, n_init=1, max_iter=300, tol=0)
    model.fit(x, sample_weight=weights)
    print(f"inline const std::vector<int> k{name}Start = {numbers(start_rows)};")
    print(f"inline const std::vector<int> k{name}Labels = {numbers(model.labels_)};")
    print(f"inline const std::vector<double> k{name}Centres = {numbers(model.cluster_centers_)};")
    print(f"inline constexpr double k{name}Inertia = {model.inertia_!r};")


iris = load_iris().data
digits = load_digits().data[:600]
weights = 0.25 + np.arange(len(iris)) % 7

print("// SPDX-License-Identifier: Apache-2.0")
print("#pragma once")
print()
print("// Written by kmeans_fixture.py with scikit-learn 1.9.1. Data: iris and the first 600 of scikit-learn's digits")
print("// (UCI, CC BY 4.0), initial centres are rows of the data.")
print("#include <vector>")
print()
print("namespace firesteel::reference {")
print()
print("// clang-format off")
print(f"inline const std::vector<double> kIris = {numbers(iris)};")
print(f"inline const std::vector<double> kDigits = {numbers(digits)};")
case("Iris3", iris, [0, 75, 149])
case("Iris8", iris, [0, 10, 20, 60, 80, 100, 120, 140])
case("Weighted", iris, [5, 55, 105], weights)
case("Digits10", digits, list(range(0, 100, 10)))
print("// clang-format on")
print()
print("}  // namespace firesteel::reference")
