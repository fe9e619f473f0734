# SPDX-License-Identifier: Apache-2.0
"""What the fault scripts share: small data and jobs, processes of a job, and how a job must end."""

import os
import pathlib
import random
import shutil
import signal
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "build" / "release" / "firesteel"
END_LIMIT_S = 30  # for a job that met a fault to end; a second or two where CPUs are free
OLD_MODEL = b"the old model"

JOBS = {
    "kmeans": ["--input", "small.csv", "--k", "3", "--tol", "0", "--exclude", "g"],
    "logistic": ["--input", "small.csv", "--label", "g", "--solver", "lbfgs", "--tol", "0"],
    "als": ["--input", "few.csv", "--rank", "3"],
}


def write_points(path, rows, source):
    with open(path, "w") as file:
        file.write("a,b,c,d,e,g\n")
        for _ in range(rows):
            g = source.randrange(2)
            cells = [f"{source.gauss(g * (j % 3) * 0.4, 1 + j):.6f}" for j in range(5)]
            file.write(",".join([*cells, str(g)]) + "\n")


def write_ratings(path, rows, users, items, source):
    with open(path, "w") as file:
        file.write("user,item,rating\n")
        for _ in range(rows):
            file.write(f"{source.randrange(users)},{int(source.random() ** 2 * items)},{source.randrange(1, 11) / 2}\n")


def write_classes(path, rows, columns, classes, source):
    with open(path, "w") as file:
        file.write(",".join(f"c{i}" for i in range(columns)) + ",g\n")
        for _ in range(rows):
            g = source.randrange(classes)
            cells = [str(source.randrange(30) + (g * 7 + j) % 5) for j in range(columns)]
            file.write(",".join([*cells, str(g)]) + "\n")


def environment(**extra):
    return dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", **extra)


def train(program, learner, arguments, ranks, *more):
    """The command line of a fit, alone (ranks 0) or under mpirun."""
    line = [str(program), "train", learner, *arguments, "--threads", "1", "--output", "model.h5", *more]
    if ranks == 0:
        return line
    return ["mpirun", "-n", str(ranks), "--oversubscribe", "--bind-to", "none", *line]


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


def ranks_of(process):
    """The processes that are ranks: those that run the program itself."""
    if "mpirun" not in os.path.basename(process.args[0]):
        return [process.pid]
    found = []
    for pid in children_of(process.pid):
        try:
            if "firesteel" in os.path.basename(os.readlink(f"/proc/{pid}/exe")):
                found.append(pid)
        except OSError:
            continue
    return found


