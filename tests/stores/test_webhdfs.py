# SPDX-License-Identifier: Apache-2.0
"""Ranks near their blocks, against a small server that answers as WebHDFS does and says which rank asked it for what: the user's
name is that of the rank. What a NameNode and DataNodes do stands in test_hdfs.py."""

import http.server
import json
import pathlib
import re
import sys
import threading
import unittest
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cli"))
from support import FIRESTEEL, MPIRUN, CliTest, classification_csv, run_line

START = """
FIRESTEEL_HOST=node$((OMPI_COMM_WORLD_RANK % 2)) HADOOP_USER_NAME=rank$OMPI_COMM_WORLD_RANK exec "$@"
"""


class Answers(http.server.BaseHTTPRequestHandler):
    """server.data: the file; server.blocks: what it says of them, a text; server.log: (user, operation, offset, length)."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlparse(self.path).query))
        offset, length = int(query.get("offset", 0)), int(query.get("length", len(self.server.data)))
        self.server.log.append((query["user.name"], query["op"], offset, length))
        if query["op"] == "OPEN":
            self.answer(200, self.server.data[offset:offset + length])
        elif query["op"] == "GETFILESTATUS":
            status = {"pathSuffix": "", "type": "FILE", "length": len(self.server.data), "modificationTime": 7}
            self.answer(200, json.dumps({"FileStatus": status}).encode())
        else:
            self.answer(self.server.status, self.server.blocks.encode())

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def blocks(*hosts, length):
    return json.dumps({"BlockLocations": {"BlockLocation": [
        {"offset": number * length, "length": length, "corrupt": False, "hosts": [host], "names": [f"10.9.9.{number}:9866"]}
        for number, host in enumerate(hosts)]}})


class NearBlocks(CliTest):
    def setUp(self):
        super().setUp()
        self.write("a.csv", classification_csv(20000, 8))  # 3 MB
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.server.data, self.server.log, self.server.status, self.server.blocks = self.read("a.csv"), [], 200, ""
        self.quarter = len(self.server.data) // 4
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.expected = self.succeed(*self.words("a.csv")).json["sha256"]

    def words(self, source):
        return ["train", "logistic", "--input", source, "--max-iter", "2", "--output", "m.h5", "--json", "--verbose"]

    def train(self):
        """What it says of blocks; rank as started → the quarters it has fetched most of."""
        self.server.log.clear()
        url = f"hdfs://127.0.0.1:{self.server.server_address[1]}/a.csv"
        result = run_line([MPIRUN, "-n", "4", "--oversubscribe", "--bind-to", "none", "sh", "-c", START, "sh", FIRESTEEL, *self.words(url)],
                          cwd=self.directory, NO_PROXY="*", no_proxy="*", FIRESTEEL_STORE_ATTEMPTS="2")
        self.assertEqual(result.code, 0, result)
        self.assertEqual(result.json["sha256"], self.expected)
        fetched = [[0] * 4 for _ in range(4)]
        for user, operation, offset, length in self.server.log:
            if operation == "OPEN":
                fetched[int(user[4:])][min(3, (offset + length // 2) // self.quarter)] += length
        return re.findall(r"^hdfs: .*", result.err, re.M), [shares.index(max(shares)) for shares in fetched]

    def test_each_rank_reads_what_lies_on_its_host(self):
        self.server.blocks = blocks("node0.example.org", "NODE0", "node1", "node1", length=self.quarter + 4)
        said, quarters = self.train()
        self.assertEqual(quarters, [0, 2, 1, 3])
        self.assertEqual(len(said), 1, said)
        self.assertRegex(said[0], "of the bytes to be read (99|100) % lie on .*; (49|50) % would in the order")

    def test_ranks_stay_where_nothing_would_be_gained(self):
        for hosts in (["node0", "node1"] * 2, ["elsewhere"] * 4, ["node0"] * 4):
            self.server.blocks = blocks(*hosts, length=self.quarter + 4)
            said, quarters = self.train()
            self.assertEqual(quarters, [0, 1, 2, 3], hosts)
            self.assertRegex(said[0], "ranks as they were started", hosts)

    def test_servers_that_do_not_say_where_blocks_are(self):
        unknown = json.dumps({"RemoteException": {"exception": "IllegalArgumentException", "message": "Invalid value for op"}})
        for status, text in ((400, unknown), (503, ""), (200, "{}"), (200, "no JSON"), (200, '{"BlockLocations":{"BlockLocation":[]}}')):
            self.server.status, self.server.blocks = status, text
            said, quarters = self.train()
            self.assertEqual(quarters, [0, 1, 2, 3])
            self.assertRegex(said[0], "does not say where blocks are")
            asked = [operation for _, operation, *_ in self.server.log].count("GETFILEBLOCKLOCATIONS")
            self.assertEqual(asked, 4, (status, text))  # once by each rank, and not again


if __name__ == "__main__":
    unittest.main()
