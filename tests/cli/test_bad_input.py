# SPDX-License-Identifier: Apache-2.0
"""Data that contradict: 65 with the place, what was expected and what was found; and odd data that are fine."""

import json
import unittest

import support
from support import CliTest


class BadCsv(CliTest):
    def train(self, text, learner="logistic", name="a.csv"):
        self.write(name, text)
        return ["train", learner, "--input", name, "--output", "m.h5"]

    def test_empty_file(self):
        self.fail_with(65, self.train(""), "a.csv")

    def test_header_only(self):
        self.fail_with(65, self.train("x,label\n"), "a.csv")

    def test_one_class_only(self):
        self.fail_with(65, self.train("x,label\n1,1\n2,1\n3,1\n"), "class")

    def test_one_row(self):
        self.fail_with(65, self.train("x,label\n1,1\n"), "class")
        self.succeed(*self.train("x,y\n1,1\n", "kmeans"), "--k", "1", ranks=2)

    def test_text_in_a_numeric_column(self):
        self.fail_with(65, self.train("x,y,label\n1,2,0\n3,two,1\n"), "a.csv:3:2", "'two'")
        rows = "".join(f"{i},{i},{i % 2}\n" for i in range(2000))
        self.fail_with(65, self.train("x,y,label\n" + rows + "1,oops,0\n" + rows), "a.csv:2002:2", "'oops'",
                       ranks=[None, 2, 3])

    def test_the_first_fault_is_shown_for_any_ranks(self):
        rows = "".join(f"{i},{i % 2}\n" for i in range(3000))
        self.fail_with(65, self.train("x,label\n" + rows + "first,0\n" + rows + "second,0\n" + rows), "a.csv:3002:1",
                       "'first'", ranks=[None, 2, 3, 4])

    def test_ragged_row(self):
        self.fail_with(65, self.train("x,y,label\n1,2,0\n1,1\n"), "a.csv:3", "3", "2")
        self.fail_with(65, self.train("x,y,label\n1,2,0\n1,2,1,4\n"), "a.csv:3", "3", "4")

    def test_not_finite(self):
        self.fail_with(65, self.train("x,label\n1,0\ninf,1\n"), "a.csv:3:1")
        self.fail_with(65, self.train("x,label\n1,0\nNaN,1\n"), "a.csv:3:1", "--missing")
        self.fail_with(65, self.train("x,label\n1,0\n,1\n"), "a.csv:3:1", "--missing")

    def test_infinity_is_refused_however_missing_values_are_treated(self):
        for missing in ("drop", "mean"):
            self.fail_with(65, [*self.train("x,label\n1,0\n2,1\n-inf,1\n"), "--missing", missing], "a.csv:4:1")

    def test_missing_values_can_be_treated(self):
        text = "x,y,label\n1,2,0\n2,,1\n3,1,1\n?,2,0\n2,0,1\n1,1,0\n"
        for missing, rows in (("drop", 4), ("mean", 6)):
            report = self.succeed(*self.train(text), "--missing", missing, "--reg-param", "1", "--json", ranks=2).json
            self.assertEqual(report["rows"], rows)

    def test_header_of_numbers(self):
        self.fail_with(65, self.train("1.5,2.5,0\n1,2,1\n"), "--no-header")

    def test_duplicate_names(self):
        self.fail_with(65, self.train("x,x,label\n1,2,0\n3,4,1\n"), "'x'")

    def test_label_absent(self):
        self.fail_with(65, self.train("x,y\n1,0\n2,1\n"), "label")

    def test_fractional_labels(self):
        self.fail_with(65, self.train("x,label\n1,0\n2,0.5\n3,1\n"), "a.csv:3:2", "0.5")

    def test_labels_beyond_double_are_not_merged(self):
        self.fail_with(65, self.train("x,label\n1,9007199254740992\n2,9007199254740993\n"), "2^53")

    def test_kind_of_labels_does_not_depend_on_their_order(self):
        for labels in (("1", "2", "x"), ("x", "1", "2"), ("0.5", "x", "1")):
            text = "a,label\n" + "".join(f"{row},{labels[row % 3]}\n" for row in range(9))
            for ranks in (None, 2):
                self.succeed(*self.train(text), "--reg-param", "1", ranks=ranks)
                classes = self.succeed("inspect", "m.h5", "--json").json["classes"]
                self.assertEqual(classes, sorted(labels))

    def test_labels_that_are_fine(self):
        for classes in (("1", "2"), ("-1", "1"), ("0", "1"), ("ham", "spam"), ("0", "1", "2")):
            report = self.succeed(*self.train(support.classification_csv(classes=classes)), "--json").json
            self.assertGreater(report["metrics"]["accuracy"], 0.5)

    def test_weights(self):
        base = "x,w,label\n1,{},0\n2,1,1\n3,1,0\n4,1,1\n"
        for weight in ("-1", "nan", "inf"):
            self.fail_with(65, [*self.train(base.format(weight)), "--weight", "w"], "a.csv:2")
        self.succeed(*self.train(base.format("0")), "--weight", "w", "--reg-param", "1")
        self.fail_with(65, [*self.train("x,w,label\n1,0,0\n2,0,1\n"), "--weight", "w"], "weight")

    def test_the_label_is_no_weight(self):
        text = "x,label\n1,0\n2,1\n3,1\n"
        self.fail_with(65, [*self.train(text), "--weight", "label"], "--weight", "'label'", "is the label")
        self.succeed(*self.train(text, "kmeans"), "--weight", "label", "--k", "1", ranks=2)

    def test_text_features_are_left_out_with_one_warning(self):
        text = "x,town,label\n1,Bonn,0\n2,Ulm,1\n0,Bonn,1\n3,Ulm,0\n"
        result = self.succeed(*self.train(text), "--reg-param", "1", "--json", ranks=2)
        self.assertEqual(result.json["features"], 1)
        self.assertEqual(len([w for w in result.lines("warning: ") if "town" in w]), 1, result)
        self.fail_with(65, [*self.train(text), "--features", "x,town"], "town")


