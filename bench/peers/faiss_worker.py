# SPDX-License-Identifier: Apache-2.0
"""faiss: k-means, in single precision, which is all it has."""
import faiss
import numpy as np
from protocol import serve, timed
from rows import Slots

slots = Slots()


def fit(request):
    features, _ = slots.of(request)
    init = np.array(request["init"], dtype=np.float32)
    faiss.omp_set_num_threads(request["threads"])
    model = faiss.Kmeans(features.shape[1], len(init), niter=request["max_iter"], max_points_per_centroid=len(features))
    _, seconds = timed(lambda: model.train(features, init_centroids=init))
    np.savez(request["model"], centers=model.centroids)
    return {"seconds": seconds, "iterations": request["max_iter"]}


serve({"rows": slots.load, "fit": fit})
