# SPDX-License-Identifier: Apache-2.0
"""The same bytes of model for any number of ranks and threads and both vector widths."""

import unittest

import support
from support import CliTest

RANKS = (None, 2, 3, 4, 5, 8)
MANY_BLOCKS = {"FIRESTEEL_BLOCK_ROWS": "32"}


class OneAnswer(CliTest):
    def check(self, *train):
        """Trains everywhere; the files must be equal. 32 rows a block give blocks to every rank, the default
        leaves most ranks without any."""
        for extra in ({}, MANY_BLOCKS):
            self.succeed(*train, "--output", "m.h5", "--threads", "1", **extra)
            expected = self.read("m.h5")
            for ranks in RANKS:
                for threads in (1, 2, 4) if ranks in (None, 3) else (1,):
                    self.succeed(*train, "--output", "n.h5", "--threads", str(threads), ranks=ranks, **extra)
                    self.assertEqual(self.read("n.h5"), expected, (train, ranks, threads, extra))
            self.succeed(*train, "--output", "n.h5", ranks=2, FIRESTEEL_SIMD="avx2", **extra)
            self.assertEqual(self.read("n.h5"), expected, (train, "avx2", extra))

    def test_logistic(self):
        self.write("a.csv", support.classification_csv(rows=700, features=7))
        self.check("train", "logistic", "--input", "a.csv")

    def test_logistic_l1_multinomial_single_precision(self):
        self.write("a.csv", support.classification_csv(rows=500, features=5, classes=("a", "b", "c")))
        self.check("train", "logistic", "--input", "a.csv", "--reg-param", "0.01", "--elastic-net-param", "0.5",
                   "--precision", "single")

    def test_logistic_sparse(self):
        self.check("train", "logistic", "--input", str(support.REPOSITORY / "datasets/agaricus/agaricus.txt.test"),
                   "--format", "libsvm", "--reg-param", "0.01")

    def test_kmeans(self):
        self.write("a.csv", support.clusters_csv(rows=600, centers=9, features=5))
        self.check("train", "kmeans", "--k", "12", "--seed", "7", "--input", "a.csv")

    def test_logistic_single_precision(self):
        self.write("a.csv", support.classification_csv(rows=700, features=7))
        for solver in ("newton", "lbfgs"):
            self.check("train", "logistic", "--input", "a.csv", "--precision", "single", "--solver", solver)

    def test_logistic_sparse_single_precision(self):
        self.check("train", "logistic", "--input", str(support.REPOSITORY / "datasets/agaricus/agaricus.txt.test"),
                   "--format", "libsvm", "--reg-param", "0.01", "--precision", "single")

    def test_kmeans_single_precision(self):
        self.write("a.csv", support.clusters_csv(rows=600, centers=9, features=5))
        self.check("train", "kmeans", "--k", "12", "--seed", "7", "--input", "a.csv", "--precision", "single")

    def test_als_single_precision(self):
        self.write("a.csv", support.ratings_csv(users=120, items=50))
        for more in ((), ("--implicit-prefs",), ("--nonnegative",)):
            self.check("train", "als", "--rank", "5", "--max-iter", "3", "--input", "a.csv", "--precision", "single",
                       *more)

    def test_als(self):
        self.write("a.csv", support.ratings_csv(users=120, items=50))
        self.check("train", "als", "--rank", "5", "--max-iter", "3", "--input", "a.csv")


if __name__ == "__main__":
    unittest.main()
