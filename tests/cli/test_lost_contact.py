# SPDX-License-Identifier: Apache-2.0
"""A rank that falls silent ends the job in bounded time, with one line and code 69."""

import os
import pathlib
import signal
import subprocess
import time
import unittest

import support
from support import ranks_of


class LostContact(support.CliTest):
    ENDLESS = ["train", "als", "--input", "ratings.csv", "--max-iter", "1000000000", "--threads", "1", "--quiet",
               "--output", "model.h5"]

    def start(self, *more, ranks=3):
        self.write("ratings.csv", support.ratings_csv())
        process = subprocess.Popen(support.command([*self.ENDLESS, *more], ranks), cwd=self.directory,
                                   env=support.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True)
        self.addCleanup(process.kill)
        return process

    def processes_here(self):
        """Processes of the job, by their working directory."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and os.readlink(entry / "cwd") == str(self.directory):
                    found.append((entry / "cmdline").read_bytes())
            except OSError:
                continue
        return found

    def wait_for_ranks(self, process, count, marker=None):
        deadline = time.monotonic() + support.ENDING_LIMIT_S
        while time.monotonic() < deadline:
            ranks = ranks_of(process.pid)
            if len(ranks) == count and (marker is None or any((self.directory / marker).glob("*.fsc"))):
                return ranks
            time.sleep(0.05)
        self.fail("the ranks did not start")

    def stop_and_wait(self, silent, timeout=2):
        process = self.start("--peer-timeout", str(timeout), "--checkpoint", "saved")
        ranks = self.wait_for_ranks(process, 3, "saved")
        os.kill(ranks[silent], signal.SIGSTOP)
        start = time.monotonic()
        out, err = process.communicate(timeout=support.ENDING_LIMIT_S)
        took = time.monotonic() - start
        result = support.Result(process.args, subprocess.CompletedProcess(process.args, process.returncode, out, err))
        message = self.check_failure(result, 69, f"lost contact with rank {silent} on host {os.uname().nodename}",
                                     "--resume goes on from the checkpoint in saved")
        self.assertGreater(took, timeout * 0.4, "a rank must be given its time")
        self.nothing_is_left(message)

    def nothing_is_left(self, message):
        deadline = time.monotonic() + 10 * support.SLOWER
        while self.processes_here() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual(self.processes_here(), [], f"something is left: {message}")

    def test_a_stopped_rank(self):
        self.stop_and_wait(1)

    def test_rank_zero_stopped(self):
        self.stop_and_wait(0)

    def test_a_killed_rank_ends_the_job_long_before_the_timeout(self):
        for victim in (0, 2):
            with self.subTest(victim=victim):
                process = self.start("--peer-timeout", "3000")
                ranks = self.wait_for_ranks(process, 3)
                time.sleep(0.5)
                os.kill(ranks[victim], signal.SIGKILL)
                _, err = process.communicate(timeout=support.ENDING_LIMIT_S)
                self.assertIn(process.returncode, (69, 128 + signal.SIGKILL), err)  # who is first: us or mpirun
                self.assertLessEqual(err.count("firesteel: "), 1, err)
                self.nothing_is_left(err)

    def test_ends_are_no_losses(self):
        """Ranks end one after another, whether all is well or not, and none of them is missed."""
        self.write("ratings.csv", support.ratings_csv())
        self.write("bad.csv", support.ratings_csv() + "1,2,bad\n")
        words = ("--max-iter", "2", "--threads", "1", "--peer-timeout", "5", "--output", "model.h5")
        for _ in range(6):
            self.succeed("train", "als", "--input", "ratings.csv", *words, ranks=3)
            self.fail_with(65, ["train", "als", "--input", "bad.csv", *words], "bad.csv:", ranks=(3,))

    def test_a_job_that_is_suspended_as_a_whole_goes_on(self):
        process = self.start("--peer-timeout", "2", "--checkpoint", "saved")
        ranks = self.wait_for_ranks(process, 3, "saved")
        for pid in ranks.values():
            os.kill(pid, signal.SIGSTOP)
        time.sleep(5)
        for pid in ranks.values():
            os.kill(pid, signal.SIGCONT)
        time.sleep(3)
        self.assertIsNone(process.poll(), "the job has ended")
        process.send_signal(signal.SIGUSR1)
        _, err = process.communicate(timeout=support.ENDING_LIMIT_S)
        self.assertEqual(process.returncode, 75, err)

    def test_words(self):
        self.write("ratings.csv", support.ratings_csv())
        for value in ("-1", "0.5", "soon", "nan", "1e9"):
            self.fail_with(64, [*self.ENDLESS, f"--peer-timeout={value}"], "--peer-timeout: expected 0, or a number",
                           f"'{value}'")
        self.succeed("train", "als", "--input", "ratings.csv", "--max-iter", "2", "--output", "model.h5",
                     "--peer-timeout", "0", ranks=2)


if __name__ == "__main__":
    unittest.main()
