# SPDX-License-Identifier: Apache-2.0
"""Reading text, and whole jobs from a file to a model file."""
import os
import sys

import h5py
import numpy as np

from harness import data
from harness.bench import Contestant, Disagreement, at_most, ratio, spark
from harness.logistic import GRADIENT_NORM, Problem, model_of
from harness.workers import PEERS, RELEASE, Failed, run_command

GB = 1e9


def check_sums(ours, theirs):
    """Column sums of what two readers read."""
    width = min(len(ours), len(theirs))
    if not np.allclose(ours[:width], theirs[:width], rtol=1e-9, atol=1e-6):
        raise Disagreement("readers differ in what they read: column sums are not the same")


def speed_lines(results, size, ours, theirs, label, bytes_target, ratio_target):
    lines = [ratio(results, ours, [theirs], ratio_target, f"{label}, 1 thread")]
    if "failure" not in results[ours]:
        lines.append({"label": "text per CPU second", "target": bytes_target, "unit": "GB/s",
                      "value": size / GB / results[ours]["cpu_seconds"]})
    return lines


def reading(bench, path, reader, peer, title, bytes_target, ratio_target):
    """Ours into tiles of doubles, first touch included, against a reader of theirs; from a warm page cache."""
    size = os.path.getsize(path)
    load = {"op": "rows", "path": str(path), "threads": 1, "slot": "text"}
    contestants = [
        Contestant("firesteel, 1 thread", lambda: bench.workers.of("firesteel").ask(120, **load)),
        Contestant(f"{peer}, 1 thread", lambda: bench.workers.of("text").ask(120, op="read", reader=reader, threads=1, path=str(path)))]
    if reader == "pyarrow":
        contestants += [
            Contestant("firesteel, 2 threads", lambda: bench.workers.of("firesteel").ask(120, **{**load, "threads": 2})),
            Contestant(f"{peer}, 2 threads",
                       lambda: bench.workers.of("text").ask(120, op="read", reader=reader, threads=2, path=str(path)))]
    results = bench.turns(contestants)
    sums = bench.workers.of("firesteel").ask(120, **{**load, "sums": True})["column_sums"]
    check_sums(sums, contestants[1].answers[-1]["sums"])
    lines = speed_lines(results, size, "firesteel, 1 thread", f"{peer}, 1 thread", peer, bytes_target, ratio_target)
    return {"title": f"{title}, {size:,} bytes", "results": results, "lines": lines}


def csv(bench, rows, columns, digits):
    path = data.csv(data.dense(bench.folder, "logistic", rows, columns), digits)
    return reading(bench, path, "pyarrow", "pyarrow", f"CSV, {rows:,} x {columns} of %.{digits}f", 1.0 if digits >= 6 else 0.8, 3)


def libsvm(bench, rows, columns, per_row):
    path = data.libsvm(data.wide(bench.folder, rows, columns, per_row), rows)
    return reading(bench, path, "svmlight", "scikit-learn", f"LIBSVM, {rows:,} rows, {per_row} a row", 1.0, 3)


def train(ranks, *words):
    launch = ["mpirun", "-n", str(ranks)] if ranks > 1 else []
    return [*launch, RELEASE / "firesteel", "train", *words, "--threads", "1", "--json", "--quiet"]


def small_job(bench, rows, columns, k):
    """From the start of the program to its end, Python's and Java's included."""
    path = data.csv(data.dense(bench.folder, "kmeans", rows, columns, clusters=k))
    ours = train(2, "kmeans", "--input", path, "--exclude", "label", "--output", bench.models / "small.h5", "--k", str(k))
    contestants = [Contestant("firesteel, mpirun -n 2", lambda: run_command(ours, 60)),
                   spark("spark, cold, local[2]", lambda: run_command([sys.executable, PEERS / "spark_worker.py", "once", path], 180))]
    results = bench.turns(contestants)
    lines = [at_most(results["firesteel, mpirun -n 2"].get("median_seconds"), 0.8, "seconds from start to end", "s"),
             ratio(results, "firesteel, mpirun -n 2", ["spark, cold, local[2]"], 20, "spark, cold")]
    return {"title": f"End to end: k-means of {rows:,} rows", "results": results, "lines": lines}


