# SPDX-License-Identifier: Apache-2.0
"""Hosts that are lost while a fit runs: the job ends in bounded time with one line, nothing is left, two hosts go on."""

import random
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


# Lost host, host of mpirun: that of rank 0 and mpirun, another one, that of rank 0 where mpirun is elsewhere, the reverse.
PLACES = ((3, 1), (1, 1), (1, 2), (2, 2))

# Fits that go on for many seconds: ALS has no tolerance that could end it; the others are made hard below.
FITS = {
    "als": ["--input", "ratings.csv"],
    "kmeans": ["--input", "line.csv", "--k", "200", "--init-file", "centres.csv", "--tol", "0"],
    "logistic": ["--input", "powers.csv", "--solver", "lbfgs", "--reg-param", "0", "--tol", "0"],
}


def write_hard_data(directory):
    """Points on a line, over which centres spread from one end, in thousands of iterations; columns x, x^2, …, x^30, on which L-BFGS
    makes many."""
    draw = random.Random(11)
    with open(directory / "line.csv", "w", encoding="ascii") as file:
        file.write("x\n" + "".join(f"{draw.random():.7f}\n" for _ in range(100000)))
    with open(directory / "centres.csv", "w", encoding="ascii") as file:
        file.write("".join(f"{number * 1e-7:.7f}\n" for number in range(200)))
    with open(directory / "powers.csv", "w", encoding="ascii") as file:
        file.write(",".join(f"x{j}" for j in range(30)) + ",label\n")
        for _ in range(4000):
            x = draw.random()
            label = int(6 * x ** 3 - 5 * x ** 2 + draw.gauss(0, 0.3) > -0.5)
            file.write(",".join(f"{x ** (1 + j):.6g}" for j in range(30)) + f",{label}\n")


def words_of(place, learner, model, iterations, *more):
    return [place.program, "train", learner, *FITS[learner], "--max-iter", iterations, "--threads", "1", "--output", model,
            "--peer-timeout", TIMEOUT_S, "--checkpoint", SAVED, *more]


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


def lose(place, learner, fault, lost, launcher):
    """The whole case; (problem, figures)."""
    hosts = place.hosts
    place.forget(SAVED)
    job = hosts.start(words_of(place, learner, "lost.h5", 10**8, "--quiet"), [1, 2, 3], RANKS_A_HOST, on=launcher,
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


def goes_on(place, learner, survivors):
    """From the checkpoint of the job that lost a host, on those that are left."""
    done = iterations_saved(place)
    if done == 0:
        return "no checkpoint was left"
    iterations = done + 3
    job = place.hosts.start(words_of(place, learner, "resumed.h5", iterations, "--resume"), survivors, 1,
                            directory=place.directory)
    out, err = place.hosts.finish(job, 60)
    if job.returncode != 0:
        return f"the resumed job: code {job.returncode}: {out}{err}"
    if "going on after iteration" not in err:
        return f"the job began anew: {err}"
    words = words_of(place, learner, "undisturbed.h5", iterations, "--quiet")
    place.forget(SAVED)
    place.run_alone(words)
    same = place.path("resumed.h5").read_bytes() == place.path("undisturbed.h5").read_bytes()
    return "" if same else "the model differs from that of an undisturbed fit"


def cases():
    """Every fault in every place for ALS; for the others each fault once, each in another place."""
    for fault in FAULTS:
        for lost, launcher in PLACES:
            yield "als", fault, lost, launcher
    for shift, learner in enumerate(("kmeans", "logistic")):
        for number, fault in enumerate(FAULTS):
            yield learner, fault, *PLACES[(number + 2 * shift) % len(PLACES)]


def run(place):
    write_hard_data(place.directory)
    failures = 0
    for learner, fault, lost, launcher in cases():
        problem, figures = lose(place, learner, fault, lost, launcher)
        if not problem:
            problem = goes_on(place, learner, [number for number in (1, 2, 3) if number != lost])
        failures += place.report(f"{learner}: {fault} on host {lost}, mpirun on {launcher}", problem, figures)
    return failures
