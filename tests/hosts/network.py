# SPDX-License-Identifier: Apache-2.0
"""Three hosts on one machine: network namespaces with host names of their own, joined by a bridge.

A host is held open by one process that sleeps in its namespaces; they vanish with the last process in them, so that
nothing can be left behind in the file system. Needs root.
"""

import contextlib
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import tempfile
import time

TOOLS = ("ip", "tc", "bridge", "nsenter", "unshare", "setpriv")


class Unavailable(Exception):
    """Namespaces or tools that the hosts are made of are not to be had here."""


def run(line, **options):
    done = subprocess.run(line, capture_output=True, text=True, timeout=30, check=False, **options)
    if done.returncode != 0:
        raise Unavailable(f"{' '.join(map(str, line))}: {done.stderr.strip()}")
    return done.stdout


def network_of(process):
    try:
        return os.readlink(f"/proc/{process}/ns/net")
    except OSError:
        return None


class Space:
    """A network (and host name) namespace, held by a process that dies with this one."""

    def __init__(self, name):
        self.name = name
        self.holder = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--uts", "sh", "-c",
             f"hostname {name} && ip link set lo up && echo ready && exec sleep 3600"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if self.holder.stdout.readline() != "ready\n":
            self.holder.kill()
            raise Unavailable(f"namespaces cannot be made here: {self.holder.communicate()[1].strip()}")
        self.network = network_of(self.holder.pid)

    def inside(self, *line):
        """The command line that runs in this namespace."""
        return ["nsenter", "--target", str(self.holder.pid), "--net", "--uts", *map(str, line)]

    def run(self, *line):
        return run(self.inside(*line))

    def processes(self):
        """What runs here, except the holder."""
        return [int(name) for name in os.listdir("/proc")
                if name.isdigit() and int(name) != self.holder.pid and network_of(name) == self.network]

    def kill_processes(self):
        for process in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def close(self):
        deadline = time.monotonic() + 10
        while self.processes() and time.monotonic() < deadline:
            self.kill_processes()
            time.sleep(0.02)
        self.holder.kill()
        self.holder.communicate()


