# SPDX-License-Identifier: Apache-2.0
"""train: the JSON of the contract, learners' own keys, what reaches the model."""

import math
import random
import unittest

import support
from support import CliTest

TRAIN_KEYS = {"command", "learner", "rows", "features", "iterations", "converged", "stop_reason", "objective", "metrics",
              "seconds", "ranks", "threads", "model"}


class TrainJson(CliTest):
    def check_common(self, report, learner, ranks):
        self.assertLessEqual(TRAIN_KEYS, set(report))
        self.assertEqual((report["command"], report["learner"]), ("train", learner))
        self.assertEqual((report["ranks"], report["model"]), (ranks or 1, "m.h5"))
        self.assertEqual(set(report["seconds"]), {"read", "fit", "write"})
        self.assertGreaterEqual(report["threads"], 1)
        self.assertIsInstance(report["objective"], float)

    def test_logistic(self):
        self.write("a.csv", support.classification_csv())
        for ranks in (None, 2, 3):
            report = self.succeed("train", "logistic", "--input", "a.csv", "--output", "m.h5", "--json", ranks=ranks).json
            self.check_common(report, "logistic", ranks)
            self.assertEqual((report["rows"], report["features"], report["converged"]), (200, 4, True))
            self.assertGreater(report["iterations"], 0)
            metrics = report["metrics"]
            for name in ("accuracy", "log_loss", "area_under_roc", "area_under_pr", "f1", "weighted_precision",
                         "weighted_recall"):
                self.assertTrue(0 < metrics[name] < 1, (name, metrics))
            # Without a penalty the objective is the mean log-loss.
            self.assertTrue(math.isclose(report["objective"], metrics["log_loss"], rel_tol=1e-9))

    def test_kmeans(self):
        self.write("a.csv", support.clusters_csv())
        for ranks in (None, 2):
            report = self.succeed("train", "kmeans", "--k", "3", "--input", "a.csv", "--output", "m.h5", "--json",
                                  ranks=ranks).json
            self.check_common(report, "kmeans", ranks)
            self.assertEqual((report["k"], report["rows"], report["features"]), (3, 200, 2))
            self.assertEqual(report["training_cost"], report["objective"])
            self.assertEqual(report["metrics"]["training_cost"], report["training_cost"])
            self.assertTrue(0.5 < report["metrics"]["silhouette"] <= 1)

    def test_als(self):
        self.write("a.csv", support.ratings_csv())
        for ranks in (None, 2):
            report = self.succeed("train", "als", "--rank", "4", "--input", "a.csv", "--output", "m.h5", "--json",
                                  ranks=ranks).json
            self.check_common(report, "als", ranks)
            self.assertEqual((report["rows"], report["num_users"], report["num_items"]), (240, 30, 20))
            self.assertIsNone(report["converged"])
            self.assertEqual(report["iterations"], 10)
            self.assertTrue(0 < report["metrics"]["rmse"] < 2)
            self.assertNotIn("rows_scored", report["metrics"])

    def test_undefined_numbers_are_null(self):
        self.write("a.csv", support.clusters_csv(rows=30))
        out = self.succeed("train", "kmeans", "--k", "1", "--input", "a.csv", "--output", "m.h5", "--json").out
        self.assertNotIn("nan", out.lower())


class TightTolerance(CliTest):
    """Near the optimum values differ by rounding alone: the gradient must still reach the tolerance."""

    def test_elastic_net_converges(self):
        for seed, penalty in ((1, (".05", ".5")), (2, (".05", ".5")), (3, (".02", "1"))):
            self.write("a.csv", support.classification_csv(seed=seed))
            report = self.succeed("train", "logistic", "--input", "a.csv", "--output", "m.h5", "--json", "--tol", "1e-10",
                                  "--max-iter", "1000", "--reg-param", penalty[0], "--elastic-net-param", penalty[1]).json
            self.assertTrue(report["converged"], report)
            self.assertLessEqual(report["gradient_norm"], 1e-10 * report["objective"])


    def test_columns_that_are_rarely_not_zero(self):
        """Without standardization a column of tiny deviation must not slow the descent down."""
        draw = random.Random(5)
        lines = [",".join([f"x{j}" for j in range(12)] + ["label"])]
        for row in range(600):
            values = [draw.random() if j < 6 else 0.02 * (row % 200 == j) for j in range(12)]
            score = sum(value * (j % 3 - 1) for j, value in enumerate(values[:6])) + draw.gauss(0, 0.5)
            lines.append(",".join([repr(value) for value in values] + [str((score > -0.3) + (score > 0.3))]))
        self.write("a.csv", "\n".join(lines) + "\n")
        words = ("train", "logistic", "--input", "a.csv", "--output", "m.h5", "--json", "--tol", "1e-10", "--max-iter",
                 "1000", "--reg-param", "0.005", "--no-standardization", "--solver")
        newton = self.succeed(*words, "newton").json
        lbfgs = self.succeed(*words, "lbfgs").json
        self.assertTrue(newton["converged"] and lbfgs["converged"])
        self.assertLess(lbfgs["iterations"], 100)
        self.assertTrue(math.isclose(lbfgs["objective"], newton["objective"], rel_tol=1e-9))


