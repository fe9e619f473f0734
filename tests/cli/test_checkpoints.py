# SPDX-License-Identifier: Apache-2.0
"""Checkpoints from the command line: what is killed or stopped goes on to the same bytes of model."""

import os
import random
import signal
import subprocess
import time
import unittest

from support import ENDING_LIMIT_S, CliTest, command, environment, run


class Checkpoints(CliTest):
    ROWS = 60000  # a fit of half a second: time to see a checkpoint and to stop it on a busy machine

    def setUp(self):
        super().setUp()
        source = random.Random(5)
        lines = ["a,b,c,d"]
        for _ in range(self.ROWS):
            centre = source.randrange(7)
            lines.append(",".join(f"{source.gauss(centre * (j % 3), 1.5):.5f}" for j in range(4)))
        self.write("points.csv", "\n".join(lines) + "\n")
        self.train = ["train", "kmeans", "--input", "points.csv", "--k", "200", "--max-iter", "400", "--tol", "0"]
        result = run(*self.train, "--output", "whole.h5", cwd=self.directory)
        self.assertEqual(result.code, 0, result)

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def checkpoints(self):
        try:
            return sorted(os.listdir(self.path("saved")))
        except FileNotFoundError:
            return []

    def forget(self):
        for name in self.checkpoints():
            os.remove(os.path.join(self.path("saved"), name))

    def start(self, ranks):
        line = command([*self.train, "--output", "model.h5", "--checkpoint", "saved"], ranks)
        return subprocess.Popen(line, cwd=self.directory, env=environment(), stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, text=True, start_new_session=True)

    def wait_for_checkpoint(self, process):
        limit = time.time() + ENDING_LIMIT_S
        while process.poll() is None and time.time() < limit:
            if any(name.endswith(".fsc") for name in self.checkpoints()):
                return
            time.sleep(0.001)

    def resume(self, ranks, threads):
        result = run(*self.train, "--output", "model.h5", "--checkpoint", "saved", "--resume", "--threads", threads,
                     ranks=ranks, cwd=self.directory)
        self.assertEqual(result.code, 0, result)
        self.assertEqual(self.read("model.h5"), self.read("whole.h5"))
        return result

    def test_a_killed_job_goes_on_to_the_same_bytes_on_other_ranks(self):
        for ranks, others in ((None, 3), (2, None), (3, 2)):
            process = self.start(ranks)
            self.wait_for_checkpoint(process)
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            self.resume(others, 2)
            self.forget()

    def test_a_stop_signal_saves_and_ends_with_75(self):
        for number in (signal.SIGUSR1, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            process = self.start(None)
            self.wait_for_checkpoint(process)
            process.send_signal(number)
            if number == signal.SIGHUP:  # a lost terminal sends more than one
                process.send_signal(number)
            _, err = process.communicate(timeout=ENDING_LIMIT_S)
            self.assertEqual(process.returncode, 75, err)
            self.assertEqual(sum(line.startswith("firesteel: ") for line in err.splitlines()), 1, err)
            self.assertIn("--resume", err)
            result = self.resume(2, 1)
            self.assertIn("going on after iteration", result.err)
            self.forget()

    def test_under_ranks_an_interrupt_saves_and_ends_with_75(self):
        line = [command([])[0], "--ranks", "2", *self.train, "--output", "model.h5", "--checkpoint", "saved"]
        for numbers in ([signal.SIGINT], [signal.SIGHUP, signal.SIGHUP]):
            process = subprocess.Popen(line, cwd=self.directory, env=environment(), stdout=subprocess.DEVNULL,
                                       stderr=subprocess.PIPE, text=True)
            self.wait_for_checkpoint(process)
            for number in numbers:
                process.send_signal(number)
            _, err = process.communicate(timeout=ENDING_LIMIT_S)
            self.assertEqual(process.returncode, 75, err)
            self.resume(None, 1)
            self.forget()

    def test_a_hangup_is_ignored_where_it_was(self):
        for front in ([], ["--ranks", "2"]):
            line = ["nohup", *command([])[:1], *front, *self.train, "--output", "model.h5", "--checkpoint", "saved"]
            process = subprocess.Popen(line, cwd=self.directory, env=environment(), stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            self.wait_for_checkpoint(process)
            process.send_signal(signal.SIGHUP)
            _, err = process.communicate(timeout=ENDING_LIMIT_S)
            self.assertEqual(process.returncode, 0, err)
            self.forget()

    def test_resume_starts_afresh_where_there_is_none_and_says_so(self):
        result = self.resume(2, 1)
        self.assertIn("starting afresh", result.err)

    def test_the_newest_checkpoint_corrupted_falls_back_to_the_one_before(self):
        process = self.start(None)
        limit = time.time() + ENDING_LIMIT_S
        while len([n for n in self.checkpoints() if n.endswith(".fsc")]) < 2 and time.time() < limit:
            time.sleep(0.001)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        newest = os.path.join(self.path("saved"), max(n for n in self.checkpoints() if n.endswith(".fsc")))
        with open(newest, "r+b") as file:
            file.truncate(os.path.getsize(newest) - 8)
        result = self.resume(2, 1)
        self.assertTrue(any("torn" in line for line in result.lines("warning: ")), result)

    def test_other_data_are_refused_with_the_reason(self):
        self.assertEqual(run(*self.train, "--output", "model.h5", "--checkpoint", "saved", cwd=self.directory).code, 0)
        self.write("other.csv", "a,b,c,d\n" + "".join(f"{i},2,3,4\n" for i in range(300)))
        words = [word if word != "points.csv" else "other.csv" for word in self.train]
        for ranks in (None, 2):
            result = run(*words, "--output", "other.h5", "--checkpoint", "saved", "--resume", ranks=ranks,
                         cwd=self.directory)
            self.assertEqual(result.code, 65, result)
            self.assertIn("other data", result.err)

    def test_other_parameters_are_refused_and_named_with_both_values(self):
        self.assertEqual(run(*self.train, "--output", "model.h5", "--checkpoint", "saved", cwd=self.directory).code, 0)
        words = [word if word != "200" else "201" for word in self.train] + ["--seed", "7"]
        for ranks in (None, 2):
            result = run(*words, "--output", "other.h5", "--checkpoint", "saved", "--resume", ranks=ranks,
                         cwd=self.directory)
            self.assertEqual(result.code, 65, result)
            self.assertIn("other parameters: k was 200, is now 201; seed was 0, is now 7", result.err)
            self.assertNotIn("max_iter", result.err)

    def test_other_initial_centres_and_another_precision_are_named(self):
        self.write("small.csv", "a,b\n" + "".join(f"{i % 7},{i % 11}\n" for i in range(60)))
        train = ["train", "kmeans", "--input", "small.csv", "--tol", "0", "--output", "m.h5", "--checkpoint", "small", "--init-file"]
        self.write("one.csv", "0,0\n6,10\n")
        self.write("two.csv", "0,1\n6,9\n")
        self.succeed(*train, "one.csv")
        self.fail_with(65, [*train, "two.csv", "--resume"], "other parameters: init was 2 x 2 of content ", "(--init-file), is now 2 x 2")
        self.fail_with(65, [*train, "one.csv", "--resume", "--precision", "single"], "is of other data", "x 2 in single precision")

    def test_only_torn_checkpoints_are_told_from_none(self):
        self.write("small.csv", "a,b\n" + "".join(f"{i % 7},{i % 11}\n" for i in range(60)))
        os.mkdir(self.path("small"))
        with open(self.path("small/iteration-0000003.fsc"), "w") as file:
            file.write("torn")
        result = self.succeed("train", "kmeans", "--input", "small.csv", "--output", "m.h5", "--checkpoint", "small", "--resume", ranks=2)
        self.assertIn("no whole checkpoint in small: starting afresh", result.err)

    def test_a_checkpoint_beyond_max_iter_is_refused(self):
        """Its model would have made more iterations than it says it may."""
        process = self.start(None)
        limit = time.time() + 30
        while len([n for n in self.checkpoints() if n.endswith(".fsc")]) < 2 and time.time() < limit:
            time.sleep(0.001)
        process.send_signal(signal.SIGUSR1)
        process.communicate(timeout=30)
        if process.returncode == 0:  # it was done before the signal came
            os.remove(self.path("model.h5"))
        iteration = max(int(name.split("-")[1].split(".")[0]) for name in self.checkpoints() if name.endswith(".fsc"))
        words = self.train[:self.train.index("--max-iter")]
        for ranks in (None, 2):
            result = run(*words, "--tol", "0", "--max-iter", iteration - 1, "--output", "model.h5", "--checkpoint", "saved", "--resume",
                         ranks=ranks, cwd=self.directory)
            self.assertEqual(result.code, 65, result)
            self.assertIn(f"is of iteration {iteration}, beyond max_iter = {iteration - 1}: raise max_iter (--max-iter)", result.err)
            self.assertFalse(os.path.exists(self.path("model.h5")))
        words += ["--tol", "0", "--max-iter", iteration]
        result = run(*words, "--output", "model.h5", "--checkpoint", "saved", "--resume", ranks=3,
                     cwd=self.directory)
        self.assertEqual(result.code, 0, result)
        self.assertEqual(run(*words, "--output", "whole.h5", cwd=self.directory).code, 0)
        self.assertEqual(self.read("model.h5"), self.read("whole.h5"))

    def test_words(self):
        for words in (["--resume"], ["--checkpoint-every", "3"], ["--checkpoint", "d", "--checkpoint-every", "0"],
                      ["--checkpoint", "d", "--checkpoint-seconds", "-1"]):
            result = run(*self.train, "--output", "m.h5", *words, cwd=self.directory)
            self.assertEqual(result.code, 64, result)

    def test_a_directory_that_cannot_be_made(self):
        for ranks in (None, 2):
            result = run(*self.train, "--output", "m.h5", "--checkpoint", "/proc/none/here", ranks=ranks,
                         cwd=self.directory)
            self.assertEqual(result.code, 73, result)


if __name__ == "__main__":
    unittest.main()
