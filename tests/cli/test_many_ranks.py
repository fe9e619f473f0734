# SPDX-License-Identifier: Apache-2.0
"""Far more ranks than cores: every learner on 64 ranks, with the bytes of one process."""

import unittest

import support
from support import CliTest

RANKS = 64


class ManyRanks(CliTest):
    def check(self, *train):
        blocks = {"FIRESTEEL_BLOCK_ROWS": "32"}  # some for every rank
        self.succeed(*train, "--output", "one.h5", **blocks)
        self.succeed(*train, "--output", "many.h5", "--threads", "1", ranks=RANKS, **blocks)
        self.assertEqual(self.read("many.h5"), self.read("one.h5"), train)

    def test_kmeans(self):
        self.write("a.csv", support.clusters_csv(rows=4000, centers=9, features=5))
        self.check("train", "kmeans", "--k", "12", "--seed", "7", "--input", "a.csv")

    def test_logistic(self):
        self.write("a.csv", support.classification_csv(rows=4000, features=7))
        self.check("train", "logistic", "--input", "a.csv")

    def test_als(self):
        self.write("a.csv", support.ratings_csv(users=600, items=300))
        self.check("train", "als", "--rank", "5", "--max-iter", "3", "--input", "a.csv")


if __name__ == "__main__":
    unittest.main()
