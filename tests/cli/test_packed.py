# SPDX-License-Identifier: Apache-2.0
"""Packed files: the same model as from the data they were made of, and nothing believed that they claim."""

import struct
import unittest

import support
from support import CliTest

RANKS = (None, 2, 3, 4)


class PackedTest(CliTest):
    def digest(self, learner, *words, ranks=None):
        return self.succeed("train", learner, *words, "--max-iter", "3", "--threads", "1", "--output", "m.h5", "--json",
                            "--quiet", ranks=ranks, FIRESTEEL_BLOCK_ROWS="32").json["sha256"]

    def pack(self, *words, ranks=None, output="d.fsp"):
        self.succeed("convert", *words, "--output", output, "--quiet", ranks=ranks, FIRESTEEL_BLOCK_ROWS="32")
        return self.read(output)


class Models(PackedTest):
    turn = 0

    def same_model(self, learner, reading, *packed):
        expected = self.digest(learner, *reading)
        whole = self.pack(*reading)
        self.assertEqual(self.pack(*reading, ranks=3), whole)
        Models.turn += 1
        for ranks in RANKS if Models.turn == 1 else (RANKS[Models.turn % 4],):
            self.assertEqual(self.digest(learner, "--input", "d.fsp", ranks=ranks), expected, f"{reading} at {ranks} ranks")
        # With a bound on the memory rows are read instead of mapped.
        self.assertEqual(self.digest(learner, "--input", "d.fsp", "--memory", "300M", ranks=None if Models.turn % 2 else 2), expected)

    def test_dense(self):
        self.write("a.csv", support.classification_csv(rows=333, features=5))
        for precision in ("double", "single"):
            for learner in ("logistic", "kmeans"):
                self.same_model(learner, ["--input", "a.csv", "--precision", precision])

    def test_text_labels_and_weights(self):
        lines = support.classification_csv(rows=200, features=3, classes=("no", "yes")).splitlines()
        text = lines[0] + ",w\n" + "".join(f"{line},{row % 3}\n" for row, line in enumerate(lines[1:]))
        self.write("a.csv", text)
        self.same_model("logistic", ["--input", "a.csv", "--weight", "w"])

    def test_missing_values(self):
        lines = support.classification_csv(rows=150, features=3).splitlines()
        for row in (5, 40, 41, 149):
            lines[row] = "," + lines[row].split(",", 1)[1]
        self.write("a.csv", "\n".join(lines) + "\n")
        for missing in ("drop", "mean"):
            self.same_model("logistic", ["--input", "a.csv", "--missing", missing])

    def test_sparse(self):
        lines = support.classification_csv(rows=300, features=6).splitlines()[1:]
        text = ""
        for line in lines:
            *values, label = line.split(",")
            text += label + "".join(f" {j + 1}:{value}" for j, value in enumerate(values) if float(value) > 0) + "\n"
        self.write("a.svm", text)
        for precision in ("double", "single"):
            for learner in ("logistic", "kmeans"):
                self.same_model(learner, ["--input", "a.svm", "--precision", precision])

    def test_score_and_back(self):
        self.write("a.csv", support.classification_csv(rows=100, features=3))
        self.pack("a.csv")
        self.digest("logistic", "--input", "a.csv")
        self.succeed("score", "m.h5", "--input", "a.csv", "--keep", "x1", "--output", "p.csv")
        self.succeed("score", "m.h5", "--input", "d.fsp", "--keep", "x1", "--output", "q.csv", ranks=2)
        self.assertEqual(self.read("q.csv"), self.read("p.csv"))
        # A model of other columns finds its own by name.
        self.digest("logistic", "--input", "a.csv", "--features", "x2,x0")
        for words in ((), ("--keep", "x1,x0,label")):  # also columns that are not the model's
            self.succeed("score", "m.h5", "--input", "a.csv", *words, "--output", "p.csv")
            for more in ((), ("--memory", "300M")):
                self.succeed("score", "m.h5", "--input", "d.fsp", *words, *more, "--output", "q.csv", ranks=2)
                self.assertEqual(self.read("q.csv"), self.read("p.csv"))
        self.fail_with(65, ["score", "m.h5", "--input", "d.fsp", "--keep", "x7", "--output", "q.csv"], "no column 'x7'", "'x0', 'x1', 'x2'")
        self.succeed("convert", "a.csv", "e.csv")
        self.succeed("convert", "d.fsp", "b.csv", ranks=3)
        self.assertEqual(self.read("b.csv"), self.read("e.csv"))

    def test_what_was_chosen_stays_chosen(self):
        self.write("a.csv", support.classification_csv(rows=60, features=3))
        self.pack("a.csv")
        for words in (("--features", "x0"), ("--exclude", "x0"), ("--label", "label"), ("--weight", "x1"),
                      ("--missing", "drop"), ("--precision", "single"), ("--no-header",)):
            self.fail_with(64, ["train", "logistic", "--input", "d.fsp", "--output", "n.h5", *words], words[0],
                           "has no use for d.fsp, which is a packed file", ranks=[None])
        self.write("u.csv", "x\n1\n2\n3\n4\n")
        self.pack("u.csv", output="u.fsp")
        self.fail_with(65, ["train", "logistic", "--input", "u.fsp", "--output", "n.h5"], "packed without a label")
        self.fail_with(65, ["train", "als", "--input", "u.fsp", "--output", "n.h5"], "no users and items")
        self.fail_with(65, ["train", "kmeans", "--input", "u.fsp", "d.fsp", "--output", "n.h5"], "one at a time")
        self.fail_with(64, ["convert", "a.csv", "d.fsp/"], "one file")


