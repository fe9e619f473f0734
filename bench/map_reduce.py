# SPDX-License-Identifier: Apache-2.0
"""What word_count.py and sort.py share: files of data, a warm Spark, times in turn. No script of its own.

Made for the Python of bench/run (build/bench/venv), which has numpy and pyspark."""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "build" / "release" / "examples"


def arguments(title, round_default=3):
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--size", default="2G", help="bytes of the file, as 200M or 2G [2G]")
    parser.add_argument("--ranks", type=int, default=2, help="ranks of Firesteel; 1 runs without mpirun, with a thread a CPU [2]")
    parser.add_argument("--rounds", type=int, default=round_default, help="times of each, in turn, after one of both that is not counted")
    parser.add_argument("--directory", default=str(ROOT / "build" / "bench" / "map_reduce"), help="where data and outputs lie")
    parser.add_argument("--without-spark", action="store_true")
    parser.add_argument("--with-hadoop", action="store_true", help="word_count.py: Hadoop's, too; Maven fetches it")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    unit = {"K": 10, "M": 20, "G": 30}.get(options.size[-1], None)
    options.bytes = int(options.size[:-1]) << unit if unit else int(options.size)
    pathlib.Path(options.directory).mkdir(parents=True, exist_ok=True)
    return options


def make_text(path, size, seed):
    """Lines of ten small-letter words, of which the k-th most frequent of 200,000 has the weight 1 / k. Made once."""
    if path.exists() and path.stat().st_size >= size:
        return
    import numpy as np
    draw = np.random.default_rng(seed)
    letters = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz", dtype=np.uint8)
    lengths = draw.integers(2, 10, 200_000)
    words = list(dict.fromkeys(bytes(draw.choice(letters, n)).decode() for n in lengths))
    weights = np.cumsum(1.0 / np.arange(1, len(words) + 1))
    words = np.array(words, dtype=object)
    part = path.with_suffix(".part")
    with open(part, "w", encoding="ascii") as file:
        while file.tell() < size:
            chosen = words[np.searchsorted(weights, draw.random(1_000_000) * weights[-1])].reshape(-1, 10)
            file.write("\n".join(map(" ".join, chosen.tolist())) + "\n")
    part.rename(path)


def program(name, *words, ranks=1):
    line = [str(EXAMPLES / name), *map(str, words)]
    if ranks > 1:
        line = ["mpirun", "-n", str(ranks), "--oversubscribe", "--bind-to", "none", *line]
    env = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    done = subprocess.run(line, capture_output=True, text=True, env=env)
    if done.returncode != 0:
        sys.exit(f"{' '.join(line)}: {done.stderr}")
    return done.stdout


def spark_session(directory):
    from pyspark.sql import SparkSession
    session = (SparkSession.builder.master("local[2]").config("spark.driver.memory", "8g").config("spark.ui.enabled", "false")
               .config("spark.sql.shuffle.partitions", "4").config("spark.local.dir", directory)
               .config("spark.driver.bindAddress", "127.0.0.1").config("spark.driver.host", "127.0.0.1").getOrCreate())
    session.sparkContext.setLogLevel("ERROR")
    return session


def in_turn(rounds, **what):
    """name → seconds, of each round; one round before is not counted, so that files are in the page cache and the JVM is warm."""
    seconds = {name: [] for name in what}
    for number in range(rounds + 1):
        for name, run in what.items():
            start = time.monotonic()
            run()
            if number > 0:
                seconds[name].append(time.monotonic() - start)
    return seconds


def report(title, size, seconds):
    for name, all_of_it in seconds.items():
        median = statistics.median(all_of_it)
        print(f"{title}: {name} {median:.2f} s (median of {len(all_of_it)}; {min(all_of_it):.2f} to {max(all_of_it):.2f}), "
              f"{size / median / 1e6:.0f} MB/s")
    for peer, ours in (("spark", "firesteel"), ("hadoop", "firesteel"), ("hadoop", "firesteel_from_hdfs")):
        if peer in seconds and ours in seconds:
            ratio = statistics.median(seconds[peer]) / statistics.median(seconds[ours])
            print(f"{title}: {ours} is {ratio:.1f} times as fast as {peer}")
