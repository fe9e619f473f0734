# SPDX-License-Identifier: Apache-2.0
"""How a job ends: one message, the right code, every rank gone, nothing half written."""

import os
import signal
import subprocess
import time
import unittest

import support
from support import CliTest


class ExitCodes(CliTest):
    RANKS = (None, 1, 2, 3)

    def setUp(self):
        super().setUp()
        self.write("a.csv", support.classification_csv(rows=40))

    def test_66_input_is_absent(self):
        self.fail_with(66, ["train", "logistic", "--input", "none.csv", "--output", "m.h5"], "none.csv")
        self.fail_with(66, ["train", "logistic", "--input", "a.csv", "none*.csv", "--output", "m.h5"], "none*.csv")
        self.fail_with(66, ["evaluate", "none.h5", "--input", "a.csv"], "none.h5", ranks=[None, 2])
        self.fail_with(66, ["inspect", "none.h5"], "none.h5", ranks=[None, 2])

    def test_66_input_is_no_regular_file(self):
        os.mkfifo(self.path("f.csv"))
        for name in ("f.csv", "/dev/null"):
            self.fail_with(66, ["train", "logistic", "--input", name, "--output", "m.h5"], name, "not a regular file",
                           "copy it into a file", ranks=[None, 2])

    def test_74_closed_streams_are_no_files_of_the_job(self):
        # What is opened first would get the numbers of the streams, and what is printed.
        for closed in (">&-", "<&- >&-"):
            line = ["bash", "-c", f'"$0" train logistic --input a.csv --output m.h5 --quiet {closed}', support.FIRESTEEL]
            self.check_failure(support.run_line(line, cwd=self.directory), 74, "stdout")
        line = ["bash", "-c", '"$0" train logistic --input a.csv --output n.h5 <&- >&- 2>&-', support.FIRESTEEL]
        self.assertEqual(support.run_line(line, cwd=self.directory).code, 74)
        self.succeed("inspect", "n.h5")

    def test_73_directory_takes_no_files(self):
        message = self.fail_with(73, ["train", "logistic", "--input", "a.csv", "--output", "/proc/m.h5"], "/proc/m.h5")
        self.assertNotIn("does not exist", message)

    def test_66_init_file_is_absent(self):
        self.fail_with(66, ["train", "kmeans", "--input", "a.csv", "--init-file", "c.csv", "--output", "m.h5"], "c.csv",
                       ranks=[None, 2])

    def test_66_model_is_a_directory(self):
        os.mkdir(self.path("d.h5"))
        self.fail_with(66, ["inspect", "d.h5"], "d.h5", ranks=[None, 2])

    def test_73_output_cannot_be_created(self):
        self.fail_with(73, ["train", "logistic", "--input", "a.csv", "--output", "none/m.h5"], "none/m.h5")
        self.fail_with(73, ["convert", "--input", "a.csv", "--output", "none/a.h5"], "none/a.h5", ranks=[None, 2])
        os.mkdir(self.path("d.h5"))
        self.fail_with(73, ["train", "logistic", "--input", "a.csv", "--output", "d.h5"], "d.h5", ranks=[None, 2])

    def test_64_output_is_an_input(self):
        before = self.read("a.csv")
        self.fail_with(64, ["train", "kmeans", "--input", "a.csv", "--output", "./a.csv"], "--output")
        self.succeed("train", "kmeans", "--input", "a.csv", "--output", "k.h5")
        self.fail_with(64, ["score", "k.h5", "--input", "a.csv", "--output", "k.h5"], "--output")
        self.fail_with(64, ["score", "k.h5", "--input", "a.csv", "--output", "a.csv"], "--output")
        self.assertEqual(self.read("a.csv"), before)

    def test_65_data_contradict(self):
        self.write("bad.csv", "x,label\n1,0\nabc,1\n")
        self.fail_with(65, ["train", "logistic", "--input", "bad.csv", "--output", "m.h5"], "bad.csv:3:1", "'abc'")

    def test_several_faults_in_order(self):
        bad = self.write("bad.csv", "x,label\n1,0\nabc,1\n")
        line = ["train", "logistic", "--input", bad, "none.csv", "--output", "none/m.h5", "--tol", "x"]
        self.fail_with(64, line, ranks=[None, 2])
        self.fail_with(66, line[:-2], ranks=[None, 2])
        line.remove("none.csv")
        self.fail_with(73, line[:-2], ranks=[None, 2])
        line[line.index("none/m.h5")] = "m.h5"
        self.fail_with(65, line[:-2], ranks=[None, 2])

    def test_74_stdout_cannot_be_written(self):
        for ranks in (None, 2):
            with open("/dev/full", "w") as full:
                line = support.command(["train", "logistic", "--input", "a.csv", "--output", "m.h5", "--json"], ranks)
                if ranks is not None:
                    continue  # mpirun reads the ranks' stdout itself
                result = support.run_line(line, cwd=self.directory, stdout=full)
            self.check_failure(result, 74, "stdout")

    def test_74_closed_stdout(self):
        line = support.command(["learners", "--json"])
        process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   env=support.environment())
        process.stdout.close()
        error = process.stderr.read()
        process.stderr.close()
        self.assertIn(process.wait(timeout=support.ENDING_LIMIT_S), (0, 74), error)  # 0: written before the close

    def test_no_partial_files_are_left(self):
        self.fail_with(65, ["convert", "--input", "a.csv", "--features", "none", "--output", "b.h5"], ranks=[None, 2])
        self.assertEqual(os.listdir(self.directory), ["a.csv"])


