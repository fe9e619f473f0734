# SPDX-License-Identifier: Apache-2.0
"""--memory is kept: with data eight times the bound the peak of the process stays within it (and 5 %), also in a cgroup and under
`ulimit -v`, and the model is that of a fit in memory. Needs 3 GB of memory and 3 GB of scratch; cgroups need root and version 1."""

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
COLUMNS = 128
PIECE_ROWS = 32768  # 32 MiB of features
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
        cls.fit(["convert", "--input", "piece.csv", "--label", "label", "--output", "piece.h5"])
        pieces = 8 * BOUND_MB // 32
        cls.jobs = {
            "kmeans": ["train", "kmeans", "--k", "8", "--max-iter", "4", "--tol", "0"],
            "logistic": ["train", "logistic", "--solver", "lbfgs", "--max-iter", "5", "--reg-param", "0.01"],
            "newton": ["train", "logistic", "--solver", "newton", "--max-iter", "2", "--reg-param", "0.01"],
        }
        cls.input = ["--input", *["piece.h5"] * pieces, "--threads", "2", "--scratch", str(cls.directory), "--json", "--quiet"]
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

    def bounded(self, name, before=(), ranks=None, bound=BOUND_MB):
        report = self.fit([*self.jobs[name], *self.input, "--output", "model.h5", "--memory", f"{bound}M"], before, ranks).json
        self.assertEqual((self.directory / "model.h5").read_bytes(), self.model_in_memory(name), name)
        self.assertGreater(report["storage"]["spilled_bytes"], 5 * BOUND_MB << 20)
        for peak in report["peak_memory_bytes"]:
            self.assertLessEqual(peak, 1.05 * (bound << 20), f"{name}: {peak >> 20} MiB of {bound}")
        print(f"{name}, {ranks or 1} ranks, {before[:2]}: peak {[p >> 20 for p in report['peak_memory_bytes']]} MiB of {bound}, "
              f"{report['storage']}", file=sys.stderr)
        return report

    def test_the_peak_stays_within_the_bound(self):
        for name in self.jobs:
            self.bounded(name)

    def test_of_every_rank(self):
        self.bounded("kmeans", ranks=2, bound=BOUND_MB // 2)

    def test_under_a_limit_of_the_address_space(self):
        kilobytes = (BOUND_MB + 512) << 10
        for name in self.jobs:
            self.bounded(name, ["bash", "-c", f'ulimit -v {kilobytes}; exec "$@"', "bash"])

    def test_in_a_cgroup(self):
        if os.geteuid() != 0 or not (CGROUPS / "memory.limit_in_bytes").exists():
            self.skipTest("needs root and memory cgroups of version 1")
        group = CGROUPS / f"firesteel-test-{os.getpid()}"
        group.mkdir()
        try:
            (group / "memory.limit_in_bytes").write_text(str((BOUND_MB + 64) << 20))
            for name in self.jobs:
                self.bounded(name, ["bash", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "bash"])
            self.assertIn("oom_kill 0", (group / "memory.oom_control").read_text())
        finally:
            group.rmdir()


if __name__ == "__main__":
    unittest.main()
