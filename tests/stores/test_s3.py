# SPDX-License-Identifier: Apache-2.0
"""Inputs and outputs by s3://, against a server that the test starts: test_s3.py versitygw|moto"""

import os
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cli"))
from s3_server import S3Server
from support import CliTest, classification_csv

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
        for name, ranks in (("a.h5", 3), ("a.npz", 2), ("a.jsonl", None)):
            self.convert("a.csv", f"s3://bucket/there/{name}", ranks=ranks)
            self.convert("a.csv", name)
            self.convert(f"s3://bucket/there/{name}", "b.csv")
            self.convert(name, "c.csv")
            self.assertEqual(self.read("b.csv"), self.read("c.csv"), name)
        self.assertEqual(self.digest("s3://bucket/there/a.h5", ranks=4), expected)

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
        rows = 60000
        self.write("a.csv", "".join(["x,y,label\n"] + [f"{row}.5,{row % 7},{row % 2}\n" for row in range(rows)]))
        wide = "a.npz"
        self.write("wide.csv", "".join([",".join(f"c{j}" for j in range(40)) + "\n"] +
                                       [",".join(str((row * 31 + j) % 97) for j in range(40)) + "\n" for row in range(rows)]))
        self.convert("wide.csv", wide)
        self.assertGreater(os.path.getsize(self.path(wide)), 2 * (8 << 20))
        self.convert("wide.csv", "s3://bucket/parts/a.npz", ranks=2)
        self.convert("s3://bucket/parts/a.npz", "b.npz", ranks=3)
        self.assertEqual(self.read("b.npz"), self.read(wide))

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
        self.refuse(73, [*train, "s3://bucket/m.h5", "--scratch", "nowhere"], "scratch directory nowhere", ranks=2)

    def test_outputs_that_cannot_be(self):
        self.write("a.csv", classification_csv(50, 2))
        train = ["train", "kmeans", "--input", "a.csv", "--output"]
        self.refuse(73, [*train, "s3://no-such-bucket/m.h5"], "cannot create s3://no-such-bucket/m.h5", "NoSuchBucket", ranks=2)
        self.refuse(73, [*train, "s3://bucket/"], "expected the name of an object")


if __name__ == "__main__":
    unittest.main()