class FullDisk(CliTest):
    """A limit on file size stands for a full disk: the write fails midway."""

    @unittest.skipIf("thread" in support.SANITIZED, "the thread sanitizer itself does not bear a limit on file size")
    def test_old_file_stays(self):
        self.write("a.csv", support.classification_csv(rows=3000, features=20))
        for output in ("b.csv", "b.h5"):
            self.write(output, "old")
            for ranks in (None, 2):
                convert = support.command(["convert", "--input", "a.csv", "--output", output], ranks)
                limited = ["bash", "-c", 'ulimit -f 100; exec "$@"', "bash", *convert]
                result = support.run_line(limited, cwd=self.directory, OMPI_MCA_btl="self,tcp", OMPI_MCA_pml="ob1",
                                          OMPI_MCA_gds="hash", PMIX_MCA_gds="hash")
                self.check_failure(result, 74, output)
                self.assertEqual(self.read(output), b"old")
                self.assertEqual(sorted(os.listdir(self.directory)), sorted({"a.csv", "b.csv", output}))


class LoneFailure(CliTest):
    """Two ranks in different directories: one of them cannot find what the other has."""

    def test_one_rank_fails_alone(self):
        self.write("a.csv", support.classification_csv(rows=40))
        os.mkdir(self.path("elsewhere"))
        args = [support.FIRESTEEL, "train", "logistic", "--input", "a.csv", "--output", "m.h5"]
        for here, there in ((".", "elsewhere"), ("elsewhere", ".")):
            line = [support.MPIRUN, "--oversubscribe", "--bind-to", "none", "-n", "1", "--wdir", self.path(here), *args,
                    ":", "-n", "1", "--wdir", self.path(there), *args]
            start = time.monotonic()
            result = support.run_line(line, cwd=self.directory)
            self.check_failure(result, 66, "a.csv")
            self.assertLess(time.monotonic() - start, 20)

    def test_different_words(self):
        line = [support.MPIRUN, "--oversubscribe", "--bind-to", "none", "-n", "1", support.FIRESTEEL, "inspect", "a.h5",
                ":", "-n", "1", support.FIRESTEEL, "inspekt", "a.h5"]
        self.check_failure(support.run_line(line, cwd=self.directory), 64, "'inspekt'")

    def test_a_killed_rank_ends_the_job(self):
        process = start_long_job(self, 2)
        child = wait_for_rank(process)
        start = time.monotonic()
        os.kill(child, signal.SIGKILL)
        process.communicate(timeout=support.ENDING_LIMIT_S)
        self.assertNotEqual(process.returncode, 0)
        self.assertLess(time.monotonic() - start, 20)
        self.assertEqual(os.listdir(self.directory), ["a.csv"])


