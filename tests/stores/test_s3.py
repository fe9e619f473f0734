# SPDX-License-Identifier: Apache-2.0
"""Inputs and outputs by s3://, against a server that the test starts: test_s3.py versitygw|moto"""

import os
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cli"))
from s3_server import S3Server
from support import FIRESTEEL, MPIRUN, CliTest, classification_csv, run_line

KIND = sys.argv.pop(1) if len(sys.argv) > 1 else "moto"
RANKS = (None, 2, 3, 4)


class S3Test(CliTest):
    @classmethod
    def setUpClass(cls):
        if os.environ.get("FIRESTEEL_SKIP_SERVERS") == "1":
            raise unittest.SkipTest("FIRESTEEL_SKIP_SERVERS=1")
        cls.server = S3Server(KIND)
        cls.addClassCleanup(cls.server.close)
        cls.environment = cls.server.environment | {"FIRESTEEL_STORE_ATTEMPTS": "3"}

    def digest(self, *inputs, ranks=None, words=(), **env):
        return self.succeed("train", "logistic", "--input", *inputs, *words, "--max-iter", "2", "--threads", "2", "--output",
                            "m.h5", "--json", "--quiet", ranks=ranks, **self.environment | env).json["sha256"]

    def convert(self, source, target, ranks=None):
        self.succeed("convert", "--input", source, "--output", target, "--quiet", ranks=ranks, **self.environment)


class Objects(S3Test):
    def test_there_and_back(self):
        self.write("a.csv", classification_csv(3000, 8))
        expected = self.digest("a.csv")
        # Names as people and tools give them.
        for number, key in enumerate(["a.csv", "a b+c=d&e%20f'(é).csv", "k=1/x~y@z!$,;:.tsv"]):
            self.convert("a.csv", f"s3://bucket/there/{key}", ranks=(None, 2)[number % 2])
            self.assertEqual(self.digest(f"s3://bucket/there/{key}", ranks=RANKS[number]), expected, key)
        for name, ranks in (("a.h5", 3), ("a.npz", 2), ("a.jsonl", None), ("a.fsp", 4)):
            self.convert("a.csv", f"s3://bucket/there/{name}", ranks=ranks)
            self.convert("a.csv", name)
            self.convert(f"s3://bucket/there/{name}", "b.csv")
            self.convert(name, "c.csv")
            self.assertEqual(self.read("b.csv"), self.read("c.csv"), name)
        self.assertEqual(self.digest("s3://bucket/there/a.h5", ranks=4), expected)
        for ranks in RANKS:
            self.assertEqual(self.digest("s3://bucket/there/a.fsp", ranks=ranks), expected, ranks)

    def test_models_and_predictions(self):
        self.write("a.csv", classification_csv(500, 4))
        train = ["train", "logistic", "--input", "a.csv", "--max-iter", "2"]
        self.succeed(*train, "--output", "m.h5")
        self.succeed(*train, "--output", "s3://bucket/m.h5", ranks=3, **self.environment)
        self.succeed("score", "m.h5", "--input", "a.csv", "--output", "p.csv")
        self.succeed("score", "s3://bucket/m.h5", "--input", "a.csv", "--output", "s3://bucket/p.csv", ranks=3, **self.environment)
        self.convert("s3://bucket/p.csv", "q.csv")
        self.convert("p.csv", "r.csv")
        self.assertEqual(self.read("q.csv"), self.read("r.csv"))
        result = self.succeed("inspect", "s3://bucket/m.h5", "--json", **self.environment)
        self.assertEqual(result.json["sha256"], self.succeed("inspect", "m.h5", "--json").json["sha256"])

    def test_an_upload_in_parts(self):
        """More than 16 MiB: parts of 8 MiB, each by the rank that has most of it."""
        rows, columns = 60000, 36
        values = [repr(value / 64) for value in range(97)]
        self.write("wide.csv", "".join([",".join(f"c{j}" for j in range(columns)) + "\n"] +
                                       [",".join(values[(row * 31 + j) % 97] for j in range(columns)) + "\n" for row in range(rows)]))
        for name in ("a.npz", "a.csv", "a.fsp", "a.arrow"):
            if self.run_here("convert", "wide.csv", name, "--quiet").code == 69:
                continue  # built without Apache Arrow
            expected = self.read(name)
            self.assertGreater(len(expected), 2 * (8 << 20))
            line = [MPIRUN, "-n", "2", "--oversubscribe", "--bind-to", "none", "sh", "-c",
                    'AWS_SESSION_TOKEN=${TOKENS:+rank$OMPI_COMM_WORLD_RANK} exec "$@"', "sh", FIRESTEEL, "convert", "wide.csv", f"s3://bucket/parts/{name}"]
            result = run_line(line, cwd=self.directory, TOKENS="yes" if KIND == "moto" else "", **self.environment)
            self.assertEqual(result.code, 0, result)
            self.convert(f"s3://bucket/parts/{name}", "b" + name, ranks=3)
            self.assertEqual(self.read("b" + name), expected)
            if KIND == "moto":
                state = self.server.state()
                self.assertEqual(state["uploads"], [])
                sent = {rank: sum(count for token, path, count in state["sent"] if token == rank and name in path) for rank in ("rank0", "rank1")}
                self.assertEqual(sum(sent.values()), len(expected))
                self.assertGreaterEqual(min(sent.values()), len(expected) - (10 << 20), sent)  # a part is 8 MiB

    def test_folders_and_patterns(self):
        text = classification_csv(300, 3).splitlines(keepends=True)
        for part in range(3):
            self.write(f"part-{part}.csv", "".join(text[:1] + text[1 + 100 * part:101 + 100 * part]))
            self.convert(f"part-{part}.csv", f"s3://bucket/d/k={part % 2}/part-{part}.csv")
            self.convert(f"part-{part}.csv", f"s3://bucket/flat/part-{part}.csv")
        self.write("_ignored.csv", "x\n1\n")
        self.write("all.csv", "".join(text))
        expected = self.digest("all.csv")
        for number, name in enumerate(["flat", "flat/", "flat/part-*.csv", "fl*/part-[0-2].csv"]):
            self.assertEqual(self.digest(f"s3://bucket/{name}", ranks=RANKS[number]), expected, name)
        os.makedirs(self.path("d/k=0"))
        os.makedirs(self.path("d/k=1"))
        for part in range(3):
            os.rename(self.path(f"part-{part}.csv"), self.path(f"d/k={part % 2}/part-{part}.csv"))
        self.assertEqual(self.digest("s3://bucket/d", ranks=3), self.digest("d"))


