# SPDX-License-Identifier: Apache-2.0
"""SIGKILL at random instants in each phase of a job, and what comes after it.

Each round starts a learner under mpirun with --checkpoint, waits for a phase and a random while, freezes the job
(SIGSTOP) to see which phase it really is in, and sends SIGKILL to one of its ranks, to mpirun, or to all. Then
  - everything of the job has ended within the limit (but for mpirun itself where a rank dies inside MPI_Init, which
    Open MPI 4.1 does not always survive: counted, and no rank may be left),
  - the model file is the old one, or whole and equal to that of an uninterrupted run,
  - --resume on another number of ranks ends in the bytes of the uninterrupted run and leaves no temporary files.
"""

import os
import signal
import subprocess
import time

import harness

# By learner, and what is special.
JOBS = {
    "kmeans": ["--input", "points.csv", "--k", "100", "--tol", "0", "--max-iter", "60"],
    "logistic": ["--input", "points.csv", "--label", "g", "--solver", "lbfgs", "--tol", "0", "--max-iter", "40"],
    "als": ["--input", "ratings.csv", "--rank", "8", "--max-iter", "15"],
    "logistic of 60 classes": ["--input", "classes.csv", "--label", "g", "--solver", "lbfgs", "--tol", "0", "--max-iter", "30"],
}
PHASES = ("start", "reading", "iterations", "checkpoint", "model")
SLOW_DISK = dict(paths=".firesteel-:points.csv:ratings.csv:classes.csv", calls="fsync,pread", slow_us=3000, log="calls.log")


def write_inputs(place, source):
    harness.write_points(place.path("points.csv"), 16000, source)
    harness.write_ratings(place.path("ratings.csv"), 40000, 400, 300, source)
    # 60 x 600 coefficients: their gradients are summed in memory that the ranks share.
    harness.write_classes(place.path("classes.csv"), rows=1500, columns=600, classes=60, source=source)


def train(place, job, ranks, *more):
    """The command line of one of JOBS."""
    return harness.train(place.program, job.split()[0], JOBS[job], ranks, *more)


def slow_disk(place, aim):
    """What makes a phase last long enough to be met, on a busy machine too."""
    if aim == "model":  # the temporary file beside model.h5; checkpoints are in a folder of theirs
        return dict(SLOW_DISK, paths=f"{place.directory}/.firesteel-", slow_us=800000)
    return SLOW_DISK


def open_files(pid):
    found = []
    try:
        for entry in os.listdir(f"/proc/{pid}/fd"):
            try:
                found.append(os.readlink(f"/proc/{pid}/fd/{entry}"))
            except OSError:
                continue
    except OSError:
        pass
    return found


class Job:
    def __init__(self, place, learner, ranks, aim):
        self.place = place
        self.errors = place.path("errors.log").open("wb")
        place.path("calls.log").unlink(missing_ok=True)
        line = train(place, learner, ranks, "--checkpoint", "saved", "--verbose")
        self.process = subprocess.Popen(line, cwd=place.directory,
                                        env=harness.environment(**place.shim_environment(**slow_disk(place, aim))),
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.errors,
                                        start_new_session=True)
        self.last = int(JOBS[learner][-1])

    def said(self, text):
        return text.encode() in self.place.path("errors.log").read_bytes()

    def ranks(self):
        return harness.ranks_of(self.process)

    def phase(self):
        """Where the (frozen) job is, by the files it has open and what it has said."""
        files = [file for pid in self.ranks() for file in open_files(pid)]
        names = [file.rsplit("/", 1)[-1] for file in files]
        if any("/saved/.firesteel-" in file and file.endswith(".tmp") for file in files):
            return "checkpoint"
        if self.said(" iteration "):
            return "model" if any(name.startswith(".firesteel-") and name.endswith(".tmp") for name in names) else "iterations"
        return "reading" if any(name.endswith(".csv") for name in names) else "start"

    def wait_for(self, phase):
        if phase == "reading":
            harness.wait_until(lambda: self.place.path("calls.log").exists(), self.process, step=0.0005)
        elif phase in ("iterations", "checkpoint"):
            harness.wait_until(lambda: self.said(" iteration "), self.process)
        elif phase == "model":
            harness.wait_until(lambda: self.said(f" iteration {self.last} ") or self.said(f" iteration {self.last}/"), self.process)
            harness.wait_until(lambda: self.phase() == "model", self.process, limit=0.5, step=0.0003)

    def kill(self, victim, source):
        """Freezes, looks, kills. Returns the phase and the ranks."""
        ranks = self.ranks()
        for pid in ranks:
            harness.send(pid, signal.SIGSTOP)
        phase = self.phase() if self.process.poll() is None else "after the end"
        family = harness.children_of(self.process.pid) if self.process.poll() is None else ranks
        if victim == "rank" and ranks:
            harness.kill(source.choice(ranks))
        elif victim == "mpirun":
            harness.kill(self.process.pid)
        else:
            for pid in [self.process.pid, *family]:
                harness.kill(pid)
        for pid in ranks:
            harness.send(pid, signal.SIGCONT)
        return phase, family


