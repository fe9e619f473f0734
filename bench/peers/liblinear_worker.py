# SPDX-License-Identifier: Apache-2.0
"""LIBLINEAR's own library (Debian 12's liblinear.so.4, version 2.3) through ctypes: only train() is timed, one thread."""
import ctypes

import numpy as np
from protocol import serve, timed
from rows import Slots

NODE = np.dtype([("index", "<i4"), ("value", "<f8")], align=True)
library = ctypes.CDLL("liblinear.so.4")


class Problem(ctypes.Structure):
    _fields_ = [("rows", ctypes.c_int), ("columns", ctypes.c_int), ("labels", ctypes.c_void_p), ("nodes", ctypes.c_void_p),
                ("bias", ctypes.c_double)]


class Parameter(ctypes.Structure):
    _fields_ = [("solver", ctypes.c_int), ("eps", ctypes.c_double), ("C", ctypes.c_double), ("nr_weight", ctypes.c_int),
                ("weight_label", ctypes.c_void_p), ("weight", ctypes.c_void_p), ("p", ctypes.c_double), ("init_sol", ctypes.c_void_p)]


class Model(ctypes.Structure):
    _fields_ = [("parameter", Parameter), ("classes", ctypes.c_int), ("columns", ctypes.c_int),
                ("weights", ctypes.POINTER(ctypes.c_double)), ("label", ctypes.POINTER(ctypes.c_int))]


library.train.restype = ctypes.POINTER(Model)
PRINT = ctypes.CFUNCTYPE(None, ctypes.c_char_p)
silent = PRINT(lambda text: None)
library.set_print_string_function(silent)
slots = Slots()


def load(request):
    """Nodes (index from 1, value), each row ended by index −1, and the address of each row."""
    answer = slots.load(request)
    features, labels = slots.of(request)
    rows = features.shape[0]
    nodes = np.zeros(features.nnz + rows, NODE)
    place = np.arange(features.nnz) + np.repeat(np.arange(rows), np.diff(features.indptr))
    nodes["index"][place], nodes["value"][place] = features.indices + 1, features.data
    begin = features.indptr[:-1].astype(np.int64) + np.arange(rows)
    nodes["index"][features.indptr[1:].astype(np.int64) + np.arange(rows)] = -1
    addresses = (nodes.ctypes.data + begin * NODE.itemsize).astype(np.uint64)
    slots.data[request.get("slot", "")] = (features.shape, np.where(labels > 0, 1.0, -1.0), nodes, addresses)
    return answer


def fit(request):
    (rows, columns), labels, nodes, addresses = slots.of(request)
    problem = Problem(rows, columns, labels.ctypes.data, addresses.ctypes.data, -1.0)
    solver = {"primal": 0, "dual": 7}[request["solver"]]
    parameter = Parameter(solver, request["tol"], 1 / (request["reg_param"] * rows), 0, None, None, 0.1, None)
    model, seconds = timed(lambda: library.train(ctypes.byref(problem), ctypes.byref(parameter)))
    weights = np.ctypeslib.as_array(model.contents.weights, (columns,)).copy()
    if model.contents.label[0] < 0:
        weights = -weights
    np.savez(request["model"], coefficients=weights[None, :], intercept=np.zeros(1))
    library.free_and_destroy_model(ctypes.byref(model))
    return {"seconds": seconds, "iterations": None}


serve({"rows": load, "fit": fit})
