# SPDX-License-Identifier: Apache-2.0
"""Inputs and outputs by hdfs://, against a NameNode and a DataNode that the test starts."""

import os
import pathlib
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cli"))
from hdfs_server import HdfsServer
from support import FIRESTEEL, MPIRUN, CliTest, classification_csv, run_line

RANKS = (None, 2, 3, 4)


class HdfsTest(CliTest):
    DATA_NODES = 1

    @classmethod
    def setUpClass(cls):
        if os.environ.get("FIRESTEEL_SKIP_SERVERS") == "1":
            raise unittest.SkipTest("FIRESTEEL_SKIP_SERVERS=1")
        cls.server = HdfsServer(cls.DATA_NODES)
        cls.addClassCleanup(cls.server.close)
        cls.environment = {"HADOOP_USER_NAME": "tester", "NO_PROXY": "*", "no_proxy": "*", "FIRESTEEL_STORE_ATTEMPTS": "3"}

    def url(self, path):
        return f"{self.server.url}/user/tester/{path}"

    def digest(self, *inputs, ranks=None, words=(), **env):
        return self.succeed("train", "logistic", "--input", *inputs, *words, "--max-iter", "2", "--threads", "2", "--output",
                            "m.h5", "--json", "--quiet", ranks=ranks, **self.environment | env).json["sha256"]

    def convert(self, source, target, ranks=None, **env):
        self.succeed("convert", "--input", source, "--output", target, "--quiet", ranks=ranks, **self.environment | env)

    def names(self, folder):
        listed = self.server.ask(f"/webhdfs/v1/user/tester/{folder}", op="LISTSTATUS", **{"user.name": "tester"})
        return sorted(each["pathSuffix"] for each in listed["FileStatuses"]["FileStatus"])

    def refuse(self, code, args, *fragments, ranks=None, **env):
        self.check_failure(self.run_here(*args, ranks=ranks, **self.environment | env), code, *fragments)


