# SPDX-License-Identifier: Apache-2.0
"""Hosts that are lost while a fit runs: the job ends in bounded time with one line, nothing is left, two hosts go on."""

import re
import time

TIMEOUT_S = 3
# From the fault until no process of the job is left on any host, as docs/reliability.md states it.
BOUND_S = TIMEOUT_S + 22
RANKS_A_HOST = 2
SAVED = "saved"

FAULTS = {
    "link down": lambda hosts, number: hosts.link_down(number),
    "all packets lost": lambda hosts, number: hosts.lose_packets(number),
    "all processes killed": lambda hosts, number: hosts.hosts[number - 1].kill_processes(),
}


def words_of(place, model, iterations, *more):
    """ALS: no tolerance stops it before its fault."""
    words = place.train("als", model, "--peer-timeout", TIMEOUT_S, "--checkpoint", SAVED, *more)
    words[words.index("--max-iter") + 1] = str(iterations)
    return words


def iterations_saved(place):
    names = (path.name for path in place.path(SAVED).glob("iteration-*.fsc"))
    return max((int(re.findall(r"\d+", name)[0]) for name in names), default=0)


def wait_until_it_iterates(place, job):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and job.poll() is None:
        if iterations_saved(place) >= 2:
            return True
        time.sleep(0.02)
    return False


def lose(place, fault, lost, launcher):
    """The whole case; (problem, figures)."""
    hosts = place.hosts
    place.forget(SAVED)
    job = hosts.start(words_of(place, "lost.h5", 10**8, "--quiet"), [1, 2, 3], RANKS_A_HOST, on=launcher,
                      directory=place.directory)
    if not wait_until_it_iterates(place, job):
        out, err = hosts.finish(job, 1)
        return f"the job did not start: {out}{err}", ""
    start = time.monotonic()
    FAULTS[fault](hosts, lost)
    out, err = hosts.finish(job, 2 * BOUND_S)
    ended = time.monotonic() - start
    left = hosts.wait_until_empty(max(0.0, BOUND_S - ended) + 5)
    gone = time.monotonic() - start
    hosts.mend(lost)
    for host in hosts.hosts:
        host.kill_processes()
    figures = f"code {job.returncode} after {ended:.1f} s, nothing left after {gone:.1f} s"
    messages = [line for line in err.splitlines() if line.startswith("firesteel: ")]
    if left:
        return f"processes left: {left}", figures
    if gone > BOUND_S:
        return f"longer than {BOUND_S} s", figures
    if job.returncode == 0:
        return "the job says it is done", figures
    # Where processes are killed mpirun notices by itself, ends the others at once and says so in its own words.
    silent_is_fine = fault == "all processes killed"
    if len(messages) > 1 or (not messages and not silent_is_fine):
        return f"expected one line, got {messages} in {err}", figures
    if messages and "lost contact with rank" not in messages[0]:
        return f"another message: {messages[0]}", figures
    return "", figures


def goes_on(place, survivors):
    """From the checkpoint of the job that lost a host, on those that are left."""
    done = iterations_saved(place)
    if done == 0:
        return "no checkpoint was left"
    iterations = done + 3
    job = place.hosts.start(words_of(place, "resumed.h5", iterations, "--resume"), survivors, 1,
                            directory=place.directory)
    out, err = place.hosts.finish(job, 60)
    if job.returncode != 0:
        return f"the resumed job: code {job.returncode}: {out}{err}"
    if "going on after iteration" not in err:
        return f"the job began anew: {err}"
    words = words_of(place, "undisturbed.h5", iterations, "--quiet")
    place.forget(SAVED)
    place.run_alone(words)
    same = place.path("resumed.h5").read_bytes() == place.path("undisturbed.h5").read_bytes()
    return "" if same else "the model differs from that of an undisturbed fit"


def run(place):
    failures = 0
    # Lost: the host of rank 0 and mpirun, another one, and that of rank 0 where mpirun is elsewhere or the reverse.
    for fault in FAULTS:
        for lost, launcher in ((3, 1), (1, 1), (1, 2), (2, 2)):
            problem, figures = lose(place, fault, lost, launcher)
            if not problem:
                problem = goes_on(place, [number for number in (1, 2, 3) if number != lost])
            failures += place.report(f"{fault} on host {lost}, mpirun on {launcher}", problem, figures)
    return failures
