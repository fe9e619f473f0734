# SPDX-License-Identifier: Apache-2.0
"""--stall-seconds: a job in which nothing moves says which rank the others wait for, and goes on when that one does."""

import json
import os
import re
import signal
import subprocess
import time
import unittest

import support
from support import ranks_of

HOST = os.uname().nodename
SHIM = os.environ.get("FIRESTEEL_FAULTS")
STALLED = "warning: nothing has moved for "


class Stalls(support.CliTest):
    RANKS_OF_JOB = 3

    def setUp(self):
        super().setUp()
        self.write("ratings.csv", support.ratings_csv(users=200, items=60))
        self.write("points.csv", support.clusters_csv(rows=300))
        self.als = ["train", "als", "--input", "ratings.csv", "--threads", "1", "--peer-timeout", "0", "--output"]
        self.endless = [*self.als, "model.h5", "--max-iter", "1000000000", "--checkpoint", "saved"]

    def start(self, *words, ranks=RANKS_OF_JOB, **env):
        """Its stderr goes to a file, which can be looked at while the job runs."""
        with open(self.path("errors"), "w", encoding="ascii") as errors:
            process = subprocess.Popen(support.command(words, ranks), cwd=self.directory, env=support.environment(**env),
                                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors)
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        process.kill()
        process.wait()

    def lines(self, begin=""):
        return [line for line in self.read("errors").decode().splitlines() if line.startswith(begin)]

    def wait_for(self, what, seen, process, seconds=support.ENDING_LIMIT_S):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = seen()
            if found:
                return found
            if process.poll() is not None:
                break
            time.sleep(0.02)
        self.fail(f"{what}: not seen; code {process.poll()}\n{self.read('errors').decode()}")

    def iterating(self, process):
        return self.wait_for("a checkpoint", lambda: any((self.directory / "saved").glob("*.fsc")) and
                             len(ranks_of(process.pid)) == self.RANKS_OF_JOB and ranks_of(process.pid), process)

    def stops(self, process):
        process.send_signal(signal.SIGUSR1)
        self.assertEqual(process.wait(support.ENDING_LIMIT_S), 75, self.read("errors").decode())

    def finishes(self, process):
        self.assertEqual(process.wait(support.ENDING_LIMIT_S), 0, self.read("errors").decode())

    def state(self):
        return json.loads(self.read("beat.json"))

    def stop_and_continue(self, victim):
        process = self.start(*self.endless, "--stall-seconds", "1", "--heartbeat", "beat.json")
        ranks = self.iterating(process)
        os.kill(ranks[victim], signal.SIGSTOP)
        waiting = "rank 1 waits" if victim == 0 else "2 ranks wait"  # rank 1 knows of itself and rank 0 only
        line = self.wait_for("the warning", lambda: self.lines(STALLED), process)[0]
        self.assertRegex(line, re.escape(STALLED) + rf"[0-9.]+ s: {waiting} for rank {victim} on host {HOST} "
                         r"\(last heard of [0-9.]+ s ago, then (starting|reading|fitting(, iteration [0-9]+)?); its host, network or "
                         r"process has stopped\)$")
        if victim != 0:
            stalled = self.wait_for("the heartbeat's", lambda: self.state()["stalled"], process)
            self.assertEqual(stalled["waiting"], [rank for rank in range(3) if rank != victim])
            self.assertEqual([(rank["rank"], rank["host"], rank["silent"]) for rank in stalled["waited_for"]], [(victim, HOST, True)])
            self.assertGreaterEqual(stalled["seconds"], 1)
            self.assertGreater(stalled["waited_for"][0]["heard_seconds"], 1)
        os.kill(ranks[victim], signal.SIGCONT)
        self.wait_for("going on", lambda: self.lines(f"rank {victim} on host {HOST} goes on after "), process)
        self.stops(process)
        self.assertIsNone(self.state()["stalled"])
        iterations = self.state()["iteration"] + 3
        self.succeed(*self.als, "model.h5", "--max-iter", iterations, "--checkpoint", "saved", "--resume", ranks=2)
        self.succeed(*self.als, "undisturbed.h5", "--max-iter", iterations)
        self.assertEqual(self.read("model.h5"), self.read("undisturbed.h5"))

    def test_a_stopped_rank_is_named_and_goes_on(self):
        self.stop_and_continue(1)

    def test_rank_zero_is_named_by_rank_one(self):
        self.stop_and_continue(0)

    def test_it_is_said_ever_more_rarely(self):
        process = self.start(*self.endless, "--stall-seconds", "1")
        ranks = self.iterating(process)
        os.kill(ranks[2], signal.SIGSTOP)
        begin = time.monotonic()
        self.wait_for("three warnings", lambda: len(self.lines(STALLED)) >= 3, process)
        self.assertGreater(time.monotonic() - begin, 3.5)  # after 1, 2 and 4 seconds
        said = [float(re.search("for ([0-9.]+) s", line).group(1)) for line in self.lines(STALLED)]
        self.assertTrue(all(later >= 1.9 * earlier for earlier, later in zip(said, said[1:])), said)

    @unittest.skipUnless(SHIM, "no library that makes calls slow")
    def test_a_slow_reader(self):
        """One rank's disk is slow: named by every job that reads, whichever command it is."""
        self.succeed("train", "kmeans", "--input", "points.csv", "--k", "3", "--output", "k.h5")
        model = self.read("k.h5")
        slow = {"LD_PRELOAD": SHIM, "FAULTS_UNDER_MPIRUN": "1", "FAULTS_PATHS": "points.csv", "FAULTS_CALLS": "pread",
                "FAULTS_SLOW_US": "4000000", "FAULTS_SLOW_AT": "2"}
        for rank, words in ((0, ["train", "kmeans", "--k", "3", "--output", "k.h5"]), (2, ["score", "k.h5", "--output", "p.csv"]),
                            (1, ["evaluate", "k.h5"])):
            with self.subTest(words=words):
                process = self.start(*words, "--input", "points.csv", "--threads", "1", "--stall-seconds", "1", FAULTS_RANK=str(rank),
                                     **slow)
                self.finishes(process)
                said = self.lines(STALLED)
                self.assertTrue(said, self.lines())
                for line in said:
                    self.assertRegex(line, rf": 2 ranks wait for rank {rank} on host {HOST} \(reading; at work by itself, last heard of "
                                     r"[0-9.]+ s ago\)$")
                self.assertTrue(self.lines(f"rank {rank} on host {HOST} goes on after "), self.lines())
        self.assertEqual(self.read("k.h5"), model)

    def test_a_healthy_job_says_nothing(self):
        """Many short iterations, for several times as long as would be a stall."""
        process = self.start(*self.endless, "--stall-seconds", "2", "--heartbeat", "beat.json")
        self.iterating(process)
        end = time.monotonic() + 8
        while time.monotonic() < end:
            self.assertIsNone(self.state()["stalled"])
            time.sleep(0.2)
        self.stops(process)
        self.assertEqual(self.lines(STALLED), [])

    def test_a_job_that_is_suspended_as_a_whole_says_nothing(self):
        process = self.start(*self.endless, "--stall-seconds", "2")
        ranks = self.iterating(process)
        for number in (signal.SIGSTOP, signal.SIGCONT):
            for pid in ranks.values():
                os.kill(pid, number)
            time.sleep(5)
        self.stops(process)
        self.assertEqual(self.lines(STALLED), [])

    def test_quiet_and_off(self):
        for words in (["--stall-seconds", "1", "--quiet"], ["--stall-seconds", "0"]):
            with self.subTest(words=words):
                process = self.start(*self.endless, *words)
                ranks = self.iterating(process)
                os.kill(ranks[1], signal.SIGSTOP)
                time.sleep(4)
                self.assertIsNone(process.poll())
                self.assertEqual(self.lines(STALLED), [])
                self.end(process)

    def test_words(self):
        for value in ("-1", "0.5", "soon", "nan", "1e9"):
            self.fail_with(64, [*self.als, "model.h5", f"--stall-seconds={value}"], "--stall-seconds: expected 0, or a number",
                           f"'{value}'")


if __name__ == "__main__":
    unittest.main()
