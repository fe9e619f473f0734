# SPDX-License-Identifier: Apache-2.0
"""HDFS, YARN and MapReduce of Apache Hadoop on this machine, for word_count.py. No script of its own; needs Java and Maven, which
fetches the jars once, into build/bench/hadoop."""

import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "stores"))
from hdfs_server import HdfsServer, free_ports

JARS = ROOT / "build" / "bench" / "hadoop"
# Two tasks of 1 GB at a time beside the job's master, on two cores. Reducers begin when maps have ended: before, they would take a
# map's place.
TASKS = 2
MEMORY_MB = 1024
OPENS = "--add-opens=java.base/java.lang=ALL-UNNAMED"


def fetch_jars():
    if JARS.exists():
        return
    part = JARS.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    done = subprocess.run(["mvn", "-q", "-B", "-f", str(ROOT / "bench" / "hadoop_pom.xml"), "dependency:copy-dependencies",
                           "-DincludeScope=runtime", f"-DoutputDirectory={part}"])
    if done.returncode != 0:
        sys.exit("Maven could not fetch Hadoop's jars")
    part.rename(JARS)


class Hadoop(HdfsServer):
    """A NameNode, a DataNode, a ResourceManager, a NodeManager and a history server; blocks of 128 MiB. close() ends them."""

    def __init__(self, place):
        fetch_jars()
        super().__init__(library=JARS, place=place, dfs__blocksize=128 << 20)
        try:
            self.configure_yarn()
            for name in ("yarn.server.resourcemanager.ResourceManager", "yarn.server.nodemanager.NodeManager",
                         "mapreduce.v2.hs.JobHistoryServer"):
                self.start("org.apache.hadoop." + name)
            self.wait_for_node()
        except BaseException:
            self.close()
            raise

    def configure_yarn(self):
        (manager, scheduler, tracker, admin, self.manager_http, node, localizer, node_http, shuffle, history, history_http,
         history_admin) = (f"127.0.0.1:{port}" for port in free_ports(12))
        classpath = f"{self.directory},{self.library}/*"
        self.configure("yarn-site.xml", {
            "yarn.resourcemanager.address": manager, "yarn.resourcemanager.scheduler.address": scheduler,
            "yarn.resourcemanager.resource-tracker.address": tracker, "yarn.resourcemanager.admin.address": admin,
            "yarn.resourcemanager.webapp.address": self.manager_http, "yarn.nodemanager.address": node,
            "yarn.nodemanager.localizer.address": localizer, "yarn.nodemanager.webapp.address": node_http,
            "yarn.nodemanager.hostname": "127.0.0.1", "yarn.nodemanager.aux-services": "mapreduce_shuffle",
            "yarn.nodemanager.local-dirs": f"{self.directory}/local", "yarn.nodemanager.log-dirs": f"{self.directory}/logs",
            "yarn.nodemanager.disk-health-checker.max-disk-utilization-per-disk-percentage": 100,
            "yarn.nodemanager.vmem-check-enabled": "false", "yarn.nodemanager.resource.cpu-vcores": 8,
            "yarn.nodemanager.resource.memory-mb": (TASKS + 1) * MEMORY_MB, "yarn.scheduler.minimum-allocation-mb": MEMORY_MB,
            "yarn.scheduler.maximum-allocation-mb": MEMORY_MB, "yarn.scheduler.capacity.maximum-am-resource-percent": 1,
            "yarn.application.classpath": classpath})
        self.configure("capacity-scheduler.xml", {
            "yarn.scheduler.capacity.root.queues": "default", "yarn.scheduler.capacity.root.default.capacity": 100,
            "yarn.scheduler.capacity.maximum-am-resource-percent": 1})
        self.configure("mapred-site.xml", {
            "mapreduce.framework.name": "yarn", "mapreduce.application.classpath": classpath,
            "mapreduce.jobhistory.address": history, "mapreduce.jobhistory.webapp.address": history_http,
            "mapreduce.jobhistory.admin.address": history_admin, "mapreduce.shuffle.port": shuffle.rsplit(":", 1)[1],
            "yarn.app.mapreduce.am.resource.mb": MEMORY_MB, "yarn.app.mapreduce.am.command-opts": f"-Xmx768m {OPENS}",
            "mapreduce.map.memory.mb": MEMORY_MB, "mapreduce.map.java.opts": f"-Xmx820m {OPENS}",
            "mapreduce.reduce.memory.mb": MEMORY_MB, "mapreduce.reduce.java.opts": f"-Xmx820m {OPENS}",
            "mapreduce.task.io.sort.mb": 256, "mapreduce.job.reduces": TASKS,
            "mapreduce.job.reduce.slowstart.completedmaps": 1})

    def wait_for_node(self):
        self.poll("YARN", lambda: '"activeNodes":1' in self.open(
            f"http://{self.manager_http}/ws/v1/cluster/metrics").decode().replace(" ", ""))

    def run(self, name, *words):
        """A class of Hadoop's, to its end; what it prints."""
        done = subprocess.run(self.line(name, *map(str, words)), capture_output=True, cwd=self.directory, env=self.environment())
        if done.returncode != 0:
            sys.exit(f"{name} failed: {done.stderr.decode()[-3000:]}{self.logged()}")
        return done.stdout.decode()

    def upload(self, path, name):
        self.run("org.apache.hadoop.fs.FsShell", "-put", path, name)

    def count_words(self, name, output):
        """The WordCount that comes with Hadoop, with its combiner."""
        examples = next(JARS.glob("hadoop-mapreduce-examples-*.jar"))
        self.run("org.apache.hadoop.util.RunJar", examples, "wordcount", name, output)

    def most_frequent(self, output, count):
        """Ties go to the first word."""
        lines = (line.split("\t") for line in self.run("org.apache.hadoop.fs.FsShell", "-cat", f"{output}/part-r-*").splitlines())
        return sorted(((word, int(times)) for word, times in lines), key=lambda pair: (-pair[1], pair[0]))[:count]
