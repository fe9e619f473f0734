# SPDX-License-Identifier: Apache-2.0
"""Grammar: what is wrong from the words alone is 64, said before anything is read or written."""

import json
import os
import unittest

import support
from support import CliTest


class Answers(CliTest):
    """--version, --help and learners need no MPI and no input."""

    def test_version(self):
        result = self.succeed("--version")
        self.assertRegex(result.out, r"^firesteel \d+\.\d+\.\d+\n$")

    def test_answers_come_once_under_mpirun(self):
        self.assertEqual(self.succeed("--version", ranks=3).out, self.succeed("--version").out)
        self.assertEqual(self.succeed("learners", ranks=2).out, self.succeed("learners").out)

    def test_help_names_every_command_with_an_example(self):
        text = self.succeed("--help").out
        for name in ("train", "score", "evaluate", "inspect", "convert", "learners", "doctor"):
            self.assertIn(f"  {name}", text)
            self.assertIn(f"firesteel {name}", text)

    def test_every_command_has_help(self):
        for name in ("train", "score", "evaluate", "inspect", "convert", "learners", "doctor"):
            text = self.succeed(name, "--help").out
            self.assertIn(f"firesteel {name}", text)
            self.assertIn("Example", text)

    def test_help_of_a_learner_shows_a_command_that_trains_it(self):
        for learner in ("logistic", "kmeans", "als"):
            text = self.succeed("train", learner, "--help").out
            self.assertIn(f"Example\n  firesteel train {learner} --input", text)

    def test_help_of_a_learner_shows_its_parameters(self):
        text = self.succeed("train", "logistic", "--help").out
        for word in ("--reg-param", "--elastic-net-param", "--max-iter", "--tol", "[100]", "[1e-06]"):
            self.assertIn(word, text)
        self.assertNotIn("--init-steps", text)

    def test_learners(self):
        text = self.succeed("learners").out
        for name in ("logistic", "kmeans", "als"):
            self.assertIn(name, text)
        self.assertIn("--init-steps", self.succeed("learners", "kmeans").out)

    def test_learners_json(self):
        listing = self.succeed("learners", "--json").json
        self.assertEqual({entry["learner"] for entry in listing["learners"]}, {"als", "kmeans", "logistic"})
        one = self.succeed("learners", "kmeans", "--json").json
        defaults = {p["name"]: p["default"] for p in one["parameters"]}
        self.assertEqual((defaults["k"], defaults["max_iter"], defaults["tol"]), (2, 20, 1e-4))
        self.assertEqual((defaults["init_mode"], defaults["distance_measure"]), ("k-means||", "euclidean"))

    def test_defaults_are_mllibs(self):
        def defaults(learner):
            return {p["option"]: p["default"] for p in self.succeed("learners", learner, "--json").json["parameters"]}

        logistic = defaults("logistic")
        for option, value in {"--reg-param": 0, "--elastic-net-param": 0, "--max-iter": 100, "--tol": 1e-6,
                              "--fit-intercept": True, "--standardization": True, "--family": "auto",
                              "--solver": "auto", "--threshold": 0.5}.items():
            self.assertEqual(logistic[option], value, option)
        als = defaults("als")
        for option, value in {"--rank": 10, "--max-iter": 10, "--reg-param": 0.1, "--implicit-prefs": False,
                              "--alpha": 1, "--nonnegative": False, "--cold-start-strategy": "nan", "--solver": "cholesky", "--cg-steps": 3}.items():
            self.assertEqual(als[option], value, option)