class Parts(S3Test):
    """Outputs in parts: one object a rank, and a manifest that is put in place last."""

    def setUp(self):
        super().setUp()
        self.write("a.csv", classification_csv(300, 3))
        self.environment = self.environment | {"FIRESTEEL_BLOCK_ROWS": "32"}

    def parts(self, folder):
        return [name for name in self.server.keys(folder) if name != "_manifest.json"]

    def test_there_and_back(self):
        self.succeed("convert", "a.csv", "e.csv")
        expected = self.digest("a.csv")
        before = []
        for ranks in (3, None, 4, 2):
            self.convert("a.csv", "s3://bucket/days.csv/", ranks=ranks)
            parts = self.parts("days.csv/")
            self.assertEqual(len(parts), ranks or 1, parts)
            self.assertEqual(set(parts) & set(before), set())
            self.assertEqual([name[:10] for name in parts], [f"part-{rank:05}" for rank in range(ranks or 1)])
            self.assertEqual(self.server.keys("days.csv/")[0], "_manifest.json")
            before = parts
            self.convert("s3://bucket/days.csv", "b.csv", ranks=2)
            self.assertEqual(self.read("b.csv"), self.read("e.csv"), ranks)
            self.assertEqual(self.digest("s3://bucket/days.csv/", ranks=ranks), expected)
        for output in ("p.h5/", "p.jsonl/", "p.parquet/"):
            if self.run_here("convert", "--input", "a.csv", "--output", "x" + output[:-1]).code == 69:
                continue
            self.convert("a.csv", f"s3://bucket/{output}", ranks=3)
            self.convert(f"s3://bucket/{output}", "b.csv", ranks=2)
            self.assertEqual(self.read("b.csv"), self.read("e.csv"), output)

    def test_the_other_verbs(self):
        self.succeed("train", "logistic", "--input", "a.csv", "--output", "m.h5", "--quiet")
        for words, output in ((["score", "m.h5", "--input", "a.csv"], "p.csv"), (["sort", "a.csv", "--by", "x1"], "s.csv")):
            self.succeed(*words, "--output", "whole.csv", "--quiet")
            self.succeed(*words, "--output", f"s3://bucket/verbs/{output}/", "--quiet", ranks=3, **self.environment)
            self.succeed("sample", f"s3://bucket/verbs/{output}", "--rows", "999", "--output", "again.csv", "--quiet", ranks=2, **self.environment)
            self.assertEqual(self.read("again.csv"), self.read("whole.csv"), words[0])

    def test_what_is_in_the_way(self):
        self.convert("a.csv", "s3://bucket/theirs.csv/mine.csv")
        result = self.run_here("convert", "a.csv", "s3://bucket/theirs.csv/", ranks=2, **self.environment)
        self.check_failure(result, 73, "cannot create s3://bucket/theirs.csv/", "not written by firesteel")
        self.convert("a.csv", "s3://bucket/one.csv")
        self.check_failure(self.run_here("convert", "a.csv", "s3://bucket/one.csv/", **self.environment), 73, "a file of this name is there")
        self.check_failure(self.run_here("convert", "a.csv", "http://127.0.0.1:9/p.csv/"), 73, "web servers are only read")
        # What an unfinished job has left is removed by the next one; until then there is nothing to be read.
        token = "0123456789abcdef"
        left = [f"_unfinished-{token}", f"part-00000-{token}.csv", f"part-00007-{token}.csv"]
        for name in left:
            self.server.put("left.csv/" + name, b"x,label\n1,0\n")
        result = self.run_here("convert", "s3://bucket/left.csv/", "b.csv", ranks=2, **self.environment)
        self.check_failure(result, 66, "its parts are not all there", f"_unfinished-{token}")
        self.server.put("left.csv/part-of-another.csv", b"x\n")
        self.check_failure(self.run_here("convert", "a.csv", "s3://bucket/left.csv/", **self.environment), 73, "not written by firesteel")
        for name in left:
            self.server.put("left2.csv/" + name, b"x,label\n1,0\n")
        self.convert("a.csv", "s3://bucket/left2.csv/", ranks=2)
        self.assertEqual(len(self.parts("left2.csv/")), 2)
        self.assertEqual([name for name in self.server.keys("left2.csv/") if token in name], [])

    @unittest.skipUnless(KIND == "moto", "a fault of our own making")
    def test_whole_or_not_at_all(self):
        for what in ("part-00001", "_manifest.json"):
            target = f"{what[:4]}/p.csv/"
            for _ in range(2):
                before = self.server.keys(target)
                result = self.run_here("convert", "a.csv", f"s3://bucket/{target}", ranks=3, AWS_SESSION_TOKEN=f"refuse-{target}{what}",
                                       **self.environment)
                self.check_failure(result, 74, f"writing s3://bucket/{target}{what}", "failed: the server says 503", "(after 3 attempts)")
                self.assertNotIn(self.environment["AWS_SECRET_ACCESS_KEY"], result.err)
                self.assertEqual(self.server.keys(target), before, what)
                self.convert("a.csv", f"s3://bucket/{target}", ranks=2)
            self.convert(f"s3://bucket/{target}", "b.csv", ranks=2)
            self.convert("a.csv", "e.csv")
            self.assertEqual(self.read("b.csv"), self.read("e.csv"))