def send(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def kill(pid):
    send(pid, signal.SIGKILL)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_for_the_end(process, ranks, limit=END_LIMIT_S, ranks_only=False):
    """Seconds until nothing of the job is left; None past the limit (what is left is then killed). `ranks_only`: past
    the limit it is enough that no rank is left."""
    start = time.monotonic()
    while time.monotonic() - start < limit:
        if process.poll() is not None and not any(alive(pid) for pid in ranks):
            return time.monotonic() - start
        time.sleep(0.01)
    if ranks_only and not any(alive(pid) for pid in ranks):
        return limit
    for pid in [process.pid, *ranks]:
        kill(pid)
    process.wait()
    return None


def wait_until(condition, process, limit=END_LIMIT_S, step=0.002):
    """True once condition() holds; False where the job or the time ended before."""
    start = time.monotonic()
    while process.poll() is None and time.monotonic() - start < limit:
        if condition():
            return True
        time.sleep(step)
    return False


class Ended:
    """A job that has ended, or did not within the limit (code None); `left`: its processes then, besides the first."""

    def __init__(self, line, code, out, err, seconds, left=0):
        self.line, self.code, self.out, self.err, self.seconds, self.left = line, code, out, err, seconds, left

    @property
    def messages(self):
        return [line for line in self.err.splitlines() if line.startswith("firesteel: ")]

    def __str__(self):
        return f"{' '.join(map(str, self.line))}: code {self.code}\n  stderr: {self.err.strip()}"


class Workplace:
    """A directory with data, in which jobs run; `program` may be any build."""

    def __init__(self, program=PROGRAM, shim=None, directory=None):
        self.program = pathlib.Path(program).resolve()
        self.shim = pathlib.Path(shim).resolve() if shim else self.program.parent / "tests" / "libfiresteel_faults.so"
        self.own = directory is None
        self.directory = pathlib.Path(directory or tempfile.mkdtemp(prefix="firesteel-faults-"))
        self.whole = {}
        source = random.Random(11)
        write_points(self.directory / "small.csv", 600, source)
        write_ratings(self.directory / "few.csv", 600, 40, 25, source)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.own:
            shutil.rmtree(self.directory, ignore_errors=True)

    def path(self, name):
        return self.directory / name

    def run(self, line, limit=END_LIMIT_S, **extra):
        start = time.monotonic()
        process = subprocess.Popen([str(word) for word in line], cwd=self.directory, env=environment(**extra),
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True, errors="replace", start_new_session=True)
        try:
            out, err = process.communicate(timeout=limit)
            code = process.returncode
        except subprocess.TimeoutExpired:
            family = [process.pid, *children_of(process.pid)]
            left = len(family) - 1
            for pid in family:
                kill(pid)
            out, err = process.communicate()
            return Ended(line, None, out, err, time.monotonic() - start, left)
        return Ended(line, code, out, err, time.monotonic() - start)

    def model(self):
        path = self.path("model.h5")
        return path.read_bytes() if path.exists() else None

    def clear(self):
        shutil.rmtree(self.path("saved"), ignore_errors=True)
        for name in [*self.directory.glob("*model.h5*"), *self.directory.glob(".firesteel-*")]:
            name.unlink()

    def shim_environment(self, **settings):
        """What makes the shim fail things in the ranks (not in mpirun)."""
        chosen = {f"FAULTS_{name.upper()}": str(value) for name, value in settings.items()}
        return {"LD_PRELOAD": str(self.shim), **chosen}

    def leftovers(self):
        return [str(path.relative_to(self.directory)) for path in self.directory.rglob(".firesteel-*.tmp")]


class Fits:
    """Short fits of one learner that begin with an old model and a checkpoint after two of five iterations."""

    def __init__(self, place, learner):
        self.place = place
        self.learner = learner
        place.clear()
        done = self.fit(0, [])
        if done.code != 0:
            raise RuntimeError(str(done))
        self.whole = place.model()
        place.clear()
        done = self.fit(0, ["--checkpoint", "saved"], iterations=2)
        if done.code != 0:
            raise RuntimeError(str(done))
        self.saved = {path.name: path.read_bytes() for path in place.path("saved").glob("*.fsc")}

    def fit(self, ranks, more, iterations=5, wrapper=(), limit=END_LIMIT_S, quiet=True, **extra):
        line = train(self.place.program, self.learner, [*JOBS[self.learner], "--max-iter", str(iterations)], ranks,
                     *(["--quiet"] if quiet else []), *more)
        return self.place.run([*wrapper, *line], limit=limit, **extra)

    def prepare(self):
        self.place.clear()
        self.place.path("saved").mkdir()
        for name, content in self.saved.items():
            self.place.path("saved").joinpath(name).write_bytes(content)
        self.place.path("model.h5").write_bytes(OLD_MODEL)

    def fault(self, ranks, codes, settings=None, wrapper=(), limit=END_LIMIT_S, resume_ranks=0, extra=None, leaves=False):
        """Fits on from the checkpoint under a fault and then without. Returns how the first ended and what was
        wrong (None: nothing): the job must end with success and the right bytes, or with one message, one of
        `codes` and the old model in place, and then go on to the right bytes. `leaves`: temporary files may stay
        until the next job removes them."""
        self.prepare()
        shim = self.place.shim_environment(**settings) if settings else {}
        ended = self.fit(ranks, ["--checkpoint", "saved", "--resume"], wrapper=wrapper, limit=limit, **shim,
                         **(extra or {}))
        return ended, self.judge(ended, codes, resume_ranks, leaves)

    def judge(self, ended, codes, resume_ranks=0, leaves=False):
        if ended.code is None:
            return f"did not end; processes left besides the first: {ended.left}"
        model = self.place.model()
        if ended.code == 0:
            if model != self.whole:
                return "succeeded with another model"
            return f"left {self.place.leftovers()}" if self.place.leftovers() and not leaves else None
        if ended.code not in codes:
            return f"expected one of the codes {codes}"
        if len(ended.messages) != 1:
            return f"{len(ended.messages)} messages"
        if "Traceback" in ended.err or "terminate called" in ended.err or "mpirun" in ended.err:
            return "more than one message"
        if ended.out:
            return f"printed on stdout: {ended.out}"
        if model not in (OLD_MODEL, self.whole):
            return "the old model is gone"
        if self.place.leftovers() and not leaves:
            return f"left {self.place.leftovers()}"
        return self.resume(resume_ranks)

    def resume(self, ranks=0):
        """What is wrong with going on (None: nothing)."""
        again = self.fit(ranks, ["--checkpoint", "saved", "--resume"], quiet=False)
        if again.code != 0:
            return f"resuming failed: {again}"
        if self.place.model() != self.whole:
            return "the resumed model differs"
        if "torn" in again.err:
            return f"an old checkpoint was damaged: {again.err}"
        if self.place.leftovers():
            return f"left after resuming: {self.place.leftovers()}"
        return None


class Report:
    """Counts cases, prints those that failed."""

    def __init__(self, verbose=False):
        self.verbose = verbose
        self.cases = 0
        self.failures = 0
        self.ends = {}

    def add(self, what, ended, wrong):
        self.cases += 1
        code = "no end" if ended is None else ended.code
        self.ends[code] = self.ends.get(code, 0) + 1
        if wrong:
            self.failures += 1
            print(f"FAILED: {what}: {wrong}\n  {ended}", flush=True)
        elif self.verbose:
            print(f"{what}: code {code} in {ended.seconds:.2f} s {' '.join(ended.messages)}", flush=True)

    def summary(self, name):
        ends = ", ".join(f"{count} x code {code}" for code, count in sorted(self.ends.items(), key=str))
        return f"{name}: {self.cases} faults, {self.failures} failures ({ends})"
