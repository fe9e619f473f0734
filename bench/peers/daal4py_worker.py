# SPDX-License-Identifier: Apache-2.0
"""daal4py's distributed k-means: one process a rank under mpiexec.hydra, which passes stdin to all of them."""
import daal4py
import numpy as np
from protocol import serve, timed
from rows import read_rows

daal4py.daalinit(1)
RANK, RANKS = daal4py.my_procid(), daal4py.num_procs()
slots = {}


def load(request):
    features, _ = read_rows(request)
    begin, end = len(features) * RANK // RANKS, len(features) * (RANK + 1) // RANKS
    slots[request.get("slot", "")] = np.ascontiguousarray(features[begin:end])
    return {"rows": len(features), "columns": features.shape[1], "ranks": RANKS}


def fit(request):
    features = slots[request.get("slot", "")]
    init = np.array(request["init"], dtype=features.dtype)
    algorithm = daal4py.kmeans(nClusters=len(init), maxIterations=request["max_iter"], accuracyThreshold=0, assignFlag=False,
                               distributed=True, fptype="float" if features.dtype == np.float32 else "double")
    result, seconds = timed(lambda: algorithm.compute(features, init))
    if RANK == 0:
        np.savez(request["model"], centers=result.centroids)
    return {"seconds": seconds, "iterations": request["max_iter"]}


serve({"rows": load, "fit": fit}, speaks=RANK == 0)
daal4py.daalfini()
