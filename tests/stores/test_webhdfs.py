# SPDX-License-Identifier: Apache-2.0
"""Ranks near their blocks, and outputs, against small servers that answer as WebHDFS does and say which rank asked for what: the user's
name is that of the rank. What a NameNode and DataNodes do stands in test_hdfs.py."""

import http.server
import json
import pathlib
import random
import re
import sys
import threading
import unittest
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cli"))
from support import FIRESTEEL, MPIRUN, CliTest, classification_csv, run_line
from webhdfs_server import WebHdfs

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


class Outputs(CliTest):
    def setUp(self):
        super().setUp()
        self.server = WebHdfs()
        self.addCleanup(self.server.close)

    def run_ranks(self, ranks, *words, code=0, **env):
        line = [MPIRUN, "-n", str(ranks), "--oversubscribe", "--bind-to", "none", "sh", "-c", START, "sh", FIRESTEEL, *words]
        result = run_line(line, cwd=self.directory, NO_PROXY="*", no_proxy="*", **{"FIRESTEEL_STORE_ATTEMPTS": "3"} | env)
        self.assertEqual(result.code, code, result)
        return result

    def url(self, path):
        return self.server.url + path


class Parts(Outputs):
    def setUp(self):
        super().setUp()
        self.write("a.csv", classification_csv(300, 3))
        self.succeed("convert", "a.csv", "e.csv")

    def convert(self, ranks, code=0, **env):
        return self.run_ranks(ranks, "convert", "a.csv", self.url("/d/p.csv/"), "--quiet", code=code, **{"FIRESTEEL_BLOCK_ROWS": "32"} | env)

    def same(self):
        self.run_ranks(2, "convert", self.url("/d/p.csv"), "b.csv", "--quiet")
        self.assertEqual(self.read("b.csv"), self.read("e.csv"))

    def test_there_and_back(self):
        for ranks in (3, 1, 4):
            self.server.log.clear()
            self.convert(ranks)
            self.assertEqual(len(self.server.names("/d/p.csv")), ranks + 1)
            self.assertEqual(self.server.names("/d"), [])
            self.same()
        sent = self.server.sent()
        rows = sum(sent.values())
        self.assertEqual(len(sent), 4)  # each rank its own
        self.assertLess(max(sent.values()), rows * 0.4, sent)

    def test_faults(self):
        """What was there before stays, and nothing else."""
        for there in (False, True):
            before = dict(self.server.files)
            for who, what in (("rank1", "CREATE"), ("rank0", "RENAME"))[there:]:
                self.server.fault = lambda user, operation, path: 500 if (user, operation) == (who, what) and self.late(path) else None
                self.marked = False
                result = self.convert(3, code=74)
                self.check_failure(result, 74, "failed: the server says 500")
                self.assertEqual(self.server.files, before, (there, who, what))
                self.assertEqual("/d/p.csv" in self.server.directories, there)
            self.server.fault = lambda *_: None
            self.convert(2)
        self.same()

    def late(self, path):
        """After the job has marked the directory."""
        self.marked = self.marked or any("_unfinished" in each for each in self.server.files)
        return self.marked

    def test_an_answer_that_is_lost(self):
        """The manifest is there, though the server never said so."""
        lost = []
        self.server.fault = lambda user, operation, path: (
            "lost" if operation == "RENAME" and len([each for each in self.server.files if "part-" in each]) == 2 and not lost.append(path) and
            len(lost) == 1 else None)
        self.convert(2)
        self.assertEqual(len(lost), 2)  # it was asked again, and the file was not there any more
        self.server.fault = lambda *_: None
        self.same()

    def test_a_store_that_dies(self):
        self.server.fault = lambda user, operation, path: "kill" if operation == "CREATE" and user == "rank1" else None
        message = self.check_failure(self.convert(3, code=74), 74, "/d/p.csv/part-00001")
        self.assertIn("failed: ", message)