class OneLine(CliTest):
    """What the input holds neither cuts nor breaks the line of a message, nor does it speak to the terminal."""

    def fails(self, text, *fragments):
        self.write("a.csv", text)
        for ranks in (None, 2):
            result = self.run_here("train", "logistic", "--input", "a.csv", "--output", "m.h5", "--quiet", ranks=ranks)
            self.check_failure(result, 65, *fragments)
            self.assertEqual(len(result.err.splitlines()), 1, result)
            self.assertNotRegex(result.err[:-1], "[\x00-\x1f\x7f]")
            self.assertLess(len(result.err), 400)

    def test_control_characters(self):
        self.fails(b"x,label\n1,0\n\x00,1\n", "a.csv:3:1: expected a number, got '\\x00' (column 'x')")
        self.fails(b'x,label\n1,0\n"two\nlines",1\n', "got 'two\\nlines' (column 'x')")
        self.fails(b"x,label\n1,0\n\x1b[31mred,1\n", "got '\\x1b[31mred'")
        self.fails(b'"a\n\x07b",target\n1,0\n', "'a\\n\\x07b', 'target'")

    def test_bytes_that_are_no_text(self):
        """In names of columns, too, which are shown by messages and warnings of all formats."""
        self.fails(b'x,"a\x00b",c\n1,2,3\n', "no column 'label'", "'a\\x00b', 'c'")
        self.fails(b'"a\x00b",label\n1,0\nq,1\n', "a.csv:3:1", "(column 'a\\x00b')")
        self.fails("größe,label\n1,0\nq,1\n".encode("latin-1"), "(column 'gr\\xf6\\xdfe')")
        self.fails("x,label\n1,0\ngroß,1\n".encode("latin-1"), "expected a number, got 'gro\\xdf' (column 'x')")
        self.fails("x,x\u0085\n1,0\n".encode(), "'x\\xc2\\x85'")
        self.write("a.jsonl", '{"a\\u0000b": 1, "label": 0}\n{"a\\u0000b": null, "label": 1}\n')
        self.fail_with(65, ["train", "logistic", "--input", "a.jsonl", "--output", "m.h5"],
                       "a.jsonl:2: the value is missing; say --missing drop or --missing mean (column 'a\\x00b')")
        name = "gr\udcf6\udcdfe.csv"  # such bytes in a name of a file
        self.write(name, "x,label\nq,1\n")
        self.fail_with(65, ["train", "logistic", "--input", name, "--output", "m.h5"], "gr\\xf6\\xdfe.csv")
        self.fail_with(66, ["train", "logistic", "--input", "q" + name, "--output", "m.h5"], "qgr\\xf6\\xdfe.csv")
        self.write("b.csv", 'gr\udcf6\udcdfe,"t\x00"\n1,a\n2,b\n'.encode(errors="surrogateescape"))
        for output in ("b.jsonl", "b.h5", "b.svm"):
            result = self.succeed("convert", "b.csv", output, "--json")
            self.assertEqual(json.loads(result.out)["rows"], 2)
            self.assertIn("warning: text columns are left out: 't\\x00'", result.err)
        self.assertEqual(json.loads(self.succeed("describe", "b.csv", "--json").out)["columns"][0]["name"], "gr\ufffd\ufffde")

    def test_long_values(self):
        self.fails("x,label\n1,0\n" + "é" * 5000 + ",1\n", "got 'ééé", "é…' (column 'x')")
        self.fails("n" * 5000 + ",label\n1,0\ntext,1\n", "(column 'nnn", "n…')")

    def test_warnings(self):
        self.write("a.csv", 'x,"two\nlines",label\n1,a,0\n2,b,1\n')
        warnings = self.succeed("train", "logistic", "--input", "a.csv", "--reg-param", "1", "--output", "m.h5").lines("warning: ")
        self.assertEqual(warnings, ["warning: text columns are left out: 'two\\nlines'"])

    def test_a_delimiter_that_was_not_meant(self):
        for delimiter, said in ((";", "--delimiter ';'"), ("\t", "--delimiter tab"), ("|", "--delimiter '|'")):
            self.fails(f"x{delimiter}label\n1{delimiter}0\n", "no column 'label'", said)