class Hosts:
    """`count` hosts h1, h2, … at 10.77.0.1, …; a context manager that leaves nothing behind."""

    def __init__(self, count=3):
        if os.geteuid() != 0:
            raise Unavailable("root is needed to make network namespaces")
        missing = [tool for tool in TOOLS if shutil.which(tool) is None]
        if missing:
            raise Unavailable(f"not installed: {', '.join(missing)} (packages iproute2 and util-linux)")
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="firesteel-hosts-"))
        self.hosts = []
        self.switch = None
        try:
            self.switch = Space("switch")
            self.switch.run("ip", "link", "add", "br0", "type", "bridge")
            self.switch.run("ip", "link", "set", "br0", "up")
            for number in range(1, count + 1):
                self.add_host(number)
            self.write_agent()
        except BaseException:
            self.close()
            raise

    def add_host(self, number):
        host = Space(f"h{number}")
        self.hosts.append(host)
        port = f"e{number}"
        self.switch.run("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", host.holder.pid)
        self.switch.run("ip", "link", "set", port, "master", "br0", "up")
        host.run("ip", "addr", "add", f"10.77.0.{number}/24", "dev", "eth0")
        host.run("ip", "link", "set", "eth0", "up")

    def write_agent(self):
        """Open MPI starts a daemon on another host by `agent HOST COMMAND`."""
        cases = "\n".join(f"10.77.0.{number}) holder={host.holder.pid} ;;"
                          for number, host in enumerate(self.hosts, 1))
        agent = self.directory / "agent"
        agent.write_text(f'#!/bin/sh\ncase "$1" in\n{cases}\n*) exit 1 ;;\nesac\nshift\n'
                         'exec nsenter --target "$holder" --net --uts sh -c "$*"\n')
        agent.chmod(0o755)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for space in [*self.hosts, *([self.switch] if self.switch else [])]:
            space.close()
        shutil.rmtree(self.directory, ignore_errors=True)
        for number in range(1, len(self.hosts) + 1):  # Open MPI's session directories of killed jobs
            shutil.rmtree(f"/tmp/ompi.h{number}.{os.geteuid()}", ignore_errors=True)

    # Jobs.

    def environment(self):
        env = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
        env.update({
            "OMPI_MCA_plm_rsh_agent": str(self.directory / "agent"),
            "OMPI_MCA_pml": "ob1",
            "OMPI_MCA_btl": "self,vader,tcp",
            "OMPI_MCA_btl_tcp_if_include": "10.77.0.0/24",
            "OMPI_MCA_oob_tcp_if_include": "10.77.0.0/24",
            "OMPI_MCA_mpi_yield_when_idle": "1",
            "OMPI_MCA_btl_vader_single_copy_mechanism": "none",
        })
        return env

    def start(self, line, hosts, ranks_a_host=1, on=None, directory=None):
        """mpirun on the host of number `on` (the first of `hosts` if not said), ranks on `hosts`."""
        names = ",".join(f"10.77.0.{number}:{ranks_a_host}" for number in hosts)
        launcher = self.hosts[(on or hosts[0]) - 1]
        mpirun = ["mpirun", "--host", names, "-n", str(ranks_a_host * len(hosts)), "--map-by", "ppr:%d:node" % ranks_a_host,
                  "--oversubscribe", "--bind-to", "none", *map(str, line)]
        return subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *launcher.inside(*mpirun)], cwd=directory,
                                env=self.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    @staticmethod
    def finish(job, seconds):
        """What the job has written until its end; it is killed after so many seconds."""
        try:
            return job.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            job.kill()
            out, err = job.communicate()
            return out, f"{err}(killed after {seconds} s)"

    def wait_until_empty(self, seconds):
        """Processes that are left on any host after so many seconds; returns as soon as there are none."""
        deadline = time.monotonic() + seconds
        while (left := self.left()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return left

    def left(self):
        """Processes on any host."""
        return [process for host in self.hosts for process in host.processes()]

    # Faults, each undone by mend().

    def link_down(self, number):
        self.switch.run("ip", "link", "set", f"e{number}", "down")

    def lose_packets(self, number):
        """Every packet to and from this host is lost, while its link stays up."""
        self.switch.run("bridge", "link", "set", "dev", f"e{number}", "state", "0")

    def limit(self, number, rate):
        """Both directions of a host's link."""
        shape = ("root", "tbf", "rate", rate, "burst", "64kb", "latency", "50ms")
        self.switch.run("tc", "qdisc", "replace", "dev", f"e{number}", *shape)
        self.hosts[number - 1].run("tc", "qdisc", "replace", "dev", "eth0", *shape)

    def mend(self, number):
        self.switch.run("ip", "link", "set", f"e{number}", "up")
        self.switch.run("bridge", "link", "set", "dev", f"e{number}", "state", "3")
        with contextlib.suppress(Unavailable):
            self.switch.run("tc", "qdisc", "del", "dev", f"e{number}", "root")
            self.hosts[number - 1].run("tc", "qdisc", "del", "dev", "eth0", "root")
        # Whoever asks for an address while the link comes back may be told that the host cannot be reached, for a second after it can.
        for host in self.hosts:
            host.run("ip", "neigh", "flush", "dev", "eth0")

    def sent(self, number):
        """Bytes that have left this host, by its interface's counter."""
        shown = json.loads(self.hosts[number - 1].run("ip", "-j", "-s", "link", "show", "dev", "eth0"))
        return shown[0]["stats64"]["tx"]["bytes"]


class Place:
    """What the parts share: hosts, programs, data, and one line a case."""

    def __init__(self, hosts, program, traffic):
        self.hosts = hosts
        self.program = program
        self.traffic = traffic
        self.directory = hosts.directory
        write_data(self.directory)

    def path(self, name):
        return self.directory / name

    def train(self, learner, model, *more):
        return [self.program, "train", learner, *WORDS[learner], "--threads", "1", "--output", model, *more]

    def report(self, name, problem, figures=""):
        """Prints the case; 1 if there is a problem."""
        print(f"{'FAILED' if problem else 'ok'}: {name}{': ' + figures if figures else ''}"
              f"{': ' + problem if problem else ''}", flush=True)
        return 1 if problem else 0

    def run_alone(self, words):
        """One process, off the hosts: what the others are compared with."""
        run([*map(str, words)], cwd=self.directory)

    def alone(self, learner, model):
        self.run_alone(self.train(learner, model))
        return self.path(model).read_bytes()

    def forget(self, name):
        shutil.rmtree(self.path(name), ignore_errors=True)


WORDS = {
    "kmeans": ["--input", "points.csv", "--k", "8", "--max-iter", "15", "--exclude", "label"],
    "logistic": ["--input", "points.csv", "--max-iter", "15", "--reg-param", "0.01"],
    "als": ["--input", "ratings.csv", "--max-iter", "8"],
}


def write_data(directory):
    draw = random.Random(5)
    with open(directory / "points.csv", "w", encoding="ascii") as file:
        file.write(",".join(f"x{j}" for j in range(8)) + ",label\n")
        for _ in range(6000):
            row = [draw.gauss(0, 1) for _ in range(8)]
            file.write(",".join(map(repr, row)) + f",{int(row[0] - row[1] + draw.gauss(0, 1) > 0)}\n")
    with open(directory / "ratings.csv", "w", encoding="ascii") as file:
        file.write("user,item,rating\n")
        for _ in range(8000):
            file.write(f"{draw.randrange(700)},{draw.randrange(300)},{draw.randrange(1, 11) / 2}\n")
