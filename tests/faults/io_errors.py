# SPDX-License-Identifier: Apache-2.0
"""Every call that reads or writes a file, failing one at a time: the input, the checkpoints, the model."""

import errno

import harness

PATHS = ".csv:/saved:saved/:model.h5:.firesteel-"
KINDS = [("EIO", errno.EIO, ()), ("ENOSPC, and stays so", errno.ENOSPC, ("sticky",)), ("EINTR", errno.EINTR, ()),
         ("half done", "short", ())]
READING = {"pread", "read"}


def calls_of(fits, ranks):
    """The matching calls of a fit without a fault: a list of (rank, number, call, path)."""
    log = fits.place.path("calls.log")
    log.unlink(missing_ok=True)
    fits.prepare()
    done = fits.fit(ranks, ["--checkpoint", "saved", "--resume"],
                    **fits.place.shim_environment(paths=PATHS, log=log, under_mpirun=int(ranks > 0)))
    if done.code != 0:
        raise RuntimeError(str(done))
    calls = []
    for line in log.read_text().splitlines():
        rank, number, call, path = line.split(" ", 3)
        calls.append((int(rank), int(number), call, path.rsplit("/", 1)[-1]))
    log.unlink()
    return calls


def allowed(call, kind):
    """Interrupted and partial transfers are gone on with. What cannot be opened is absent (66) or cannot be created
    (73); what fails midway is 74, and a checkpoint that cannot be read is passed over."""
    if kind in ("EINTR", "half done") and call in ("pread", "pwrite", "read", "write", "ftruncate", "fsync"):
        return []
    return [66, 73, 74]


def sweep(place, report, stride, ranks, learner="kmeans", first=0):
    fits = harness.Fits(place, learner)
    calls = calls_of(fits, ranks)
    # Of the many reads of the input, a few: they are all alike.
    seen = {}
    chosen = []
    for rank, number, call, path in calls:
        if call in READING and path.endswith(".csv"):
            seen[rank] = seen.get(rank, 0) + 1
            if seen[rank] % 40 != 1:
                continue
        chosen.append((rank, number, call, path))
    cases = [(*call, kind) for call in chosen for kind in KINDS]
    for rank, number, call, path, (name, error, flags) in cases[first::stride]:
        ended, wrong = fits.fault(ranks, allowed(call, name),
                                  dict(paths=PATHS, at=number, error=error, rank=rank if ranks else "0",
                                       under_mpirun=int(ranks > 0), **{flag: 1 for flag in flags}),
                                  leaves=call == "unlink")
        report.add(f"{learner}, {ranks} ranks: {call} number {number} of {path} on rank {rank}: {name}", ended, wrong)
    return len(cases)


def run(place, long, seed, verbose):
    report = harness.Report(verbose)
    if long:
        for learner in harness.JOBS:
            sweep(place, report, 1, 0, learner)
            sweep(place, report, 1, 2, learner)
    else:
        sweep(place, report, 9, 0, first=seed % 9)
        sweep(place, report, 23, 2, first=seed % 23)
    print(report.summary("I/O errors"))
    return report.failures
