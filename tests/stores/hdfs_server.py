# SPDX-License-Identifier: Apache-2.0
"""A real NameNode and DataNodes on this machine, for tests."""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
JAVA_OPTIONS = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in ("java.lang", "java.util", "java.net")] + [
    "-Xmx256m", "-Djava.net.preferIPv4Stack=true", "-Dlog4j.configuration=file:log4j.properties"]


class Missing(Exception):
    """The server cannot be had here."""


def free_ports(count):
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


class HdfsServer:
    """self.url is hdfs://127.0.0.1:PORT of WebHDFS; blocks have 1 MiB, each on one of the DataNodes, which are the hosts 127.0.0.2,
    127.0.0.3, …"""

    name_host = "127.0.0.1"

    def __init__(self, data_nodes=1, library=None, place=None, hosts=None, **settings):
        """`settings` replace those of hdfs-site.xml, with __ for a dot; data lie in a directory in `place`; `hosts` are other addresses
        for the DataNodes."""
        self.library = pathlib.Path(library or os.environ.get("FIRESTEEL_HDFS_JARS") or REPOSITORY / "build" / "servers" / "hdfs")
        self.processes = []
        if not any(self.library.glob("hadoop-hdfs-[0-9]*.jar")) or not shutil.which("java"):
            raise Missing(f"no Java, or no jars in {self.library}: scripts/test --full fetches them; FIRESTEEL_SKIP_SERVERS=1 "
                          "leaves these tests out")
        self.directory = tempfile.mkdtemp(prefix="firesteel-hdfs-", dir=place)
        rpc, self.http, *ports = free_ports(2 + 3 * len(hosts or range(data_nodes)))
        self.configure("core-site.xml", {"fs.defaultFS": f"hdfs://{self.name_host}:{rpc}", "hadoop.tmp.dir": self.directory + "/data",
                                         "hadoop.security.token.service.use_ip": "true"})
        common = {
            "dfs.replication": 1, "dfs.namenode.http-address": f"{self.name_host}:{self.http}", "dfs.client.use.datanode.hostname": "true",
            "dfs.namenode.datanode.registration.ip-hostname-check": "false", "dfs.namenode.safemode.extension": 0,
            "dfs.namenode.safemode.threshold-pct": 0, "dfs.blocksize": 1 << 20, "dfs.namenode.fs-limits.min-block-size": 1024,
            "dfs.permissions.superusergroup": "nobody"} | {name.replace("__", "."): value for name, value in settings.items()}
        self.configure("hdfs-site.xml", common)
        self.hosts = hosts or [f"127.0.0.{2 + number}" for number in range(data_nodes)]
        for number, host in enumerate(self.hosts):
            data, data_http, data_ipc = ports[3 * number:3 * number + 3]
            os.makedirs(f"{self.directory}/{host}")
            self.configure(f"{host}/hdfs-site.xml", common | {
                "dfs.datanode.hostname": host, "dfs.datanode.address": f"{host}:{data}", "dfs.datanode.http.address": f"{host}:{data_http}",
                "dfs.datanode.ipc.address": f"{host}:{data_ipc}", "dfs.datanode.data.dir": f"{self.directory}/{host}/data"})
        with open(self.directory + "/log4j.properties", "w") as file:
            file.write("log4j.rootLogger=WARN,A\nlog4j.appender.A=org.apache.log4j.ConsoleAppender\nlog4j.appender.A.target=System.err\n"
                       "log4j.appender.A.layout=org.apache.log4j.PatternLayout\nlog4j.appender.A.layout.ConversionPattern=%d %p %c: %m%n\n")
        for pages in ("hdfs", "datanode", "static"):  # of the web interface, which has to have some
            os.makedirs(f"{self.directory}/webapps/{pages}")
        self.log = open(self.directory + "/log", "w+")
        try:
            node = "org.apache.hadoop.hdfs.server.namenode.NameNode"
            formatted = subprocess.run(self.line(node, "-format", "-nonInteractive", "-force"), stdout=self.log, stderr=self.log,
                                       cwd=self.directory, env=self.environment())
            assert formatted.returncode == 0, self.logged()
            self.start(node)
            for host in self.hosts:
                self.data_node = self.start("org.apache.hadoop.hdfs.server.datanode.DataNode", host)
            self.wait()
        except BaseException:
            self.close()
            raise
        self.url = f"hdfs://{self.name_host}:{self.http}"

    def configure(self, name, values):
        with open(f"{self.directory}/{name}", "w") as file:
            file.write("<configuration>" + "".join(f"<property><name>{key}</name><value>{value}</value></property>\n"
                                                   for key, value in values.items()) + "</configuration>\n")

    def environment(self):
        return dict(os.environ, HADOOP_USER_NAME="tester")

    def line(self, name, *words, host=""):
        return ["java", *JAVA_OPTIONS, "-cp", f"{self.directory}/{host}:{self.directory}:{self.library}/*", name, *words]

    def start(self, name, host=""):
        self.processes.append(subprocess.Popen(self.line(name, host=host), stdout=self.log, stderr=self.log, cwd=self.directory,
                                               env=self.environment()))
        return self.processes[-1]

    def logged(self):
        self.log.flush()
        return pathlib.Path(self.log.name).read_text()[-3000:]

    def open(self, request):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=10) as answer:
            return answer.read()

    def ask(self, path, method="GET", **query):
        words = "&".join(f"{name}={value}" for name, value in query.items())
        return json.loads(self.open(urllib.request.Request(f"http://{self.name_host}:{self.http}{path}?{words}", method=method)))

    def put(self, path, data):
        place = self.ask(path="/webhdfs/v1" + path, method="PUT", op="CREATE", noredirect="true", **{"user.name": "tester"})["Location"]
        self.open(urllib.request.Request(place, data=data, method="PUT", headers={"Content-Type": "application/octet-stream"}))

    def get(self, path):
        return self.open(f"http://{self.name_host}:{self.http}/webhdfs/v1{path}?op=OPEN&user.name=tester")

    def wait(self):
        def is_up():
            beans = self.ask("/jmx", qry="Hadoop:service=NameNode,name=FSNamesystemState")["beans"]
            return beans and beans[0]["NumLiveDataNodes"] == len(self.hosts)

        self.poll("HDFS", is_up)

    def poll(self, name, is_up):
        for _ in range(1200):
            assert all(process.poll() is None for process in self.processes), self.logged()
            try:
                if is_up():
                    return
            except OSError:
                pass
            time.sleep(0.1)
        raise RuntimeError(f"{name} does not start: " + self.logged())

    def close(self):
        for process in self.processes:
            process.kill()
            process.wait()
        self.log.close()
        shutil.rmtree(self.directory, ignore_errors=True)
