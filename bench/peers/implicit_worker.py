# SPDX-License-Identifier: Apache-2.0
"""implicit: ALS by conjugate gradients (three steps, warm) or by Cholesky, and recommending. OpenBLAS gets one thread:
implicit has its own."""
import h5py
import implicit
import numpy as np
import scipy.sparse
from implicit.cpu.als import AlternatingLeastSquares
from protocol import serve, timed
from threadpoolctl import threadpool_limits

threadpool_limits(1, "blas")
data = {}


def load(request):
    with h5py.File(request["path"]) as file:
        users, items, ratings = file["user"][:], file["item"][:], file["rating"][:]
    # confidence 1 + alpha·rating is what the matrix holds; implicit subtracts the 1 itself.
    data["matrix"] = scipy.sparse.csr_matrix((1 + request["alpha"] * ratings.astype(np.float32), (users, items)))
    return {"rows": len(users)}


def fit(request):
    model = AlternatingLeastSquares(request["rank"], regularization=0.0, alpha=1.0, iterations=request["max_iter"],
                                    use_cg=request["solver"] == "cg", use_native=True, calculate_training_loss=False,
                                    num_threads=request["threads"], random_state=1, dtype=request.get("dtype", "float32"))
    model.cg_steps = 3
    times = []
    _, seconds = timed(lambda: model.fit(data["matrix"], show_progress=False,
                                         callback=lambda iteration, elapsed, *loss: times.append(elapsed)))
    np.savez(request["model"], user_factors=model.user_factors, item_factors=model.item_factors)
    return {"seconds": seconds, "iterations": request["max_iter"], "iteration_seconds": times}


def recommend(request):
    """The best items of every user, by factors that the harness gives, so that answers can be compared."""
    with h5py.File(request["factors"]) as file:
        users, items = (file[name][:].astype(np.float32) for name in ("user_factors", "item_factors"))
    model = AlternatingLeastSquares(users.shape[1], num_threads=request["threads"], use_native=True)
    model.user_factors, model.item_factors = users, items
    model._YtY = model._XtX = None
    ids = np.arange(len(users))
    (found, _), seconds = timed(lambda: model.recommend(ids, None, N=request["top"], filter_already_liked_items=False))
    found.astype(np.int64).tofile(request["path"])
    return {"seconds": seconds, "rows": found.size}


serve({"ratings": load, "fit": fit, "recommend": recommend})
