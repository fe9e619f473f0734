# SPDX-License-Identifier: Apache-2.0
"""What checkpoints cost: times k-means with and without a checkpoint after every iteration, in turn.

    python3 bench/checkpoint_cost.py [--pairs 7] [--rows 1000000] [--k 64] [--iterations 20] [--directory DIR]

Needs the release build and Python alone. Each pair runs both ways, in alternating order, on the same data (rows x 32, seeded,
generated once); `seconds.fit` of each is compared, and the models must be the same bytes. The last line is JSON: the median of the pairs'
ratios is the cost.
"""
import argparse
import json
import pathlib
import random
import shutil
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "bench"
BINARY = ROOT / "build" / "release" / "firesteel"
COLUMNS = 32
LAYOUTS = {"1 rank x 2 threads": (1, 2), "2 ranks x 1 thread": (2, 1)}


def make_data(rows):
    """Points around 64 centres, each coordinate one of 64 draws about its centre."""
    path = WORK / f"checkpoint_cost_{rows}.h5"
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


def fit(options, layout, data, saved):
    ranks, threads = LAYOUTS[layout]
    shutil.rmtree(WORK / "saved", ignore_errors=True)
    line = [BINARY, *(["--ranks", ranks] if ranks > 1 else [])]
    line += ["train", "kmeans", "--input", data, "--k", options.k, "--max-iter", options.iterations, "--tol", 0, "--threads", threads,
             "--output", WORK / "checkpoint_cost_model.h5", "--json", "--quiet"]
    if saved:
        line += ["--checkpoint", saved]
    done = subprocess.run([str(word) for word in line], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{line}\nended with {done.returncode}: {done.stderr}")
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--k", type=int, default=64)
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--layout", choices=list(LAYOUTS), default=next(iter(LAYOUTS)))
    parser.add_argument("--directory", type=pathlib.Path, default=WORK / "saved", help="where checkpoints go")
    options = parser.parse_args()
    data = make_data(options.rows)
    seconds = {"without": [], "with": []}
    digests = set()
    for pair in range(-1, options.pairs):  # the first warms up
        for name in ["without", "with"][:: 1 if pair % 2 else -1]:
            shutil.rmtree(options.directory, ignore_errors=True)
            result = fit(options, options.layout, data, options.directory if name == "with" else None)
            digests.add(result["sha256"])
            if pair >= 0:
                seconds[name].append(result["seconds"]["fit"])
        if pair >= 0:
            print(f"pair {pair + 1}: {seconds['without'][-1]:.3f} s without, {seconds['with'][-1]:.3f} s with", file=sys.stderr)
    shutil.rmtree(options.directory, ignore_errors=True)
    if len(digests) != 1:
        sys.exit("the models differ")
    ratios = [a / b for a, b in zip(seconds["with"], seconds["without"])]
    print(json.dumps({"layout": options.layout, "rows": options.rows, "columns": COLUMNS, "k": options.k, "iterations": result["iterations"],
                      "pairs": options.pairs, "median_seconds_without": statistics.median(seconds["without"]),
                      "median_seconds_with": statistics.median(seconds["with"]), "median_ratio": statistics.median(ratios),
                      "min_ratio": min(ratios), "max_ratio": max(ratios)}))


if __name__ == "__main__":
    main()
