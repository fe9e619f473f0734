# SPDX-License-Identifier: Apache-2.0
"""--heartbeat FILE says how a fit is while it runs and how it ended; --json says the peak memory of each rank."""

import datetime
import json
import os
import random
import signal
import subprocess
import time
import unittest

import support
from support import CliTest


class Heartbeat(CliTest):
    def setUp(self):
        super().setUp()
        source = random.Random(7)
        lines = ["a,b,c,d"]
        for _ in range(20000):
            centre = source.randrange(7)
            lines.append(",".join(f"{source.gauss(centre * (j % 3), 1.5):.5f}" for j in range(4)))
        self.write("points.csv", "\n".join(lines) + "\n")
        self.train = ["train", "kmeans", "--input", "points.csv", "--threads", "1", "--json"]
        self.short = [*self.train, "--k", "5", "--output", "model.h5"]
        # Ends by a signal: ALS has no other end than its number of iterations.
        self.write("ratings.csv", support.ratings_csv(users=500, items=100))
        self.long = ["train", "als", "--input", "ratings.csv", "--threads", "1", "--rank", "8", "--max-iter", "1000000", "--output",
                     "model.h5", "--checkpoint", "saved", "--checkpoint-seconds", "0.5"]

    def state(self, name="beat.json"):
        return json.loads(self.read(name))

    def start(self, words, ranks=None):
        process = subprocess.Popen(support.command([*words, "--heartbeat", "beat.json"], ranks), cwd=self.directory,
                                   env=support.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        if process.poll() is None:
            process.kill()
        process.communicate()

    def test_the_end_of_a_good_job(self):
        for ranks in (None, 1, 3):
            plain = self.succeed(*self.short, ranks=ranks)
            model = self.read("model.h5")
            result = self.succeed(*self.short, "--heartbeat", "beat.json", ranks=ranks)
            self.assertEqual(self.read("model.h5"), model)
            state, summary = self.state(), result.json
            self.assertEqual((state["phase"], state["exit_code"], state["error"]), ("done", 0, None))
            self.assertEqual((state["command"], state["learner"], state["ranks"]), ("train", "kmeans", ranks or 1))
            self.assertEqual((state["iteration"], state["max_iter"], state["rows"]), (summary["iterations"], 20, 20000))
            self.assertEqual(state["objective"] is None, summary["iterations"] == 0)
            self.assertIsNone(state["eta_seconds"])
            self.assertGreater(state["rows_per_second"], 0)
            for peaks in (state["peak_memory_bytes"], summary["peak_memory_bytes"], plain.json["peak_memory_bytes"]):
                self.assertEqual(len(peaks), ranks or 1)
                self.assertTrue(all(4e6 < peak < 4e9 for peak in peaks), peaks)
            age = datetime.datetime.now(datetime.timezone.utc) - datetime.datetime.strptime(state["time"] + "+0000", "%Y-%m-%dT%H:%M:%SZ%z")
            self.assertLess(abs(age.total_seconds()), support.ENDING_LIMIT_S)

    def test_peak_memory_is_the_systems(self):
        process = subprocess.Popen(support.command(self.short), cwd=self.directory, env=support.environment(), stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, text=True)
        out = process.stdout.read()
        process.stdout.close()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = status
        peak = json.loads(out)["peak_memory_bytes"][0]
        # Pages that are counted late by the kernel (64 a thread and counter) and those of the exit itself.
        if support.SANITIZED:  # a sanitizer takes memory at the very end, when it looks for leaks
            self.assertLess(peak, usage.ru_maxrss * 1024 + (4 << 20))
        else:
            self.assertAlmostEqual(peak, usage.ru_maxrss * 1024, delta=4 << 20)

    def test_while_it_runs_and_when_it_is_stopped(self):
        process = self.start(self.long, ranks=2)
        seen = []
        limit = time.monotonic() + support.ENDING_LIMIT_S
        while time.monotonic() < limit and len({s["elapsed_seconds"] for s in seen if s["phase"] == "fitting" and s["iteration"] > 0}) < 3:
            self.assertIsNone(process.poll(), "the job ended")
            try:
                seen.append(self.state())  # whole at any instant
            except FileNotFoundError:
                pass
            time.sleep(0.005)
        process.send_signal(signal.SIGUSR1)
        out, err = process.communicate(timeout=support.ENDING_LIMIT_S)
        self.assertEqual(process.returncode, 75, err)
        running = [s for s in seen if s["phase"] == "fitting" and s["iteration"] > 0]
        self.assertGreater(len({s["elapsed_seconds"] for s in running}), 2, "not rewritten")
        self.assertEqual([s["iteration"] for s in running], sorted(s["iteration"] for s in running))
        last = running[-1]
        self.assertGreater(last["eta_seconds"], 0)
        self.assertGreater(last["rows_per_second"], 0)
        self.assertEqual(last["rows"], 4000)
        self.assertIsNone(last["exit_code"])
        self.assertTrue(all(peak >= now > 0 for now, peak in zip(last["memory_bytes"], last["peak_memory_bytes"])), last)
        self.assertEqual(len(last["memory_bytes"]), 2)
        state = self.state()
        self.assertEqual((state["phase"], state["exit_code"]), ("stopped", 75))
        self.assertIn(state["error"], err)
        self.assertGreaterEqual(state["iteration"], last["iteration"])

    def test_a_failed_job(self):
        self.write("bad.csv", "a,b\n1,2\n3,x\n")
        for ranks in (None, 2):
            words = ["train", "kmeans", "--input", "bad.csv", "--output", "m.h5", "--heartbeat", "beat.json"]
            message = self.fail_with(65, words, "bad.csv:3", ranks=[ranks])
            state = self.state()
            self.assertEqual((state["phase"], state["exit_code"]), ("failed", 65))
            self.assertEqual("firesteel: " + state["error"], message)

    def test_files_that_cannot_be(self):
        self.fail_with(73, [*self.short, "--heartbeat", "none/beat.json"], "none/beat.json")
        self.fail_with(64, [*self.short, "--heartbeat", "points.csv"], "--heartbeat: points.csv")
        self.fail_with(64, [*self.short, "--heartbeat", "model.h5"], "model.h5")
        self.assertTrue(self.read("points.csv").startswith(b"a,b,c,d\n"))

    def test_a_file_that_can_no_longer_be_written_disturbs_nothing(self):
        os.mkdir(self.path("beats"))
        words = [*self.long, "--heartbeat", "beats/beat.json"]
        process = subprocess.Popen(support.command(words), cwd=self.directory, env=support.environment(), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        self.addCleanup(self.end, process)
        limit = time.monotonic() + support.ENDING_LIMIT_S
        while not os.path.exists(self.path("beats/beat.json")) and time.monotonic() < limit:
            time.sleep(0.01)
        os.rename(self.path("beats"), self.path("gone"))
        while not os.path.exists(self.path("saved")) and time.monotonic() < limit:
            time.sleep(0.01)
        time.sleep(1.5)  # a beat or two
        process.send_signal(signal.SIGUSR1)
        out, err = process.communicate(timeout=support.ENDING_LIMIT_S)
        self.assertEqual(process.returncode, 75, err)
        self.assertIn("warning: --heartbeat: the last state could not be written", err)


if __name__ == "__main__":
    unittest.main()
