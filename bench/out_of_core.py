#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What rows in scratch cost: the time of an iteration with all rows in memory and with a tenth of them, in turn, and the time in which
fio reads the spilled bytes with the same block size and depth.

Run: python3 bench/out_of_core.py --scratch /local/disk [--learner kmeans|logistic|als] [--sparse] [--rows 2000000] [--columns 64]
[--k 20] [--pairs 7]. For als, rows are ratings and columns factors; with --sparse, columns are values a row, of a thousand.
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
FIRESTEEL = ROOT / "build" / "release" / "firesteel"


def write_points(path, rows, columns):
    """Noise around a few centres; the file is given several times, so that little is written."""
    source = random.Random(1)
    with open(path, "w") as file:
        file.write(",".join(f"x{j}" for j in range(columns)) + ",label\n")
        for _ in range(rows):
            g = source.randrange(8)
            file.write(",".join(f"{source.gauss(g * (j % 3), 2):.4f}" for j in range(columns)) + f",{g % 2}\n")


def write_sparse(path, rows, filled):
    """As write_points, in LIBSVM, with so many values a row."""
    source = random.Random(1)
    with open(path, "w") as file:
        for _ in range(rows):
            g = source.randrange(8)
            places = sorted(source.sample(range(1, 1001), filled))
            file.write(f"{g % 2} " + " ".join(f"{j}:{source.gauss(g * (j % 3), 2):.4f}" for j in places) + "\n")


def write_ratings(path, rows, users=20_000, items=2_000):
    source = random.Random(1)
    with open(path, "w") as file:
        file.write("user,item,rating\n")
        for _ in range(rows):
            file.write(f"{source.randrange(users)},{int(source.random() * source.random() * items)},{source.randrange(1, 11) / 2}\n")


def fit(words, env=None):
    line = [str(FIRESTEEL), *words]
    done = subprocess.run(line, capture_output=True, text=True, env=dict(os.environ, **(env or {})))
    if done.returncode != 0:
        sys.exit(f"{' '.join(line)}: {done.stderr}")
    return json.loads(done.stdout)


def seconds_of_iteration(words, few, many, env=None):
    """Differences of a long and a short fit, over their iterations: seconds, bytes read; and the long fit's report."""
    short = fit([*words, "--max-iter", str(few)], env)
    long = fit([*words, "--max-iter", str(many)], env)
    iterations = long["iterations"] - short["iterations"]
    read = long["storage"]["bytes_read"] - short["storage"]["bytes_read"]
    return (long["seconds"]["fit"] - short["seconds"]["fit"]) / iterations, read / iterations, long


def read_by_fio(scratch, size, block):
    """Seconds in which fio reads so many bytes, directly, eight blocks under way."""
    name = os.path.join(scratch, "firesteel-fio")
    words = ["fio", "--name=read", f"--filename={name}", f"--size={size}", f"--bs={block}", "--iodepth=8", "--ioengine=io_uring",
             "--direct=1", "--rw=read", "--output-format=json"]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    job = json.loads(done.stdout[done.stdout.index("{"):])["jobs"][0]["read"]
    return job["runtime"] / 1000


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scratch", required=True)
    parser.add_argument("--learner", default="kmeans", choices=("kmeans", "logistic", "als"))
    parser.add_argument("--sparse", action="store_true")
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--columns", type=int, default=64)
    parser.add_argument("--k", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--iterations", type=int, default=6)
    options = parser.parse_args()

    place = tempfile.mkdtemp(prefix="firesteel-bench-", dir=options.scratch)
    try:
        piece = min(options.rows, 1_000_000 if options.learner == "als" else 50_000)
        text = os.path.join(place, "points.svm" if options.sparse else "points.csv")
        points = os.path.join(place, "points.h5")
        if options.learner == "als":
            write_ratings(text, piece)
        elif options.sparse:
            write_sparse(text, piece, options.columns)
        else:
            write_points(text, piece, options.columns)
        task = ["--user", "user", "--item", "item"] if options.learner == "als" else []
        subprocess.run([FIRESTEEL, "convert", "--input", text, *task, "--output", points, "--quiet"], check=True, capture_output=True)
        words = ["train", options.learner, "--input", *[points] * (options.rows // piece), "--output", os.path.join(place, "model.h5"),
                 "--scratch", place, "--json", "--quiet"]
        words += {"kmeans": ["--tol", "0", "--k", str(options.k), "--init-mode", "random"], "logistic": ["--tol", "0", "--solver", "lbfgs"],
                  "als": ["--rank", str(options.columns)]}[options.learner]
        data = options.rows * {"als": 24, "kmeans": options.columns * (12 if options.sparse else 8)}.get(
            options.learner, options.columns * (12 if options.sparse else 8))
        tenth = {"FIRESTEEL_POOL_BYTES": str(data // 10)}
        memory, scratch, disk, report, read = [], [], [], None, 0
        for _ in range(options.pairs):
            memory.append(seconds_of_iteration(words, 1, 1 + options.iterations)[0])
            seconds, read, report = seconds_of_iteration(words, 1, 1 + options.iterations, tenth)
            scratch.append(seconds)
            disk.append(read_by_fio(place, int(read) // (256 << 10) * (256 << 10), 256 << 10))
        bound = max(statistics.median(memory), statistics.median(disk))
        print(json.dumps({"learner": options.learner, "sparse": options.sparse, "rows": options.rows, "columns": options.columns,
                          "data_bytes": data, "spilled_bytes": report["storage"]["spilled_bytes"], "read_an_iteration": read,
                          "in_memory_s": memory, "in_scratch_s": scratch, "fio_s": disk,
                          "over_the_larger": statistics.median(scratch) / bound, "storage": report["storage"]}, indent=1))
    finally:
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
