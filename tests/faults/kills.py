#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kills training jobs at random instants, resumes them on other ranks, and compares the models byte for byte.

    tests/faults/run --kills 500 [--seed 1] [--program build/release/firesteel]

Each round starts a learner under mpirun with --checkpoint, sends SIGKILL to one of its ranks, to mpirun, or to all of the
job at a random instant (during start, reading, iterations, a checkpoint, the writing of the model), and checks that
  - everything of the job has ended within the limit,
  - the model file is absent, or whole and equal to that of an uninterrupted run,
  - --resume on another number of ranks ends in the bytes of the uninterrupted run.
The last line counts; the exit code is 1 if any round failed.
"""

import argparse
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
END_LIMIT_S = 20  # for all processes of a killed job to be gone; about one second where CPUs are free

JOBS = {
    "kmeans": ["--input", "points.csv", "--k", "100", "--tol", "0", "--max-iter", "120"],
    "logistic": ["--input", "points.csv", "--label", "g", "--solver", "lbfgs", "--tol", "0", "--max-iter", "60"],
    "als": ["--input", "ratings.csv", "--rank", "8", "--max-iter", "25"],
}


def make_data(directory, source):
    with open(directory / "points.csv", "w") as file:
        file.write("a,b,c,d,e,g\n")
        for _ in range(16000):
            g = source.randrange(2)
            cells = [f"{source.gauss(g * (j % 3) * 0.4, 1 + j):.6f}" for j in range(5)]
            file.write(",".join([*cells, str(g)]) + "\n")
    with open(directory / "ratings.csv", "w") as file:
        file.write("user,item,rating\n")
        for _ in range(40000):
            file.write(f"{source.randrange(400)},{int(source.random() ** 2 * 300)},{source.randrange(1, 11) / 2}\n")


def environment():
    return dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")


def command(program, learner, ranks, *more):
    return ["mpirun", "-n", str(ranks), "--oversubscribe", "--bind-to", "none", program, "train", learner,
            *JOBS[learner], "--threads", "1", "--quiet", "--output", "model.h5", *more]


def children_of(parent):
    """All descendants of a process: mpirun gives its ranks sessions of their own."""
    parents = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat") as file:
                fields = file.read().rsplit(")", 1)[1].split()
            if fields[0] != "Z":
                parents[int(entry)] = int(fields[1])
        except OSError:
            continue
    family = {parent}
    while True:
        more = {pid for pid, its_parent in parents.items() if its_parent in family} - family
        if not more:
            return sorted(family - {parent})
        family |= more


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def kill_one(process, victim, source):
    ranks = children_of(process.pid)
    if victim == "rank" and ranks:
        kill(source.choice(ranks))
    elif victim == "mpirun":
        kill(process.pid)
    else:
        for pid in [process.pid, *ranks]:
            kill(pid)
    return ranks


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_for_the_end(process, ranks):
    """Seconds until nothing of the job is left; None past the limit (what is left is then killed)."""
    start = time.monotonic()
    while time.monotonic() - start < END_LIMIT_S:
        if process.poll() is not None and not any(alive(pid) for pid in ranks):
            return time.monotonic() - start
        time.sleep(0.01)
    for pid in [process.pid, *ranks]:
        kill(pid)
    process.wait()
    return None


class Harness:
    def __init__(self, program, directory, source):
        self.program = program
        self.directory = directory
        self.source = source
        self.whole = {}
        self.seconds = {}
        for learner in JOBS:
            start = time.monotonic()
            self.run(learner, 2)
            self.seconds[learner] = time.monotonic() - start
            self.whole[learner] = self.model()

    def run(self, learner, ranks, *more):
        done = subprocess.run(command(self.program, learner, ranks, *more), cwd=self.directory, env=environment(),
                              capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            raise RuntimeError(f"{learner} at {ranks} ranks: code {done.returncode}: {done.stderr}")

    def model(self):
        path = self.directory / "model.h5"
        return path.read_bytes() if path.exists() else None

    def clear(self):
        shutil.rmtree(self.directory / "saved", ignore_errors=True)
        for name in self.directory.glob("*model.h5*"):
            name.unlink()

    def round(self):
        """One kill and one resume. Returns what was done, what went wrong (or None), and the seconds to the end."""
        learner = self.source.choice(list(JOBS))
        ranks = self.source.choice([1, 2, 2, 3, 4])
        others = self.source.choice([1, 2, 3])
        victim = self.source.choice(["rank", "rank", "mpirun", "all"])
        delay = self.source.random() * self.seconds[learner] * 1.1
        what = f"{learner} at {ranks} ranks, {victim} killed after {delay:.3f} s, resumed at {others}"
        self.clear()
        process = subprocess.Popen(command(self.program, learner, ranks, "--checkpoint", "saved"), cwd=self.directory,
                                   env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   start_new_session=True)
        time.sleep(delay)
        took = wait_for_the_end(process, kill_one(process, victim, self.source))
        if took is None:
            return what, f"something was left after {END_LIMIT_S} s", None
        if self.model() not in (None, self.whole[learner]):
            return what, "the model file is neither absent nor whole", took
        try:
            self.run(learner, others, "--checkpoint", "saved", "--resume")
        except (RuntimeError, subprocess.TimeoutExpired) as failure:
            return what, f"resuming failed: {failure}", took
        if self.model() != self.whole[learner]:
            return what, "the resumed model differs", took
        return what, None, took


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--program", default=str(ROOT / "build" / "release" / "firesteel"))
    parser.add_argument("--verbose", action="store_true", help="a line a kill")
    options = parser.parse_args()
    source = random.Random(options.seed)
    directory = pathlib.Path(tempfile.mkdtemp(prefix="firesteel-faults-"))
    failures = 0
    longest = 0.0
    try:
        make_data(directory, source)
        harness = Harness(options.program, directory, source)
        for _ in range(options.kills):
            what, wrong, took = harness.round()
            longest = max(longest, took or 0.0)
            if wrong:
                failures += 1
                print(f"FAILED: {what}: {wrong}", flush=True)
            elif options.verbose:
                print(f"{what}: ended in {took:.2f} s", flush=True)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    print(f"{options.kills} kills, {failures} failures, seed {options.seed}; a killed job was gone after at most "
          f"{longest:.2f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
