# SPDX-License-Identifier: Apache-2.0
"""Starting: --ranks, quick starts, where ranks and threads run, jobs that fell apart, what stderr says."""

import os
import time
import unittest

import support
from support import CliTest


class Launch(CliTest):
    def setUp(self):
        super().setUp()
        self.write("a.csv", support.classification_csv(rows=40))
        self.train = ("train", "logistic", "--input", "a.csv", "--output", "m.h5")

    def test_ranks_starts_mpirun(self):
        self.assertEqual(self.succeed("--ranks", "3", *self.train, "--json").json["ranks"], 3)
        self.assertEqual(self.succeed("--ranks=2", *self.train, "--json").json["ranks"], 2)
        self.assertEqual(self.succeed(*self.train, "--json").json["ranks"], 1)

    def test_ranks_passes_codes_and_messages_on(self):
        for code, args in ((64, ["train", "logistik"]), (66, ["inspect", "none.h5"])):
            self.check_failure(self.run_here("--ranks", "2", *args), code)

    def test_one_host_needs_no_ssh(self):
        # Neither mpirun nor ssh is in PATH: mpirun is known from the build, and reaches this host without ssh.
        for path in ("", str(self.directory)):
            self.assertEqual(self.succeed("--ranks", "2", *self.train, "--json", PATH=path).json["ranks"], 2)
        self.succeed("--ranks", "2", "--max-restarts", "1", *self.train, PATH="")

    def test_no_mpirun_at_all(self):
        # A copy of the program that knows of an mpirun that is not there.
        known = os.fsencode(support.MPIRUN)
        with open(support.FIRESTEEL, "rb") as file:
            program = file.read()
        self.assertIn(known + b"\0", program)
        self.write("firesteel", program.replace(known + b"\0", b"/nowhere".ljust(len(known), b"/") + b"\0"))
        os.chmod(self.path("firesteel"), 0o755)
        for words in (("--ranks", "2"), ("--ranks", "2", "--max-restarts", "1")):
            result = support.run_line([self.path("firesteel"), *words, *self.train], cwd=self.directory, PATH="")
            self.check_failure(result, 69, "mpi", "install Open MPI", "PATH", "without --ranks")

    def test_ranks_is_checked(self):
        self.fail_with(64, ["--ranks", "0", *self.train], "--ranks", ranks=[None])
        for front in ((), ("--max-restarts", "1")):  # nothing is started: it would take this machine minutes
            self.fail_with(64, ["--ranks", "100000", *front, *self.train], "--ranks 100000: expected at most", "OMPI_MCA_orte_default_hostfile",
                           ranks=[None])
        self.fail_with(64, ["--ranks", "two", *self.train], "--ranks", "'two'", ranks=[None])
        self.fail_with(64, [*self.train, "--ranks", "2"], "--ranks", ranks=[None])
        self.fail_with(64, ["--ranks", "2", *self.train], "--ranks", "mpirun", ranks=[2])

    def test_answers_under_ranks_come_once(self):
        self.assertEqual(self.succeed("--ranks", "2", "--version").out, self.succeed("--version").out)

    def best_seconds(self, args, ranks=None, tries=3, **env):
        best = float("inf")
        for _ in range(tries):
            start = time.monotonic()
            self.succeed(*args, ranks=ranks, **env)
            best = min(best, time.monotonic() - start)
        return best

    @unittest.skipIf(support.SANITIZED, "a bound in seconds, of programs that are not slowed down")
    def test_small_jobs_are_quick(self):
        # Measured on 2 idle cores: 0.04 s for one process, 0.15 s for two ranks. The machine may be busy, so the
        # comparison is with Open MPI's own start, 0.32 s there.
        self.assertLess(self.best_seconds(["--version"]), 0.5)
        defaults = {"OMPI_MCA_ess_singleton_isolated": "0", "OMPI_MCA_pml": "ob1"}
        self.assertLess(self.best_seconds(self.train), 0.8 * self.best_seconds(self.train, **defaults))
        self.assertLess(self.best_seconds(self.train, ranks=2), 5)

    def test_one_process_needs_no_directory_for_temporary_files(self):
        # Open MPI's directory there would be shared by all such processes, which remove it while others start.
        self.succeed(*self.train, TMPDIR=str(self.directory / "a.csv" / "none"))

    def test_jobs_of_one_rank_each_are_refused(self):
        hydra = {"PMI_RANK": "0", "PMI_SIZE": "4"}
        self.check_failure(self.run_here(*self.train, **hydra), 64, "4 ranks", "--ranks 4")
        self.assertEqual(self.run_here(*self.train, **dict(hydra, PMI_RANK="1")).err, "")
        step = {"SLURM_NTASKS": "4", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "0"}
        self.check_failure(self.run_here(*self.train, **step), 64, "4 ranks", "srun")
        batch = {"SLURM_NTASKS": "4", "SLURM_JOB_ID": "7"}
        self.succeed(*self.train, **batch)
        self.succeed(*self.train, **dict(batch, SLURM_STEP_ID="4294967291", SLURM_STEP_NUM_TASKS="4"))


class Manners(CliTest):
    def setUp(self):
        super().setUp()
        self.write("a.csv", support.classification_csv(rows=40))
        self.train = ("train", "logistic", "--input", "a.csv", "--output", "m.h5")

    def test_placement_is_said_in_one_line(self):
        self.assertRegex(self.succeed(*self.train, "--threads", "1", ranks=2).err, r"(?m)^2 ranks x 1 thread on \d+ CPUs?")

    def test_oversubscription_is_warned_of(self):
        warnings = self.succeed(*self.train, "--threads", "64").lines("warning: ")
        self.assertTrue(any("oversubscribed" in warning for warning in warnings), warnings)

    def test_quiet_says_nothing(self):
        self.assertEqual(self.succeed(*self.train, "--quiet", "--max-iter", "1", ranks=2).err, "")

    def test_verbose_shows_iterations_and_traffic(self):
        result = self.succeed(*self.train, "--verbose", "--json", ranks=2)
        iterations = [line for line in result.err.splitlines() if line.startswith("logistic: iteration ")]
        self.assertEqual(len(iterations), result.json["iterations"], result)
        for word in ("objective", "gradient norm", " s, ", "bytes sent"):
            self.assertIn(word, iterations[0])
        self.assertIn("rank 0 sent by ", result.err)

    def test_limit_of_iterations_is_one_warning(self):
        result = self.succeed(*self.train, "--max-iter", "1", "--json", ranks=2)
        self.assertIs(result.json["converged"], False)
        self.assertEqual(len([w for w in result.lines("warning: ") if "not converged" in w]), 1, result)

    def test_summary_for_people(self):
        text = self.succeed(*self.train).out
        for word in ("logistic: 40 rows x 4 features", "accuracy", "seconds", "sha256"):
            self.assertIn(word, text)


if __name__ == "__main__":
    unittest.main()