class Files(HdfsTest):
    def test_there_and_back(self):
        self.write("a.csv", classification_csv(12000, 16))  # several blocks
        expected = self.digest("a.csv")
        self.convert("a.csv", self.url("there/a b+é&x.csv"), ranks=3)
        self.assertEqual(self.names("there"), ["a b+é&x.csv"])
        for ranks in RANKS:
            self.assertEqual(self.digest(self.url("there/a b+é&x.csv"), ranks=ranks), expected, ranks)
        for name, ranks in (("a.h5", 3), ("a.npz", 2), ("a.fsp", 3), ("a.parquet", 2)):
            if self.run_here("convert", "--input", "a.csv", "--output", name).code == 69:
                continue
            self.convert("a.csv", self.url(f"there/{name}"), ranks=ranks)
            self.assertEqual(self.digest(self.url(f"there/{name}"), ranks=ranks), expected, name)
        # A file that is there is replaced as a whole, and nothing else stays.
        self.convert("a.csv", self.url("there/a.npz"))
        self.assertEqual([name for name in self.names("there") if "firesteel" in name], [])

    def test_models_folders_and_patterns(self):
        text = classification_csv(300, 3).splitlines(keepends=True)
        for part in range(3):
            self.write(f"part-{part}.csv", "".join(text[:1] + text[1 + 100 * part:101 + 100 * part]))
            self.convert(f"part-{part}.csv", self.url(f"d/k={part % 2}/part-{part}.csv"))
            self.convert(f"part-{part}.csv", self.url(f"flat/part-{part}.csv"))
        self.write("all.csv", "".join(text))
        expected = self.digest("all.csv")
        for number, name in enumerate(["flat", "fl*/part-[0-2].csv"]):
            self.assertEqual(self.digest(self.url(name), ranks=RANKS[number + 1]), expected, name)
        os.makedirs(self.path("d/k=0"))
        os.makedirs(self.path("d/k=1"))
        for part in range(3):
            os.rename(self.path(f"part-{part}.csv"), self.path(f"d/k={part % 2}/part-{part}.csv"))
        self.assertEqual(self.digest(self.url("d"), ranks=3), self.digest("d"))
        self.succeed("train", "logistic", "--input", self.url("flat"), "--max-iter", "2", "--output", self.url("m.h5"), ranks=2,
                     **self.environment)
        result = self.succeed("inspect", self.url("m.h5"), "--json", **self.environment)
        self.assertEqual(result.json["sha256"], expected)

    def test_files_in_pieces(self):
        """Blocks of 1 MiB: each rank sends its bytes, and HDFS puts them together."""
        self.write("a.csv", classification_csv(24000, 16))  # 7.7 MB
        self.succeed("convert", "a.csv", "e.csv")
        self.convert("a.csv", "e.h5")
        self.convert("a.csv", "e.fsp")
        self.server.put("/user/tester/pieces/e.csv", b"older")
        for name, ranks in (("e.csv", 4), ("e.h5", 3), ("e.fsp", 3), ("e.csv", 2), ("e.fsp", 2)):
            self.convert("a.csv", self.url("pieces/" + name), ranks=ranks)
            self.assertEqual(self.server.get(f"/user/tester/pieces/{name}"), self.read(name))
            # A block that is not full ends each piece; a file of one writer has none but the last.
            self.assertEqual(sum(length < 1 << 20 for length in self.blocks("pieces/" + name)), ranks, name)
        self.assertEqual(self.names("pieces"), ["e.csv", "e.fsp", "e.h5"])
        expected = self.digest("e.csv")
        self.assertEqual(self.digest(self.url("pieces/e.csv"), ranks=3), expected)
        for ranks in RANKS:
            self.assertEqual(self.digest(self.url("pieces/e.fsp"), ranks=ranks), expected, ranks)
        self.assertEqual(self.digest(self.url("pieces/e.fsp"), ranks=2, words=("--memory", "300M")), expected)

    def test_parquet_and_arrow_in_pieces(self):
        """Batches of 8 MiB, each by the rank that has most of it."""
        self.write("a.csv", classification_csv(26000, 48))
        for name, ranks in (("e.arrow", 3), ("e.parquet", 2)):
            if self.run_here("convert", "a.csv", name, "--quiet").code == 69:
                self.skipTest("built without Apache Arrow")
            self.convert("a.csv", self.url("pieces/" + name), ranks=ranks)
            self.assertEqual(self.server.get(f"/user/tester/pieces/{name}"), self.read(name))
            self.assertGreater(sum(length < 1 << 20 for length in self.blocks("pieces/" + name)), 1, name)
            self.assertEqual(self.digest(self.url("pieces/" + name), ranks=3), self.digest("a.csv"), name)

    def blocks(self, path):
        answer = self.server.ask(f"/webhdfs/v1/user/tester/{path}", op="GETFILEBLOCKLOCATIONS", **{"user.name": "tester"})
        return [block["length"] for block in answer["BlockLocations"]["BlockLocation"]]

    def test_outputs_in_parts(self):
        self.write("a.csv", classification_csv(300, 3))
        self.succeed("convert", "a.csv", "e.csv")
        for ranks in (3, None, 2):  # the second and third take the place of another
            self.convert("a.csv", self.url("parts/p.csv/"), ranks=ranks, FIRESTEEL_BLOCK_ROWS="32")
            names = self.names("parts/p.csv")
            self.assertEqual([name[:10] for name in names], ["_manifest."] + [f"part-{rank:05}" for rank in range(ranks or 1)])
            self.convert(self.url("parts/p.csv"), "b.csv", ranks=2)
            self.assertEqual(self.read("b.csv"), self.read("e.csv"))
        self.assertEqual(self.names("parts"), ["p.csv"])
        self.server.put("/user/tester/theirs/p.csv/x.csv", b"x\n")
        self.refuse(73, ["convert", "a.csv", self.url("theirs/p.csv/")], "not written by firesteel", ranks=2)
        self.refuse(73, ["convert", "a.csv", self.url("parts/p.csv/")], "AccessControlException", HADOOP_USER_NAME="stranger")

    def test_what_is_refused(self):
        train = ["train", "kmeans", "--output", "m.h5", "--input"]
        self.refuse(66, [*train, self.url("absent.csv")], "absent.csv': it does not exist", ranks=2)
        self.refuse(66, [*train, self.url("absent*.csv")], "no file matches this pattern")
        self.refuse(69, [*train, "hdfs://127.0.0.1:9/a.csv"], "cannot read 'hdfs://127.0.0.1:9/a.csv'")
        self.write("a.csv", classification_csv(50, 2))
        self.convert("a.csv", self.url("mine.csv"))
        self.refuse(73, ["train", "kmeans", "--input", "a.csv", "--output", f"{self.server.url}/user/tester"], "Is a directory")
        self.refuse(73, ["train", "kmeans", "--input", "a.csv", "--output", self.url("m.h5")], "AccessControlException",
                    HADOOP_USER_NAME="stranger")