class BadClusters(CliTest):
    def test_more_centres_than_rows(self):
        self.write("a.csv", "x\n1\n2\n3\n")
        self.fail_with(65, ["train", "kmeans", "--k", "4", "--input", "a.csv", "--output", "m.h5"], "4", "3")

    def test_more_centres_than_distinct_rows(self):
        self.write("a.csv", "x\n1\n1\n2\n2\n2\n")
        result = self.succeed("train", "kmeans", "--k", "4", "--input", "a.csv", "--output", "m.h5", "--json", ranks=2)
        self.assertEqual(result.json["k"], 2)
        self.assertTrue(any("distinct" in warning for warning in result.lines("warning: ")), result)


class BadLibsvm(CliTest):
    def test_indices(self):
        for text, place in (("1 0:1\n0 1:2\n", "a.svm:1"), ("1 1:1\n0 3:1 2:1\n", "a.svm:2"), ("1 1:x\n0 1:1\n", "a.svm:1")):
            self.write("a.svm", text)
            self.fail_with(65, ["train", "logistic", "--input", "a.svm", "--output", "m.h5"], place)

    def test_zero_based(self):
        self.write("a.svm", "1 0:1\n0 1:2\n1 0:2\n0 1:1\n")
        report = self.succeed("train", "logistic", "--zero-based", "--reg-param", "1", "--input", "a.svm", "--output",
                              "m.h5", "--json").json
        self.assertEqual(report["features"], 2)

    def test_more_columns_at_scoring(self):
        self.write("a.svm", "1 1:1\n0 2:2\n1 1:2\n0 2:1\n")
        self.succeed("train", "logistic", "--reg-param", "1", "--input", "a.svm", "--output", "m.h5")
        self.write("b.svm", "1 1:1\n0 1:2\n")
        self.succeed("score", "m.h5", "--input", "b.svm", "--output", "p.csv")
        self.write("c.svm", "1 3:1\n0 1:2\n")
        self.fail_with(65, ["score", "m.h5", "--input", "c.svm", "--output", "p.csv"], "3", "2")


class BadModels(CliTest):
    def setUp(self):
        super().setUp()
        self.write("a.csv", support.classification_csv(rows=60))
        self.succeed("train", "logistic", "--input", "a.csv", "--output", "m.h5")

    def test_foreign_file(self):
        self.fail_with(65, ["inspect", "a.csv"], "a.csv")
        self.fail_with(65, ["score", "a.csv", "--input", "a.csv", "--output", "p.csv"], "a.csv")

    def test_hdf5_that_is_no_model(self):
        self.succeed("convert", "--input", "a.csv", "--output", "d.h5")
        self.fail_with(65, ["inspect", "d.h5"], "d.h5")

    def test_truncated_model(self):
        whole = self.read("m.h5")
        for size in (0, 7, 100, len(whole) // 2, len(whole) - 1):
            self.write("t.h5", whole[:size])
            self.fail_with(65, ["inspect", "t.h5"], "t.h5", ranks=[None])

    def test_truncated_data(self):
        self.succeed("convert", "--input", "a.csv", "--output", "d.h5")
        self.write("d.h5", self.read("d.h5")[:-200])
        self.fail_with(65, ["train", "logistic", "--input", "d.h5", "--output", "n.h5"], "d.h5")

    def test_newer_format(self):
        whole = bytearray(self.read("m.h5"))
        name = whole.index(b"firesteel_format")
        # The attribute's value, the first 8-byte 1 behind its name, becomes 99.
        value = whole.index((1).to_bytes(8, "little"), name + len(b"firesteel_format"))
        whole[value:value + 8] = (99).to_bytes(8, "little")
        self.write("n.h5", bytes(whole))
        result = self.run_here("inspect", "n.h5")
        self.assertEqual(result.code, 65, result)

    def test_model_of_another_learner(self):
        self.write("r.csv", support.ratings_csv())
        self.fail_with(65, ["evaluate", "m.h5", "--input", "r.csv"], ranks=[None, 2])

    def test_number_of_features_differs(self):
        plain = "".join(f"{i % 7},{i % 5},{i % 2}\n" for i in range(30))
        self.write("p.csv", plain)
        self.succeed("train", "logistic", "--no-header", "--label", "2", "--input", "p.csv", "--output", "n.h5")
        self.write("q.csv", "1\n2\n")
        self.fail_with(65, ["score", "n.h5", "--no-header", "--input", "q.csv", "--output", "o.csv"])


if __name__ == "__main__":
    unittest.main()
