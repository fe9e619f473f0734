# SPDX-License-Identifier: Apache-2.0
"""Seeded data, made once and kept in build/bench/data: the same values for all contestants, as HDF5 (Firesteel and the
Python peers), Parquet (Spark) or text. Numbers are single-precision values, so that either precision reads the same."""
import json
import os

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import scipy.sparse
from sklearn.datasets import dump_svmlight_file, load_svmlight_file

CHUNK = 100_000
VECTOR = {"type": "udt", "class": "org.apache.spark.ml.linalg.VectorUDT", "pyClass": "pyspark.ml.linalg.VectorUDT",
          "sqlType": {"type": "struct", "fields": [
              {"name": "type", "type": "byte", "nullable": False, "metadata": {}},
              {"name": "size", "type": "integer", "nullable": True, "metadata": {}},
              {"name": "indices", "type": {"type": "array", "elementType": "integer", "containsNull": False}, "nullable": True,
               "metadata": {}},
              {"name": "values", "type": {"type": "array", "elementType": "double", "containsNull": False}, "nullable": True,
               "metadata": {}}]}}


def made_once(path, make):
    """Runs make(temporary path) where `path` is not there yet; a stopped run leaves nothing that looks whole."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name("making-" + path.name)
        make(temporary)
        os.replace(temporary, path)
    return path


def write_dense(path, features, labels):
    with h5py.File(path, "w") as file:
        file["features"] = features
        file["label"] = labels


def write_sparse(path, features, labels):
    with h5py.File(path, "w") as file:
        group = file.create_group("features")
        group["data"], group["indices"] = features.data.astype("f8"), features.indices.astype("i8")
        group["indptr"] = features.indptr.astype("i8")
        group.attrs["shape"] = np.array(features.shape, dtype="i8")
        file["label"] = labels


def dense(folder, kind, rows, columns, clusters=0, classes=2):
    """Features of unit scale. Labels drawn from a linear model, or rows around `clusters` centres."""
    rng = np.random.default_rng([rows, columns, clusters])

    def make(path):
        features = rng.standard_normal((rows, columns), dtype=np.float32)
        if clusters:
            labels = rng.integers(0, clusters, rows)
            features += (1.5 * rng.standard_normal((clusters, columns)))[labels].astype(np.float32)
        elif classes == 2:
            truth = rng.standard_normal(columns) * 2 / np.sqrt(columns)
            labels = rng.random(rows) < 1 / (1 + np.exp(-(features @ truth + 0.3)))
        else:
            truth = rng.standard_normal((columns, classes)) * 2 / np.sqrt(columns)
            labels = np.argmax(features @ truth + rng.gumbel(size=(rows, classes)), axis=1)
        write_dense(path, features, labels.astype("f8"))

    return made_once(folder / f"{kind}-{rows}x{columns}-{clusters}-{classes}.h5", make)


def wide(folder, rows, columns, per_row):
    """Sparse rows whose columns are as unevenly used as words: column ~ columns·u³."""
    rng = np.random.default_rng([rows, columns, per_row])

    def make(path):
        indices = (columns * rng.random(rows * per_row) ** 3).astype(np.int32)
        values = rng.standard_normal(rows * per_row).astype(np.float32)
        matrix = scipy.sparse.csr_matrix((values, indices, np.arange(0, rows * per_row + 1, per_row)), (rows, columns))
        matrix.sum_duplicates()
        truth = rng.standard_normal(columns) * 2 / np.sqrt(per_row)
        labels = (rng.random(rows) < 1 / (1 + np.exp(-(matrix @ truth)))).astype("f8")
        write_sparse(path, matrix, labels)

    return made_once(folder / f"wide-{rows}x{columns}x{per_row}.h5", make)


def a9a(folder, source, copies):
    """The data set of that name, repeated."""
    def make(path):
        features, labels = load_svmlight_file(str(source), n_features=123)
        write_sparse(path, scipy.sparse.vstack([features] * copies, format="csr"), np.tile((labels > 0).astype("f8"), copies))

    return made_once(folder / f"a9a-{copies}.h5", make)


def ratings(folder, rows, users, items):
    """Distinct pairs; busy users and popular items: item ~ items·u³, user ~ users·u²; ratings 1 … 5 of a model of rank 8."""
    rng = np.random.default_rng([rows, users, items])

    def make(path):
        pairs = np.empty(0, dtype=np.int64)
        while len(pairs) < rows:
            user = (users * rng.random(rows) ** 2).astype(np.int64)
            item = (items * rng.random(rows) ** 3).astype(np.int64)
            pairs = np.unique(np.concatenate([pairs, user * items + item]))
        pairs = rng.permutation(pairs)[:rows]
        # Ids without gaps: a matrix's row numbers are then the ids of everyone.
        user = np.unique(pairs // items, return_inverse=True)[1]
        item = np.unique(pairs % items, return_inverse=True)[1]
        u, v = rng.standard_normal((users, 8)), rng.standard_normal((items, 8))
        rating = np.clip(np.rint(3 + np.einsum("ij,ij->i", u[user], v[item]) / 2 + 0.5 * rng.standard_normal(rows)), 1, 5)
        with h5py.File(path, "w") as file:
            file["user"], file["item"], file["rating"] = user.astype("i8"), item.astype("i8"), rating

    return made_once(folder / f"ratings-{rows}-{users}x{items}.h5", make)


def parquet(path):
    """The same rows for Spark, vectors as it stores them itself."""
    def make(target):
        with h5py.File(path) as file:
            if "user" in file:
                table = pa.table({"user": file["user"][:].astype("i4"), "item": file["item"][:].astype("i4"),
                                  "rating": file["rating"][:].astype("f4")})
                pyarrow.parquet.write_table(table, target)
                return
            write_vectors(target, file)

    return made_once(path.with_suffix(".parquet"), make)


def write_vectors(target, file):
    stored, labels = file["features"], file["label"][:]
    sparse = isinstance(stored, h5py.Group)
    vector = pa.struct([pa.field("type", pa.int8(), nullable=False), ("size", pa.int32()),
                        ("indices", pa.list_(pa.field("element", pa.int32(), nullable=False))),
                        ("values", pa.list_(pa.field("element", pa.float64(), nullable=False)))])
    spark = {"type": "struct", "fields": [{"name": "features", "type": VECTOR, "nullable": True, "metadata": {}},
                                          {"name": "label", "type": "double", "nullable": True, "metadata": {}}]}
    schema = pa.schema([("features", vector), ("label", pa.float64())],
                       metadata={"org.apache.spark.sql.parquet.row.metadata": json.dumps(spark)})
    if sparse:
        data, indices, indptr = stored["data"][:], stored["indices"][:].astype("i4"), stored["indptr"][:]
        columns = int(stored.attrs["shape"][1])
    with pyarrow.parquet.ParquetWriter(target, schema) as writer:
        for begin in range(0, len(labels), CHUNK):
            count = min(CHUNK, len(labels) - begin)
            if sparse:
                first, last = indptr[begin], indptr[begin + count]
                offsets = pa.array((indptr[begin:begin + count + 1] - first).astype("i4"))
                parts = [pa.array(np.zeros(count, "i1")), pa.array(np.full(count, columns, "i4")),
                         pa.ListArray.from_arrays(offsets, pa.array(indices[first:last]), type=vector[2].type),
                         pa.ListArray.from_arrays(offsets, pa.array(data[first:last]), type=vector[3].type)]
            else:
                chunk = stored[begin:begin + count].astype("f8")
                offsets = pa.array(np.arange(0, chunk.size + 1, chunk.shape[1], dtype="i4"))
                parts = [pa.array(np.ones(count, "i1")), pa.nulls(count, pa.int32()), pa.nulls(count, vector[2].type),
                         pa.ListArray.from_arrays(offsets, pa.array(chunk.ravel()), type=vector[3].type)]
            features = pa.StructArray.from_arrays(parts, fields=list(vector))
            writer.write_table(pa.table([features, pa.array(labels[begin:begin + count])], schema=schema))


def csv(path, digits=6, limit=None):
    """The rows of a dense file as text, `%.6f`, labels as whole numbers in the last column."""
    def make(target):
        with h5py.File(path) as file, open(target, "wb") as out:
            rows, columns = file["features"].shape
            rows = min(rows, limit or rows)
            out.write((",".join([*(f"x{j}" for j in range(columns)), "label"]) + "\n").encode())
            for begin in range(0, rows, CHUNK):
                chunk = np.round(file["features"][begin:min(rows, begin + CHUNK)].astype("f8"), digits)
                fields = [pa.array(column).cast(pa.decimal128(12, digits), safe=False) for column in chunk.T]
                fields.append(pa.array(file["label"][begin:begin + len(chunk)].astype("i8")))
                table = pa.table(fields, names=[str(j) for j in range(columns + 1)])
                pyarrow.csv.write_csv(table, out, pyarrow.csv.WriteOptions(include_header=False))

    return made_once(path.with_name(f"{path.stem}-{digits}-{limit}.csv"), make)


def libsvm(path, limit):
    """The first rows of a sparse file as text, values of six decimals."""
    def make(target):
        with h5py.File(path) as file:
            group = file["features"]
            indptr = group["indptr"][:limit + 1]
            parts = (np.round(group["data"][:indptr[-1]], 6), group["indices"][:indptr[-1]], indptr)
            matrix = scipy.sparse.csr_matrix(parts, shape=(len(indptr) - 1, int(group.attrs["shape"][1])))
            dump_svmlight_file(matrix, file["label"][:len(indptr) - 1], str(target), zero_based=False)

    return made_once(path.with_name(f"{path.stem}-{limit}.libsvm"), make)
