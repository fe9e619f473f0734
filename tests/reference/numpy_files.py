#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the folder numpy: small files as NumPy and SciPy write them, for tests/io/numpy_test.cpp.

Run with numpy and scipy installed: python3 tests/reference/numpy_files.py
"""

import io
import pathlib

import numpy
import scipy.sparse

MATRIX = numpy.array([[1.5, -2, 0], [0, 4, 8], [16, 0.25, -1], [7, 0, 0]])
LABELS = numpy.array([0, 1, 1, 0], dtype=numpy.int64)


def saved(save, *arguments, **named):
    out = io.BytesIO()
    save(out, *arguments, **named)
    return out.getvalue()


FILES = {
    "matrix.npy": saved(numpy.save, MATRIX),
    "fortran.npy": saved(numpy.save, numpy.asfortranarray(MATRIX)),
    "half.npy": saved(numpy.save, MATRIX.astype(numpy.float16)),
    "single.npy": saved(numpy.save, MATRIX.astype(">f4")),
    "extended.npy": saved(numpy.save, MATRIX.astype(numpy.longdouble)),
    "int16.npy": saved(numpy.save, numpy.round(MATRIX).astype(">i2")),
    "int8.npy": saved(numpy.save, numpy.round(MATRIX).astype(numpy.int8)),
    "uint64.npy": saved(numpy.save, numpy.abs(numpy.round(MATRIX)).astype(numpy.uint64)),
    "bool.npy": saved(numpy.save, MATRIX != 0),
    "flat.npy": saved(numpy.save, MATRIX[:, 0]),
    "complex.npy": saved(numpy.save, MATRIX.astype(complex)),
    "objects.npy": saved(numpy.save, numpy.array([{}], dtype=object), allow_pickle=True),
    "records.npy": saved(numpy.save, numpy.zeros(2, dtype=[("a", "f8"), ("b", "i4")])),
    "cube.npy": saved(numpy.save, numpy.zeros((2, 2, 2))),
    "data.npz": saved(numpy.savez, X=MATRIX, y=LABELS),
    "packed.npz": saved(numpy.savez_compressed, X=numpy.asfortranarray(MATRIX), y=LABELS.astype("u1")),
    "named.npz": saved(numpy.savez, features=MATRIX, label=numpy.array(["no", "yes", "yés", "no"]),
                       weight=numpy.array([1, 2, 0, 1.0], dtype="f4"), feature_names=numpy.array(["a", "b", "c"])),
    "ratings.npz": saved(numpy.savez, user=numpy.array([3, 4]), item=numpy.array([b"x", b"yy"]),
                         rating=numpy.array([1.0, 2.0])),
    "sparse.npz": saved(scipy.sparse.save_npz, scipy.sparse.csr_matrix(MATRIX)),
    "columns.npz": saved(scipy.sparse.save_npz, scipy.sparse.csc_matrix(MATRIX)),
}


def main():
    folder = pathlib.Path(__file__).with_name("numpy")
    folder.mkdir(exist_ok=True)
    for name, data in FILES.items():
        (folder / name).write_bytes(data)


main()
