# SPDX-License-Identifier: Apache-2.0
"""Taking turns: contestants of a case run one after another, round after round."""
import dataclasses
import json
import statistics
import subprocess
import sys
import time
import typing

from harness.workers import RELEASE, WORK, Failed, Workers

NATIVE_SECONDS = 40  # a contestant's time in one case; what is over it ends with fewer rounds, but at least the least
SPARK_SECONDS = 20


class Disagreement(Exception):
    """Contestants did not solve the same problem: no time is reported."""


@dataclasses.dataclass
class Contestant:
    name: str
    run: typing.Callable  # () → answer with "seconds"
    budget: float = NATIVE_SECONDS
    least: int = 5  # rounds that are run whatever they take
    note: str = ""
    answers: list = dataclasses.field(default_factory=list)
    spent: float = 0.0
    failure: str = ""

    def turn(self, keep):
        if self.failure or (len(self.answers) >= self.least and self.spent > self.budget):
            return
        start = time.monotonic()
        try:
            answer = self.run()
        except Failed as failure:
            self.failure = str(failure)
            print(f"    {self.name}: {failure}", file=sys.stderr, flush=True)
            return
        self.spent += time.monotonic() - start
        if answer["seconds"] > self.budget:
            self.least = 1  # so slow that one run that counts must do
        if keep:
            self.answers.append(answer)
        print(f"    {self.name:48} {answer['seconds']:9.3f} s{'' if keep else '  (discarded)'}", file=sys.stderr, flush=True)


def spark(name, run, **options):
    return Contestant(name, run, budget=SPARK_SECONDS, least=2, **options)


class Bench:
    """What a case needs: workers with their data, turns, sums of what came out."""

    def __init__(self, rounds, quick, without=()):
        self.rounds, self.quick, self.without = rounds, quick, tuple(without)
        self.workers = Workers()
        self.loaded = {}
        self.folder = WORK / "data"
        self.models = WORK / "models"
        self.models.mkdir(parents=True, exist_ok=True)

    def peer(self, name, slot, load):
        """The worker of a peer with `load` (a request) done in it, once a case."""
        self.check_wanted(name)
        worker = self.workers.of(name)
        if self.loaded.get((name, slot)) is not worker:
            for key in [key for key in self.loaded if key[0] == name == "spark"]:
                del self.loaded[key]  # Spark's worker holds one data set at a time
            worker.ask(300, slot=slot, **load)
            self.loaded[(name, slot)] = worker
        return worker

    def check_wanted(self, name):
        if self.without and name.startswith(self.without):
            raise Failed("left out by --without")

    def end_case(self):
        self.workers.close(keep=("spark",))
        self.loaded = {key: worker for key, worker in self.loaded.items() if key[0] == "spark"}

    def turns(self, contestants, warmed_up=False):
        """A B C A B C …; the first round is discarded unless it has already been."""
        for contestant in contestants:
            if self.without and contestant.name.startswith(self.without):
                contestant.failure = "left out by --without"
        for number in range(0 if not warmed_up else 1, self.rounds + 1):
            for contestant in contestants:
                contestant.turn(keep=number > 0)
        return {contestant.name: summary(contestant) for contestant in contestants}

    def limits(self):
        """The machine's limits now, for one thread and two."""
        found = {}
        for threads in (1, 2):
            out = subprocess.run([RELEASE / "bench" / "machine_limits", str(threads)], capture_output=True, text=True, check=True)
            found[threads] = json.loads(out.stdout)
        return found


def summary(contestant):
    if contestant.failure or not contestant.answers:
        return {"failure": contestant.failure or "no run"}
    answers = contestant.answers
    seconds = [answer["seconds"] for answer in answers]
    row = {"median_seconds": statistics.median(seconds), "min_seconds": min(seconds), "max_seconds": max(seconds),
           "runs": len(seconds), "cpu_seconds": statistics.median(answer["cpu_seconds"] for answer in answers)}
    if answers[-1].get("iterations") is not None:
        row["iterations"] = answers[-1]["iterations"]
    times = [sorted(answer["iteration_seconds"])[len(answer["iteration_seconds"]) // 2]
             for answer in answers if answer.get("iteration_seconds")]
    if times:
        row["iteration_seconds"] = statistics.median(times)
    if contestant.note:
        row["note"] = contestant.note
    return row


def ratio(results, ours, theirs, target, label, key="median_seconds"):
    """One line against a target: how many times as long the best of `theirs` takes as `ours`."""
    line = {"label": label, "target": target, "unit": "x", "ours": ours}
    times = [(results[name][key], name) for name in theirs if key in results.get(name, {})]
    if not times or key not in results.get(ours, {}):
        return {**line, "value": None, "why": "; ".join(results.get(name, {}).get("failure", "not run") for name in [ours, *theirs])}
    best, name = min(times)
    return {**line, "theirs": name, "value": best / results[ours][key]}


def share(value, target, label):
    return {"label": label, "target": target, "unit": "share", "value": value}


def at_most(value, target, label, unit):
    return {"label": label, "target": target, "unit": unit, "value": value, "at_most": True}


def met(line):
    if line["value"] is None or line["target"] is None:
        return None
    return line["value"] <= line["target"] if line.get("at_most") else line["value"] >= line["target"]
