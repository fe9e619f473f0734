#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Counts instructions and calls of the hot kernels under callgrind: numbers that other load on the machine does not
move. AVX2 kernels, because valgrind does not know AVX-512. A band is what GCC 12 gives, ± TOLERANCE; a count far below
is a reason to lower the band, one above a reason to look at the kernel.

Usage: instructions.py FIT_ONCE [JOB]"""
import concurrent.futures
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

TOLERANCE = 0.10
ROWS, COLUMNS, TILE = 8192, 32, 32
CSV_ROWS, CSV_COLUMNS = 2000, 20

# job: kernel (a regular expression on the demangled name), calls that the job makes of it (None: not counted), elements
# that all calls together work through, instructions an element.
KMEANS_TILES = ROWS // TILE * 5  # four iterations and the labels of the start
KMEANS_CALLS = KMEANS_TILES // 16  # tiles at once
LOGISTIC_PASSES = 1 + 2 + 3  # the start; the first iteration, whose line is searched; three more. By block: 8, or 4 of floats
JOBS = {
    "kmeans_double": (r"::find_nearest_double\(", KMEANS_CALLS, KMEANS_TILES * TILE * COLUMNS * 32, 0.728),
    "kmeans_single": (r"::find_nearest_float\(", KMEANS_CALLS, KMEANS_TILES * TILE * COLUMNS * 32, 0.365),
    # Nine iterations and the start, moves of rows included: what bounds spare and what they cost.
    "kmeans_settling": (r"::ClusterSums::assign\(", 10, 10 * ROWS * COLUMNS * 32, 0.241),
    "logistic_double": (r"::gradient_double\(", LOGISTIC_PASSES * 8, LOGISTIC_PASSES * ROWS * COLUMNS, 1.667),
    "logistic_single": (r"::single_gradient_kernel\(", LOGISTIC_PASSES * 4, LOGISTIC_PASSES * ROWS * COLUMNS, 2.111),
    "logistic_sparse": (r"^void firesteel::block_loss_and_gradient<double>\(firesteel::SparseRows", LOGISTIC_PASSES * 8,
                        LOGISTIC_PASSES * ROWS * COLUMNS // 2, 24.82),
    "als": (r"::add_batch\(", None, 2 * 2 * 40_000 * 32 * 33 // 2, 0.892),
    "csv": (r"^firesteel::read_rows\(", 1, 0, 18.89),
    "libsvm": (r"^firesteel::read_rows\(", 1, 0, 17.8),
}


def costs_of_calls(path):
    """name → (calls, inclusive instructions), from callgrind's file format: `calls=` lines, cost on the line after."""
    names, found, callee, pending = {}, {}, None, None
    for line in open(path, errors="replace"):
        match = re.match(r"c?fn=\((\d+)\)(?: (.*))?", line)
        if match:
            if match.group(2):
                names[match.group(1)] = match.group(2)
            if line.startswith("cfn"):
                callee = names[match.group(1)]
        elif line.startswith("calls="):
            pending = int(line[6:].split()[0])
        elif pending is not None:
            calls, cost = found.get(callee, (0, 0))
            found[callee] = calls + pending, cost + int(line.split()[-1])
            pending = None
    return found


def count(program, job, folder):
    """(calls, instructions) of the job's kernel, and the elements it worked through."""
    kernel, _, elements, _ = JOBS[job]
    words = [program, job]
    if job == "csv":
        path = os.path.join(folder, "numbers.csv")
        draw = random.Random(1)
        with open(path, "w") as file:
            file.write(",".join(f"x{j}" for j in range(CSV_COLUMNS)) + ",label\n")
            for _ in range(CSV_ROWS):
                file.write(",".join(f"{draw.uniform(-5, 5):.6f}" for _ in range(CSV_COLUMNS)) + f",{draw.randrange(2)}\n")
        words.append(path)
        elements = os.path.getsize(path)
    if job == "libsvm":
        path = os.path.join(folder, "numbers.libsvm")
        draw = random.Random(1)
        with open(path, "w") as file:
            for _ in range(CSV_ROWS):
                indices = sorted(draw.sample(range(1, 100_000), CSV_COLUMNS))
                file.write(f"{draw.randrange(2)}" + "".join(f" {index}:{draw.uniform(-5, 5):.6f}" for index in indices) + "\n")
        words.append(path)
        elements = os.path.getsize(path)
    out = os.path.join(folder, job + ".callgrind")
    environment = dict(os.environ, FIRESTEEL_SIMD="avx2")
    done = subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--compress-pos=no", *words],
                          env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{job}: valgrind ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
    found = [cost for name, cost in costs_of_calls(out).items() if re.search(kernel, name)]
    if not found:
        raise RuntimeError(f"{job}: no call of {kernel} was seen")
    return sum(calls for calls, _ in found), sum(cost for _, cost in found), elements


def main():
    if shutil.which("valgrind") is None:
        sys.exit("valgrind is not installed: ./scripts/test installs it")
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        jobs = sys.argv[2:] or list(JOBS)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            counts = list(pool.map(lambda job: count(sys.argv[1], job, folder), jobs))
        for job, (calls, cost, elements) in zip(jobs, counts):
            _, expected_calls, _, band = JOBS[job]
            value = cost / elements
            good = abs(value / band - 1) <= TOLERANCE and expected_calls in (None, calls)
            failures += not good
            print(f"{job:16} {value:8.4f} instructions an element, expected {band:.4f} ± {TOLERANCE:.0%}; {calls} calls"
                  + ("" if expected_calls is None else f", expected {expected_calls}") + ("" if good else "   <-- differs"))
    sys.exit(failures > 0)


main()
