# SPDX-License-Identifier: Apache-2.0
"""Disks that are full or read-only: small file systems in memory, which only root can mount."""

import os
import subprocess

import harness

LEARNER = "als"
# Enough users that a checkpoint and a model take some pages each.
TRAIN = ["--input", "many.csv", "--rank", "8", "--max-iter", "4"]
CODES = (73, 74)


class Mount:
    """A file system of so many kilobytes at a path."""

    def __init__(self, path, kilobytes):
        self.path = path
        path.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", path], check=True)

    def remount(self, options):
        subprocess.run(["mount", "-o", f"remount,{options}", self.path], check=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", self.path], check=True)


def fit(place, ranks, output, saved, *more):
    line = harness.train(place.program, LEARNER, TRAIN, ranks, "--quiet", "--checkpoint", saved, *more)
    line[line.index("model.h5")] = output
    return place.run(line)


def one_failure(ended):
    return ended.code in CODES and len(ended.messages) == 1 and not ended.out


def full(place, report, ranks, whole, kilobytes):
    """Checkpoints and model on a disk of so many kilobytes that holds an old model and something that fills it."""
    with Mount(place.path("disk"), kilobytes) as disk:
        model, filler = disk.path / "model.h5", disk.path / "filler"
        model.write_bytes(harness.OLD_MODEL)
        filler.write_bytes(b"x" * 4096)
        ended = fit(place, ranks, "disk/model.h5", "disk/saved")
        wrong = None
        if ended.code == 0:
            wrong = None if model.read_bytes() == whole else "succeeded with another model"
        elif not one_failure(ended):
            wrong = f"expected one message and one of {CODES}"
        elif model.read_bytes() != harness.OLD_MODEL:
            wrong = "the old model is gone"
        elif left := list(disk.path.rglob(".firesteel-*.tmp")):
            wrong = f"left {left}"
        else:
            saved = len(list(disk.path.glob("saved/*.fsc")))
            disk.remount("size=100m")
            again = fit(place, ranks, "disk/model.h5", "disk/saved", "--resume")
            if again.code != 0 or model.read_bytes() != whole:
                wrong = f"after space was made ({saved} checkpoints): {again}"
        report.add(f"{ranks} ranks, a disk of {kilobytes} KB", ended, wrong)


def read_only(place, report, ranks):
    """Nothing can be written: said before the input is read."""
    with Mount(place.path("disk"), 1000) as disk:
        (disk.path / "model.h5").write_bytes(harness.OLD_MODEL)
        (disk.path / "saved").mkdir()
        disk.remount("ro")
        for output, saved in (("disk/model.h5", "saved"), ("model.h5", "disk/saved"), ("disk/new.h5", "disk/new")):
            place.clear()
            ended = fit(place, ranks, output, saved)
            wrong = None if ended.code == 73 and one_failure(ended) else "expected 73 and one message"
            if (disk.path / "model.h5").read_bytes() != harness.OLD_MODEL:
                wrong = "the old model is gone"
            report.add(f"{ranks} ranks, read-only: {output}, {saved}", ended, wrong)


def run(place, long, seed, verbose):
    if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode != 0:
        print("SKIPPED: only root can mount a file system")
        return 0
    report = harness.Report(verbose)
    harness.write_ratings(place.path("many.csv"), 3000, 400, 200, harness.random.Random(seed))
    place.clear()
    done = fit(place, 0, "model.h5", "saved")
    if done.code != 0:
        raise RuntimeError(str(done))
    whole = place.model()
    for ranks in (0, 2):
        read_only(place, report, ranks)
        for kilobytes in range(20, 260, 8 if long else 44):
            full(place, report, ranks, whole, kilobytes)
    if not {0, 74} <= set(report.ends):
        report.failures += 1
        print(f"FAILED: the disks were not of telling sizes: {report.ends}")
    print(report.summary("full and read-only disks"))
    return report.failures
