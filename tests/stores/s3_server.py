# SPDX-License-Identifier: Apache-2.0
"""S3 servers for tests: versitygw over a directory, or moto behind a check of every signature by botocore."""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

KEY = "firesteel-test"
SECRET = "not+a/secret="
REGION = "eu-central-1"
REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
SERVERS = REPOSITORY / "build" / "servers"
NO_PROXY = {"NO_PROXY": "*", "no_proxy": "*"}


class Missing(Exception):
    """A server cannot be had here."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class S3Server:
    """Has a bucket called `bucket` and listens at self.url until close(). `environment` is what a client needs."""

    def __init__(self, kind):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        if kind == "versitygw":
            program = os.environ.get("FIRESTEEL_VERSITYGW") or SERVERS / "versitygw" / "versitygw"
            words = ["--port", f"127.0.0.1:{self.port}", "--region", REGION, "posix", "files"]
        else:
            program = os.environ.get("FIRESTEEL_MOTO") or SERVERS / "moto.venv" / "bin" / "python"
            words = [str(pathlib.Path(__file__).with_name("checked_moto.py")), str(self.port)]
        self.words = words
        if not os.path.exists(program):
            raise Missing(f"{program} is not there: scripts/test makes it; FIRESTEEL_SKIP_SERVERS=1 leaves these tests out")
        self.directory = tempfile.mkdtemp(prefix="firesteel-s3-")
        os.makedirs(self.directory + "/files/bucket")
        self.log = open(self.directory + "/log", "w+")
        self.process = subprocess.Popen([str(program), *words], stdout=self.log, stderr=self.log, cwd=self.directory,
                                        env=dict(os.environ, ROOT_ACCESS_KEY=KEY, ROOT_SECRET_KEY=SECRET))
        self.environment = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": REGION,
                            "AWS_ENDPOINT_URL": self.url, "AWS_CONFIG_FILE": "/dev/null",
                            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", **NO_PROXY}
        self.wait()

    def wait(self):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        for _ in range(600):
            if self.process.poll() is not None:
                break
            try:
                opener.open(self.url, timeout=5)
                return
            except urllib.error.HTTPError:
                return  # it answers
            except OSError:
                time.sleep(0.1)
        self.log.seek(0)
        text = self.log.read()
        self.close()
        raise RuntimeError("the S3 server does not start: " + text)

    def state(self):
        """What moto says of itself."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        return json.loads(opener.open(self.url + "/-/state", timeout=10).read())

    def keys(self, prefix):
        """The names of objects that begin with `prefix`, without it."""
        files = pathlib.Path(self.directory, "files", "bucket")
        names = ([str(path.relative_to(files)) for path in files.rglob("*") if path.is_file()] if "posix" in self.words else
                 self.state()["keys"])
        return sorted(name.removeprefix(prefix) for name in names if name.startswith(prefix))

    def put(self, key, data):
        """Makes an object by another way than a client's."""
        if "posix" in self.words:
            path = pathlib.Path(self.directory, "files", "bucket", key)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            return
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        opener.open(urllib.request.Request(f"{self.url}/-/put/{key}", data=data, method="PUT"), timeout=10).read()

    def close(self):
        self.process.kill()
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.directory, ignore_errors=True)
