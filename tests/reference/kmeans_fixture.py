#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/reference/kmeans_fixture.json: data, initial centres and what scikit-learn makes of them.

Run with scikit-learn 1.9.1: python3 tests/reference/kmeans_fixture.py > tests/reference/kmeans_fixture.json
"""

import textwrap

import numpy as np
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits, load_iris


def text(value):
    """A number or a flat list of numbers as JSON, whole numbers without a point, wrapped."""
    if not isinstance(value, list):
        return repr(value)
    words = ", ".join(repr(int(x)) if float(x).is_integer() else repr(x) for x in value)
    return "\n".join(textwrap.wrap(f"[{words}]", 118))


def case(name, x, start_rows, weights=None):
    start = x[start_rows]
    model = KMeans(n_clusters=len(start), init=start, n_init=1, max_iter=300, tol=0)
    model.fit(x, sample_weight=weights)
    fixture[name + "Start"] = list(start_rows)
    fixture[name + "Labels"] = model.labels_.tolist()
    fixture[name + "Centres"] = model.cluster_centers_.ravel().tolist()
    fixture[name + "Inertia"] = float(model.inertia_)


iris = load_iris().data
digits = load_digits().data[:600]  # UCI, CC BY 4.0
weights = 0.25 + np.arange(len(iris)) % 7

fixture = {"Iris": iris.ravel().tolist(), "Digits": digits.ravel().tolist()}
case("Iris3", iris, [0, 75, 149])
case("Iris8", iris, [0, 10, 20, 60, 80, 100, 120, 140])
case("Weighted", iris, [5, 55, 105], weights)
case("Digits10", digits, list(range(0, 100, 10)))
print("{\n" + ",\n".join(f'"{name}":\n{text(value)}' for name, value in fixture.items()) + "\n}")
