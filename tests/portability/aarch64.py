# SPDX-License-Identifier: Apache-2.0
"""AArch64 against x86-64: every learner trained by both programs must leave the same bytes of model and the same scores.

Run by ./scripts/aarch64, which builds the AArch64 program; that one runs under qemu-aarch64. FIRESTEEL_PROGRAM is this machine's own.
"""

import os
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cli"))
import support  # noqa: E402
from support import CliTest  # noqa: E402

EMULATED = os.environ["FIRESTEEL_EMULATED"].split()  # qemu-aarch64 -L ROOT PROGRAM
AGARICUS = str(support.REPOSITORY / "datasets/agaricus/agaricus.txt.test")
support.ENDING_LIMIT_S = 600
# Ranks of both kinds share memory but cannot read each other's.
ONE_NODE = {"OMPI_MCA_btl_vader_single_copy_mechanism": "none"}


class Aarch64(CliTest):
    def emulate(self, *args, ranks=None, native_ranks=0, **env):
        """The emulated program alone, at `ranks` ranks, or with `native_ranks` more of this machine's own program."""
        line = [*EMULATED, *map(str, args)]
        if ranks is not None:
            launcher = [support.MPIRUN, "--oversubscribe", "--bind-to", "none"]
            line = [*launcher, "-n", str(ranks), *line]
            if native_ranks:
                line += [":", "-n", str(native_ranks), support.FIRESTEEL, *map(str, args)]
        result = support.run_line(line, cwd=self.directory, **ONE_NODE, **env)
        self.assertEqual(result.code, 0, result)
        return result

    def check(self, *train, score=None):
        """Both precisions, few and many blocks, one emulated process and two of them."""
        for precision in ("double", "single"):
            for extra in ({}, {"FIRESTEEL_BLOCK_ROWS": "32"}):
                words = (*train, "--precision", precision, "--threads", "2", "--output")
                self.succeed(*words, "native.h5", **extra)
                for ranks in (None, 2) if extra else (None,):
                    self.emulate(*words, "emulated.h5", ranks=ranks, **extra)
                    self.assertEqual(self.read("emulated.h5"), self.read("native.h5"), (words, ranks, extra))
            if score:
                for run, output in ((self.succeed, "native.csv"), (self.emulate, "emulated.csv")):
                    run("score", "native.h5", "--input", score, "--output", output)
                self.assertEqual(self.read("emulated.csv"), self.read("native.csv"), train)

    def test_it_is_neon(self):
        result = support.run_line([*EMULATED, "doctor"], cwd=self.directory)  # whatever else it finds of this machine
        self.assertIn("neon with fused multiply-add", result.out, result)

    def test_logistic(self):
        self.write("a.csv", support.classification_csv(rows=400, features=7))
        for solver in ("newton", "lbfgs"):
            self.check("train", "logistic", "--input", "a.csv", "--solver", solver, score="a.csv")

    def test_logistic_l1_multinomial(self):
        self.write("a.csv", support.classification_csv(rows=300, features=5, classes=("a", "b", "c")))
        self.check("train", "logistic", "--input", "a.csv", "--reg-param", "0.01", "--elastic-net-param", "0.5", score="a.csv")

    def test_logistic_sparse(self):
        self.check("train", "logistic", "--input", AGARICUS, "--format", "libsvm", "--reg-param", "0.01", "--max-iter", "10")

    def test_kmeans(self):
        self.write("a.csv", support.clusters_csv(rows=400, centers=9, features=5))
        self.check("train", "kmeans", "--k", "12", "--seed", "7", "--input", "a.csv", score="a.csv")

    def test_als(self):
        self.write("a.csv", support.ratings_csv(users=60, items=40))
        for more in ((), ("--implicit-prefs",), ("--nonnegative",)):
            self.check("train", "als", "--rank", "5", "--max-iter", "3", "--input", "a.csv", *more)

    def test_checkpoints_move_between_processors(self):
        """A fit begun on one kind of processor and ended on the other."""
        self.write("a.csv", support.clusters_csv(rows=400, centers=9, features=5))
        train = ("train", "kmeans", "--k", "12", "--seed", "7", "--tol", "0", "--input", "a.csv")
        self.succeed(*train, "--max-iter", "6", "--output", "whole.h5")
        keep = ("--checkpoint", "kept", "--checkpoint-every", "1")
        self.succeed(*train, "--max-iter", "3", *keep, "--output", "half.h5")
        self.emulate(*train, "--max-iter", "6", *keep, "--resume", "--output", "resumed.h5")
        self.assertEqual(self.read("resumed.h5"), self.read("whole.h5"))

    def test_ranks_of_both_kinds_in_one_job(self):
        self.write("a.csv", support.classification_csv(rows=400, features=7))
        train = ("train", "logistic", "--input", "a.csv", "--output")
        many = {"FIRESTEEL_BLOCK_ROWS": "32"}
        self.succeed(*train, "native.h5", **many)
        self.emulate(*train, "mixed.h5", ranks=1, native_ranks=2, **many)
        self.assertEqual(self.read("mixed.h5"), self.read("native.h5"))

    def test_packed_files_move_between_processors(self):
        self.write("a.csv", support.clusters_csv(rows=100, centers=3, features=5))
        self.succeed("convert", "a.csv", "native.fsp")
        self.emulate("convert", "a.csv", "emulated.fsp")
        self.assertEqual(self.read("emulated.fsp"), self.read("native.fsp"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