class Hostile(PackedTest):
    def setUp(self):
        super().setUp()
        self.write("a.csv", support.classification_csv(rows=100, features=3))
        self.whole = self.pack("a.csv")

    def train(self, name="h.fsp"):
        return ["train", "kmeans", "--input", name, "--output", "m.h5"]

    def test_cut_short(self):
        for size in (0, 8, 100, 2000, len(self.whole) // 2, len(self.whole) - 1):
            self.write("h.fsp", self.whole[:size])
            self.fail_with(65, self.train(), "h.fsp", ranks=[None, 2] if size == 2000 else [None])

    def test_every_kind_of_byte_is_summed(self):
        """A bit of any array that is wrong is found, on whichever rank it lies."""
        values = [struct.pack("<d", float(line.split(",")[1])) for line in
                  self.read("a.csv").decode().splitlines()[1:]]
        for row in (0, 50, 99):
            place = self.whole.index(values[row])
            damaged = bytearray(self.whole)
            damaged[place] ^= 1
            self.write("h.fsp", bytes(damaged))
            self.fail_with(65, self.train(), "h.fsp is damaged", "checksum", ranks=[None, 3])

    def test_claims(self):
        """Numbers of the header are covered by a checksum; with one that fits they must fit the file."""
        # The attribute's 13 numbers: version, flags, then rows, columns, …
        head = struct.pack("<qqqqqqq", 1, 0, 0, 0, 0, 100, 3)
        place = self.whole.index(head)
        for number, value in ((5, 10 ** 12), (5, -1), (6, 2 ** 40), (9, 7), (0, 2), (1, 1), (3, 1), (10, 2)):
            damaged = bytearray(self.whole)
            struct.pack_into("<q", damaged, place + 8 * number, value)
            self.write("h.fsp", bytes(damaged))
            self.fail_with(65, self.train(), "h.fsp", ranks=[None])

    def test_random_damage_never_crashes(self):
        import random
        draw = random.Random(4)
        for _ in range(15):
            damaged = bytearray(self.whole)
            for _ in range(draw.choice((1, 3, 30))):
                damaged[draw.randrange(len(damaged))] = draw.randrange(256)
            self.write("h.fsp", bytes(damaged))
            result = self.run_here(*self.train(), "--quiet")
            self.assertIn(result.code, (0, 65), result)  # 0: bytes between the arrays

    def test_foreign(self):
        self.succeed("convert", "a.csv", "b.h5")
        self.write("h.fsp", self.read("b.h5"))
        self.fail_with(65, self.train(), "is no packed file")
        self.write("h.fsp", "x,y\n1,2\n")
        self.fail_with(65, self.train(), "no HDF5 file")
        self.fail_with(66, self.train("absent.fsp"), "absent.fsp")


if __name__ == "__main__":
    unittest.main()
