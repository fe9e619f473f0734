#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Words of a text counted by examples/word_count, a whole process with its start, by Spark, local[2], in a warm session, and with
--with-hadoop by the WordCount of Apache Hadoop, a MapReduce job on YARN and HDFS that are up, and by examples/word_count from that
HDFS. All must find the same ten words.

Run: build/bench/venv/bin/python bench/word_count.py [--size 2G] [--ranks 2] [--rounds 3] [--without-spark] [--with-hadoop]
(bench/run --list installs build/bench/venv; cmake --build build/release --target example_word_count)
"""

import atexit
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
if options.with_hadoop:
    import hadoop
    cluster = hadoop.Hadoop(options.directory)
    atexit.register(cluster.close)
    cluster.upload(path, "/words.txt")
    outputs = [f"/counts-{number}" for number in range(options.rounds + 1)]
    left = iter(outputs)

    def by_hadoop():
        cluster.count_words("/words.txt", next(left))

    def by_firesteel_from_hdfs():
        out = map_reduce.program("word_count", f"{cluster.url}/words.txt", ranks=options.ranks)
        answers["firesteel from hdfs"] = [(line.split()[1], int(line.split()[0])) for line in out.splitlines()]

    what |= {"hadoop": by_hadoop, "firesteel_from_hdfs": by_firesteel_from_hdfs}
seconds = map_reduce.in_turn(options.rounds, **what)
if options.with_hadoop:
    for output in outputs:
        answers[f"hadoop {output}"] = cluster.most_frequent(output, 10)
if any(answer != answers["firesteel"] for answer in answers.values()):
    sys.exit(f"answers differ: {answers}")
map_reduce.report("word count", path.stat().st_size, seconds)
