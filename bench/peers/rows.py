# SPDX-License-Identifier: Apache-2.0
"""Reads the files that harness/data.py writes: what all peers in Python share."""
import h5py
import numpy as np
import scipy.sparse


def read_rows(request):
    """Features (array or CSR matrix) and labels of an HDF5 file, in single or double precision."""
    dtype = np.float32 if request.get("single") else np.float64
    with h5py.File(request["path"]) as file:
        labels = file["label"][:] if "label" in file else None
        stored = file["features"]
        if isinstance(stored, h5py.Group):
            parts = (stored["data"][:].astype(dtype), stored["indices"][:], stored["indptr"][:])
            features = scipy.sparse.csr_matrix(parts, shape=tuple(int(size) for size in stored.attrs["shape"]))
            # int32 offsets, where they suffice, are what some solvers require.
            if features.nnz < 2**31:
                features.indptr = features.indptr.astype(np.int32)
                features.indices = features.indices.astype(np.int32)
        else:
            features = stored[:].astype(dtype)
    return features, labels


class Slots:
    """Data by name, for workers that hold several."""

    def __init__(self):
        self.data = {}

    def load(self, request):
        self.data[request.get("slot", "")] = read_rows(request)
        features, _ = self.data[request.get("slot", "")]
        return {"rows": features.shape[0], "columns": features.shape[1]}

    def of(self, request):
        return self.data[request.get("slot", "")]
