# SPDX-License-Identifier: Apache-2.0
"""k-means: the same starts, the same number of iterations, tolerance 0; costs of the centres compared in double."""
import statistics

import h5py
import numpy as np

from harness import data
from harness.bench import Contestant, Disagreement, ratio, share, spark

# How far costs may be apart, relative: a row near the middle of two centres may go to either after rounding.
AGREE = {"single": 1e-4, "double": 1e-6}
CHUNK = 20_000


def cost(features, centres):
    """Σ min ‖x − c‖² in double."""
    total = 0.0
    half = 0.5 * np.sum(centres**2, axis=1)
    for begin in range(0, len(features), CHUNK):
        rows = features[begin:begin + CHUNK].astype("f8")
        nearest = np.argmin(half - rows @ centres.T, axis=1)
        total += float(np.sum((rows - centres[nearest])**2))
    return total


def centres_of(path):
    if path.suffix == ".npz":
        return np.load(path)["centers"].astype("f8")
    with h5py.File(path) as file:
        return file["cluster_centers"][:]


class Lloyd:
    """Contestants of one case."""

    def __init__(self, bench, path, k, iterations):
        self.bench, self.path, self.k, self.iterations = bench, path, k, iterations
        self.files, self.precisions = {}, {}
        with h5py.File(path) as file:
            self.features = file["features"][:]
        self.init = self.features[:k].astype("f8").tolist()

    def start_where_spark_does(self):
        """Spark takes no starting centres: the others start from those that its seed gives."""
        self.spark = {"op": "fit", "learner": "kmeans", "k": self.k, "seed": 1, "max_iter": self.iterations, "solver": "auto"}
        worker = self.bench.peer("spark", str(self.path), {"op": "rows", "path": str(data.parquet(self.path))})
        self.init = worker.ask(120, **{**self.spark, "op": "starting_centres", "slot": str(self.path)})["centres"]

    def contestant(self, peer, precision, threads):
        name = f"{peer}, {precision}, {threads} thread{'s' if threads > 1 else ''}"
        ours = peer.startswith("firesteel")
        self.files[name] = self.bench.models / f"kmeans-{len(self.files)}.{'h5' if ours else 'npz'}"
        self.precisions[name] = precision
        load = {"op": "rows", "path": str(self.path), "single": precision == "single", "labels": "ignored"}
        request = {"op": "fit", "learner": "kmeans", "slot": precision, "threads": threads, "init": self.init,
                   "model": str(self.files[name])}
        if ours:
            request["parameters"] = {"max_iter": str(self.iterations), "tol": "0"}
        else:
            request["max_iter"] = self.iterations
        return Contestant(name, lambda: self.bench.peer(peer, precision, load).ask(300, **request))

    def by_spark(self, solver):
        name = f"spark {solver}, double, local[2]"
        self.files[name] = self.bench.models / f"kmeans-spark-{solver}.npz"
        self.precisions[name] = "double"
        request = {**self.spark, "solver": solver, "slot": str(self.path), "model": str(self.files[name])}
        load = {"op": "rows", "path": str(data.parquet(self.path))}
        return spark(name, lambda: self.bench.peer("spark", str(self.path), load).ask(300, **request))

    def compare(self, results):
        """Refuses times of contestants whose centres cost more or less than the others'."""
        costs = {name: cost(self.features, centres_of(self.files[name])) for name in results if "failure" not in results[name]}
        reference = statistics.median(costs.values())
        for name, value in costs.items():
            results[name]["cost"] = value
            gap = abs(value - reference) / reference
            if gap > AGREE[self.precisions[name]]:
                raise Disagreement(f"{name}: cost {value!r}, the others {reference!r}")


def run(bench, rows, columns, k, iterations, targets, with_spark=False, settled=0):
    path = data.dense(bench.folder, "kmeans", rows, columns, clusters=k)
    lloyd = Lloyd(bench, path, k, iterations)
    with_spark = with_spark and "spark" not in bench.without
    if with_spark:
        lloyd.start_where_spark_does()
    contestants = [lloyd.contestant(peer, "single", threads) for threads in (1, 2)
                   for peer in ("firesteel", "scikit-learn", "sklearnex", "faiss")]
    contestants += [lloyd.contestant(peer, "double", 1) for peer in ("firesteel", "scikit-learn", "sklearnex")]
    if with_spark:
        contestants += [lloyd.contestant("firesteel", "double", 2), lloyd.by_spark("auto"), lloyd.by_spark("block")]
    limits = bench.limits()
    results = bench.turns(contestants)
    lloyd.compare(results)
    lines = []
    for peer, target in targets.items():
        if not peer.startswith("spark"):
            for precision, threads in (("single", 1), ("single", 2), ("double", 1)):
                words = f"{precision}, {threads} thread{'s' if threads > 1 else ''}"
                if f"{peer}, {words}" in results:
                    lines.append(ratio(results, f"firesteel, {words}", [f"{peer}, {words}"], target, f"{peer}, {words}"))
        else:
            for precision in ("single", "double"):
                lines.append(ratio(results, f"firesteel, {precision}, 2 threads", [f"{peer}, double, local[2]"], target,
                                   f"{peer}, ours {precision}, 2 threads"))
    flops = 2 * rows * columns * k * (iterations + 1)
    for precision in ("single", "double"):
        row = results[f"firesteel, {precision}, 1 thread"]
        if "failure" in row:
            continue
        if settled:
            lines.append(bandwidth_share(row, rows * columns * (4 if precision == "single" else 8), limits, settled, precision))
        else:
            peak = limits[1][f"fma_gflops_{precision}"] * 1e9
            target = 0.80 if columns < 64 else 0.85
            lines.append(share(flops / row["median_seconds"] / peak, target, f"FMA peak, {precision}, whole fit, 1 thread"))
            lines.append(share(flops / (iterations + 1) / row["iteration_seconds"] / peak, target,
                               f"FMA peak, {precision}, median iteration, 1 thread"))
    return {"title": f"k-means, {rows:,} x {columns}, k = {k}, {iterations} iterations", "results": results, "lines": lines,
            "limits": limits}


def bandwidth_share(row, size, limits, target, precision):
    return share(size / row["iteration_seconds"] / (limits[1]["read_gb_per_s"] * 1e9), target,
                 f"read bandwidth, {precision}, median iteration, 1 thread")


def two_ranks(bench, rows, columns, k, iterations):
    """Two MPI ranks of one thread each, against daal4py's on Intel's MPI."""
    path = data.dense(bench.folder, "kmeans", rows, columns, clusters=k)
    lloyd = Lloyd(bench, path, k, iterations)
    contestants = [lloyd.contestant(peer, precision, 1) for precision in ("single", "double")
                   for peer in ("firesteel, 2 ranks", "daal4py, 2 ranks")]
    results = bench.turns(contestants)
    lloyd.compare(results)
    lines = [ratio(results, f"firesteel, 2 ranks, {precision}, 1 thread", [f"daal4py, 2 ranks, {precision}, 1 thread"], 4,
                   f"daal4py, {precision}, 2 ranks") for precision in ("single", "double")]
    return {"title": f"k-means on two ranks, {rows:,} x {columns}, k = {k}, {iterations} iterations", "results": results,
            "lines": lines}
