# SPDX-License-Identifier: Apache-2.0
"""The same numbers in every format: the same model, at any number of ranks."""

import bz2
import gzip
import json
import lzma
import os
import random
import struct
import unittest

from support import CliTest

ROWS = 300
COLUMNS = 4
RANKS = (None, 2, 3, 4)


def table():
    """Rows of numbers that single digits of text hold, with labels that depend on them."""
    rng = random.Random(5)
    rows = []
    for _ in range(ROWS):
        row = [round(rng.uniform(-3, 3), 3) for _ in range(COLUMNS)]
        rows.append((row, int(row[0] - row[1] + rng.gauss(0, 1) > 0)))
    return rows


class Formats(CliTest):
    def setUp(self):
        super().setUp()
        self.rows = table()
        lines = [",".join(map(repr, row)) + f",{label}\n" for row, label in self.rows]
        self.header = "f0,f1,f2,f3,label\n"
        self.write("a.csv", self.header + "".join(lines))
        text = (self.header + "".join(lines)).encode()
        self.write("a.csv.gz", gzip.compress(text))
        self.write("a.csv.bz2", bz2.compress(text))
        self.write("a.csv.xz", lzma.compress(text))
        os.mkdir(self.path("parts"))
        for part in range(3):
            some = lines[part * ROWS // 3:(part + 1) * ROWS // 3]
            self.write(f"parts/part-{part}.csv", self.header + "".join(some))
        self.write("parts/part-9.csv", "")
        self.write("a.jsonl", "".join(json.dumps(dict(zip(("f0", "f1", "f2", "f3"), row)) | {"label": label}) + "\n"
                                      for row, label in self.rows))
        header = f"{{'descr': '<f8', 'fortran_order': True, 'shape': ({ROWS}, {COLUMNS + 1}), }}\n".encode()
        columns = list(zip(*[row + [label] for row, label in self.rows]))
        self.write("a.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header +
                   b"".join(struct.pack(f"<{ROWS}d", *column) for column in columns))

    def digest(self, *words, ranks=None, learner="logistic"):
        # A few iterations are enough for bytes to differ, and keep many ranks on few cores quick.
        return self.succeed("train", learner, *words, "--max-iter", "3", "--threads", "1", "--output", "m.h5", "--json", "--quiet", ranks=ranks,
                            FIRESTEEL_BLOCK_ROWS="32").json["sha256"]

    def has_arrow(self):
        result = self.run_here("convert", "--input", "a.csv", "--output", "probe.parquet")
        if result.code == 0:
            return True
        self.assertEqual(result.code, 69, result)
        self.assertIn("it was made without Apache Arrow C++", result.err)
        return False

    def test_dense(self):
        expected = self.digest("--input", "a.csv")
        outputs = ["b.h5", "b.npz", "b.jsonl", "b.tsv"] + (["b.parquet", "b.arrow", "b.orc"] if self.has_arrow() else [])
        for output in outputs:
            self.succeed("convert", "--input", "a.csv", "--output", output, "--quiet")
            whole = self.read(output)
            for ranks in (2, 3):
                self.succeed("convert", "--input", "a.csv", "--output", output, "--quiet", ranks=ranks)
                self.assertEqual(self.read(output), whole, f"{output} at {ranks} ranks")
        inputs = ["a.csv.gz", "a.csv.bz2", "a.csv.xz", "parts", "parts/part-*.csv", "a.jsonl"] + outputs
        for number, name in enumerate(inputs):
            for ranks in (None, RANKS[1 + number % 3]):
                self.assertEqual(self.digest("--input", name, ranks=ranks), expected, f"{name} at {ranks} ranks")
        for ranks in RANKS:
            self.assertEqual(self.digest("--input", "a.npy", "--label", "-1", ranks=ranks), expected)

    def test_sparse(self):
        self.write("a.svm", "".join(f"{label}" + "".join(f" {i + 1}:{value}" for i, value in enumerate(row) if value > 0)
                                    + "\n" for row, label in self.rows))
        for learner, outputs in (("logistic", ("b.h5", "b.npz")), ("kmeans", ("b.h5", "b.npz"))):
            expected = self.digest("--input", "a.svm", learner=learner)
            for output in outputs:
                self.succeed("convert", "--input", "a.svm", "--output", output, "--quiet", ranks=2)
                for ranks in RANKS:
                    self.assertEqual(self.digest("--input", output, ranks=ranks, learner=learner), expected, output)
        # Matrix Market holds no labels.
        self.fail_with(65, ["convert", "--input", "a.svm", "--output", "b.mtx"], "hold no labels")
        entries = [(i + 1, j + 1, value) for i, (row, _) in enumerate(self.rows) for j, value in enumerate(row) if value > 0]
        random.Random(1).shuffle(entries)
        self.write("a.mtx", "%%MatrixMarket matrix coordinate real general\n% shuffled\n"
                   f"{ROWS} {COLUMNS} {len(entries)}\n" + "".join("%d %d %r\n" % entry for entry in entries))
        expected = self.digest("--input", "a.svm", learner="kmeans")
        for ranks in RANKS:
            self.assertEqual(self.digest("--input", "a.mtx", ranks=ranks, learner="kmeans"), expected)
        self.succeed("convert", "--input", "a.mtx", "--output", "b.mtx", "--quiet", ranks=3)
        self.assertEqual(self.digest("--input", "b.mtx", learner="kmeans"), expected)

    def test_ratings(self):
        self.write("r.csv", "user,item,rating\n" + "".join(f"{u},{i},{(u * i) % 5 + 1}\n" for u in range(1, 20)
                                                           for i in range(1, 15) if (u + i) % 3))
        expected = self.digest("--input", "r.csv", "--rank", "3", learner="als")
        lines = self.read("r.csv").decode().splitlines()[1:]
        self.write("r.mtx", "%%MatrixMarket matrix coordinate integer general\n19 14 " + str(len(lines)) + "\n" +
                   "".join(line.replace(",", " ") + "\n" for line in lines))
        self.write("r.jsonl", "".join(json.dumps(dict(zip(("user", "item", "rating"), map(int, line.split(","))))) + "\n"
                                      for line in lines))
        names = ["r.mtx", "r.jsonl"]
        if self.has_arrow():
            self.succeed("convert", "--input", "r.csv", "--user", "user", "--item", "item", "--output", "r.parquet",
                         "--quiet", ranks=2)
            names.append("r.parquet")
        for name in names:
            for ranks in (None, 3):
                self.assertEqual(self.digest("--input", name, "--rank", "3", ranks=ranks, learner="als"), expected, name)

    def test_score_reads_every_format(self):
        self.digest("--input", "a.csv")
        self.succeed("score", "m.h5", "--input", "a.csv", "--output", "p.csv", "--quiet")
        for name in ("a.jsonl", "a.csv.xz"):
            self.succeed("score", "m.h5", "--input", name, "--output", "q.csv", "--quiet", ranks=2)
            self.assertEqual(self.read("q.csv"), self.read("p.csv"), name)

    def test_a_failed_convert_leaves_the_old_file(self):
        self.write("b.npz", "as it was")
        self.write("bad.csv", self.header + "1,2,3,4,0\n1,x,3,4,0\n")
        self.fail_with(65, ["convert", "--input", "bad.csv", "--output", "b.npz"], "bad.csv:3:2")
        self.assertEqual(self.read("b.npz"), b"as it was")
        self.assertEqual([name for name in os.listdir(self.path(".")) if name.startswith("b.npz")], ["b.npz"])

    def test_convert_refuses_what_a_format_cannot_hold(self):
        self.fail_with(65, ["convert", "--input", "a.csv", "--output", "b.npy"], "write .npz")
        self.fail_with(64, ["convert", "--input", "a.csv", "--output", "b.csv.gz"], "--output")
        self.fail_with(64, ["convert", "--input", "a.csv", "--format", "excel", "--output", "b.h5"], "--format")

    def test_damaged_compressed_text_is_66(self):
        whole = self.read("a.csv.gz")
        self.write("cut.csv.gz", whole[:len(whole) // 2])
        self.fail_with(66, ["train", "kmeans", "--input", "cut.csv.gz", "--output", "m.h5"], "cut short")
        self.fail_with(66, ["train", "kmeans", "--input", "nothing-*.csv", "--output", "m.h5"], "no file matches")


if __name__ == "__main__":
    unittest.main()