class Pieces(Outputs):
    """One file that all ranks send, each its own bytes."""

    def setUp(self):
        super().setUp()
        self.write("a.csv", classification_csv(8000, 18))  # 2.8 MB, and 1.2 MB as HDF5
        self.succeed("convert", "a.csv", "e.csv")
        self.succeed("convert", "a.csv", "e.h5")

    def convert(self, name, ranks=3, code=0):
        self.server.log.clear()
        return self.run_ranks(ranks, "convert", "a.csv", self.url("/d/" + name), "--quiet", code=code, FIRESTEEL_BLOCK_ROWS="32")

    def check(self, name):
        self.assertEqual(self.server.files, {"/d/" + name: self.read("e." + name.split(".")[-1])})

    def test_bytes_by_rank(self):
        for name, ranks in (("a.csv", 4), ("a.csv", 2), ("b.h5", 3)):
            self.convert(name, ranks)
            self.check(name)
            sent = self.server.sent()
            self.assertEqual(sorted(sent), [f"rank{rank}" for rank in range(ranks)])
            self.assertLess(max(sent.values()), 1.1 * sum(sent.values()) / ranks, sent)
            self.server.files.clear()

    def test_parquet_and_arrow_are_written_by_all(self):
        """Batches of 8 MiB, of texts and of what is missing, that lie across ranks; ORC goes through rank 0."""
        draw = random.Random(5)
        self.write("t.csv", "x,t,label\n" + "".join(
            f"{draw.random() if row % 7 else ''},{'v' + draw.randbytes(350).hex() if row % 5 else ''},{row % 3}\n" for row in range(24000)))
        for name in ("e.parquet", "e.arrow", "e.orc"):
            result = self.run_here("sort", "t.csv", "--by", "label", "--output", name, "--quiet")
            if result.code == 69:
                self.skipTest("built without Apache Arrow")
            for ranks, more in ((2, ()), (3, ("--memory", "256M")), (4, ())):
                self.server.log.clear()
                self.run_ranks(ranks, "sort", "t.csv", "--by", "label", "--output", self.url("/d/" + name), "--quiet", *more)
                self.assertEqual(self.server.files.pop("/d/" + name), self.read(name), (name, ranks))
                self.assertEqual(self.server.files, {})
                sent = self.server.sent()
                self.assertLess(max(sent.values()), len(self.read(name)) * (1.1 if name == "e.orc" else 0.7), (name, sent))
        # Rank 2 cannot send what it has written.
        self.server.files["/d/e.parquet"] = b"older"
        self.server.fault = lambda user, operation, path: 500 if (user, operation) == ("rank2", "CREATE") else None
        result = self.run_ranks(3, "sort", "t.csv", "--by", "label", "--output", self.url("/d/e.parquet"), "--quiet", code=74)
        self.check_failure(result, 74, "/d/e.parquet failed: the server says 500")
        self.assertEqual(self.server.files, {"/d/e.parquet": b"older"})

    def test_servers_that_do_not_join(self):
        self.server.fault = lambda user, operation, path: 403 if operation == "CONCAT" else None
        self.convert("a.csv")
        self.check("a.csv")
        self.assertGreaterEqual(self.server.sent()["rank0"], len(self.read("e.csv")))

    def test_an_answer_that_is_lost(self):
        for lost in ("CONCAT", "RENAME"):
            self.server.fault = lambda user, operation, path: "lost" if operation == lost and not any(
                operation == each[1] for each in self.server.log) else None
            self.convert("a.csv")
            self.check("a.csv")

    def test_a_piece_that_fails(self):
        self.server.files["/d/a.csv"] = b"older"
        for who, what in (("rank2", "CREATE"), ("rank0", "CONCAT")):
            self.server.fault = lambda user, operation, path: 500 if (user, operation) == (who, what) else None
            result = self.convert("a.csv", code=74)
            self.check_failure(result, 74, "writing hdfs://", "/d/a.csv failed: the server says 500", "(after 3 attempts)")
            self.assertEqual(self.server.files, {"/d/a.csv": b"older"})


if __name__ == "__main__":
    unittest.main()
