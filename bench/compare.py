# SPDX-License-Identifier: Apache-2.0
"""Times Firesteel against its peers on the same seeded data, in turn; docs/benchmarks/README.md says how. Each case's
result is written as it comes; a later run replaces the cases that it runs."""
import argparse
import datetime
import json
import os
import pathlib
import platform
import signal
import subprocess
import sys
import time
import traceback
from importlib import metadata

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "peers"))

from harness import als, files, kmeans, logistic, report, system  # noqa: E402
from harness.bench import Bench, met  # noqa: E402
from harness.workers import ROOT, WORK  # noqa: E402

NATIVE = {"scikit-learn": 2.5, "sklearnex": 2.5, "faiss": 2.5}

# name: function, sizes of the full case, of the quick one, minutes that the full one takes on two quiet cores
CASES = {
    "kmeans-32": (kmeans.run, dict(rows=1_000_000, columns=32, k=100, iterations=10),
        dict(rows=40_000, columns=32, k=100, iterations=5), 3.3),
    "kmeans-128": (kmeans.run, dict(rows=300_000, columns=128, k=256, iterations=5),
        dict(rows=20_000, columns=128, k=32, iterations=5), 2.0),
    "kmeans-10": (kmeans.run, dict(rows=2_000_000, columns=10, k=10, iterations=20),
        dict(rows=100_000, columns=10, k=10, iterations=20), 1.2),
    "kmeans-two-ranks": (kmeans.two_ranks, dict(rows=1_000_000, columns=32, k=100, iterations=10),
        dict(rows=40_000, columns=32, k=100, iterations=5), 0.5),
    "logistic-50": (logistic.dense, dict(rows=1_000_000, columns=50),
        dict(rows=40_000, columns=50), 2.6),
    "logistic-10": (logistic.dense, dict(rows=4_000_000, columns=10),
        dict(rows=100_000, columns=10), 2.5),
    "logistic-a9a": (logistic.a9a, dict(copies=64),
        dict(copies=4), 6.0),
    "logistic-wide": (logistic.wide, dict(rows=1_000_000, columns=1_000_000, per_row=50),
        dict(rows=20_000, columns=20_000, per_row=50), 5.0),
    "logistic-classes": (logistic.multinomial, dict(rows=60_000, columns=784, classes=10),
        dict(rows=4_000, columns=784, classes=10), 1.6),
    "als-implicit": (als.implicit, dict(rows=5_000_000, users=70_000, items=20_000, rank=64, iterations=3),
        dict(rows=100_000, users=4_000, items=2_000, rank=64, iterations=6), 4.5),
    "als-explicit": (als.explicit, dict(rows=8_000_000, users=70_000, items=10_000, rank=32, iterations=4, top=10),
        dict(rows=200_000, users=5_000, items=2_000, rank=32, iterations=6, top=10), 2.5),
    "read-csv-6": (files.csv, dict(rows=1_000_000, columns=50, digits=6),
        dict(rows=40_000, columns=50, digits=6), 0.5),
    "read-csv-4": (files.csv, dict(rows=1_000_000, columns=50, digits=4),
        dict(rows=40_000, columns=50, digits=4), 0.5),
    "read-libsvm": (files.libsvm, dict(rows=200_000, columns=1_000_000, per_row=50),
        dict(rows=20_000, columns=20_000, per_row=50), 0.7),
    "job-small": (files.small_job, dict(rows=1_000, columns=10, k=10),
        dict(rows=1_000, columns=10, k=10), 0.9),
    "job-large": (files.large_job, dict(rows=1_000_000, columns=50),
        dict(rows=40_000, columns=50), 1.5),
    "memory": (files.memory, dict(rows=1_000_000, columns=100),
        dict(rows=100_000, columns=50), 0.3),
    "allreduce": (system.allreduce, dict(megabytes=100),
        dict(megabytes=10), 0.1),
    "one-answer": (system.one_answer, dict(rows=1_000_000, columns=50),
        dict(rows=200_000, columns=50), 0.2),
}
OPTIONS = {
    "kmeans-32": dict(targets={"scikit-learn": 4, "sklearnex": 5, "faiss": 3.5, "spark auto": 25, "spark block": 12}, with_spark=True),
    "kmeans-128": dict(targets=NATIVE),
    "kmeans-10": dict(targets={"scikit-learn": 10, "sklearnex": 10, "faiss": 10}, settled=0.7),
    "logistic-a9a": dict(source=ROOT / "datasets" / "a9a" / "a9a.txt"),
}
PEERS = ("pyspark", "scikit-learn", "scikit-learn-intelex", "implicit", "faiss-cpu", "pyarrow", "numpy", "scipy")


