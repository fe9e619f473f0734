# SPDX-License-Identifier: Apache-2.0
"""What the tests of the command line share: running the program, checking how it ends, small data."""

import json
import os
import pathlib
import random
import shutil
import subprocess
import tempfile
import unittest

FIRESTEEL = os.environ["FIRESTEEL_PROGRAM"]
MPIRUN = os.environ.get("FIRESTEEL_MPIRUN", "mpirun")
REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
SANITIZED = os.environ.get("FIRESTEEL_SANITIZE", "")
SLOWER = 5 if SANITIZED else 1  # sanitized programs take their time
ENDING_LIMIT_S = 60 * SLOWER  # nothing may hang; generous for a busy machine


def environment(**extra):
    env = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    for name in ("OMPI_MCA_mpi_yield_when_idle", "OMPI_MCA_rmaps_base_oversubscribe"):
        env.pop(name, None)
    env.update(extra)
    return env


def command(args, ranks=None):
    """The command line that runs firesteel alone (ranks None) or under mpirun."""
    line = [FIRESTEEL, *map(str, args)]
    if ranks is None:
        return line
    return [MPIRUN, "-n", str(ranks), "--oversubscribe", "--bind-to", "none", *line]


class Result:
    def __init__(self, line, completed):
        self.line = " ".join(line)
        self.code = completed.returncode
        self.out = completed.stdout
        self.err = completed.stderr

    @property
    def json(self):
        return json.loads(self.out)

    def lines(self, prefix):
        return [line for line in self.err.splitlines() if line.startswith(prefix)]

    def __str__(self):
        return f"{self.line}\ncode {self.code}\nstdout: {self.out}\nstderr: {self.err}"


def run_line(line, cwd=None, stdout=subprocess.PIPE, **env):
    completed = subprocess.run(line, cwd=cwd, env=environment(**env), stdout=stdout, stderr=subprocess.PIPE,
                               stdin=subprocess.DEVNULL, text=True, errors="replace",
                               timeout=ENDING_LIMIT_S)
    return Result(line, completed)


def run(*args, ranks=None, cwd=None, **env):
    return run_line(command(args, ranks), cwd=cwd, **env)


def ranks_of(launcher):
    """rank → process, of the processes that mpirun has started."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            parent = (entry / "stat").read_text().rsplit(")", 1)[1].split()[1]
            words = (entry / "environ").read_bytes().split(b"\0") if int(parent) == launcher else []
        except OSError:
            continue
        for word in words:
            if word.startswith(b"OMPI_COMM_WORLD_RANK="):
                found[int(word.split(b"=")[1])] = int(entry.name)
    return found


class CliTest(unittest.TestCase):
    """A test with a directory of its own, in which the program runs."""

    RANKS = (None, 2)

    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="firesteel-cli-"))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)

    def path(self, name):
        return str(self.directory / name)

    def write(self, name, text):
        mode = "wb" if isinstance(text, bytes) else "w"
        with open(self.path(name), mode) as file:
            file.write(text)
        return name

    def read(self, name):
        return (self.directory / name).read_bytes()

    def run_here(self, *args, ranks=None, **env):
        return run(*args, ranks=ranks, cwd=self.directory, **env)

    def succeed(self, *args, ranks=None, **env):
        result = self.run_here(*args, ranks=ranks, **env)
        self.assertEqual(result.code, 0, result)
        self.assertEqual(result.lines("firesteel: "), [], result)
        return result

    def check_failure(self, result, code, *fragments):
        """The right code, one message that says `fragments`, nothing on stdout, no banner of mpirun."""
        self.assertEqual(result.code, code, result)
        messages = result.lines("firesteel: ")
        self.assertEqual(len(messages), 1, result)
        for fragment in fragments:
            self.assertIn(fragment, messages[0], result)
        self.assertEqual(result.out or "", "", result)
        self.assertNotIn("mpirun", result.err.replace(messages[0], ""), result)
        self.assertNotIn("MPI_ABORT", result.err, result)
        return messages[0]

    def fail_with(self, code, args, *fragments, ranks=None, **env):
        """Runs `args` alone and at 2 ranks (or as `ranks` says); both must end in the same message."""
        messages = set()
        for count in self.RANKS if ranks is None else ranks:
            result = self.run_here(*args, ranks=count, **env)
            messages.add(self.check_failure(result, code, *fragments))
        self.assertEqual(len(messages), 1, messages)
        return messages.pop()


def classification_csv(rows=200, features=4, classes=("0", "1"), seed=1, label="label"):
    """Rows whose classes overlap, so that unpenalised fits have a finite optimum."""
    draw = random.Random(seed)
    lines = [",".join([f"x{j}" for j in range(features)] + [label])]
    for _ in range(rows):
        values = [draw.gauss(0, 1) for _ in range(features)]
        score = values[0] - 0.5 * values[1] + draw.gauss(0, 1)
        cut = sorted([-0.5, 0.5])
        index = (score > 0) if len(classes) == 2 else sum(score > c for c in cut)
        lines.append(",".join([repr(value) for value in values] + [classes[int(index)]]))
    return "\n".join(lines) + "\n"


def clusters_csv(rows=200, centers=3, features=2, seed=2):
    draw = random.Random(seed)
    lines = [",".join(f"x{j}" for j in range(features))]
    for row in range(rows):
        center = row % centers
        lines.append(",".join(repr(10.0 * center * (j + 1) + draw.gauss(0, 1)) for j in range(features)))
    return "\n".join(lines) + "\n"


def ratings_csv(users=30, items=20, seed=3, user="user", item="item", rating="rating"):
    draw = random.Random(seed)
    lines = [f"{user},{item},{rating}"]
    for u in range(users):
        for i in sorted(draw.sample(range(items), 8)):
            lines.append(f"{u},{100 + i},{draw.randint(1, 10) / 2}")
    return "\n".join(lines) + "\n"