def start_long_job(test, ranks, launcher=False):
    """A fit without end: ALS has no tolerance."""
    test.write("a.csv", support.ratings_csv(users=3000, items=300))
    args = ["train", "als", "--input", "a.csv", "--output", "m.h5", "--rank", "40", "--max-iter", "100000000", "--verbose"]
    line = support.command(["--ranks", str(ranks), *args]) if launcher else support.command(args, ranks)
    return subprocess.Popen(line, cwd=test.directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env=support.environment())


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


def wait_for_rank(process):
    """The process id of a rank of mpirun's job, once the fit runs."""
    wait_until_fitting(process)
    return children_of(process.pid)[-1]


def wait_until_fitting(process):
    for line in process.stderr:
        if "iteration 1 " in line:
            return
    raise AssertionError(f"the job ended with {process.wait()} before it was fitting")


class Interrupts(CliTest):
    def interrupted(self, process, number):
        wait_until_fitting(process)
        start = time.monotonic()
        process.send_signal(number)
        out, err = process.communicate(timeout=support.ENDING_LIMIT_S)
        self.assertLess(time.monotonic() - start, 20)
        self.assertEqual(os.listdir(self.directory), ["a.csv"])
        self.assertEqual(out, "")
        return process.returncode, [line for line in err.splitlines() if line.startswith("firesteel: ")]

    def test_interrupt_and_terminate(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            code, messages = self.interrupted(start_long_job(self, None), number)
            self.assertEqual((code, messages), (130, ["firesteel: interrupted"]))

    def test_interrupt_under_ranks(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            code, messages = self.interrupted(start_long_job(self, 2, launcher=True), number)
            self.assertEqual((code, messages), (130, ["firesteel: interrupted"]))

    def test_interrupt_under_mpirun(self):
        code, messages = self.interrupted(start_long_job(self, 2), signal.SIGINT)
        self.assertNotEqual(code, 0)
        self.assertEqual(messages, [])

    def test_stop_request(self):
        for ranks in (None, 2):
            code, messages = self.interrupted(start_long_job(self, ranks), signal.SIGUSR1)
            self.assertEqual(code, 75, messages)
            self.assertEqual(len(messages), 1)
            self.assertIn("after iteration", messages[0])


class Memory(CliTest):
    @unittest.skipIf(support.SANITIZED, "sanitizers reserve terabytes of address space: no ulimit -v fits them")
    def test_71_out_of_memory(self):
        self.write("a.csv", support.clusters_csv(rows=60, features=2))
        train = support.command(["train", "kmeans", "--input", "a.csv", "--output", "m.h5"])
        # LIBSVM widths are declared, not read: a model of 2^31 columns does not fit in 4 GB.
        self.write("a.svm", "0 1:1\n1 2000000000:1\n")
        train = support.command(["train", "logistic", "--input", "a.svm", "--output", "m.h5", "--threads", "1"])
        result = support.run_line(["bash", "-c", 'ulimit -v 4000000; exec "$@"', "bash", *train], cwd=self.directory)
        self.check_failure(result, 71, "memory")

    def test_71_before_memory_that_no_host_has_is_touched(self):
        rows = [f"{row} {row + 1}:1" for row in range(1000)]
        self.write("a.svm", "\n".join(rows) + "\n")
        wide = ["--input", "a.svm", "--num-features", "2000000000", "--output", "m.h5"]
        for learner, words in (("kmeans", ["--k", "1000"]), ("logistic", ["--family", "multinomial"])):
            for ranks in (None, 2):
                result = self.run_here("train", learner, *wide, *words, ranks=ranks)
                message = self.check_failure(result, 71, "2000000000" if learner == "kmeans" else "2000000000000")
                self.assertRegex(message, r"need at least \d{13,} bytes.* but this host has \d+ available")
                self.assertFalse(os.path.exists(self.path("m.h5")))


if __name__ == "__main__":
    unittest.main()
