# SPDX-License-Identifier: Apache-2.0
"""The contestants' processes: long-lived workers that answer JSON lines, and single commands."""
import json
import os
import pathlib
import select
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
WORK = ROOT / "build" / "bench"
RELEASE = ROOT / "build" / "release"
PEERS = ROOT / "bench" / "peers"
TICKS = os.sysconf("SC_CLK_TCK")

COMMANDS = {
    "firesteel": [RELEASE / "bench" / "worker"],
    "firesteel, 2 ranks": ["mpirun", "-n", "2", RELEASE / "bench" / "worker"],
    "scikit-learn": [sys.executable, PEERS / "sklearn_worker.py"],
    "sklearnex": [sys.executable, PEERS / "sklearn_worker.py", "intelex"],
    "faiss": [sys.executable, PEERS / "faiss_worker.py"],
    "daal4py, 2 ranks": [WORK / "venv" / "bin" / "mpiexec.hydra", "-launcher", "fork", "-s", "all", "-n", "2", sys.executable,
                         PEERS / "daal4py_worker.py"],
    "liblinear": [sys.executable, PEERS / "liblinear_worker.py"],
    "implicit": [sys.executable, PEERS / "implicit_worker.py"],
    "text": [sys.executable, PEERS / "text_worker.py"],
    "spark": [sys.executable, PEERS / "spark_worker.py"],
}
ENVIRONMENTS = {
    "daal4py, 2 ranks": {"I_MPI_FABRICS": "shm"},
    "implicit": {"OPENBLAS_NUM_THREADS": "1"},
    "spark": {"SPARK_LOCAL_DIRS": str(WORK / "spark")},
}


class Failed(Exception):
    """A contestant gave no answer: its message says why."""


def tree_cpu_seconds(root):
    """User and system seconds of a process and everything below it, finished children included."""
    children, spent = {}, {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                fields = pathlib.Path("/proc", entry, "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(entry))
            spent[int(entry)] = sum(map(int, fields[11:15])) / TICKS
    total, pending = 0.0, [root]
    while pending:
        pid = pending.pop()
        total += spent.get(pid, 0.0)
        pending += children.get(pid, [])
    return total


class Worker:
    """One contestant's process. ask() takes one request to its answer, with the CPU seconds that it took."""

    def __init__(self, peer):
        self.peer = peer
        WORK.joinpath("spark").mkdir(exist_ok=True)
        self.log = open(WORK / f"{peer.replace(', ', '-').replace(' ', '-')}.log", "w+b")
        environment = dict(os.environ, OMP_WAIT_POLICY="passive", PYTHONDONTWRITEBYTECODE="1", **ENVIRONMENTS.get(peer, {}))
        self.process = subprocess.Popen([str(word) for word in COMMANDS[peer]], cwd=ROOT, env=environment,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log)

    def ask(self, limit, **request):
        before = tree_cpu_seconds(self.process.pid)
        try:
            self.process.stdin.write((json.dumps(request) + "\n").encode())
            self.process.stdin.flush()
            answer = self.read_line(time.monotonic() + limit)
        except BrokenPipeError:
            answer = b""
        if not answer:
            self.close()
            raise Failed(f"{self.peer} ended: {self.last_words()}")
        answer = json.loads(answer)
        if "error" in answer:
            raise Failed(f"{self.peer}: {answer['error']}")
        answer["cpu_seconds"] = tree_cpu_seconds(self.process.pid) - before
        return answer

    def read_line(self, deadline):
        line = b""
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                self.close()
                raise Failed(f"{self.peer} took longer than it may")
            piece = os.read(self.process.stdout.fileno(), 1 << 20)
            if not piece:
                return b""
            line += piece
        return line

    def last_words(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")[-600:]

    def close(self):
        if self.process.poll() is None:
            try:
                self.process.stdin.close()
                self.process.wait(10)
            except (OSError, subprocess.TimeoutExpired):
                self.process.kill()
                self.process.wait()


class Workers:
    """Workers by peer, started when first asked for. Spark's is kept, so that its JVM stays warm; the others end with a
    case and give their memory back."""

    def __init__(self):
        self.running = {}

    def of(self, peer):
        worker = self.running.get(peer)
        if worker is None or worker.process.poll() is not None:
            worker = self.running[peer] = Worker(peer)
            if peer == "spark":
                worker.ask(180, op="start")
        return worker

    def close(self, keep=()):
        for peer in [peer for peer in self.running if peer not in keep]:
            self.running.pop(peer).close()


def run_command(words, limit, threads=1):
    """A command from start to end: seconds, CPU seconds, the largest resident set of one process, stdout."""
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads), OPENBLAS_NUM_THREADS=str(threads), OMP_WAIT_POLICY="passive",
                       SPARK_LOCAL_DIRS=str(WORK / "spark"))
    with open(WORK / "command.out", "w+b") as out, open(WORK / "command.err", "w+b") as errors:
        start = time.perf_counter()
        process = subprocess.Popen([str(word) for word in words], cwd=ROOT, env=environment, stdout=out, stderr=errors,
                                   stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + limit
        pid = 0
        while pid == 0:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid == 0 and time.monotonic() > deadline:
                process.kill()
                os.wait4(process.pid, 0)
                raise Failed(f"{words[0]} took longer than it may")
            if pid == 0:
                time.sleep(0.002)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        errors.seek(0)
        if process.returncode != 0:
            raise Failed(f"{' '.join(map(str, words))}: {errors.read().decode(errors='replace')[-600:]}")
        return {"seconds": seconds, "cpu_seconds": usage.ru_utime + usage.ru_stime,
                "peak_bytes": usage.ru_maxrss * 1024, "output": out.read().decode()}
