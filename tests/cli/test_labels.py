# SPDX-License-Identifier: Apache-2.0
"""Labels that a model does not know, or that are no classes: 65 with the place, as every other bad value."""

import unittest

from support import CliTest

FEATURES = ("1,0.5", "2,0.25", "1.5,2", "0.25,1", "-2,3", "3,0.125")


def csv(labels, rows=FEATURES):
    return "x,y,label\n" + "".join(f"{row},{label}\n" for row, label in zip(rows, labels))


class KnownClasses(CliTest):
    RANKS = (None, 3)

    def model(self, labels, name="m.h5"):
        self.write("train.csv", csv(labels))
        self.succeed("train", "logistic", "--input", "train.csv", "--reg-param", "1", "--output", name)
        return name

    def evaluate(self, model, labels, name="e.csv"):
        self.write(name, csv(labels))
        return ["evaluate", model, "--input", name]

    def test_a_number_that_the_model_does_not_know(self):
        model = self.model("010110")
        self.fail_with(65, self.evaluate(model, "01012"), "e.csv:6:3: label 2 is unknown", "the model knows 0, 1",
                       "(column 'label')")
        self.fail_with(65, self.evaluate(model, ("0", "0.5")), "e.csv:3:3: label 0.5 is unknown")
        self.fail_with(65, self.evaluate(model, ("0", "9007199254740993")), "e.csv:3:3: label 9007199254740993 is")
        self.fail_with(65, self.evaluate(model, ("0", "1e300")), "e.csv:3:3: label 1e300 is")

    def test_a_text_for_a_model_of_numbers(self):
        model = self.model("010110")
        self.fail_with(65, self.evaluate(model, ("0", "1", "yes", "no")), "e.csv:4:3: label 'yes' is unknown",
                       "the model knows 0, 1")
        self.fail_with(65, self.evaluate(model, ("yes", "1")), "e.csv:2:3: label 'yes' is unknown")

    def test_for_a_model_of_texts(self):
        model = self.model(("ham", "spam", "01", "ham", "spam", "01"))
        self.fail_with(65, self.evaluate(model, ("ham", "eggs")), "e.csv:3:3: label 'eggs' is unknown",
                       "the model knows '01', 'ham', 'spam'")
        self.fail_with(65, self.evaluate(model, ("1", "1")), "e.csv:2:3: label '1' is unknown")
        # Texts stay as they are written, even where all of them are numbers.
        self.succeed(*self.evaluate(model, ("01", "01")), ranks=2)

    def test_many_classes_are_not_all_named(self):
        rows = tuple(f"{i},{i * i % 7}" for i in range(50))
        self.write("train.csv", csv(range(50), rows))
        self.succeed("train", "logistic", "--input", "train.csv", "--reg-param", "1", "--output", "m.h5")
        self.fail_with(65, self.evaluate("m.h5", ("3", "77")), "label 77", "0, 1, 2, 3", "19, … (50 in all)")

    def test_quoted_fields_are_found_again(self):
        model = self.model("010110")
        self.write("q.csv", 'note,x,y,label\n"a,\n""b""\nc",1,2,0\n\n"d\n", 3 ,4, "7" \n')
        self.fail_with(65, ["evaluate", model, "--input", "q.csv"], "q.csv:7:4: label 7 is unknown")

    def test_the_first_of_several_files(self):
        model = self.model("010110")
        self.write("b.csv", csv("014"))
        self.fail_with(65, [*self.evaluate(model, "0123"), "b.csv"], "e.csv:4:3: label 2")
        self.fail_with(65, ["evaluate", model, "--input", "b.csv", "e.csv"], "b.csv:4:3: label 4")

    def test_rows_that_do_not_count_may_have_any_label(self):
        model = self.model("010110")
        self.write("w.csv", "x,y,w,label\n1,2,1,0\n1,2,0,7\n1,2,0,maybe\n3,1,1,1\n")
        report = self.succeed("evaluate", model, "--input", "w.csv", "--weight", "w", "--json", ranks=2).json
        self.assertEqual(report["rows"], 4)
        self.write("d.csv", "label,x,y\n0,1,2\n7,,2\nmaybe,,2\n1,3,1\n")
        report = self.succeed("evaluate", model, "--input", "d.csv", "--missing", "drop", "--json", ranks=2).json
        self.assertEqual(report["rows"], 2)
        self.write("d.csv", "label,x,y\n0,1,2\n7,,2\nmaybe,3,2\n1,3,1\n")
        self.fail_with(65, ["evaluate", model, "--input", "d.csv", "--missing", "drop"], "d.csv:4:1: label 'maybe'")

    def test_libsvm(self):
        self.write("t.svm", "1 1:1\n0 2:2\n1 1:2\n0 2:1\n")
        self.succeed("train", "logistic", "--reg-param", "1", "--input", "t.svm", "--output", "m.h5")
        self.write("e.svm", "1 1:1\n# none\n 3 1:2\n")
        self.fail_with(65, ["evaluate", "m.h5", "--input", "e.svm"], "e.svm:3: label 3 is unknown", "knows 0, 1")
        self.write("e.svm", "yes 1:1\n1 1:2\n")
        self.fail_with(65, ["evaluate", "m.h5", "--input", "e.svm"], "e.svm:1: label 'yes' is unknown")
        self.write("t.svm", "b 1:1\na 2:2\nb 1:2\n1 2:1\n")
        self.succeed("train", "logistic", "--reg-param", "1", "--input", "t.svm", "--output", "m.h5")
        self.write("e.svm", "1 1:1\n2 1:2\n")
        self.fail_with(65, ["evaluate", "m.h5", "--input", "e.svm"], "e.svm:2: label '2' is unknown", "'1', 'a', 'b'")

    def test_hdf5(self):
        model = self.model("010110")
        self.write("a.csv", csv("0105"))
        self.write("b.csv", csv("01"))
        for name in "ab":
            self.succeed("convert", "--input", f"{name}.csv", "--label", "label", "--output", f"{name}.h5")
        self.fail_with(65, ["evaluate", model, "--input", "b.h5", "a.h5"],
                       "a.h5: row 3 of 'label': label 5 is unknown", "the model knows 0, 1")
        self.write("t.csv", csv(("0", "x")))
        self.succeed("convert", "--input", "t.csv", "--label", "label", "--output", "t.h5")
        self.fail_with(65, ["evaluate", model, "--input", "t.h5"], "t.h5: row 1 of 'label': label 'x' is unknown")


