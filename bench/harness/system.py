# SPDX-License-Identifier: Apache-2.0
"""What lies under the learners: the sum over ranks, and what one answer costs."""
import json

from harness.bench import at_most
from harness.workers import RELEASE, run_command


def allreduce(bench, megabytes):
    """Canonical order against MPI_Allreduce, in turn in one program of two ranks."""
    answer = json.loads(run_command(["mpirun", "-n", "2", RELEASE / "bench" / "allreduce", str(megabytes), "9"], 120)["output"])
    results = {"canonical order (CanonicalSum)": {"median_seconds": answer["canonical_seconds"], "runs": answer["rounds"]},
               "Open MPI's MPI_Allreduce": {"median_seconds": answer["mpi_seconds"], "runs": answer["rounds"]}}
    line = {"label": "Open MPI's own, 2 ranks of a node", "target": 3, "unit": "x",
            "value": answer["mpi_seconds"] / answer["canonical_seconds"]}
    return {"title": f"Sum of {megabytes} MB of doubles over 2 ranks", "results": results, "lines": [line]}


def one_answer(bench, rows, columns):
    """Sums in canonical order against sums as they come, of a statistic that is bound by memory alone: the worst case."""
    answers = [json.loads(run_command([RELEASE / "bench" / "summation", str(rows), str(columns)], 120)["output"]) for _ in range(3)]
    best = {name: min(answer[name] for answer in answers) for name in answers[0] if name.endswith("_cpu_seconds")}
    results = {name.removesuffix("_cpu_seconds").replace("_", " "): {"median_seconds": seconds, "runs": len(answers)}
               for name, seconds in best.items()}
    extra = best["canonical_tree_cpu_seconds"] / best["as_it_comes_cpu_seconds"] - 1
    return {"title": f"One answer: column sums of {rows:,} x {columns} doubles, 1 thread (best CPU seconds)", "results": results,
            "lines": [at_most(extra, 0.05, "extra time of the canonical tree", "share")]}
