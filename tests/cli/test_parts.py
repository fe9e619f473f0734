# SPDX-License-Identifier: Apache-2.0
"""Outputs in parts: a directory of one file a rank that appears whole, and is read in the order of its manifest."""

import json
import os
import unittest

import support
from support import CliTest


class Parts(CliTest):
    def setUp(self):
        super().setUp()
        self.write("a.csv", support.classification_csv(rows=300, features=3))

    def succeed(self, *args, ranks=None, **env):
        return super().succeed(*args, ranks=ranks, FIRESTEEL_BLOCK_ROWS="32", **env)

    def manifest(self, directory):
        return json.loads(self.read(f"{directory}/_manifest.json"))

    def names(self, directory="."):
        return sorted(os.listdir(self.path(directory)))

    def test_convert_in_every_format(self):
        self.succeed("convert", "a.csv", "e.csv")
        outputs = ["p.csv/", "p.jsonl/", "p.h5/"]
        if self.run_here("convert", "a.csv", "a.parquet").code != 69:
            outputs.append("p.parquet/")
        for output in outputs:
            for ranks in (None, 2, 3):
                report = self.succeed("convert", "a.csv", output, "--json", ranks=ranks).json
                self.assertEqual((report["rows"], report["output"]), (300, output))
                manifest = self.manifest(output)
                self.assertEqual((manifest["firesteel_parts"], manifest["rows"]), (1, 300))
                files = [part["file"] for part in manifest["parts"]]
                self.assertEqual(len(files), ranks or 1)
                self.assertEqual(self.names(output), sorted(["_manifest.json", *files]))
                self.assertEqual(sum(part["rows"] for part in manifest["parts"]), 300)
                self.succeed("convert", output, "b.csv", "--quiet", ranks=2)
                self.assertEqual(self.read("b.csv"), self.read("e.csv"), f"{output} of {ranks} ranks")
        self.assertEqual([name for name in self.names() if name.startswith(".")], [])

    def test_the_other_verbs(self):
        self.succeed("train", "logistic", "--input", "a.csv", "--output", "m.h5", "--quiet")
        for number, words in enumerate((
                ["score", "m.h5", "--input", "a.csv", "--keep", "x0"], ["sample", "a.csv", "--rows", "100"],
                ["sort", "a.csv", "--by", "x1"], ["join", "a.csv", "a.csv", "--on", "x2"])):
            self.succeed(*words, "--output", "whole.csv", "--quiet")
            self.succeed(*words, "--output", f"p{number}.csv/", "--quiet", ranks=3)
            self.succeed("sample", f"p{number}.csv", "--rows", "999", "--output", "again.csv", "--quiet", ranks=2)
            self.assertEqual(self.read("again.csv"), self.read("whole.csv"), words[0])
        self.succeed("split", "a.csv", "--train", "0.5", "--output", "s.csv/", "--quiet", ranks=2)
        self.assertEqual(self.manifest("s-train.csv")["rows"] + self.manifest("s-test.csv")["rows"], 300)

    def test_the_manifest_decides(self):
        self.succeed("convert", "a.csv", "p.csv/", ranks=2)
        self.write("p.csv/part-00009.csv", "x0,x1,x2,label\n1,2,3,0\n")
        report = self.succeed("convert", "p.csv", "b.csv", "--json").json
        self.assertEqual(report["rows"], 300)
        manifest = self.manifest("p.csv")
        manifest["parts"].reverse()
        self.write("p.csv/_manifest.json", json.dumps(manifest))
        self.succeed("convert", "p.csv", "r.csv")
        rows = self.read("r.csv").splitlines()[1:]
        first = manifest["parts"][0]["rows"]
        self.assertEqual(rows[first:] + rows[:first], self.read("b.csv").splitlines()[1:])

    def test_parts_that_are_not_what_the_manifest_says(self):
        self.succeed("convert", "a.csv", "p.csv/", ranks=2)
        part = self.read("p.csv/part-00001.csv")
        self.write("p.csv/part-00001.csv", part[:-5])
        self.fail_with(65, ["convert", "p.csv", "b.csv"], "part-00001.csv has", "changed or cut short")
        os.remove(self.path("p.csv/part-00001.csv"))
        self.fail_with(66, ["convert", "p.csv", "b.csv"], "part-00001.csv", "_manifest.json")
        for text in ("", "{}", "[1]", '{"firesteel_parts": 1}', '{"firesteel_parts": 1, "parts": [{"file": "../a.csv", "bytes": 1}]}',
                     '{"firesteel_parts": 1, "parts": []}', '{"firesteel_parts": 2, "parts": []}'):
            self.write("p.csv/_manifest.json", text)
            self.fail_with(65, ["convert", "p.csv", "b.csv"], "_manifest.json is damaged", ranks=[None])

    def test_whole_or_not_at_all(self):
        self.write("bad.csv", "x,label\n" + "".join(f"{row},{row % 2}\n" for row in range(200)) + "oops,1\n")
        self.fail_with(65, ["convert", "bad.csv", "p.csv/"], "bad.csv:202:1")
        self.assertEqual([name for name in self.names() if "p.csv" in name], [])
        self.succeed("convert", "a.csv", "p.csv/", ranks=2)
        before = {name: self.read(f"p.csv/{name}") for name in self.names("p.csv")}
        # The format refuses on every rank, once its rows are there.
        self.fail_with(65, ["convert", "a.csv", "p.npy/"], "write .npz")
        self.fail_with(65, ["convert", "bad.csv", "p.csv/"], "bad.csv:202:1")
        self.assertEqual({name: self.read(f"p.csv/{name}") for name in self.names("p.csv")}, before)
        self.assertEqual([name for name in self.names() if name.startswith(".")], [])
        # One of fewer parts takes its place.
        self.succeed("convert", "a.csv", "p.csv/")
        self.assertEqual(self.names("p.csv"), ["_manifest.json", "part-00000.csv"])

    def test_what_is_in_the_way(self):
        os.mkdir(self.path("d.csv"))
        self.write("d.csv/mine.txt", "mine")
        self.fail_with(73, ["convert", "a.csv", "d.csv/"], "d.csv/", "not written by firesteel")
        self.write("f.csv", "x\n1\n")
        self.fail_with(73, ["convert", "a.csv", "f.csv/"], "a file of this name is there")
        self.fail_with(73, ["convert", "a.csv", "absent/p.csv/"], "No such file or directory")
        self.fail_with(64, ["convert", "a.csv", "parts/"], "the format is named by the extension")
        self.assertEqual(self.read("d.csv/mine.txt"), b"mine")

    def test_more_ranks_than_rows(self):
        self.write("two.csv", "x,label\n1,0\n2,1\n")
        self.succeed("convert", "two.csv", "p.csv/", ranks=4)
        self.assertEqual(len(self.manifest("p.csv")["parts"]), 1)
        self.succeed("sample", "two.csv", "--fraction", "0.1", "--output", "n.csv/", ranks=3)
        self.assertEqual(self.manifest("n.csv")["rows"], 0)


if __name__ == "__main__":
    unittest.main()