class NoClasses(CliTest):
    """At training a label is a whole number that a double holds, or a text."""

    RANKS = (None, 3)

    def test_beyond_double(self):
        train = ["train", "logistic", "--input", "a.csv", "--output", "m.h5"]
        self.write("a.csv", csv(("0", "1", "9007199254740993")))
        self.fail_with(65, train, "a.csv:4:3: label 9007199254740993 is beyond 2^53")
        self.write("a.svm", "0 1:1\n-1e300 1:2\n")
        self.fail_with(65, ["train", "logistic", "--input", "a.svm", "--output", "m.h5"],
                       "a.svm:2: label -1e300 is beyond 2^53")

    def test_fractions(self):
        self.write("a.svm", "0 1:1\n0.5 1:2\n")
        self.fail_with(65, ["train", "logistic", "--input", "a.svm", "--output", "m.h5"],
                       "a.svm:2: label 0.5 is not a whole number")
        self.write("a.csv", csv(("0", "1.5")))
        self.succeed("convert", "--input", "a.csv", "--label", "label", "--output", "a.h5")
        self.fail_with(65, ["train", "logistic", "--input", "a.h5", "--output", "m.h5"],
                       "a.h5: row 1 of 'label': label 1.5 is not a whole number")


if __name__ == "__main__":
    unittest.main()
