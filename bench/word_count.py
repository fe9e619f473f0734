#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Words of a text counted by examples/word_count, a whole process with its start, and by Spark, local[2], in a warm session. Both must
find the same ten words.

Run: build/bench/venv/bin/python bench/word_count.py [--size 2G] [--ranks 2] [--rounds 3] [--without-spark]
(bench/run --list installs build/bench/venv; cmake --build build/release --target example_word_count)
"""

import pathlib
import sys

import map_reduce

options = map_reduce.arguments(__doc__.split("\n", maxsplit=1)[0])
path = pathlib.Path(options.directory) / f"words-{options.size}-{options.seed}.txt"
map_reduce.make_text(path, options.bytes, options.seed)
answers = {}


def by_firesteel():
    out = map_reduce.program("word_count", path, ranks=options.ranks)
    answers["firesteel"] = [(line.split()[1], int(line.split()[0])) for line in out.splitlines()]


what = {"firesteel": by_firesteel}
if not options.without_spark:
    from pyspark.sql.functions import asc, col, desc, explode, split
    spark = map_reduce.spark_session(options.directory)

    def by_spark():
        words = spark.read.text(str(path)).select(explode(split(col("value"), " ")).alias("word"))
        most = words.groupBy("word").count().orderBy(desc("count"), asc("word")).limit(10).collect()
        answers["spark"] = [(row["word"], row["count"]) for row in most]

    what["spark"] = by_spark
seconds = map_reduce.in_turn(options.rounds, **what)
if "spark" in answers and answers["spark"] != answers["firesteel"]:
    sys.exit(f"answers differ: {answers}")
map_reduce.report("word count", path.stat().st_size, seconds)
