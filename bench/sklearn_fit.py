# SPDX-License-Identifier: Apache-2.0
"""Fits with scikit-learn what compare.py asks for, in a process of its own; prints one JSON object.

Usage: sklearn_fit.py logistic DATA.h5 SOLVER REG_PARAM TOL COEFFICIENTS.npy
       sklearn_fit.py kmeans DATA.h5 CENTRES.csv MAX_ITER CENTERS.npy
"""
import json
import sys
import time

import h5py
import numpy as np
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression


def fit_logistic(data, solver, reg_param, tol, output):
    with h5py.File(data) as file:
        x, y = file["features"][:], file["label"][:]
    model = LogisticRegression(C=1.0 / (float(reg_param) * len(y)), solver=solver, tol=float(tol), max_iter=1000)
    start = time.perf_counter()
    model.fit(x, y)
    seconds = time.perf_counter() - start
    np.save(output, np.append(model.coef_[0], model.intercept_))
    return {"seconds": seconds, "iterations": int(model.n_iter_[0])}


def fit_kmeans(data, centres, max_iter, output):
    with h5py.File(data) as file:
        x = file["features"][:]
    start_centres = np.loadtxt(centres, delimiter=",")
    model = KMeans(len(start_centres), init=start_centres, n_init=1, max_iter=int(max_iter), tol=0, algorithm="lloyd")
    start = time.perf_counter()
    model.fit(x)
    seconds = time.perf_counter() - start
    np.save(output, model.cluster_centers_)
    return {"seconds": seconds, "iterations": int(model.n_iter_), "training_cost": float(model.inertia_)}


print(json.dumps({"logistic": fit_logistic, "kmeans": fit_kmeans}[sys.argv[1]](*sys.argv[2:])))
