# SPDX-License-Identifier: Apache-2.0
"""Times Firesteel against scikit-learn on the same seeded data, in turn, and writes results.json and table.md.

Every contestant runs in a process of its own, once a round (A B C A B C …); the table gives the median over the rounds and
the extremes. Only the fit is timed, not reading. Results are compared before a time is believed.
"""
import argparse
import json
import os
import pathlib
import platform
import resource
import statistics
import subprocess
import sys
from importlib import metadata

import h5py
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "bench"
BINARY = ROOT / "build" / "release" / "firesteel"
CHUNK = 100_000
SIZES = {  # rows x columns
    False: {"logistic": (1_000_000, 100), "kmeans": (1_000_000, 32), "k": 64, "kmeans_iterations": 20, "csv": (200_000, 50)},
    True: {"logistic": (50_000, 100), "kmeans": (50_000, 32), "k": 16, "kmeans_iterations": 10, "csv": (20_000, 50)},
}
LAYOUTS = {"2 ranks x 1 thread": (2, 1), "1 rank x 2 threads": (1, 2)}
REG_PARAM = 1e-4
LOGISTIC_TOL = 1e-6


def run_json(command, threads):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads), OPENBLAS_NUM_THREADS=str(threads))
    done = subprocess.run([str(word) for word in command], cwd=ROOT, env=environment, capture_output=True, text=True,
                          errors="replace")
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\nended with {done.returncode}:\n{done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {**json.loads(done.stdout), "cpu_seconds": cpu_seconds}


def firesteel(ranks, threads, *words):
    launch = ["mpirun", "-n", ranks] if ranks > 1 else []
    return run_json([*launch, BINARY, *words, "--threads", threads, "--json", "--quiet"], threads)


def sklearn(*words):
    return run_json([sys.executable, "bench/sklearn_fit.py", *words], 2)


def in_turn(contestants, rounds):
    """Runs every contestant once a round; returns for each the list of its answers."""
    answers = {name: [] for name in contestants}
    for number in range(rounds):
        for name, run in contestants.items():
            answers[name].append(run())
            print(f"  round {number + 1}/{rounds}  {name:32} {answers[name][-1]['seconds']:8.3f} s", file=sys.stderr, flush=True)
    return answers


def summary(answers):
    rows = {}
    for name, runs in answers.items():
        seconds = [run["seconds"] for run in runs]
        rows[name] = {"median_seconds": statistics.median(seconds), "min_seconds": min(seconds), "max_seconds": max(seconds),
                      "runs": len(seconds), "iterations": runs[-1].get("iterations")}
    return rows


def generate(path, rows, columns, make_chunk, seed):
    """Writes features and label in the layout that `firesteel convert` writes."""
    marker = f"{rows}x{columns} seed {seed} numpy {np.__version__}"
    if path.exists():
        with h5py.File(path) as file:
            if file.attrs.get("bench") == marker:
                return
    rng = np.random.default_rng(seed)
    with h5py.File(path, "w") as file:
        features = file.create_dataset("features", (rows, columns), dtype="f8")
        label = file.create_dataset("label", (rows,), dtype="f8")
        for begin in range(0, rows, CHUNK):
            end = min(rows, begin + CHUNK)
            features[begin:end], label[begin:end] = make_chunk(rng, end - begin)
        file.attrs["bench"] = marker


def model_array(path, name):
    with h5py.File(path) as file:
        return file[name][:]


def logistic_objective(x, y, coefficients):
    """Mean log-loss + reg_param/2 ‖w‖², intercept last."""
    margin = x @ coefficients[:-1] + coefficients[-1]
    loss = np.logaddexp(0.0, np.where(y > 0, -margin, margin)).mean()
    return loss + REG_PARAM / 2 * coefficients[:-1] @ coefficients[:-1]


def bench_logistic(sizes, rounds):
    rows, columns = sizes["logistic"]
    truth = np.random.default_rng(1).normal(size=columns) / np.sqrt(columns)
    scales = np.logspace(-0.5, 0.5, columns)

    def chunk(rng, count):
        x = rng.normal(size=(count, columns)) * scales
        return x, (rng.random(count) < 1 / (1 + np.exp(-(x @ truth) * 2 - 0.3))).astype(float)

    data = WORK / f"logistic-{rows}x{columns}.h5"
    generate(data, rows, columns, chunk, 2)

    def ours(ranks, threads):
        model = WORK / f"logistic-{ranks}x{threads}.h5"
        answer = firesteel(ranks, threads, "train", "logistic", "--input", data, "--output", model, "--reg-param", REG_PARAM,
                           "--no-standardization", "--tol", LOGISTIC_TOL)
        return {"seconds": answer["seconds"]["fit"], "iterations": answer["iterations"], "model": model}

    def theirs(solver):
        return sklearn("logistic", data, solver, REG_PARAM, LOGISTIC_TOL, WORK / f"logistic-{solver}.npy")

    contestants = {"scikit-learn lbfgs, 2 threads": lambda: theirs("lbfgs"),
                   "scikit-learn newton-cholesky, 2 threads": lambda: theirs("newton-cholesky")}
    for layout, (ranks, threads) in LAYOUTS.items():
        contestants[f"Firesteel, {layout}"] = lambda r=ranks, t=threads: ours(r, t)
    answers = in_turn(contestants, rounds)

    x, y = model_array(data, "features"), model_array(data, "label")
    objectives = {}
    for name, runs in answers.items():
        if "model" in runs[-1]:
            model = runs[-1]["model"]
            w = np.append(model_array(model, "coefficients")[0], model_array(model, "intercept"))
        else:
            w = np.load(WORK / f"logistic-{'lbfgs' if 'lbfgs' in name else 'newton-cholesky'}.npy")
        objectives[name] = logistic_objective(x, y, w)
    best = min(objectives.values())
    result = summary(answers)
    for name, objective in objectives.items():
        result[name]["objective_gap"] = (objective - best) / best
        if result[name]["objective_gap"] > 1e-6:
            sys.exit(f"{name}: objective {objective!r}, {best!r} is possible: not the same problem solved")
    models = [runs[-1]["model"].read_bytes() for runs in answers.values() if "model" in runs[-1]]
    if any(model != models[0] for model in models):
        sys.exit("Firesteel's layouts gave different models")
    return {"rows": rows, "columns": columns, "reg_param": REG_PARAM, "tol": LOGISTIC_TOL, "results": result}


def bench_kmeans(sizes, rounds):
    rows, columns = sizes["kmeans"]
    k, iterations = sizes["k"], sizes["kmeans_iterations"]
    centres = np.random.default_rng(3).normal(size=(k, columns)) * 1.5

    def chunk(rng, count):
        label = rng.integers(0, k, count)
        return centres[label] + rng.normal(size=(count, columns)), label.astype(float)

    data = WORK / f"kmeans-{rows}x{columns}.h5"
    generate(data, rows, columns, chunk, 4)
    start = WORK / "kmeans-start.csv"
    np.savetxt(start, model_array(data, "features")[:k], delimiter=",", fmt="%.17g")

    def ours(ranks, threads):
        model = WORK / f"kmeans-{ranks}x{threads}.h5"
        answer = firesteel(ranks, threads, "train", "kmeans", "--input", data, "--output", model, "--init-file", start,
                           "--max-iter", iterations, "--tol", 0)
        return {"seconds": answer["seconds"]["fit"], "iterations": answer["iterations"], "model": model,
                "training_cost": answer["training_cost"]}

    contestants = {"scikit-learn lloyd, 2 threads": lambda: sklearn("kmeans", data, start, iterations, WORK / "kmeans.npy")}
    for layout, (ranks, threads) in LAYOUTS.items():
        contestants[f"Firesteel, {layout}"] = lambda r=ranks, t=threads: ours(r, t)
    answers = in_turn(contestants, rounds)

    reference = np.load(WORK / "kmeans.npy")
    reference_cost = answers["scikit-learn lloyd, 2 threads"][-1]["training_cost"]
    for name, runs in answers.items():
        if "model" not in runs[-1]:
            continue
        difference = np.abs(model_array(runs[-1]["model"], "cluster_centers") - reference).max()
        cost_gap = abs(runs[-1]["training_cost"] - reference_cost) / reference_cost
        if difference > 1e-8 or cost_gap > 1e-9:
            sys.exit(f"{name}: centres differ by {difference}, cost by {cost_gap}")
    return {"rows": rows, "columns": columns, "k": k, "iterations": iterations, "results": summary(answers)}


def bench_csv(sizes, rounds):
    rows, columns = sizes["csv"]
    path = WORK / f"read-{rows}x{columns}.csv"
    if not path.exists():
        rng = np.random.default_rng(5)
        with path.open("w") as file:
            file.write(",".join([f"x{j}" for j in range(columns)] + ["label"]) + "\n")
            for begin in range(0, rows, CHUNK):
                x = rng.normal(size=(min(CHUNK, rows - begin), columns))
                for row, label in zip(x.tolist(), rng.integers(0, 2, len(x)).tolist()):
                    file.write(",".join(map(repr, row)) + f",{label}\n")
    size = path.stat().st_size

    def ours(ranks, threads):
        answer = firesteel(ranks, threads, "train", "kmeans", "--input", path, "--output", WORK / "csv.h5", "--k", 1,
                           "--max-iter", 1, "--init-mode", "random")
        return {"seconds": answer["seconds"]["read"], "cpu_seconds": answer["cpu_seconds"]}

    contestants = {f"Firesteel, {layout}": lambda r=ranks, t=threads: ours(r, t)
                   for layout, (ranks, threads) in {"1 rank x 1 thread": (1, 1), **LAYOUTS}.items()}
    answers = in_turn(contestants, rounds)
    result = summary(answers)
    for name, row in result.items():
        row["megabytes_per_second"] = size / 1e6 / row["median_seconds"]
        # The whole process: start, reading, one k-means iteration with k = 1, writing.
        row["megabytes_per_cpu_second"] = size / 1e6 / statistics.median(run["cpu_seconds"] for run in answers[name])
    return {"bytes": size, "rows": rows, "columns": columns + 1, "results": result}


def machine():
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    return {"cpu": cpu, "cores": len(os.sched_getaffinity(0)), "system": platform.platform(), "commit": commit,
            "python": platform.python_version(), **{name: metadata.version(name) for name in ("scikit-learn", "numpy", "scipy")}}


def table(report):
    lines = ["<!-- Written by bench/run. -->", "",
             "{cpu}, {cores} cores; scikit-learn {scikit-learn}, numpy {numpy}; commit {commit}. Medians of {rounds} rounds.".format(
                 **report["machine"], rounds=report["rounds"])]
    titles = {"logistic": "Logistic regression, {rows:,} x {columns} dense, L2 {reg_param}, tolerance {tol}",
              "kmeans": "k-means, {rows:,} x {columns}, k = {k}, {iterations} iterations from the same centres",
              "csv": "CSV reading, {bytes:,} bytes, {columns} columns of 17 digits, warm page cache"}
    for name, title in titles.items():
        if name not in report:
            continue
        bench = report[name]
        extra = "MB/s | MB per CPU second of the whole process" if name == "csv" else "iterations"
        lines += ["", title.format(**bench), "", f"| | median s | min s | max s | {extra} |",
                  "|---|" + "---:|" * (5 if name == "csv" else 4)]
        for contestant, row in bench["results"].items():
            last = row["iterations"]
            if name == "csv":
                last = f"{row['megabytes_per_second']:.0f} | {row['megabytes_per_cpu_second']:.0f}"
            lines.append(f"| {contestant} | {row['median_seconds']:.3f} | {row['min_seconds']:.3f} | {row['max_seconds']:.3f} | {last} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small sizes; results stay in build/bench")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=("logistic", "kmeans", "csv"))
    arguments = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    report = {"machine": machine(), "rounds": arguments.rounds}
    sizes = SIZES[arguments.quick]
    for name, bench in (("logistic", bench_logistic), ("kmeans", bench_kmeans), ("csv", bench_csv)):
        if arguments.only in (None, name):
            print(name, file=sys.stderr)
            report[name] = bench(sizes, arguments.rounds)
    # Parts of a comparison are for looking at, only a whole one is published.
    output = WORK if arguments.quick or arguments.only else ROOT / "docs" / "benchmarks"
    output.mkdir(parents=True, exist_ok=True)
    (output / "results.json").write_text(json.dumps(report, indent=2) + "\n")
    (output / "table.md").write_text(table(report))
    print(table(report))


main()
