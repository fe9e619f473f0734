# SPDX-License-Identifier: Apache-2.0
"""Readers of text: pyarrow and pandas for CSV, scikit-learn for LIBSVM; and CSV file → logistic model file by pyarrow and
scikit-learn."""
import numpy as np
import pyarrow
import pyarrow.csv
from protocol import serve, timed
from sklearn.datasets import load_svmlight_file
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits


def read(request):
    threads = request["threads"]
    pyarrow.set_cpu_count(threads)
    if request["reader"] == "pyarrow":
        options = pyarrow.csv.ReadOptions(use_threads=threads > 1)
        table, seconds = timed(lambda: pyarrow.csv.read_csv(request["path"], read_options=options))
        sums = [float(np.sum(column.to_numpy())) for column in table.columns]
    else:
        (features, _), seconds = timed(lambda: load_svmlight_file(request["path"]))
        sums = np.asarray(features.sum(axis=0)).ravel().tolist()
    return {"seconds": seconds, "sums": sums}


def csv_to_model(request):
    def job():
        pyarrow.set_cpu_count(request["threads"])
        table = pyarrow.csv.read_csv(request["path"])
        labels = table["label"].to_numpy()
        features = np.column_stack([table[name].to_numpy() for name in table.column_names if name != "label"])
        model = LogisticRegression(C=1 / (request["reg_param"] * len(labels)), solver=request["solver"], tol=request["tol"],
                                   max_iter=1000)
        model.fit(features, labels)
        np.savez(request["model"], coefficients=model.coef_, intercept=model.intercept_)

    with threadpool_limits(request["threads"]):
        _, seconds = timed(job)
    return {"seconds": seconds}


serve({"read": read, "csv_to_model": csv_to_model})
