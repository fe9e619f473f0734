#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the folder arrow: small Parquet, Arrow and ORC files as pyarrow writes them, for tests/io/table_test.cpp.

Run with pyarrow installed: python3 tests/reference/arrow_files.py
"""

import io
import pathlib

import pyarrow
import pyarrow.feather
import pyarrow.orc
import pyarrow.parquet

ROWS = 6
COLUMNS = {
    "whole": pyarrow.array([1, -2, 3, 4, 5, 6], pyarrow.int32()),
    "real": pyarrow.array([0.5, 1.5, -2.25, 1e-3, 8, 9], pyarrow.float64()),
    "label": pyarrow.array(["no", "yes", "no", "no", "yes", "maybe"]).dictionary_encode(),
    "small": pyarrow.array([1, 2, 3, 250, 5, 6], pyarrow.uint8()),
    "single": pyarrow.array([0.25, 0.5, 1, 2, 4, 8], pyarrow.float32()),
    "flag": pyarrow.array([True, False, True, True, False, False]),
    "text": pyarrow.array(["a", "b,c", None, "", "é", "f"]),
    "user": pyarrow.array([10, 2**60 + 1, 10, 4, 5, 6], pyarrow.int64()),
    "item": pyarrow.array(["7", "8", "9", "7", "8", "9"]),
    "gaps": pyarrow.array([1.0, None, 3.0, float("nan"), 5.0, 6.0]),
    "list": pyarrow.array([[1], [2, 3], [], [4], [5], [6]]),
    "last": pyarrow.array([6, 5, 4, 3, 2, 1], pyarrow.int64()),
}
TABLE = pyarrow.table(COLUMNS)
PLAIN = TABLE.drop_columns(["list"]).set_column(2, "label", COLUMNS["label"].cast(pyarrow.string()))
PLAIN = PLAIN.set_column(3, "small", COLUMNS["small"].cast(pyarrow.int64()))


def saved(save):
    out = io.BytesIO()
    save(out)
    return out.getvalue()


FILES = {
    "a.parquet": saved(lambda out: pyarrow.parquet.write_table(TABLE, out, row_group_size=2)),
    "zstd.parquet": saved(lambda out: pyarrow.parquet.write_table(TABLE, out, compression="zstd")),
    "a.arrow": saved(lambda out: pyarrow.feather.write_feather(TABLE, out, compression="uncompressed", chunksize=4)),
    "lz4.arrow": saved(lambda out: pyarrow.feather.write_feather(TABLE, out, compression="lz4")),
    "a.orc": saved(lambda out: pyarrow.orc.write_table(PLAIN, out)),
    "other.parquet": saved(lambda out: pyarrow.parquet.write_table(TABLE.rename_columns(["x" + n for n in COLUMNS]), out)),
}


def main():
    folder = pathlib.Path(__file__).with_name("arrow")
    folder.mkdir(exist_ok=True)
    for name, data in FILES.items():
        (folder / name).write_bytes(data)


main()
