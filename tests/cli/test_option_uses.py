# SPDX-License-Identifier: Apache-2.0
"""No option is silently ignored: one that says nothing for a format or a learner ends with 64, or is warned of where
scripts may well give it everywhere."""

import unittest

import support
from support import CliTest

ROWS = ("csv", "libsvm", "hdf5")
RATINGS = ("csv ratings", "hdf5 ratings")

# Option with a value → what has a use for it, and the words that the message says of it elsewhere.
USES = {
    ("--label", "y"): (("csv", "hdf5"), "label"),
    ("--features", "0"): (ROWS, "rows of features"),
    ("--exclude", "1"): (ROWS, "rows of features"),
    ("--weight", "w"): (ROWS, "rows of features"),
    ("--missing", "drop"): (ROWS, "missing features"),
    ("--header",): (("csv", "csv ratings"), "CSV"),
    ("--no-header",): (("csv", "csv ratings"), "CSV"),
    ("--delimiter", ";"): (("csv", "csv ratings"), "CSV"),
    ("--zero-based",): (("libsvm",), "LIBSVM"),
    ("--num-features", "3"): (("libsvm", "hdf5"), "sparse"),
    ("--dataset", "features"): (("hdf5",), "HDF5"),
    ("--user", "x"): (("csv", *RATINGS), "ratings"),
    ("--item", "x"): (("csv", *RATINGS), "ratings"),
    ("--rating", "x"): (("csv", *RATINGS), "ratings"),
}
SAYS_NOTHING = " has no use for "


class Uses(CliTest):
    def setUp(self):
        super().setUp()
        self.write("a.csv", support.classification_csv(rows=40, features=3))
        self.write("r.csv", support.ratings_csv())
        self.succeed("convert", "--input", "a.csv", "--label", "label", "--output", "a.svm")
        self.succeed("convert", "--input", "a.csv", "--label", "label", "--output", "a.h5")
        self.succeed("convert", "--input", "r.csv", "--user", "user", "--output", "r.h5")
        # By first bytes, too.
        for name in ("a.csv", "a.svm", "a.h5", "r.csv", "r.h5"):
            (self.directory / name.replace(".", "_")).write_bytes(self.read(name))
        self.inputs = {"csv": "a.csv", "libsvm": "a.svm", "hdf5": "a.h5", "csv ratings": "r.csv", "hdf5 ratings": "r.h5"}
        self.succeed("train", "logistic", "--input", "a.csv", "--output", "logistic.h5")
        self.succeed("train", "als", "--input", "r.csv", "--rank", "2", "--output", "als.h5")

    def lines_of(self, kind, name):
        learner = "als" if kind in RATINGS else "logistic"
        yield ["train", learner, "--input", name, "--output", "m.h5"]
        yield ["evaluate", f"{learner}.h5", "--input", name]
        yield ["score", f"{learner}.h5", "--input", name, "--output", "p.csv"]

    def test_table(self):
        for words, (places, says) in USES.items():
            first_refused = next((kind for kind in self.inputs if kind not in places), None)
            for kind, name in self.inputs.items():
                for number, line in enumerate(self.lines_of(kind, name)):
                    with self.subTest(line=[*line, *words]):
                        if kind not in places:
                            ranks = (None, 2) if number == 0 and kind == first_refused else (None,)
                            self.fail_with(64, [*line, *words], words[0],
                                           SAYS_NOTHING, says, "leave it out", ranks=ranks)
                        elif number == 0:
                            self.assertNotIn(SAYS_NOTHING, self.run_here(*line, *words).err)

    def test_by_first_bytes(self):
        for name, words in (("a_svm", ("--delimiter", ",")), ("a_h5", ("--no-header",)), ("a_csv", ("--zero-based",)),
                            ("r_h5", ("--no-header",))):
            learner = "als" if name[0] == "r" else "logistic"
            self.fail_with(64, ["train", learner, "--input", name, "--output", "m.h5", *words], words[0], SAYS_NOTHING, name)

    def test_ratings_need_no_file_to_be_looked_at(self):
        self.fail_with(64, ["train", "als", "--input", "absent", "--features", "1", "--output", "m.h5"], "--features")
        self.fail_with(64, ["convert", "--input", "absent", "--user", "u", "--label", "y", "--output", "m.h5"], "--label")

    def test_refusals_touch_nothing(self):
        self.write("m.h5", "old")
        self.fail_with(64, ["train", "logistic", "--input", "a.svm", "--label", "y", "--output", "m.h5"], "--label y")
        self.assertEqual(self.read("m.h5"), b"old")

    def test_the_label_of_libsvm_is_called_label(self):
        self.succeed("train", "logistic", "--input", "a.svm", "--label", "label", "--output", "m.h5")

    def test_number_of_columns_of_dense_hdf5(self):
        line = ["train", "logistic", "--input", "a.h5", "--output", "m.h5", "--num-features"]
        self.succeed(*line, "3")
        self.fail_with(64, [*line, "5"], "--num-features 5", "dense", "3")

    def test_learner_options_of_another_learner(self):
        self.write("c.csv", "0,0,0\n1,1,1\n")
        for learner, words in (("logistic", ("--init-file", "c.csv")), ("als", ("--k", "2")), ("kmeans", ("--alpha", "2")),
                               ("kmeans", ("--threshold", "0.2")), ("logistic", ("--cold-start-strategy", "drop"))):
            self.fail_with(64, ["train", learner, "--input", "a.csv", "--output", "m.h5", *words], words[0], ranks=[None])
        self.fail_with(64, ["score", "logistic.h5", "--top", "3", "--output", "p.csv"], "--top", "als", ranks=[None, 2])
        for command in ("score", "evaluate"):
            output = ["--output", "p.csv"] if command == "score" else []
            self.fail_with(64, [command, "logistic.h5", "--input", "a.csv", "--cold-start-strategy", "drop", *output],
                           "--cold-start-strategy")
            self.fail_with(64, [command, "als.h5", "--input", "r.csv", "--threshold", "0.3", *output], "--threshold")