class WrongWords(CliTest):
    """Nothing here exists as a file: 64 comes before 66."""

    TRAIN = ("train", "logistic", "--input", "none.csv", "--output", "model.h5")

    def test_no_command(self):
        self.fail_with(64, [], "--help")

    def test_unknown_command_suggests_the_nearest(self):
        self.fail_with(64, ["trian", "logistic"], "'trian'", "'train'")

    def test_unknown_learner_suggests_the_nearest(self):
        self.fail_with(64, ["train", "logstic", "--input", "a.csv", "--output", "m.h5"], "'logstic'", "'logistic'")
        self.fail_with(64, ["learners", "kmean"], "'kmean'", "'kmeans'")

    def test_unknown_option_suggests_the_nearest(self):
        self.fail_with(64, [*self.TRAIN, "--reg-parm", "1"], "--reg-parm", "--reg-param")
        self.fail_with(64, [*self.TRAIN, "--max_iter=3"], "--max_iter", "--max-iter")

    def test_abbreviations_are_not_taken(self):
        self.fail_with(64, [*self.TRAIN, "--max", "3"], "--max", "--max-iter")

    def test_option_of_another_learner(self):
        self.fail_with(64, [*self.TRAIN, "--init-steps", "3"], "--init-steps", "kmeans")

    def test_option_of_another_command(self):
        self.fail_with(64, [*self.TRAIN, "--top", "3"], "--top", "score")

    def test_repeated_option(self):
        self.fail_with(64, [*self.TRAIN, "--tol", "1", "--tol=1"], "--tol", "twice")
        self.fail_with(64, [*self.TRAIN, "--fit-intercept", "--no-fit-intercept"], "--fit-intercept", ranks=[None])

    def test_missing_value(self):
        self.fail_with(64, [*self.TRAIN, "--tol"], "--tol")
        self.fail_with(64, [*self.TRAIN, "--label", "--json"], "--label", ranks=[None])
        self.fail_with(64, [*self.TRAIN, "--label="], "--label", ranks=[None])

    def test_missing_input_and_output(self):
        self.fail_with(64, ["train", "logistic", "--output", "m.h5"], "--input")
        self.fail_with(64, ["train", "logistic", "--input", "a.csv"], "--output")
        self.fail_with(64, ["score", "m.h5", "--input", "a.csv"], "--output", ranks=[None])
        self.fail_with(64, ["evaluate", "m.h5"], "--input", ranks=[None])

    def test_missing_and_extra_positionals(self):
        self.fail_with(64, ["train", "--input", "a.csv", "--output", "m.h5"], "LEARNER")
        self.fail_with(64, ["inspect"], "MODEL")
        self.fail_with(64, ["inspect", "a.h5", "b.h5"], "'b.h5'")
        self.fail_with(64, ["inspect", ""], "MODEL", "''")
        self.fail_with(64, ["--version", "now"], "--version", "'now'")

    def test_values_of_parameters(self):
        for option, value in (("--reg-param", "nan"), ("--reg-param", "-1"), ("--reg-param", "x"), ("--max-iter", "2.5"),
                              ("--max-iter", "-1"), ("--elastic-net-param", "1.5"), ("--tol", "inf"),
                              ("--fit-intercept=maybe", None), ("--family", "poisson"), ("--threshold", "2")):
            words = [option] if value is None else [option, value]
            self.fail_with(64, [*self.TRAIN, *words], option.split("=")[0], ranks=[None])
        for option, value in (("--k", "0"), ("--k", "2.5"), ("--k", "nan"), ("--init-mode", "best"), ("--tol", "-1"),
                              ("--distance-measure", "manhattan")):
            self.fail_with(64, ["train", "kmeans", "--input", "a.csv", "--output", "m.h5", option, value], option,
                           f"'{value}'", ranks=[None])
        for option, value in (("--rank", "0"), ("--alpha", "-1"), ("--cg-steps", "0"), ("--solver", "lu"), ("--cold-start-strategy", "zero")):
            self.fail_with(64, ["train", "als", "--input", "a.csv", "--output", "m.h5", option, value], option,
                           ranks=[None])

    def test_parameters_that_contradict_each_other(self):
        absent = ["train", "logistic", "--input", "absent.csv", "--output", "m.h5"]  # 64 comes before 66
        self.fail_with(64, [*absent, "--solver", "lbfgs", "--reg-param", "1", "--elastic-net-param", "1"], "--solver lbfgs")
        self.fail_with(64, [*absent, "--thresholds", "0,0.5,0"], "--thresholds", ranks=[None])
        self.fail_with(64, ["train", "als", *absent[2:], "--solver", "cg", "--nonnegative"], "--nonnegative")

    def test_values_of_shared_options(self):
        for option, value in (("--seed", "-1"), ("--seed", "18446744073709551616"), ("--seed", "1.5"), ("--threads", "0"),
                              ("--threads", "two"), ("--precision", "half"), ("--missing", "ignore"),
                              ("--format", "xlsx"), ("--delimiter", "ab"), ("--num-features", "0"),
                              ("--features", "a,,b")):
            self.fail_with(64, [*self.TRAIN, option, value], option, value, ranks=[None])

    def test_quiet_and_verbose(self):
        self.fail_with(64, [*self.TRAIN, "--quiet", "--verbose"], "--quiet", "--verbose", ranks=[None])

    def test_output_format_by_extension(self):
        self.fail_with(64, ["score", "m.h5", "--input", "a.csv", "--output", "p.xlsx"], ".csv", "'p.xlsx'")
        self.fail_with(64, ["convert", "--input", "a.csv", "--output", "p"], ".libsvm", ranks=[None])

    def test_json_and_stdout_exclude_each_other(self):
        self.fail_with(64, ["score", "m.h5", "--input", "a.csv", "--output", "-", "--json"], "--json", ranks=[None])

    def test_scoring_options(self):
        self.fail_with(64, ["score", "m.h5", "--input", "a.csv", "--output", "p.csv", "--threshold", "2"], "--threshold",
                       ranks=[None])
        self.fail_with(64, ["score", "m.h5", "--top", "0", "--output", "p.csv"], "--top", ranks=[None])
        self.fail_with(64, ["score", "m.h5", "--top", "3", "--for", "group", "--output", "p.csv"], "--for", ranks=[None])
        self.fail_with(64, ["score", "m.h5", "--for", "user", "--input", "a.csv", "--output", "p.csv"], "--top",
                       ranks=[None])
        self.fail_with(64, ["evaluate", "m.h5", "--input", "a.csv", "--k", "3"], "--k", ranks=[None])

    def test_short_options(self):
        self.fail_with(64, [*self.TRAIN, "-v"], "-v", ranks=[None])

    def test_words_come_before_files_and_touch_nothing(self):
        self.write("model.h5", "old")
        self.fail_with(64, [*self.TRAIN, "--k", "3"])
        self.assertEqual(self.read("model.h5"), b"old")
        self.assertEqual(os.listdir(self.directory), ["model.h5"])


