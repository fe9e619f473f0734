# SPDX-License-Identifier: Apache-2.0
"""inspect and convert."""

import os
import subprocess
import unittest

import support
from support import CliTest


class Inspect(CliTest):
    def setUp(self):
        super().setUp()
        self.write("a.csv", support.classification_csv(classes=("no", "yes")))
        self.trained = self.succeed("train", "logistic", "--reg-param", "0.25", "--input", "a.csv", "--output", "m.h5",
                                    "--json").json

    def test_json(self):
        for ranks in (None, 2):
            report = self.succeed("inspect", "m.h5", "--json", ranks=ranks).json
            self.assertEqual((report["command"], report["learner"]), ("inspect", "logistic"))
            self.assertRegex(report["sha256"], "^[0-9a-f]{64}$")
            self.assertEqual(report["sha256"], self.trained["sha256"])
            self.assertEqual(report["parameters"]["reg_param"], 0.25)
            self.assertIs(report["parameters"]["fit_intercept"], True)
            self.assertEqual(report["classes"], ["no", "yes"])
            self.assertEqual(report["feature_names"], ["x0", "x1", "x2", "x3"])
            self.assertEqual(report["arrays"]["coefficients"]["shape"], [1, 4])
            self.assertEqual(report["summary"]["objective"], self.trained["objective"])

    def test_every_parameter_is_there(self):
        report = self.succeed("inspect", "m.h5", "--json").json
        declared = self.succeed("learners", "logistic", "--json").json["parameters"]
        scalars = {p["name"] for p in declared if p["type"] not in ("matrix", "reals")}
        self.assertLessEqual(scalars, set(report["parameters"]))

    def test_text(self):
        text = self.succeed("inspect", "m.h5").out
        for word in ("sha256", "reg_param", "0.25", "coefficients", "classes", "logistic"):
            self.assertIn(word, text)

    def test_nothing_of_the_run_is_in_the_file(self):
        self.succeed("train", "logistic", "--reg-param", "0.25", "--input", self.path("a.csv"), "--threads", "2",
                     "--output", self.path("other.h5"), "--quiet")
        self.assertEqual(self.read("other.h5"), self.read("m.h5"))

    def test_readable_with_h5dump(self):
        dump = subprocess.run(["h5dump", "-d", "/coefficients", self.path("m.h5")], capture_output=True, text=True)
        self.assertEqual(dump.returncode, 0, dump.stderr)
        self.assertIn("( 1, 4 )", dump.stdout)


class Convert(CliTest):
    def setUp(self):
        super().setUp()
        self.write("a.csv", support.classification_csv(rows=100))

    def digest(self, path, *words):
        return self.succeed("train", "logistic", "--input", path, "--output", "m.h5", "--json", *words).json["sha256"]

    def test_csv_hdf5_csv(self):
        expected = self.digest("a.csv")
        for ranks in (None, 2, 3):
            self.succeed("convert", "--input", "a.csv", "--output", "b.h5", ranks=ranks)
            self.succeed("convert", "--input", "b.h5", "--output", "c.csv", ranks=ranks)
            self.assertEqual(self.digest("b.h5"), expected)
            self.assertEqual(self.digest("c.csv"), expected)

    def test_libsvm(self):
        self.write("s.svm", "1 1:0.5 3:2\n0 2:-1\n1 3:1 # note\n0 1:0.25\n")
        self.succeed("convert", "--input", "s.svm", "--output", "s.h5", ranks=2)
        self.succeed("convert", "--input", "s.h5", "--output", "t.svm", ranks=2)
        words = ("--reg-param", "0.1")
        self.assertEqual(self.digest("s.h5", *words), self.digest("s.svm", *words))
        self.assertEqual(self.digest("t.svm", *words), self.digest("s.svm", *words))

    def test_an_input_is_not_written_over(self):
        before = self.read("a.csv")
        os.symlink(self.path("a.csv"), self.path("alias.csv"))
        for output in ("a.csv", "alias.csv"):
            self.fail_with(64, ["convert", "--input", "a.csv", "--output", output], "--output", output)
        self.assertEqual(self.read("a.csv"), before)

    def test_ratings(self):
        self.write("r.csv", support.ratings_csv(user="u", item="i", rating="r"))
        names = ("--user", "u", "--item", "i", "--rating", "r")
        self.succeed("convert", *names, "--input", "r.csv", "--output", "r.h5", ranks=2)
        fit = ("train", "als", "--rank", "3", "--output", "m.h5", "--json", "--input")
        self.assertEqual(self.succeed(*fit, "r.csv", *names).json["objective"], self.succeed(*fit, "r.h5").json["objective"])

    def test_tsv(self):
        expected = self.digest("a.csv")
        self.succeed("convert", "--input", "a.csv", "--output", "a.tsv")
        self.assertIn(b"\t", self.read("a.tsv"))
        self.assertEqual(self.digest("a.tsv"), expected)

    def test_json(self):
        report = self.succeed("convert", "--input", "a.csv", "--output", "b.csv", "--json").json
        self.assertEqual(report, {"command": "convert", "rows": 100, "output": "b.csv"})

    def test_named_label_must_be_there(self):
        self.fail_with(65, ["convert", "--input", "a.csv", "--label", "class", "--output", "b.csv"], "class")


if __name__ == "__main__":
    unittest.main()
