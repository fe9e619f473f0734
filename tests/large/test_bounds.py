# SPDX-License-Identifier: Apache-2.0
"""--memory is kept: with data eight times the bound the peak of the process stays within it (and 5 %), also in a cgroup and under
`ulimit -v`, and the model is that of a fit in memory: of dense rows, sparse rows and ratings. Needs 6 GB of memory and 5 GB of scratch;
cgroups need root and version 1."""

import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cli"))
import support  # noqa: E402

BOUND_MB = 256
RATING_BOUND_MB = 128
COLUMNS = 128
PIECE_ROWS = 32768  # 32 MiB of features
SPARSE_ROWS = 10000
FILLED = 200  # values a sparse row: 23 MiB a piece
RATINGS = 1_000_000
CGROUPS = pathlib.Path("/sys/fs/cgroup/memory")
LIMIT_S = 900


class Bounds(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = pathlib.Path(tempfile.mkdtemp(prefix="firesteel-bounds-"))
        source = random.Random(5)
        with open(cls.directory / "piece.csv", "w") as file:
            file.write(",".join(f"x{j}" for j in range(COLUMNS)) + ",label\n")
            for _ in range(PIECE_ROWS):
                g = source.randrange(4)
                row = [f"{source.gauss(0.3 * (g % 2) * (j % 3), 1):.3f}" for j in range(COLUMNS)]
                file.write(",".join(row) + f",{int(g % 2 == 1) if source.random() < 0.9 else source.randrange(2)}\n")
        with open(cls.directory / "piece.svm", "w") as file:
            for _ in range(SPARSE_ROWS):
                g = source.randrange(4)
                values = [f"{j}:{source.gauss(0.3 * (g % 2) * (j % 3), 1):.3f}" for j in sorted(source.sample(range(1, 2001), FILLED))]
                file.write(f"{int(g % 2 == 1) if source.random() < 0.9 else source.randrange(2)} " + " ".join(values) + "\n")
        with open(cls.directory / "ratings.csv", "w") as file:
            file.write("user,item,rating\n")
            for _ in range(RATINGS):  # a few items have very many
                item = int(source.random() ** 3 * 2000)
                file.write(f"{source.randrange(20000)},{item},{source.randrange(1, 11) / 2}\n")
        cls.fit(["convert", "--input", "piece.csv", "--label", "label", "--output", "piece.h5"])
        cls.fit(["convert", "--input", "piece.svm", "--output", "sparse.h5"])
        cls.fit(["convert", "--input", "ratings.csv", "--user", "user", "--item", "item", "--output", "ratings.h5"])
        data = 8 * BOUND_MB << 20
        dense = ["piece.h5"] * (data // (PIECE_ROWS * COLUMNS * 8))
        sparse = ["sparse.h5"] * (data // (SPARSE_ROWS * FILLED * 12))
        ratings = ["ratings.h5"] * ((8 * RATING_BOUND_MB << 20) // (RATINGS * 24))  # user, item and rating of eight bytes each
        kmeans = ["train", "kmeans", "--k", "8", "--max-iter", "4", "--tol", "0", "--input"]
        lbfgs = ["train", "logistic", "--solver", "lbfgs", "--max-iter", "5", "--reg-param", "0.01", "--input"]
        cls.jobs = {
            "kmeans": [*kmeans, *dense],
            "logistic": [*lbfgs, *dense],
            "newton": ["train", "logistic", "--solver", "newton", "--max-iter", "2", "--reg-param", "0.01", "--input", *dense],
            "sparse kmeans": [*kmeans, *sparse],
            "sparse logistic": [*lbfgs, *sparse],
            "als": ["train", "als", "--rank", "8", "--max-iter", "1", "--input", *ratings],
        }
        cls.input = ["--threads", "2", "--scratch", str(cls.directory), "--json", "--quiet"]
        cls.expected = {}

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.directory, ignore_errors=True)

    @classmethod
    def fit(cls, words, before=(), ranks=None, **env):
        line = [*before, *support.command(words, ranks)]
        done = subprocess.run(line, cwd=cls.directory, env=support.environment(**env), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=LIMIT_S)
        if done.returncode != 0:
            raise AssertionError(f"{' '.join(line)[:300]}: {done.returncode}\n{done.stderr}")
        return support.Result(line, done)

    def model_in_memory(self, name):
        if name not in self.expected:
            self.fit([*self.jobs[name], *self.input, "--output", "model.h5"])
            self.expected[name] = (self.directory / "model.h5").read_bytes()
        return self.expected[name]

    @staticmethod
    def bound_of(name):
        return RATING_BOUND_MB if name == "als" else BOUND_MB

    def bounded(self, name, before=(), ranks=None, bound=None):
        bound = bound or self.bound_of(name)
        report = self.fit([*self.jobs[name], *self.input, "--output", "model.h5", "--memory", f"{bound}M"], before, ranks).json
        self.assertEqual((self.directory / "model.h5").read_bytes(), self.model_in_memory(name), name)
        self.assertGreater(report["storage"]["spilled_bytes"], 5 * self.bound_of(name) << 20)
        for peak in report["peak_memory_bytes"]:
            self.assertLessEqual(peak, 1.05 * (bound << 20), f"{name}: {peak >> 20} MiB of {bound}")
        print(f"{name}, {ranks or 1} ranks, {before[:2]}: peak {[p >> 20 for p in report['peak_memory_bytes']]} MiB of {bound}, "
              f"{report['storage']}", file=sys.stderr)
        return report

    def test_the_peak_stays_within_the_bound(self):
        for name in self.jobs:
            self.bounded(name)

    def test_of_every_rank(self):
        for name in ("kmeans", "sparse logistic"):
            self.bounded(name, ranks=2, bound=BOUND_MB // 2)
        self.bounded("als", ranks=2)

    def test_under_a_limit_of_the_address_space(self):
        for name in self.jobs:
            kilobytes = (self.bound_of(name) + 512) << 10
            self.bounded(name, ["bash", "-c", f'ulimit -v {kilobytes}; exec "$@"', "bash"])

    def test_in_a_cgroup(self):
        if os.geteuid() != 0 or not (CGROUPS / "memory.limit_in_bytes").exists():
            self.skipTest("needs root and memory cgroups of version 1")
        group = CGROUPS / f"firesteel-test-{os.getpid()}"
        group.mkdir()
        try:
            for name in self.jobs:
                (group / "memory.limit_in_bytes").write_text(str((self.bound_of(name) + 64) << 20))
                self.bounded(name, ["bash", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "bash"])
            self.assertIn("oom_kill 0", (group / "memory.oom_control").read_text())
        finally:
            group.rmdir()


if __name__ == "__main__":
    unittest.main()