class Ways(CliTest):
    """All ways to write an option mean the same."""

    def setUp(self):
        super().setUp()
        self.write("a.csv", support.classification_csv())

    def model(self, *words):
        self.succeed("train", "logistic", "--input", "a.csv", "--output", "m.h5", *words)
        return self.read("m.h5")

    def test_value_after_blank_or_equals(self):
        self.assertEqual(self.model("--reg-param", "0.1"), self.model("--reg-param=0.1"))
        self.assertNotEqual(self.model("--reg-param", "0.1"), self.model())

    def test_booleans(self):
        without = self.model("--no-fit-intercept")
        self.assertEqual(without, self.model("--fit-intercept=false"))
        self.assertNotEqual(without, self.model("--fit-intercept"))
        self.assertEqual(self.model(), self.model("--fit-intercept=true"))

    def test_negative_number_as_value(self):
        self.assertEqual(self.model(), self.model("--label", "-1"))

    def test_several_inputs_and_repeats(self):
        rows = support.classification_csv().splitlines(keepends=True)
        self.write("b.csv", "".join(rows[:101]))
        self.write("c.csv", "".join([rows[0], *rows[101:]]))
        whole = self.succeed("train", "logistic", "--input", "a.csv", "--output", "m.h5", "--json").json
        for words in (["--input", "b.csv", "c.csv"], ["--input", "b.csv", "--input", "c.csv"], ["--input=[bc].csv"]):
            split = self.succeed("train", "logistic", *words, "--output", "s.h5", "--json").json
            self.assertEqual(split["sha256"], whole["sha256"], words)

    def test_json_is_one_object_of_one_line(self):
        out = self.succeed("train", "logistic", "--input", "a.csv", "--output", "m.h5", "--json", ranks=2).out
        self.assertEqual(len(out.splitlines()), 1)
        json.loads(out)


if __name__ == "__main__":
    unittest.main()