def machine():
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {"cpu": cpu, "cores": len(os.sched_getaffinity(0)), "memory_gib": round(memory), "system": platform.platform(),
            "python": platform.python_version(), "peers": {name: metadata.version(name) for name in PEERS}}


def commit():
    out = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
    return out.stdout.strip()


def chosen(only):
    """Cases named in full or by how their names begin: `kmeans` is all of k-means."""
    if not only:
        return list(CASES)
    words = only.split(",")
    names = [name for name in CASES if any(name == word or name.startswith(word + "-") for word in words)]
    unknown = [word for word in words if not any(name == word or name.startswith(word + "-") for name in CASES)]
    if unknown:
        sys.exit(f"no case {', '.join(unknown)}; there are {', '.join(CASES)}")
    return names


def run_case(name, bench):
    function, full, quick, _ = CASES[name]
    start = time.monotonic()
    try:
        case = function(bench, **(quick if bench.quick else full), **OPTIONS.get(name, {}))
    except Exception as failure:  # one case's failure is its own; the table shows it
        traceback.print_exc()
        case = {"error": f"{type(failure).__name__}: {failure}"}
    finally:
        bench.end_case()
    case.update(when=datetime.date.today().isoformat(), commit=commit(), minutes=round((time.monotonic() - start) / 60, 2))
    for line in case.get("lines", []):
        line["met"] = met(line)
    return case


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="small sizes; results stay in build/bench")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count, after one that does not")
    parser.add_argument("--only", help="cases, separated by commas")
    parser.add_argument("--without", default="", help="peers to leave out, by how their names begin: spark")
    parser.add_argument("--list", action="store_true", help="the cases and how long they take")
    arguments = parser.parse_args()
    names = chosen(arguments.only)
    if arguments.list:
        print("\n".join(f"{name:20} {CASES[name][3]:4.1f} minutes" for name in names))
        return
    folder = WORK if arguments.quick else ROOT / "docs" / "benchmarks"
    file = folder / "results.json"
    results = json.loads(file.read_text()) if file.exists() else {}
    if "cases" not in results or results.get("quick") != arguments.quick:
        results = {"cases": {}}
    results.update(machine=machine(), quick=arguments.quick)
    if not arguments.quick:
        print(f"{len(names)} cases, about {sum(CASES[name][3] for name in names):.0f} minutes on two quiet cores, and some more "
              "the first time, when data are made", file=sys.stderr)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the workers are ended
    bench = Bench(arguments.rounds, arguments.quick, filter(None, arguments.without.split(",")))
    try:
        for name in names:
            print(name, file=sys.stderr, flush=True)
            results["cases"][name] = run_case(name, bench)
            results["cases"] = {known: results["cases"][known] for known in CASES if known in results["cases"]}
            report.write(results, folder)
    finally:
        bench.workers.close()
    for name in names:
        for line in results["cases"][name].get("lines", [{"label": results["cases"][name].get("error", ""), "value": None}]):
            print(f"{name:18} {line['label']:60} {report.show(line['value'], line.get('unit')):>12}  "
                  f"{report.verdict(line) if 'target' in line else ''}")
    sys.exit(any("error" in results["cases"][name] for name in names))


main()