class Kills:
    def __init__(self, place, source, aims):
        self.place, self.source, self.aims = place, source, aims
        self.phases, self.longest, self.failures = dict.fromkeys(PHASES, 0), 0.0, 0
        self.stuck = 0
        self.whole, self.seconds = {}, {}
        write_inputs(place, source)
        for learner in JOBS:
            done = self.place.run(train(place, learner, 2, "--quiet"))
            if done.code != 0:
                raise RuntimeError(str(done))
            self.whole[learner], self.seconds[learner] = place.model(), done.seconds

    def round(self):
        """One kill and one resume. Returns what was done and what went wrong (or None)."""
        source = self.source
        learner, ranks, others = source.choice(list(JOBS)), source.choice([1, 2, 2, 3, 4]), source.choice([0, 1, 2, 3])
        victim, aim = source.choice(["rank", "rank", "mpirun", "all"]), source.choice(self.aims)
        scale = {"start": 0.15, "reading": 0.25, "model": 0.4}.get(aim, max(0.05, self.seconds[learner] - 0.3) * 0.8)
        delay = source.random() * scale
        self.place.clear()
        self.place.path("model.h5").write_bytes(harness.OLD_MODEL)
        job = Job(self.place, learner, ranks, aim)
        job.wait_for(aim)
        time.sleep(delay)
        if aim == "checkpoint":
            harness.wait_until(lambda: job.phase() == "checkpoint", job.process, limit=0.2, step=0.0003)
        phase, family = job.kill(victim, source)
        self.phases[phase] = self.phases.get(phase, 0) + 1
        took = harness.wait_for_the_end(job.process, family, limit=10 if phase == "start" else harness.END_LIMIT_S,
                                        ranks_only=phase == "start")
        if took is not None and job.process.poll() is None:
            # Open MPI 4.1: mpirun may wait for ever for a rank that died while it shook hands in MPI_Init.
            self.stuck += 1
            for pid in [job.process.pid, *family]:
                harness.kill(pid)
            job.process.wait()
        job.errors.close()
        what = f"{learner} at {ranks} ranks, {victim} killed in {phase}, resumed at {others}"
        if took is None:
            return what, f"something was left after {harness.END_LIMIT_S} s"
        self.longest = max(self.longest, took)
        if self.place.model() not in (harness.OLD_MODEL, self.whole[learner]):
            return what, "the model file is neither the old one nor whole"
        again = self.place.run(train(self.place, learner, others, "--checkpoint", "saved", "--resume"), limit=120)
        if again.code != 0:
            return what, f"resuming failed: {again}"
        if self.place.model() != self.whole[learner]:
            return what, "the resumed model differs"
        if "torn" in again.err:
            return what, f"a checkpoint was torn: {again.err}"
        return what, f"left {self.place.leftovers()}" if self.place.leftovers() else None


def run(place, kills, source, aims, verbose):
    harness_kills = Kills(place, source, aims)
    # What came too late is judged, too, but is no kill.
    while sum(harness_kills.phases[phase] for phase in PHASES) < kills:
        what, wrong = harness_kills.round()
        if wrong:
            harness_kills.failures += 1
            print(f"FAILED: {what}: {wrong}", flush=True)
        elif verbose:
            print(what, flush=True)
    histogram = ", ".join(f"{phase} {count}" for phase, count in harness_kills.phases.items())
    print(f"{kills} kills, {harness_kills.failures} failures; by phase: {histogram}; a killed job was gone after at most "
          f"{harness_kills.longest:.2f} s; mpirun hung by itself {harness_kills.stuck} times")
    if kills >= 100 and any(harness_kills.phases[phase] == 0 for phase in aims):
        print("FAILED: a phase was never hit")
        harness_kills.failures += 1
    return harness_kills.failures