class Near(HdfsTest):
    """Ranks that say by FIRESTEEL_HOST that they are on the machines of two DataNodes, in turn."""

    DATA_NODES = 2

    def hosts_of(self, path):
        answer = self.server.ask(f"/webhdfs/v1/user/tester/{path}", op="GETFILEBLOCKLOCATIONS", **{"user.name": "tester"})
        return {host for block in answer["BlockLocations"]["BlockLocation"] for host in block["hosts"]}

    def files_by_host(self, each):
        """Names of `each` files of one block on either host: the NameNode puts them where it likes."""
        found = {host: [] for host in self.server.hosts}
        for number in range(60):
            name = f"part-{number}.csv"
            self.write(name, classification_csv(2000, 6, seed=number))  # 240 KB: one block
            self.convert(name, self.url(f"near/{name}"))
            found[self.hosts_of(f"near/{name}").pop()].append(name)
            if min(map(len, found.values())) >= each:
                return [names[:each] for names in found.values()]
        raise AssertionError(f"the NameNode puts all blocks on one host: {found}")

    def train(self, names, *words, ranks=4, host="127.0.0.$((2 + OMPI_COMM_WORLD_RANK % 2))", output="m.h5", code=0):
        line = [MPIRUN, "-n", str(ranks), "--oversubscribe", "--bind-to", "none", "sh", "-c", f'FIRESTEEL_HOST={host} exec "$@"', "sh",
                FIRESTEEL, "train", "logistic", "--input", *names, "--max-iter", "3", "--output", output, "--json", "--verbose", *words]
        result = run_line(line, cwd=self.directory, **self.environment)
        self.assertEqual(result.code, code, result)
        return result

    def test_ranks_are_where_their_blocks_are(self):
        first, second = self.files_by_host(2)
        expected = self.succeed("train", "logistic", "--input", *first, *second, "--max-iter", "3", "--output", "m.h5", "--json").json
        names = [self.url(f"near/{name}") for name in first + second]
        # The second and third share lie on the host of the third and the second rank.
        result = self.train(names)
        said = re.search(r"hdfs: of the bytes to be read (\d+) % lie on .*; (\d+) % would in the order", result.err)
        self.assertTrue(said, result)
        self.assertGreaterEqual(int(said[1]), 95, result)  # shares end where files do, but for a few rows
        self.assertLess(abs(int(said[2]) - 50), 5, result)
        self.assertEqual(result.json["sha256"], expected["sha256"])
        self.assertEqual(result.json["ranks"], 4)
        self.assertEqual(len(re.findall(r"^4 ranks x", result.err, re.M)), 1, result)  # one rank speaks
        # A rank that has nothing near it, and hosts that have nothing at all.
        for ranks, host in ((3, "127.0.0.$((2 + OMPI_COMM_WORLD_RANK))"), (4, "10.255.0.$OMPI_COMM_WORLD_RANK")):
            result = self.train(names, ranks=ranks, host=host)
            self.assertIn("hdfs: of the bytes to be read", result.err, result)
            self.assertEqual(result.json["sha256"], expected["sha256"], host)

    def test_what_follows_is_that_of_other_jobs(self):
        first, second = self.files_by_host(2)
        names = [self.url(f"near/{name}") for name in first + second]
        expected = self.succeed("train", "logistic", "--input", *first, *second, "--max-iter", "3", "--output", "m.h5", "--json").json
        result = self.train(names, "--checkpoint", "c", "--memory", "200M", output=self.url("near/m.h5"))
        self.assertEqual(result.json["sha256"], expected["sha256"])
        self.assertIn("in the order in which ranks were started", result.err, result)
        # One message where a rank with another number fails, and where the input is not there.
        self.write("bad.csv", "x0,x1,x2,x3,x4,x5,label\n1,2,3,4,5,oops,0\n")
        self.server.put("/user/tester/near/bad.csv", self.read("bad.csv"))
        for wrong, code, fragment in (("near/bad.csv", 65, "bad.csv:2:6"), ("absent.csv", 66, "absent.csv")):
            result = self.train([*names, self.url(wrong)], code=code)
            self.assertEqual(len(result.lines("firesteel: ")), 1, result)
            self.assertIn(fragment, result.lines("firesteel: ")[0], result)


class Dying(HdfsTest):
    def test_a_data_node_that_dies(self):
        self.write("a.csv", classification_csv(200, 4))
        self.convert("a.csv", self.url("dying.csv"))
        self.server.data_node.kill()
        self.server.data_node.wait()
        self.refuse(74, ["train", "kmeans", "--output", "m.h5", "--input", self.url("dying.csv")], "dying.csv", ranks=3)


if __name__ == "__main__":
    unittest.main()
