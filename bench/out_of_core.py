#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What rows in scratch cost: the time of an iteration with all rows in memory and with a tenth of them, in turn, and the time in which
fio reads the spilled bytes with the same block size and depth.

Run: python3 bench/out_of_core.py --scratch /local/disk [--learner kmeans] [--rows 2000000] [--columns 64] [--k 20] [--pairs 7]
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


def fit(words, env=None):
    line = [str(FIRESTEEL), *words]
    done = subprocess.run(line, capture_output=True, text=True, env=dict(os.environ, **(env or {})))
    if done.returncode != 0:
        sys.exit(f"{' '.join(line)}: {done.stderr}")
    return json.loads(done.stdout)


def seconds_of_iteration(words, few, many, env=None):
    """The difference of a long and a short fit, over their iterations; and the long fit's report."""
    short = fit([*words, "--max-iter", str(few)], env)
    long = fit([*words, "--max-iter", str(many)], env)
    iterations = long["iterations"] - short["iterations"]
    return (long["seconds"]["fit"] - short["seconds"]["fit"]) / iterations, long


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
    parser.add_argument("--learner", default="kmeans", choices=("kmeans", "logistic"))
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--columns", type=int, default=64)
    parser.add_argument("--k", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--iterations", type=int, default=6)
    options = parser.parse_args()

    place = tempfile.mkdtemp(prefix="firesteel-bench-", dir=options.scratch)
    try:
        piece = min(options.rows, 50_000)
        write_points(os.path.join(place, "points.csv"), piece, options.columns)
        points = os.path.join(place, "points.h5")
        subprocess.run([FIRESTEEL, "convert", "--input", os.path.join(place, "points.csv"), "--output", points, "--quiet"],
                       check=True, capture_output=True)
        words = ["train", options.learner, "--input", *[points] * (options.rows // piece), "--output", os.path.join(place, "model.h5"),
                 "--scratch", place, "--json", "--quiet", "--tol", "0"]
        words += ["--k", str(options.k), "--init-mode", "random"] if options.learner == "kmeans" else ["--solver", "lbfgs"]
        data = options.rows * options.columns * 8
        tenth = {"FIRESTEEL_POOL_BYTES": str(data // 10)}
        memory, scratch, disk, report = [], [], [], None
        for _ in range(options.pairs):
            memory.append(seconds_of_iteration(words, 1, 1 + options.iterations)[0])
            seconds, report = seconds_of_iteration(words, 1, 1 + options.iterations, tenth)
            scratch.append(seconds)
            spilled = report["storage"]["spilled_bytes"]
            disk.append(read_by_fio(place, spilled // (256 << 10) * (256 << 10), 256 << 10))
        bound = max(statistics.median(memory), statistics.median(disk))
        print(json.dumps({"learner": options.learner, "rows": options.rows, "columns": options.columns, "data_bytes": data,
                          "spilled_bytes": report["storage"]["spilled_bytes"], "in_memory_s": memory, "in_scratch_s": scratch,
                          "fio_s": disk, "over_the_larger": statistics.median(scratch) / bound, "storage": report["storage"]}, indent=1))
    finally:
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