class Warnings(CliTest):
    """Where scripts may give an option everywhere, or a name need not be there."""

    def setUp(self):
        super().setUp()
        self.write("a.csv", support.classification_csv(rows=60, features=3, classes=("0", "1", "2")))
        self.write("r.csv", support.ratings_csv())

    def warned(self, line, *fragments):
        for ranks in (None, 2):
            warnings = self.succeed(*line, ranks=ranks).lines("warning: ")
            found = [w for w in warnings if all(fragment in w for fragment in fragments)]
            self.assertEqual(len(found), 1, warnings)

    def silent(self, *line):
        self.assertEqual(self.succeed(*line).lines("warning: "), [])

    def test_columns_that_the_model_names(self):
        self.succeed("train", "logistic", "--input", "a.csv", "--features", "x0,x1", "--output", "m.h5")
        score = ["score", "m.h5", "--input", "a.csv", "--output", "p.csv"]
        self.silent(*score, "--features", "x1,x0", "--exclude", "x2")
        self.warned([*score, "--features", "x0,x2"], "--features is not used")
        self.warned([*score, "--exclude", "x1"], "--exclude is not used")
        self.succeed("convert", "--input", "a.csv", "--label", "label", "--output", "a.h5")
        self.warned(["evaluate", "m.h5", "--input", "a.h5", "--features", "x2"], "--features is not used")

    def test_a_name_that_is_no_column_and_need_not_be_one(self):
        train = ["train", "kmeans", "--input", "a.csv", "--output", "m.h5"]
        self.silent(*train, "--label", "label")
        self.warned([*train, "--label", "labl"], "--label: no column 'labl'", "'label'")
        self.warned([*train, "--user", "x9"], "--user: no column 'x9'")

    def test_threshold_is_for_two_classes(self):
        self.warned(["train", "logistic", "--input", "a.csv", "--reg-param", "1", "--threshold", "0.3", "--output", "m.h5"],
                    "--threshold is not used", "3")
        self.warned(["evaluate", "m.h5", "--input", "a.csv", "--threshold", "0.3"], "--threshold is not used", "3")

    def test_top_reads_nothing(self):
        self.succeed("train", "als", "--input", "r.csv", "--rank", "2", "--output", "m.h5")
        top = ["score", "m.h5", "--top", "2", "--output", "p.csv"]
        self.silent(*top)
        self.warned([*top, "--input", "r.csv"], "--input is not used", "--top")
        self.warned([*top, "--user", "u", "--no-header"], "--no-header, --user are not used", "--top")

    def test_a_model_that_is_called_as_data_are(self):
        train = ["train", "logistic", "--input", "a.csv", "--reg-param", "1", "--output"]
        for name in ("m.csv", "m.svm", "m.json"):
            self.warned([*train, name], f"--output {name}", "HDF5", ".h5")
        for name in ("m.h5", "m.model", "m"):
            self.silent(*train, name)
        self.succeed("inspect", "m.csv")


if __name__ == "__main__":
    unittest.main()
