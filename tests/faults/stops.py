# SPDX-License-Identifier: Apache-2.0
"""Ranks that are stopped or throw, jobs that meet at one checkpoint directory, a directory that goes away."""

import shutil
import signal
import subprocess
import time

import harness

LONG = ["--input", "few.csv", "--rank", "4"]  # ALS: a fit without end


class Endless:
    """An ALS fit that goes on until it is ended (or after so many iterations), saving all the time."""

    def __init__(self, place, ranks, iterations=100000000, slow=True):
        line = harness.train(place.program, "als", [*LONG, "--max-iter", str(iterations)], ranks, "--quiet",
                             "--checkpoint", "saved")
        # A slow disk keeps an iteration's checkpoint on its way for a while.
        extra = place.shim_environment(paths="/saved", calls="fsync", slow_us=2000) if slow else {}
        self.place = place
        self.process = subprocess.Popen(line, cwd=place.directory, env=harness.environment(**extra),
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                        text=True, start_new_session=True)
        self.saving = harness.wait_until(lambda: any(place.path("saved").glob("*.fsc")), self.process)
        self.ranks = harness.ranks_of(self.process)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for pid in [self.process.pid, *self.ranks]:
            harness.kill(pid)
        harness.wait_for_the_end(self.process, self.ranks)
        self.process.stderr.close()

    def newest(self):
        names = [path.name for path in self.place.path("saved").glob("*.fsc")]
        return max(names, key=lambda name: (len(name), name), default="")

    def goes_on(self, seconds):
        before = self.newest()
        return harness.wait_until(lambda: self.newest() != before, self.process, limit=seconds)

    def ended(self, seconds):
        code = self.process.poll()
        return harness.Ended(self.process.args, code, "", self.process.stderr.read() if code is not None else "", seconds)


def stopped_rank_waits_and_goes_on(place, ranks, choose):
    """SIGSTOP of one rank: nobody goes on; after SIGCONT all do, to the same bytes."""
    place.clear()
    iterations = 40
    plain = place.run(harness.train(place.program, "als", [*LONG, "--max-iter", str(iterations)], 0, "--quiet"))
    whole = place.model()
    place.clear()
    with Endless(place, ranks, iterations) as job:
        if plain.code != 0 or not job.saving:
            return "the fit did not begin"
        victim = choose(job.ranks)
        harness.send(victim, signal.SIGSTOP)
        time.sleep(0.3)  # what was on its way has come
        if job.process.poll() is not None:
            return "the fit was over before its rank was stopped"
        if job.goes_on(0.5):
            return "went on without a rank"
        harness.send(victim, signal.SIGCONT)
        if harness.wait_for_the_end(job.process, job.ranks) is None:
            return "did not end after SIGCONT"
        if job.process.returncode != 0 or place.model() != whole:
            return f"code {job.process.returncode}, model {'other' if place.model() else 'absent'}"
    return None


def stopped_rank_does_not_keep_a_killed_job(place, ranks, choose):
    """SIGSTOP of one rank, SIGKILL of another: all end, and mpirun with them."""
    place.clear()
    with Endless(place, ranks) as job:
        stopped = choose(job.ranks)
        harness.send(stopped, signal.SIGSTOP)
        time.sleep(0.1)
        harness.kill(next(pid for pid in job.ranks if pid != stopped))
        if harness.wait_for_the_end(job.process, job.ranks) is None:
            return "something was left"
    return None


def second_job_is_refused(place, ranks):
    place.clear()
    with Endless(place, 0) as job:
        line = harness.train(place.program, "als", [*LONG, "--max-iter", "3"], ranks, "--quiet", "--checkpoint", "saved")
        second = place.run(line)
        if second.code != 73 or len(second.messages) != 1 or f"process {job.process.pid} on" not in second.messages[0]:
            return str(second)
        if not job.goes_on(10):
            return "the first job did not go on"
        harness.kill(job.process.pid)
        harness.wait_for_the_end(job.process, job.ranks)
        again = place.run(line)  # from the beginning: the first job was beyond these iterations
        if again.code != 0 or place.leftovers():
            return f"after a killed job: {again}, left {place.leftovers()}"
        if place.path("saved").joinpath(".firesteel-lock").exists():
            return "the lock stayed"
    return None


def directory_goes_away(place, ranks):
    place.clear()
    with Endless(place, ranks, slow=False) as job:
        while place.path("saved").exists():  # a checkpoint may appear in it meanwhile
            shutil.rmtree(place.path("saved"), ignore_errors=True)
        took = harness.wait_for_the_end(job.process, job.ranks)
        ended = job.ended(took)
        if took is None or ended.code not in (73, 74) or len(ended.messages) != 1 or place.model() is not None:
            return str(ended)
    return None


def throwing_rank_ends_all(place, ranks, how, code):
    """A step that throws on one rank, agreed upon or not, in a thread or where nothing may be thrown."""
    program = place.shim.parent / "throwing_step"
    for rank in range(ranks):
        ended = place.run(["mpirun", "-n", ranks, "--oversubscribe", "--bind-to", "none", program, rank, 7, how])
        if ended.code != code or len(ended.messages) != 1 or "mpirun" in ended.err or "terminate" in ended.err:
            return str(ended)
    return None


def run(place, long, seed, verbose):
    report = harness.Report(verbose)
    last, first = (lambda ranks: ranks[-1]), (lambda ranks: ranks[0])
    cases = [(stopped_rank_waits_and_goes_on, 2, last), (stopped_rank_does_not_keep_a_killed_job, 3, last),
             (second_job_is_refused, 0), (directory_goes_away, 0), (directory_goes_away, 2)]
    cases += [(throwing_rank_ends_all, 2, how, 70 if how in ("collectively", "alone") else 71)
              for how in ("collectively", "alone", "memory", "thread", "destructor")]
    if long:
        cases += [(stopped_rank_waits_and_goes_on, ranks, choose) for ranks in (1, 2, 3, 4) for choose in (first, last)]
        cases += [(stopped_rank_does_not_keep_a_killed_job, ranks, choose) for ranks in (2, 3, 4) for choose in (first, last)]
        cases += [(second_job_is_refused, 2)]
    for case, *arguments in cases:
        wrong = case(place, *arguments)
        report.add(f"{case.__name__} {arguments}", harness.Ended([], 0, "", "", 0), wrong)
    print(report.summary("stopped ranks and shared directories"))
    return report.failures
