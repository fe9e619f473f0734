# SPDX-License-Identifier: Apache-2.0
"""scikit-learn, or with the argument `intelex` scikit-learn-intelex. Threads by threadpoolctl, oneDAL's by daalinit."""
import sys
import warnings

import numpy as np
from protocol import serve, timed
from rows import Slots
from threadpoolctl import threadpool_limits

INTELEX = "intelex" in sys.argv
if INTELEX:
    from daal4py import daalinit
    from sklearnex.cluster import KMeans
    from sklearnex.linear_model import LogisticRegression
else:
    from sklearn.cluster import KMeans
    from sklearn.linear_model import LogisticRegression

warnings.filterwarnings("ignore")
slots = Slots()


def fit(request):
    features, labels = slots.of(request)
    if request["learner"] == "kmeans":
        init = np.array(request["init"], dtype=features.dtype)
        model = KMeans(len(init), init=init, n_init=1, max_iter=request["max_iter"], tol=0, algorithm="lloyd")
    else:
        model = LogisticRegression(C=1 / (request["reg_param"] * len(labels)), solver=request["solver"], tol=request["tol"],
                                   max_iter=1000, fit_intercept=request["fit_intercept"])
    if INTELEX:
        daalinit(request["threads"])
    with threadpool_limits(request["threads"]):
        _, seconds = timed(lambda: model.fit(features) if request["learner"] == "kmeans" else model.fit(features, labels))
    if request["learner"] == "kmeans":
        np.savez(request["model"], centers=model.cluster_centers_)
    else:
        np.savez(request["model"], coefficients=model.coef_, intercept=np.broadcast_to(model.intercept_, len(model.coef_)))
    return {"seconds": seconds, "iterations": int(np.max(model.n_iter_))}


serve({"rows": slots.load, "fit": fit})
