# SPDX-License-Identifier: Apache-2.0
"""What a safeguard costs: times k-means with and without it, in turn.

    python3 bench/reliability_cost.py [--of checkpoints] [--layout 2x1] [--pairs 7] [--rows 1000000] [--k 64] [--iterations 20]
    python3 bench/reliability_cost.py --of stalls       signs of life and the stall detector, as by default
    python3 bench/reliability_cost.py --of shrinking    --on-failure shrink, under the Open MPI 5 in build/ulfm both times

Needs the release build and Python alone. Each pair runs both ways, in alternating order, on the same data (rows x 32, seeded,
generated once); `seconds.fit` of each is compared (of `stalls` and `shrinking` the whole job's, too), and the models must be
the same bytes. The last line is JSON: the median of the pairs' ratios is the cost.
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
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "bench"
BINARY = ROOT / "build" / "release" / "firesteel"
COLUMNS = 32
LAYOUTS = {"1x2": (1, 2), "2x1": (2, 1), "4x1": (4, 1)}  # ranks, threads
UNWATCHED = ["--peer-timeout", "0", "--stall-seconds", "0"]
ULFM = ROOT / "build" / "ulfm"
# Words without and with; {saved}: the checkpoints' directory.
SAFEGUARDS = {
    "checkpoints": ([], ["--checkpoint", "{saved}"]),
    "stalls": (UNWATCHED, []),
    "shrinking": ([], ["--on-failure", "shrink"]),
}


def make_data(rows):
    """Points around 64 centres, each coordinate one of 64 draws about its centre."""
    path = WORK / f"reliability_cost_{rows}.h5"
    if path.exists():
        return path
    WORK.mkdir(parents=True, exist_ok=True)
    source = random.Random(5)
    table = [[[f"{centre + source.gauss(0, 1):.4f}" for _ in range(64)] for centre in [source.uniform(-3, 3) for _ in range(COLUMNS)]]
             for _ in range(64)]
    text = path.with_suffix(".csv")
    with open(text, "w") as file:
        file.write(",".join(f"x{j}" for j in range(COLUMNS)) + "\n")
        for _ in range(rows):
            draws = source.getrandbits(6 * (COLUMNS + 1))
            columns = table[draws & 63]
            file.write(",".join(column[(draws >> (6 * j)) & 63] for j, column in enumerate(columns, 1)) + "\n")
    subprocess.run([BINARY, "convert", "--input", text, "--output", path, "--quiet"], check=True)
    text.unlink()
    return path


def environment(options):
    if options.of != "shrinking":
        return dict(os.environ)
    return dict(os.environ, LD_LIBRARY_PATH=str(ULFM / "lib"), PRTE_ALLOW_RUN_AS_ROOT="1", PRTE_ALLOW_RUN_AS_ROOT_CONFIRM="1")


def fit(options, data, words):
    """The job's JSON, with `seconds.job` of all of it."""
    ranks, threads = LAYOUTS[options.layout]
    line = [BINARY]
    if options.of == "shrinking":
        line = [ULFM / "bin" / "mpirun", *(["--with-ft", "ulfm"] if words else []), "-n", ranks, "--oversubscribe", "--bind-to", "none",
                BINARY]
    elif ranks > 1:
        line = ["mpirun", "-n", ranks, "--oversubscribe", "--bind-to", "none", BINARY]
    line += ["train", "kmeans", "--input", data, "--k", options.k, "--max-iter", options.iterations, "--tol", 0, "--threads", threads,
             "--output", WORK / "reliability_cost_model.h5", "--json", "--quiet"]
    line += [word.format(saved=options.directory) for word in words]
    start = time.monotonic()
    done = subprocess.run([str(word) for word in line], capture_output=True, text=True, check=False, env=environment(options))
    if done.returncode != 0:
        sys.exit(f"{line}\nended with {done.returncode}: {done.stderr}")
    result = json.loads(done.stdout)
    result["seconds"]["job"] = time.monotonic() - start
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--k", type=int, default=64)
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--of", choices=list(SAFEGUARDS), default="checkpoints")
    parser.add_argument("--layout", choices=list(LAYOUTS), help="ranks x threads")
    parser.add_argument("--directory", type=pathlib.Path, default=WORK / "saved", help="where checkpoints go")
    options = parser.parse_args()
    options.layout = options.layout or ("1x2" if options.of == "checkpoints" else "2x1")
    data = make_data(options.rows)
    seconds = {(name, what): [] for name in ("without", "with") for what in ("fit", "job")}
    digests = set()
    for pair in range(-1, options.pairs):  # the first warms up
        for name in ["without", "with"][:: 1 if pair % 2 else -1]:
            shutil.rmtree(options.directory, ignore_errors=True)
            result = fit(options, data, SAFEGUARDS[options.of][name == "with"])
            digests.add(result["sha256"])
            for what in ("fit", "job"):
                if pair >= 0:
                    seconds[name, what].append(result["seconds"][what])
        if pair >= 0:
            print(f"pair {pair + 1}: fit {seconds['without', 'fit'][-1]:.3f} s without, {seconds['with', 'fit'][-1]:.3f} s with", file=sys.stderr)
    shutil.rmtree(options.directory, ignore_errors=True)
    if len(digests) != 1:
        sys.exit("the models differ")
    summary = {"of": options.of, "layout": options.layout, "rows": options.rows, "columns": COLUMNS, "k": options.k,
               "iterations": result["iterations"], "pairs": options.pairs}
    for what in ("fit", "job"):
        ratios = [a / b for a, b in zip(seconds["with", what], seconds["without", what])]
        summary[what] = {"median_seconds_without": statistics.median(seconds["without", what]),
                         "median_seconds_with": statistics.median(seconds["with", what]), "median_ratio": statistics.median(ratios),
                         "min_ratio": min(ratios), "max_ratio": max(ratios)}
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