def large_job(bench, rows, columns):
    """CSV file → logistic model file. Ours starts a program on two ranks; theirs are warm processes."""
    source = data.dense(bench.folder, "logistic", rows, columns)
    path = data.csv(source)
    problem = Problem(source, 1e-4, True)
    ours = bench.models / "large.h5"
    command = train(2, "logistic", "--input", path, "--output", ours, "--reg-param", "1e-4", "--tol", "1e-5", "--no-standardization")
    files = {"firesteel, mpirun -n 2": ours}
    contestants = [Contestant("firesteel, mpirun -n 2", lambda: run_command(command, 120))]
    # newton-cholesky and lbfgs: pyarrow + scikit-learn by either solver; tolerances as the dense case finds them.
    for solver, tol in (("newton-cholesky", 1e-4), ("lbfgs", 1e-5)):
        name = f"pyarrow + scikit-learn {solver}, 2 threads"
        files[name] = bench.models / f"large-{solver}.npz"
        request = {"op": "csv_to_model", "path": str(path), "reg_param": 1e-4, "solver": solver, "tol": tol, "threads": 2,
                   "model": str(files[name])}
        contestants.append(Contestant(name, lambda r=request: bench.workers.of("text").ask(300, **r)))
    files["spark, warm, local[2]"] = bench.models / "large-spark.npz"
    request = {"op": "csv_to_model", "path": str(path), "reg_param": 1e-4, "tol": 1e-6, "columns": columns,
               "directory": str(bench.models / "large-spark"), "model": str(files["spark, warm, local[2]"])}
    contestants.append(spark("spark, warm, local[2]", lambda: bench.workers.of("spark").ask(300, **request)))
    results = bench.turns(contestants)
    judged = {name: problem.judge(*model_of(file)) for name, file in files.items() if "failure" not in results[name]}
    for name, (objective, norm) in judged.items():
        results[name]["note"] = f"gradient norm {norm:.1e}"
        if objective - min(judged.values())[0] > problem.admitted_gap(max(norm, GRADIENT_NORM)):
            raise Disagreement(f"{name}: objective {objective!r}, {min(judged.values())[0]!r} is possible")
    mine = "firesteel, mpirun -n 2"
    lines = [ratio(results, mine, [name for name in files if name.startswith("spark")], 20, "spark, warm"),
             ratio(results, mine, [name for name in files if name.startswith("pyarrow")], 3, "pyarrow + scikit-learn, warm")]
    return {"title": f"End to end: CSV of {rows:,} x {columns} → logistic model file", "results": results, "lines": lines}


def memory(bench, rows, columns):
    """The largest resident set of a job of one rank, against what the documentation promises."""
    source = data.dense(bench.folder, "logistic", rows, columns)
    results, lines = {}, []
    for learner, a_row, words in (("logistic", 16, ["--max-iter", "5"]), ("kmeans", 4, ["--k", "10", "--max-iter", "5"])):
        for precision, width in (("double", 8), ("single", 4)):
            name = f"{learner}, {precision}"
            command = train(1, learner, "--input", source, "--output", bench.models / "memory.h5", "--precision", precision, *words)
            try:
                results[name] = run_command(command, 120)
            except Failed as failure:
                results[name] = {"failure": str(failure)}
                continue
            results[name]["median_seconds"] = results[name].pop("seconds")
            del results[name]["output"]
            promised = 1.15 * rows * (columns * width + a_row) + 64e6
            lines.append(at_most(results[name]["peak_bytes"] / promised, 1.0, f"peak memory of what is promised, {name}", "x"))
    return {"title": f"Peak memory of a job, {rows:,} x {columns} from HDF5, 1 rank", "results": results, "lines": lines}