class Refusals(S3Test):
    def refuse(self, code, args, *fragments, ranks=None, **env):
        result = self.run_here(*args, ranks=ranks, **self.environment | env)
        self.check_failure(result, code, *fragments)
        self.assertNotIn(self.environment["AWS_SECRET_ACCESS_KEY"], result.err)

    def test_what_is_not_there(self):
        train = ["train", "kmeans", "--output", "m.h5", "--input"]
        self.refuse(66, [*train, "s3://bucket/absent.csv"], "cannot read 's3://bucket/absent.csv': it does not exist", ranks=2)
        self.refuse(66, [*train, "s3://bucket/absent-*.csv"], "no file matches this pattern")
        self.refuse(66, [*train, "s3://no-such-bucket/a.csv"], "NoSuchBucket")

    def test_keys_that_are_wrong_or_absent(self):
        train = ["train", "kmeans", "--output", "m.h5", "--input", "s3://bucket/a.csv"]
        self.refuse(66, train, "403 Forbidden", "~/.aws", AWS_SECRET_ACCESS_KEY="wrong")
        self.refuse(66, train, "403 Forbidden", AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")
        self.refuse(64, train, "only one is set", AWS_ACCESS_KEY_ID="")
        self.refuse(69, train, "cannot read 's3://bucket/a.csv'", AWS_ENDPOINT_URL="http://127.0.0.1:9", ranks=2)

    def test_keys_that_are_no_file(self):
        train = ["train", "kmeans", "--output", "m.h5", "--input", "s3://bucket/a.csv"]
        os.mkfifo(self.path("pipe"))
        self.write("long", "")
        os.truncate(self.path("long"), 1 << 40)
        keys = dict(AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")
        for name, said in ((self.path("pipe"), "not a regular file"), ("/dev/zero", "not a regular file"),
                           (self.path("long"), "longer than 1 MiB")):
            self.refuse(66, train, f"s3: cannot read '{name}': {said}", AWS_SHARED_CREDENTIALS_FILE=name, **keys)
            self.refuse(66, train, f"s3: cannot read '{name}': {said}", AWS_CONFIG_FILE=name)

    def test_keys_of_a_profile(self):
        self.write("a.csv", classification_csv(50, 2))
        self.convert("a.csv", "s3://bucket/profile.csv")
        self.write("credentials", f"[default]\naws_access_key_id = wrong\naws_secret_access_key = wrong\n\n[mine]\n"
                   f"aws_access_key_id = {self.environment['AWS_ACCESS_KEY_ID']}\n"
                   f"aws_secret_access_key = {self.environment['AWS_SECRET_ACCESS_KEY']}\n")
        self.write("config", f"[profile mine]\nregion = {self.environment['AWS_REGION']}\nendpoint_url = {self.server.url}\n")
        env = dict(AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="", AWS_REGION="", AWS_ENDPOINT_URL="", AWS_PROFILE="mine",
                   AWS_SHARED_CREDENTIALS_FILE=self.path("credentials"), AWS_CONFIG_FILE=self.path("config"))
        self.assertEqual(self.digest("s3://bucket/profile.csv", ranks=2, **env), self.digest("a.csv"))

    @unittest.skipUnless(KIND == "moto", "a fault of our own making")
    def test_writing_that_fails(self):
        self.write("a.csv", classification_csv(50, 2))
        train = ["train", "kmeans", "--input", "a.csv", "--quiet", "--output"]
        self.succeed(*train, "s3://bucket/busy/m.h5", ranks=2, **self.environment)
        self.succeed("inspect", "s3://bucket/busy/m.h5", **self.environment)
        self.refuse(74, [*train, "s3://bucket/broken/m.h5"], "writing s3://bucket/broken/m.h5 failed: the server says 503",
                    "(after 3 attempts)", ranks=2)
        self.refuse(66, ["inspect", "s3://bucket/broken/m.h5"], "it does not exist")
        self.assertEqual(self.server.state()["uploads"], [])
        self.refuse(73, [*train, "s3://bucket/m.h5", "--scratch", "nowhere"], "scratch directory nowhere", ranks=2)

    def test_outputs_that_cannot_be(self):
        self.write("a.csv", classification_csv(50, 2))
        train = ["train", "kmeans", "--input", "a.csv", "--output"]
        self.refuse(73, [*train, "s3://no-such-bucket/m.h5"], "cannot create s3://no-such-bucket/m.h5", "NoSuchBucket", ranks=2)
        self.refuse(73, [*train, "s3://bucket/"], "expected the name of an object")


if __name__ == "__main__":
    unittest.main()
