# SPDX-License-Identifier: Apache-2.0
"""Fits the rows that wide_logistic left in a directory with scikit-learn or LIBLINEAR, one thread, and prints one JSON row.

wide_peers.py DIRECTORY lbfgs|newton-cg|sag|liblinear|liblinear-own [tol]
wide_peers.py DIRECTORY ours INTERCEPT

Objective: mean loss + 1/(2·rows)·||w||^2, that is C = 1. gradient_norm is the Euclidean norm of its gradient at the result, for
`ours` too, whose coefficients are in the directory: all stop at what the table compares.
"""
import json
import pathlib
import sys
import time
import warnings

import numpy as np
import scipy.sparse as sp

warnings.filterwarnings("ignore")


def load(directory):
    begin = np.fromfile(directory / "row_begin.i64", np.int64)
    indices = np.fromfile(directory / "indices.i32", np.int32)
    values = np.fromfile(directory / "values.f64", np.float64)
    labels = np.fromfile(directory / "labels.f64", np.float64)
    columns = np.fromfile(directory / "coefficients.f64", np.float64).size
    return sp.csr_matrix((values, indices, begin.astype(np.int32)), shape=(labels.size, columns)), labels


def objective(x, labels, w, b):
    y = 2 * labels - 1
    margin = y * (x @ w + (b or 0.0))
    residual = -y / (1 + np.exp(margin))
    gradient = (x.T @ residual + w) / labels.size
    intercept = 0.0 if b is None else residual.mean()  # LIBLINEAR is run without
    return (np.logaddexp(0, -margin).mean() + w @ w / (2 * labels.size),
            float(np.sqrt(gradient @ gradient + intercept ** 2)))


def fit_sklearn(x, labels, solver, tol):
    from sklearn.linear_model import LogisticRegression
    model = LogisticRegression(C=1, solver=solver, tol=tol, max_iter=1000, fit_intercept=solver != "liblinear")
    start = time.process_time()
    model.fit(x, labels)
    intercept = None if solver == "liblinear" else float(model.intercept_[0])
    return time.process_time() - start, model.coef_[0], intercept, int(model.n_iter_[0])


def fit_liblinear(x, labels, tol):
    from liblinear.liblinearutil import parameter, problem
    from liblinear.liblinear import liblinear, toPyModel
    data = problem(labels, x)
    options = parameter(f"-s 0 -c 1 -e {tol} -q")
    start = time.process_time()
    model = toPyModel(liblinear.train(data, options))
    seconds = time.process_time() - start
    weights = np.ctypeslib.as_array(model.w, (x.shape[1],)).copy()
    return seconds, weights if model.get_labels()[0] == 1 else -weights, None, 0


def main():
    directory = pathlib.Path(sys.argv[1])
    solver = sys.argv[2]
    tol = float(sys.argv[3]) if len(sys.argv) > 3 else 1e-4
    x, labels = load(directory)
    if solver == "ours":
        answer = (0.0, np.fromfile(directory / "coefficients.f64"), float(sys.argv[3]), 0)
    elif solver == "liblinear-own":
        answer = fit_liblinear(x, labels, tol)
    else:
        answer = fit_sklearn(x, labels, solver, tol)
    seconds, w, b, iterations = answer
    value, norm = objective(x, labels, w, b)
    print(json.dumps({"solver": solver, "tol": tol, "cpu_seconds": round(seconds, 2), "iterations": iterations,
                      "objective": value, "gradient_norm": norm}))


main()
