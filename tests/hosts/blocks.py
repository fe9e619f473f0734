# SPDX-License-Identifier: Apache-2.0
"""HDFS on three hosts, a file on each: ranks read what lies on their own host, by the counters of the hosts' interfaces."""

import os
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "stores"))
from hdfs_server import HdfsServer, Missing

NUMBERS = (1, 2, 3)
REPEATED = 40  # times 0.4 MB: a file
ASK = "import sys, urllib.request\nprint(urllib.request.urlopen(sys.argv[1], timeout=10).read().decode())"


def address(number):
    return f"10.77.0.{number}"


class HdfsOnHosts(HdfsServer):
    """The NameNode is on the first host, a DataNode on each."""

    name_host = address(1)

    def __init__(self, place):
        self.spaces = {address(number): place.hosts.hosts[number - 1] for number in NUMBERS}
        self.names = place.path("hosts")  # no name service knows h1, h2, h3
        self.names.write_text("".join(f"{host} {space.name}\n" for host, space in self.spaces.items()))
        super().__init__(place=place.directory, hosts=list(self.spaces), dfs__blocksize=128 << 20)

    def line(self, name, *words, host=""):
        java, *rest = super().line(name, *words, host=host)
        return self.spaces[host or self.name_host].inside(java, f"-Djdk.net.hosts.file={self.names}", *rest)

    def open(self, request):
        try:
            return self.spaces[self.name_host].run(sys.executable, "-c", ASK, request.full_url).encode()
        except Exception as error:  # Unavailable: it does not answer yet
            raise OSError(str(error)) from error

    def put(self, path, name, host):
        """The block goes to the DataNode of the host that writes."""
        line = self.line("org.apache.hadoop.fs.FsShell", "-put", path, name, host=host)
        subprocess.run(line, check=True, cwd=self.directory, env=self.environment(), capture_output=True, timeout=120)


def write_files(place):
    for number in NUMBERS:
        rows = [f"{(row * 7 + number * 3) % 100},{row * row % 89},{row % 61}\n" for row in range(45_000)]
        place.path(f"part-{number}.csv").write_text("x,y,z\n" + "".join(rows * REPEATED))


def job(place, names, model, host):
    line = [place.program, "train", "kmeans", "--k", "3", "--max-iter", "2", "--threads", "1", "--verbose", "--output", model, "--input", *names]
    named = f"FIRESTEEL_HOST={host} " if host else ""
    before = sum(place.hosts.sent(number) for number in NUMBERS)
    start = time.monotonic()
    running = place.hosts.start(["sh", "-c", f'HADOOP_USER_NAME=tester {named}exec "$@"', "sh", *line], NUMBERS, 1, directory=place.directory)
    _, err = place.hosts.finish(running, 300)
    seconds = time.monotonic() - start
    said = [text for text in err.splitlines() if text.startswith("hdfs: ")]
    problem = "" if running.returncode == 0 else f"code {running.returncode}: {err}"
    return problem, sum(place.hosts.sent(number) for number in NUMBERS) - before, seconds, said


def compare(place, server, rate):
    """Files in an order in which two of three ranks would read from another host."""
    order = (1, 3, 2)
    local = [place.path(f"part-{number}.csv") for number in order]
    total = sum(path.stat().st_size for path in local)
    place.run_alone([place.program, "train", "kmeans", "--k", "3", "--max-iter", "2", "--threads", "1", "--output", "alone.h5", "--input", *local])
    names = [f"{server.url}/part-{number}.csv" for number in order]
    job(place, names, "first.h5", "all-the-same")  # not counted: the servers have only begun to run
    for number in NUMBERS:
        if rate:
            place.hosts.limit(number, rate)
    far_problem, far, far_s, _ = job(place, names, "far.h5", "all-the-same")
    near_problem, near, near_s, said = job(place, names, "near.h5", "")
    for number in NUMBERS:
        place.hosts.mend(number)
    problem = far_problem or near_problem
    if not problem and not all(place.path(name).read_bytes() == place.path("alone.h5").read_bytes() for name in ("far.h5", "near.h5")):
        problem = "the models differ"
    elif not problem and not (said and "33 % would" in said[0]):
        problem = f"expected a word on placing, got {said}"
    elif not problem and not (near < 0.1 * total and far > 0.6 * total):
        problem = "expected less than a tenth of the bytes on the wire, and two thirds as ranks were started"
    figures = f"of {total / 1e6:.0f} MB {near / 1e6:.1f} on the wire, {far / 1e6:.1f} as started; {near_s:.1f} s, {far_s:.1f} s"
    return place.report(f"ranks near their blocks, links of {rate or 'any speed'}", problem, figures)


def run(place):
    if os.environ.get("FIRESTEEL_SKIP_SERVERS") == "1":
        print("blocks: left out, FIRESTEEL_SKIP_SERVERS=1")
        return 0
    write_files(place)
    try:
        server = HdfsOnHosts(place)
    except Missing as reason:
        return place.report("HDFS on three hosts", str(reason))
    try:
        for number in NUMBERS:
            server.put(place.path(f"part-{number}.csv"), f"/part-{number}.csv", address(number))
        return sum(compare(place, server, rate) for rate in (None, "1gbit", "100mbit"))
    finally:
        server.close()
