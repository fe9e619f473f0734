#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Records of 100 bytes sorted by their first ten from one file into another: by examples/sort_records, a whole process with its start
and its checks (order, sum of checksums), and by Spark, local[2], in a warm session, as lines of text.

Run: build/bench/venv/bin/python bench/sort.py [--size 2G] [--ranks 2] [--rounds 3] [--without-spark]
(bench/run --list installs build/bench/venv; cmake --build build/release --target example_sort_records)
"""

import pathlib
import shutil
import sys

import map_reduce

RECORD = 100

options = map_reduce.arguments(__doc__.split("\n", maxsplit=1)[0])
directory = pathlib.Path(options.directory)
path = directory / f"records-{options.size}.txt"
rows = options.bytes // RECORD
if not path.exists() or path.stat().st_size != rows * RECORD:
    map_reduce.program("sort_records", rows, path, ranks=options.ranks)


def by_firesteel():
    map_reduce.program("sort_records", path, directory / "sorted-firesteel.txt", ranks=options.ranks)


what = {"firesteel": by_firesteel}
if not options.without_spark:
    from pyspark.sql.functions import col, substring
    spark = map_reduce.spark_session(options.directory)

    def by_spark():
        lines = spark.read.text(str(path))
        lines.orderBy(substring(col("value"), 1, 10)).write.mode("overwrite").text(str(directory / "sorted-spark"))

    what["spark"] = by_spark
seconds = map_reduce.in_turn(options.rounds, **what)


def keys(file):
    """The first and last key, and the number of records of a sorted file."""
    with open(file, "rb") as text:
        first = text.read(10)
        text.seek(-RECORD, 2)
        return first, text.read(10), file.stat().st_size // RECORD


if "spark" in what:
    parts = [keys(part) for part in sorted((directory / "sorted-spark").glob("part-*")) if part.stat().st_size > 0]
    found = (parts[0][0], parts[-1][1], sum(part[2] for part in parts))
    if found != keys(directory / "sorted-firesteel.txt"):
        sys.exit(f"answers differ: {found} and {keys(directory / 'sorted-firesteel.txt')}")
map_reduce.report("sort", path.stat().st_size, seconds)
shutil.rmtree(directory / "sorted-spark", ignore_errors=True)
(directory / "sorted-firesteel.txt").unlink()