class MissingMeans(CliTest):
    """A weight stands for so many equal rows, in the means of --missing mean too; 0 for none."""

    def test_weights_count_rows(self):
        rows = (("1,,0", 1), (",4,1", 2), ("3,5,0", 3), ("9,6,1", 0), ("5,1,1", 1))
        self.write("w.csv", "a,b,label,w\n" + "".join(f"{row},{weight}\n" for row, weight in rows))
        self.write("r.csv", "a,b,label\n" + "".join(f"{row}\n" * weight for row, weight in rows))
        words = ("--missing", "mean", "--features", "a,b", "--reg-param", "0.1", "--no-standardization", "--json")
        for ranks in (None, 2):
            fit = self.succeed("train", "logistic", "--input", "w.csv", "--weight", "w", "--output", "m.h5", *words, ranks=ranks)
            again = self.succeed("train", "logistic", "--input", "r.csv", "--output", "n.h5", *words, ranks=ranks)
            self.assertTrue(math.isclose(fit.json["objective"], again.json["objective"], rel_tol=1e-9), (fit, again))


class Parameters(CliTest):
    def setUp(self):
        super().setUp()
        self.write("a.csv", support.clusters_csv(rows=60))
        self.train = ("train", "kmeans", "--input", "a.csv", "--output", "m.h5", "--json")

    def test_seed_reaches_the_model(self):
        digests = {seed: self.succeed(*self.train, "--k", "5", "--init-mode", "random", "--max-iter", "0", "--seed",
                                      seed).json["sha256"] for seed in ("0", "1", "18446744073709551615")}
        self.assertEqual(len(set(digests.values())), 3, digests)

    def test_features_may_name_a_label_that_is_not_used(self):
        self.write("b.csv", "x,label\n1,2\n3,4\n5,9\n")
        words = ("train", "kmeans", "--input", "b.csv", "--output", "b.h5", "--json")
        self.assertEqual(self.succeed(*words).json["features"], 1)
        self.assertEqual(self.succeed(*words, "--features", "x,label").json["features"], 2)

    def test_every_reading_command_takes_a_seed(self):
        self.succeed(*self.train)
        self.succeed("evaluate", "m.h5", "--input", "a.csv", "--seed", "5")
        self.succeed("convert", "--input", "a.csv", "--output", "b.csv", "--seed", "5")

    def test_init_file(self):
        self.write("c.csv", "0,0\n10,20\n20,40\n")
        for ranks in (None, 2, 4):
            report = self.succeed(*self.train, "--init-file", "c.csv", ranks=ranks).json
            self.assertEqual(report["k"], 3)
        self.assertEqual(self.succeed(*self.train, "--init-file", "c.csv", "--k", "3").json["sha256"], report["sha256"])

    def test_init_file_contradicts(self):
        self.write("c.csv", "0,0\n10,20\n20,40\n")
        self.fail_with(64, [*self.train, "--init-file", "c.csv", "--k", "4"], "--k 4", "3 rows")
        self.fail_with(64, ["train", "kmeans", "--input", "a.csv", "--init-file", "c.csv", "--output", "c.csv"],
                       "--output: c.csv", ranks=[None])
        self.write("w.csv", "0,0,0\n10,20,30\n")
        self.fail_with(65, [*self.train, "--init-file", "w.csv"], "3", "2")
        self.write("t.csv", "0,zero\n10,20\n")
        self.fail_with(65, [*self.train, "--init-file", "t.csv"], "t.csv:1:2", "'zero'")
        self.write("r.csv", "0,0\n10\n")
        self.fail_with(65, [*self.train, "--init-file", "r.csv"], "r.csv:2", ranks=[None])
        self.write("e.csv", "\n")
        self.fail_with(65, [*self.train, "--init-file", "e.csv"], "e.csv", ranks=[None])

    def test_single_precision(self):
        double = self.succeed(*self.train, "--k", "3").json
        single = self.succeed(*self.train, "--k", "3", "--precision", "single").json
        self.assertNotEqual(double["sha256"], single["sha256"])
        self.assertAlmostEqual(double["training_cost"] / single["training_cost"], 1, places=4)


if __name__ == "__main__":
    unittest.main()
