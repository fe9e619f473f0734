# SPDX-License-Identifier: Apache-2.0
"""--ranks N --max-restarts M: a job whose processes die goes on by itself, to the same bytes of model."""

import json
import os
import random
import signal
import subprocess
import time
import unittest

import support
from support import CliTest


def children_of(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(child) for child in file.read().split()]
    except OSError:
        return []


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class Supervised(CliTest):
    ROWS = 20000

    def setUp(self):
        super().setUp()
        source = random.Random(5)
        lines = ["a,b,c,d"]
        for _ in range(self.ROWS):
            centre = source.randrange(7)
            lines.append(",".join(f"{source.gauss(centre * (j % 3), 1.5):.5f}" for j in range(4)))
        self.write("points.csv", "\n".join(lines) + "\n")
        self.train = ["train", "kmeans", "--input", "points.csv", "--k", "200", "--max-iter", "400", "--tol", "0",
                      "--threads", "1"]

    def whole(self):
        self.succeed(*self.train, "--output", "whole.h5")
        return self.read("whole.h5")

    def start(self, *front, words=None, ranks=2):
        line = [support.FIRESTEEL, "--ranks", str(ranks), *front, *(words or self.train), "--output", "model.h5"]
        process = subprocess.Popen(line, cwd=self.directory, env=support.environment(), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        if process.poll() is None:
            process.kill()
        process.stdout.close()
        process.stderr.close()
        process.wait()

    def newest(self):
        try:
            return max((name for name in os.listdir(self.path("saved")) if name.endswith(".fsc")), default="")
        except FileNotFoundError:
            return ""

    def wait_for(self, what, process, limit_s=30 * support.SLOWER):
        """The first true value of what(); the job must not end before."""
        limit = time.monotonic() + limit_s
        while time.monotonic() < limit:
            if value := what():
                return value
            self.assertIsNone(process.poll(), "the job ended")
            time.sleep(0.002)
        self.fail("waited in vain")

    def job(self, process, ranks):
        """mpirun and its ranks, once all of them run."""
        def found():
            for launcher in children_of(process.pid):
                if len(children_of(launcher)) == ranks:
                    return launcher, children_of(launcher)
            return None
        return self.wait_for(found, process)

    def finish(self, process, limit_s=support.ENDING_LIMIT_S):
        out, err = process.communicate(timeout=limit_s)
        return support.Result(process.args, subprocess.CompletedProcess(process.args, process.returncode, out, err))

    def test_a_killed_rank_and_a_killed_mpirun_are_restarted(self):
        whole = self.whole()
        process = self.start("--max-restarts", "3", "--restart-delay", "0.05", words=[*self.train, "--json", "--checkpoint", "saved"])
        self.wait_for(self.newest, process)
        launcher, ranks = self.job(process, 2)
        os.kill(ranks[1], signal.SIGKILL)
        self.wait_for(lambda: not alive(launcher), process)
        seen = self.newest()  # what the second try begins with: killed before it saves more, it would lose ranks
        self.wait_for(lambda: self.newest() > seen, process)
        launcher, ranks = self.job(process, 2)
        os.kill(launcher, signal.SIGKILL)
        result = self.finish(process)
        self.assertEqual(result.code, 0, result)
        self.assertEqual(self.read("model.h5"), whole)
        self.assertEqual(json.loads(result.out)["ranks"], 2)
        warnings = result.lines("warning: 2 ranks, ")
        self.assertEqual(len(warnings), 2, result)
        self.assertIn("a rank was killed by signal 9", warnings[0])
        self.assertIn("restart 1 of 3 with 2 ranks", warnings[0])
        self.assertIn("mpirun was killed by signal 9", warnings[1])
        self.assertIn("going on from saved/iteration-", warnings[1])
        self.assertEqual(len([line for line in result.err.splitlines() if "going on after iteration" in line]), 2, result)
        self.assertEqual(result.lines("firesteel: "), [])

    def test_fewer_cpus_are_fewer_ranks(self):
        cpus = sorted(os.sched_getaffinity(0))
        if len(cpus) < 2:
            self.skipTest("one CPU cannot become fewer")
        # Two at first on any machine: on many the job could be over before a rank is killed.
        self.addCleanup(os.sched_setaffinity, 0, cpus)
        os.sched_setaffinity(0, cpus[:2])
        whole = self.whole()
        ranks = 4
        process = self.start("--max-restarts", "1", "--restart-delay", "0", ranks=ranks,
                             words=[*self.train, "--json", "--checkpoint", "saved"])
        self.wait_for(self.newest, process)
        os.sched_setaffinity(process.pid, cpus[:1])
        os.kill(self.job(process, ranks)[1][0], signal.SIGKILL)
        result = self.finish(process)
        self.assertEqual((result.code, result.json["ranks"]), (0, 2), result)
        self.assertEqual(self.read("model.h5"), whole)

    def test_without_checkpoints_it_starts_again(self):
        whole = self.whole()
        process = self.start("--max-restarts", "1", "--restart-delay", "0", words=[*self.train, "--json"])
        os.kill(self.job(process, 2)[1][0], signal.SIGKILL)
        result = self.finish(process)
        self.assertEqual(result.code, 0, result)
        self.assertIn("from the beginning", result.lines("warning: 2 ranks, ")[0])
        self.assertEqual(self.read("model.h5"), whole)

    def test_it_gives_up_with_one_report(self):
        process = self.start("--max-restarts", "2", "--restart-delay", "0.01", words=[*self.train, "--json", "--checkpoint", "saved"])
        killed = set()
        for ranks in (2, 2, 1):  # twice without a new checkpoint: half the ranks
            pids = self.wait_for(lambda: next((p for p in [self.job(process, ranks)[1]] if not killed & set(p)), None), process)
            os.kill(pids[0], signal.SIGKILL)
            killed |= set(pids)
        result = self.finish(process)
        self.assertEqual(result.code, 128 + signal.SIGKILL, result)
        self.check_failure(result, 137, "gave up after 2 restarts", "(1) 2 ranks, ", "(3) 1 rank, ", "signal 9",
                           "no checkpoint was saved", "firesteel --ranks 2 --max-restarts 2 train kmeans --input points.csv")
        self.assertFalse(os.path.exists(self.path("model.h5")))

    def test_a_job_that_cannot_shrink_is_started_anew(self):
        # This MPI cannot go on without a rank: it is said, and the job is looked after as with --max-restarts.
        whole = self.whole()
        for front, words in (([], [*self.train, "--on-failure", "shrink"]), (["--on-failure=shrink"], self.train)):
            process = self.start(*front, words=[*words, "--json", "--checkpoint", "saved", "--resume"], ranks=3)
            before = self.newest()
            self.wait_for(lambda: self.newest() > before, process)
            os.kill(self.job(process, 3)[1][1], signal.SIGKILL)
            result = self.finish(process)
            self.assertEqual(result.code, 0, result)
            self.assertEqual(result.json["model"], "model.h5")
            self.assertEqual(self.read("model.h5"), whole)
            warnings = result.lines("warning: ")
            self.assertEqual(len([w for w in warnings if "cannot go on without a rank" in w]), 1, result)
            self.assertEqual(len([w for w in warnings if "restart 1 of 5" in w]), 1, result)
            for name in os.listdir(self.path("saved")):
                os.unlink(os.path.join(self.path("saved"), name))

    def test_under_a_bare_mpirun_that_cannot_shrink_one_warning_says_so(self):
        words = [*self.train[:-2], "--max-iter", "2", "--output", "model.h5", "--on-failure", "shrink"]
        words = [word for i, word in enumerate(words) if not (word == "400" or words[i + 1:i + 2] == ["400"])]
        result = self.succeed(*words, ranks=2)
        warnings = [w for w in result.lines("warning: ") if "--on-failure shrink" in w]
        self.assertEqual(len(warnings), 1, result)
        self.assertIn("the job will end when a rank dies", warnings[0])
        self.assertIn("--checkpoint DIR is not given", warnings[0])
        result = self.succeed(*words, "--checkpoint", "saved", ranks=2)
        self.assertIn("--resume go on from saved", "".join(result.lines("warning: --on-failure")))
        self.assertEqual(self.succeed(*words).lines("warning: --on-failure"), [])  # one process: nobody is left

    def test_words_of_on_failure(self):
        self.fail_with(64, ["train", "kmeans", "--input", "points.csv", "--output", "m.h5", "--on-failure", "shrik"],
                       "--on-failure", "end, shrink", "did you mean 'shrink'")
        self.fail_with(64, ["convert", "--input", "points.csv", "--output", "m.h5", "--on-failure", "shrink"],
                       "--on-failure", "'convert'")

    def test_errors_that_would_come_again_are_not_retried(self):
        self.write("bad.csv", "x,label\n1,0\nabc,1\n")
        for code, words in ((65, ["train", "logistic", "--input", "bad.csv", "--output", "m.h5"]),
                            (66, ["train", "logistic", "--input", "none.csv", "--output", "m.h5"]),
                            (73, ["train", "kmeans", "--input", "points.csv", "--output", "none/m.h5"])):
            result = self.run_here("--ranks", "2", "--max-restarts", "3", *words)
            self.check_failure(result, code)
            self.assertEqual([w for w in result.lines("warning: ") if "restart" in w], [])

    @unittest.skipIf("thread" in support.SANITIZED, "the thread sanitizer itself does not bear a limit on file size")
    def test_failed_writes_are_retried_and_said_once(self):
        # A limit on file size stands for a full disk: it is met by the model, at every try.
        self.write("wide.csv", support.classification_csv(rows=3000, features=20))
        line = [support.FIRESTEEL, "--ranks", "1", "--max-restarts", "1", "--restart-delay", "0", "convert", "--input", "wide.csv",
                "--output", "b.csv"]
        limited = ["bash", "-c", 'ulimit -f 100; exec "$@"', "bash", *line]
        result = support.run_line(limited, cwd=self.directory, OMPI_MCA_btl="self,tcp", OMPI_MCA_pml="ob1",
                                  OMPI_MCA_gds="hash", PMIX_MCA_gds="hash")
        self.check_failure(result, 74, "gave up after 1 restart", "b.csv")
        self.assertEqual(len([w for w in result.lines("warning: ") if "code 74" in w]), 1, result)

    def test_stop_requests_are_not_restarted(self):
        whole = self.whole()
        for number in (signal.SIGUSR1, signal.SIGTERM):
            process = self.start("--max-restarts", "3", words=[*self.train, "--json", "--checkpoint", "saved", "--resume"])
            before = self.newest()
            self.wait_for(lambda: self.newest() > before, process)
            process.send_signal(number)
            result = self.finish(process)
            self.check_failure(result, 75, "after iteration", "--resume")
        result = self.succeed(*self.train, "--output", "model.h5", "--checkpoint", "saved", "--resume")
        self.assertEqual(self.read("model.h5"), whole)

    def test_a_stop_request_at_any_instant_is_kept(self):
        # Before mpirun listens, before the ranks do (they die of the signal), while reading; looked after or not.
        for front in (("--max-restarts", "3"), ()):
            for delay_s in (0, 0.02, 0.05, 0.1, 0.2):
                process = self.start(*front, words=[*self.train, "--json", "--checkpoint", "saved"])
                self.wait_for(lambda: children_of(process.pid), process)
                if not front:
                    self.job(process, 2)
                time.sleep(delay_s)
                process.send_signal(signal.SIGUSR1 if front else signal.SIGTERM)
                result = self.finish(process)
                self.assertIn(result.code, (0, 75), result)
                self.assertEqual(len(result.lines("firesteel: ")), 1 if result.code else 0, result)

    def test_an_interrupted_job_leaves_the_old_model_and_prints_nothing(self):
        """Or is done, and says so: never a new model with 130."""
        self.train[self.train.index("400")] = "100"  # over in the second that mpirun lets its ranks live
        for front in ((), ("--max-restarts", "3")):
            for delay_s in (0, 0.1):
                self.write("model.h5", "old")
                process = self.start(*front, words=[*self.train, "--json"])
                self.job(process, 2)
                time.sleep(delay_s)
                process.send_signal(signal.SIGTERM)
                result = self.finish(process)
                if result.code == 0:
                    self.assertEqual(result.json["model"], "model.h5")
                    self.assertEqual(result.lines("firesteel: "), [])
                else:
                    self.check_failure(result, 130, "interrupted")
                    self.assertEqual(self.read("model.h5"), b"old")

    def test_stopped_while_waiting(self):
        for number, code in ((signal.SIGUSR1, 75), (signal.SIGINT, 130)):
            words = [*self.train, "--json"]  # no checkpoints: an interrupt is one
            process = self.start("--max-restarts", "3", "--restart-delay", "60", words=words)
            launcher, ranks = self.job(process, 2)
            os.kill(ranks[0], signal.SIGKILL)
            for line in process.stderr:
                if "restart 1 of 3" in line:
                    break
            process.send_signal(number)
            self.check_failure(self.finish(process, 20), code)

    def test_a_second_interrupt_ends_it(self):
        process = self.start("--max-restarts", "3", words=self.train)
        launcher, ranks = self.job(process, 2)
        process.send_signal(signal.SIGINT)
        self.check_failure(self.finish(process), 130, "interrupted")
        self.assertFalse(any(alive(pid) for pid in [launcher, *ranks]))

    def test_the_job_ends_with_a_killed_supervisor(self):
        process = self.start("--max-restarts", "3", words=[*self.train, "--checkpoint", "saved"])
        self.wait_for(self.newest, process)
        launcher, ranks = self.job(process, 2)
        process.kill()
        process.wait()
        limit = time.monotonic() + 20 * support.SLOWER
        while any(alive(pid) for pid in [launcher, *ranks]) and time.monotonic() < limit:
            time.sleep(0.02)
        self.assertFalse(any(alive(pid) for pid in [launcher, *ranks]))

    def test_other_checkpoints_that_lay_there_do_not_mislead(self):
        """A job that died before it saved goes on from nothing, not from another fit's checkpoint."""
        self.succeed("train", "kmeans", "--input", "points.csv", "--k", "3", "--tol", "0", "--max-iter", "9", "--output", "other.h5",
                     "--checkpoint", "saved")
        whole = self.whole()
        process = self.start("--max-restarts", "3", "--restart-delay", "0", words=[*self.train, "--json", "--checkpoint", "saved",
                                                                                    "--checkpoint-every", "20"])
        os.kill(self.job(process, 2)[1][0], signal.SIGKILL)
        result = self.finish(process)
        self.assertEqual(result.code, 0, result)
        self.assertEqual(self.read("model.h5"), whole)
        self.assertEqual([name for name in os.listdir(self.path("saved")) if name <= "iteration-0000009.fsc"], [])
        self.assertTrue(any("earlier fit" in line for line in result.lines("warning: ")), result)

    def test_words(self):
        self.fail_with(64, ["--max-restarts", "2", *self.train, "--output", "m.h5"], "--ranks", ranks=[None])
        self.fail_with(64, ["--ranks", "2", "--max-restarts", "-1", *self.train], "--max-restarts", "'-1'", ranks=[None])
        self.fail_with(64, ["--ranks", "2", "--max-restarts", "1", "--restart-delay", "x", *self.train], "'x'", ranks=[None])
        self.fail_with(64, ["--ranks", "2", "--restart-delay", "1", *self.train], "--max-restarts", ranks=[None])
        self.fail_with(64, ["--ranks", "2", "--ranks", "3", *self.train], "twice", ranks=[None])
        self.fail_with(64, ["--ranks", "2", "--max-restart", "3", *self.train], "--max-restarts", ranks=[None])


if __name__ == "__main__":
    unittest.main()
