# SPDX-License-Identifier: Apache-2.0
"""Allocations that fail, one at a time, on one rank; and jobs that get too little memory."""

import contextlib
import os
import pathlib
import uuid

import harness

OUT_OF_MEMORY = 71
CGROUPS = pathlib.Path("/sys/fs/cgroup/memory")
# What Open MPI and its helpers allocate is theirs to check: counted are operator new everywhere, and malloc and its
# kin for blocks that only data can need.
NEW = dict(memory_bytes=1)
MALLOC = dict(memory_bytes=32768, malloc=1, arm=".csv")


def count(fits, ranks, rank, kind):
    log = fits.place.path("allocations.log")
    log.unlink(missing_ok=True)
    fits.prepare()
    done = fits.fit(ranks, ["--checkpoint", "saved", "--resume"],
                    **fits.place.shim_environment(log=log, rank=rank, under_mpirun=int(ranks > 0), **kind))
    if done.code != 0:
        raise RuntimeError(str(done))
    total = len(log.read_text().splitlines()) if log.exists() else 0
    log.unlink(missing_ok=True)
    return total


def sweep(place, report, learner, ranks, rank, kind, cases, shift=0.5):
    """About so many allocations, spread over all of the job, fail one at a time."""
    fits = harness.Fits(place, learner)
    total = count(fits, ranks, rank, kind)
    cases = min(cases, total)
    for case in range(cases):
        number = 1 + int((case + shift) * total / cases)
        ended, wrong = fits.fault(ranks, [OUT_OF_MEMORY],
                                  dict(memory_at=number, rank=rank, under_mpirun=int(ranks > 0), **kind))
        name = "malloc" if "malloc" in kind else "new"
        report.add(f"{learner}, {ranks} ranks: {name} number {number} of {total} fails on rank {rank}", ended, wrong)
    return total


def judge_limited(fits, ended, codes):
    """As for other faults, but the kernel's kill leaves no message and temporary files, and a rank that cannot even
    start MPI ends by MPI's hand, beside another that ends by ours."""
    by_mpi = "PMIX ERROR" in ended.err
    unlike = ended.code is not None and (by_mpi or ended.code not in codes) and ended.code != 0
    if unlike and fits.place.model() in (harness.OLD_MODEL, fits.whole):
        return fits.resume() if len(ended.messages) <= 1 else "several messages"
    return fits.judge(ended, codes)


def least_address_space(place, ranks):
    """The least number of megabytes with which the job succeeds."""
    fits = harness.Fits(place, "kmeans")
    low, high = 10, 4000
    while high - low > 1:
        middle = (low + high) // 2
        if limited(fits, ranks, middle).code == 0:
            high = middle
        else:
            low = middle
    return high


def limit_address_space(place, report, ranks, megabytes):
    """ulimit -v in the ranks alone: mpirun itself must live. What cannot even load the libraries, or start MPI, ends
    with their message."""
    fits = harness.Fits(place, "kmeans")
    ended = limited(fits, ranks, megabytes)
    report.add(f"{ranks} ranks, {megabytes} MB of address space each", ended, judge_limited(fits, ended, [OUT_OF_MEMORY]))


def limited(fits, ranks, megabytes):
    place = fits.place
    fits.prepare()
    line = harness.train(place.program, "kmeans", [*harness.JOBS["kmeans"], "--max-iter", "5"], ranks, "--quiet",
                         "--checkpoint", "saved", "--resume")
    at = line.index(str(place.program))
    return place.run([*line[:at], "bash", "-c", f'ulimit -v {megabytes * 1024}; exec "$@"', "bash", *line[at:]])


@contextlib.contextmanager
def cgroup(megabytes):
    """A memory cgroup (version 1) of our own; removed at the end."""
    path = CGROUPS / f"firesteel-{uuid.uuid4().hex[:8]}"
    path.mkdir()
    try:
        (path / "memory.limit_in_bytes").write_text(str(megabytes << 20))
        yield path
    finally:
        path.rmdir()


def limit_by_cgroup(place, report, ranks, megabytes):
    """The kernel kills a process of a job whose cgroup is full: the job ends, and goes on with more memory."""
    fits = harness.Fits(place, "kmeans")
    fits.prepare()
    with cgroup(megabytes) as path:
        line = harness.train(place.program, "kmeans", [*harness.JOBS["kmeans"], "--max-iter", "5"], ranks, "--quiet",
                             "--checkpoint", "saved", "--resume")
        at = line.index(str(place.program))
        enter = ["bash", "-c", f'echo $$ > {path}/cgroup.procs; exec "$@"', "bash"]
        ended = place.run([*line[:at], *enter, *line[at:]])
        wrong = judge_limited(fits, ended, [OUT_OF_MEMORY])
    report.add(f"{ranks} ranks in a cgroup of {megabytes} MB", ended, wrong)


def limits(place, long, verbose):
    report = harness.Report(verbose)
    for ranks in (0, 2):
        least = least_address_space(place, ranks)
        for less in range(0, 80, 2) if long else (0, 2, 8, 30):
            limit_address_space(place, report, ranks, least - less)
    if os.geteuid() == 0 and os.access(CGROUPS / "memory.limit_in_bytes", os.R_OK) and os.access(CGROUPS, os.W_OK):
        for ranks in (0, 2):
            for megabytes in (2, 4, 6, 8, 12, 16, 24, 32, 48) if long else (6, 14):
                limit_by_cgroup(place, report, ranks, megabytes)
    else:
        print("SKIPPED: no memory cgroup of version 1 can be made here")
    print(report.summary("too little memory"))
    return report.failures


def run(place, long, seed, verbose):
    report = harness.Report(verbose)
    shift = (seed % 10 + 0.5) / 10.5
    for learner in harness.JOBS if long else ["kmeans"]:
        for ranks, rank in ((0, 0), (2, 0), (2, 1)):
            sweep(place, report, learner, ranks, rank, NEW, 150 if long else 8, shift)
            sweep(place, report, learner, ranks, rank, MALLOC, 1000 if long else 4, shift)
    print(report.summary("allocations that fail"))
    return report.failures + limits(place, long, verbose)
