# SPDX-License-Identifier: Apache-2.0
"""--memory and --scratch: rows that do not fit lie in scratch, models stay the same bytes, what may go wrong has one message."""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time
import unittest

import support
from support import CliTest

# Small data spill where the account of memory has room for so many bytes.
SMALL = {"FIRESTEEL_POOL_BYTES": "40K", "FIRESTEEL_BLOCK_ROWS": "32"}


class Memory(CliTest):
    def setUp(self):
        super().setUp()
        self.write("points.csv", support.classification_csv(rows=3000, features=6))
        os.mkdir(self.path("scratch"))

    def train(self, learner, *more, **kwargs):
        return self.succeed("train", learner, "--input", "points.csv", "--output", "model.h5", "--json", *more, **kwargs)

    def left(self):
        return os.listdir(self.path("scratch"))

    def write_sparse(self, name="points.svm", rows=2000, columns=40, filled=6):
        source = random.Random(4)
        lines = []
        for _ in range(rows):
            entries = sorted(source.sample(range(1, columns + 1), source.randrange(1, filled)))
            values = [(column, source.gauss(0, 1)) for column in entries]
            label = int(sum(value for column, value in values if column <= columns // 2) + source.gauss(0, 1) > 0)
            lines.append(" ".join([str(label), *(f"{column}:{value:.5f}" for column, value in values)]))
        self.write(name, "\n".join(lines) + "\n")

    def check_same_bytes(self, words, ranks=(None, 1, 3), threads=("1", "3"), storage_of_rows=True):
        """Model and metrics in memory and out of it; the last report."""
        for count in ranks:
            for number in threads:
                line = ["train", *words, "--output", "model.h5", "--json", "--threads", number]
                plain = self.succeed(*line, ranks=count, FIRESTEEL_BLOCK_ROWS="32")
                model = self.read("model.h5")
                self.assertEqual(plain.json["storage"]["spilled_bytes"], 0, plain)
                result = self.succeed(*line, "--scratch", "scratch", ranks=count, **SMALL)
                self.assertEqual(self.read("model.h5"), model, result)
                for name in ("metrics", "objective"):
                    self.assertEqual(result.json[name], plain.json[name])
                storage = result.json["storage"]
                self.assertGreater(storage["spilled_bytes"], 0, result)
                if storage_of_rows:
                    self.assertEqual(storage["bytes_read"], storage["passes"] * storage["spilled_bytes"], result)
                self.assertEqual(len(result.lines("memory ")), 1, result)
                self.assertEqual(self.left(), [])
        return result.json

    def test_models_of_sparse_rows_are_the_same_bytes_out_of_memory(self):
        self.write_sparse()
        self.check_same_bytes(["logistic", "--input", "points.svm", "--reg-param", "0.1"])
        self.check_same_bytes(["kmeans", "--input", "points.svm", "--k", "4", "--distance-measure", "cosine"],
                              ranks=(None, 2), threads=("2",), storage_of_rows=False)
        self.write_sparse("wide.svm", columns=5000)
        self.check_same_bytes(["logistic", "--input", "wide.svm", "--reg-param", "0.1", "--max-iter", "5"], threads=("2",))

    def test_models_of_ratings_are_the_same_bytes_out_of_memory(self):
        self.write("ratings.csv", support.ratings_csv(users=400, items=40))
        self.write("names.csv", "user,item,rating\n" + "".join(f"u{i % 97},i{i * i % 31},{i % 5}\n" for i in range(3000)))
        for name, more in (("ratings.csv", []), ("names.csv", ["--implicit-prefs"]), ("ratings.csv", ["--solver", "cg"])):
            words = ["als", "--input", name, "--rank", "3", "--max-iter", "2", *more]
            storage = self.check_same_bytes(words, ranks=(None, 3), threads=("2",), storage_of_rows=False)["storage"]
            self.assertGreater(storage["bytes_read"], 2 * storage["spilled_bytes"])
        evaluate = ["evaluate", "model.h5", "--input", "ratings.csv", "--json"]
        for ranks in (None, 2):
            plain = self.succeed(*evaluate, ranks=ranks, FIRESTEEL_BLOCK_ROWS="32").json
            self.assertEqual(self.succeed(*evaluate, ranks=ranks, **SMALL).json, plain)

    def test_models_are_the_same_bytes_out_of_memory(self):
        for learner, options in (("logistic", []), ("logistic", ["--solver", "lbfgs"]), ("kmeans", ["--k", "5"])):
            for ranks in (None, 1, 2, 3, 4):
                for threads in ("1", "3"):
                    more = [*options, "--threads", threads]
                    plain = self.train(learner, *more, ranks=ranks, FIRESTEEL_BLOCK_ROWS="32")
                    model = self.read("model.h5")
                    self.assertEqual(plain.json["storage"]["spilled_bytes"], 0, plain)
                    result = self.train(learner, *more, "--scratch", "scratch", ranks=ranks, **SMALL)
                    self.assertEqual(self.read("model.h5"), model, result)
                    self.assertEqual(result.json["metrics"], plain.json["metrics"])
                    self.assertEqual(result.json["objective"], plain.json["objective"])
                    storage = result.json["storage"]
                    self.assertGreater(storage["spilled_bytes"], 0, result)
                    self.assertEqual(storage["bytes_read"], storage["passes"] * storage["spilled_bytes"], result)
                    self.assertEqual(len(result.lines("memory ")), 1, result)
                    self.assertEqual(self.left(), [])

    def test_scoring_and_evaluating_spill_too(self):
        for learner in ("logistic", "kmeans"):
            self.train(learner)
            score = ["score", "model.h5", "--input", "points.csv", "--output"]
            evaluate = ["evaluate", "model.h5", "--input", "points.csv", "--json"]
            for ranks in (None, 3):
                self.succeed(*score, "plain.csv", ranks=ranks)
                self.succeed(*score, "spilled.csv", "--scratch", "scratch", ranks=ranks, **SMALL)
                self.assertEqual(self.read("spilled.csv"), self.read("plain.csv"))
                plain = self.succeed(*evaluate, ranks=ranks, FIRESTEEL_BLOCK_ROWS="32").json
                spilled = self.succeed(*evaluate, ranks=ranks, **SMALL).json
                if learner == "logistic":  # silhouettes are summed by blocks, whose rows differ from those of score
                    self.assertEqual(spilled, plain)

    def test_ratings_are_scored_and_converted_out_of_memory(self):
        self.write("ratings.csv", support.ratings_csv(users=400, items=40))
        self.write("names.csv", "user,item,rating\n" + "".join(f"u{i % 97},i{i * i % 31},{i % 5}\n" for i in range(3000)))
        for name, ranks_of_csv in (("ratings.csv", (None, 1, 2, 3, 4)), ("names.csv", (3,))):
            self.succeed("train", "als", "--input", name, "--rank", "3", "--max-iter", "2", "--output", "model.h5")
            self.write("few.csv", "".join(self.read(name).decode().splitlines(True)[:400]))
            self.succeed("train", "als", "--input", "few.csv", "--rank", "3", "--max-iter", "2", "--output", "few.h5")
            for words in (["score", "model.h5", "--input", name, "--output"],
                          ["score", "few.h5", "--cold-start-strategy", "drop", "--input", name, "--keep", "rating", "--output"]
                          if name == "names.csv" else
                          ["score", "few.h5", "--cold-start-strategy", "drop", "--input", name, "--output"],
                          ["convert", "--user", "user", "--item", "item", "--input", name, "--output"]):
                for ending in ("csv", "h5", "parquet") if words[0] == "convert" else ("csv", "h5"):
                    self.succeed(*words, "plain." + ending)
                    for ranks in ranks_of_csv if ending == "csv" else (2,):
                        self.succeed(*words, "spilled." + ending, "--scratch", "scratch", ranks=ranks, **SMALL)
                        self.assertEqual(self.read("spilled." + ending), self.read("plain." + ending), (words, ranks))
                        self.assertEqual(self.left(), [])
                if words[0] == "score":
                    self.assertEqual(self.succeed(*words, "-", ranks=3, **SMALL).out, self.read("plain.csv").decode())
                self.succeed(*words, "parts.csv/", ranks=3, **SMALL)
                parts = [self.read("parts.csv/" + part["file"]) for part in json.loads(self.read("parts.csv/_manifest.json"))["parts"]]
                self.assertEqual(b"".join(part.split(b"\n", 1)[1] for part in parts), self.read("plain.csv").split(b"\n", 1)[1])

    def peak(self, words, code=0, said=""):
        """The most memory that the program, alone, held by the kernel's account, in bytes. Started by a small process, as what a
        parent held counts until the child begins. It ends with `code` and has `said` so."""
        starter = ("import os, sys\n_, status, usage = os.wait4(os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ), 0)\n"
                   "print(usage.ru_maxrss)\nsys.exit(os.waitstatus_to_exitcode(status))")
        result = support.run_line([sys.executable, "-c", starter, *support.command([*words, "--quiet", "--threads", "1"])],
                                  cwd=self.directory)
        self.assertEqual(result.code, code, result)
        self.assertIn(said, result.err)
        return int(result.out.split()[-1]) * 1024

    @unittest.skipIf(support.SANITIZED, "what a sanitizer holds counts too")
    def test_kept_columns_beside_ratings_beyond_memory(self):
        self.write("few.csv", support.ratings_csv(users=50, items=20))
        self.succeed("train", "als", "--input", "few.csv", "--rank", "2", "--max-iter", "1", "--output", "model.h5")
        rows = 700_000  # 104 bytes each are more than a rank of 128M has
        self.write("many.csv", "user,item,rating,when\n" + "".join(f"{i % 50},{i % 19},{i % 5},day {i % 365}\n" for i in range(rows)))
        words = ["score", "model.h5", "--input", "many.csv", "--keep", "when", "--output"]
        self.succeed(*words, "plain.csv")
        self.assertLess(self.peak([*words, "bounded.csv", "--memory", "128M"]), 128 << 20)
        self.assertEqual(self.read("bounded.csv"), self.read("plain.csv"))

    @unittest.skipIf(support.SANITIZED, "what a sanitizer holds counts too")
    def test_parquet_is_written_in_bounded_memory(self):
        # Numbers of 280 MB, into row groups of 8 MiB.
        entries = [f" {1 + i % 41}:{i} {50 + i % 47}:0.5" for i in range(2000)]
        self.write("wide.svm", "".join(f"{i % 2}{entries[i * 7 % 2000]}\n" for i in range(350_000)))
        if self.run_here("convert", "points.csv", "points.parquet").code == 69:
            self.skipTest("this build writes no Parquet")
        words = ["convert", "wide.svm", "--num-features", "100", "--output", "wide.parquet", "--memory", "192M"]
        self.assertLess(self.peak(words), 192 << 20)

    def test_rows_are_converted_out_of_memory(self):
        self.write_sparse()
        for name in ("points.csv", "points.svm"):
            for ending in ("csv", "libsvm", "h5", "npz", "jsonl", "parquet", "fsp"):
                self.succeed("convert", "--input", name, "--label", "label", "--output", "plain." + ending, FIRESTEEL_BLOCK_ROWS="32")
                self.succeed("convert", "--input", name, "--label", "label", "--output", "spilled." + ending, "--scratch", "scratch",
                             ranks=3, **SMALL)
                self.assertEqual(self.read("spilled." + ending), self.read("plain." + ending), (name, ending))

    def test_verbose_says_what_passes_cost(self):
        for reader in ("io_uring", "threads"):
            result = self.train("kmeans", "--verbose", **SMALL, FIRESTEEL_SCRATCH_READER=reader)
            self.assertEqual(len(result.lines("scratch: ")), 1, result)
            storage = result.json["storage"]
            self.assertEqual(storage["stalls"] > 0, storage["requests_in_flight"] > 0)
            if reader == "threads":
                self.assertEqual(result.json["storage"]["reader"], "threads")

    def test_words(self):
        train = ["train", "kmeans", "--input", "points.csv", "--output", "model.h5"]
        for value, expected in (("100M", "at least 128M"), ("127M", "at least 128M"), ("2X", "300M or 2G"), ("1.5G", "300M or 2G"),
                                ("-1", "300M or 2G"), ("0%", "above 0%"), ("101%", "above 0%"), ("x%", "above 0%"),
                                ("2GB", "300M or 2G")):
            self.fail_with(64, [*train, "--memory", value], "--memory", expected, value)
        least = "256M" if support.SANITIZED else "128M"  # what a sanitizer holds counts too
        for value in (least, "1G", "512m", "50%", "400000K"):
            self.succeed(*train, "--memory", value)
        self.fail_with(64, ["inspect", "model.h5", "--memory", "1G"], "--memory is not an option of 'inspect'")

    def test_a_bound_that_rows_beside_their_features_break_is_said(self):
        # Two columns of many rows: what a fit keeps of each row does not fit, whatever lies in scratch.
        with open(self.path("narrow.csv"), "w") as file:
            file.write("a,label\n" + "".join(f"{i % 97}.5,{i * i % 7 % 2}\n" for i in range(4_000_000)))
        message = self.fail_with(71, ["train", "logistic", "--input", "narrow.csv", "--output", "model.h5", "--memory", "128M", "--threads", "1"],
                                 "--memory 134217728", "give at least --memory", ranks=(None,))
        self.assertIn("4000000 rows", message)

    def test_columns_that_are_too_many_are_refused_before_they_take_memory(self):
        # 22 bytes of text that claim millions of columns.
        self.write("wide.svm", "0 20000000:1\n1 1:1\n")
        bound = ["--memory", "300M"]
        for learner, said in ((["kmeans", "--k", "2"], "2 centres of 20000000 columns"), (["logistic"], "20000000 coefficients")):
            self.fail_with(71, ["train", *learner, "--input", "wide.svm", "--output", "m.h5", *bound], said, "give at least --memory",
                           ranks=(None,))
        self.write("wider.svm", "0 1000000000:1\n1 1:1\n")
        for output in ("c.csv", "c.jsonl", "c.parquet"):
            self.fail_with(71, ["convert", "wider.svm", output, *bound], "rows of 1000000000 cells (not so in .libsvm", ranks=(None,))
        self.succeed("convert", "wider.svm", "c.svm", *bound)

    @unittest.skipIf(support.SANITIZED, "sanitizers take memory of their own")
    def test_a_new_name_in_each_line_takes_no_table_of_all_names(self):
        # 120 KB of text whose 8,000 rows of 8,000 columns would be 512 MB as numbers.
        self.write("names.jsonl", "".join(f'{{"k{row}": 1}}\n' for row in range(8000)))
        train = ["train", "kmeans", "--input", "names.jsonl", "--output", "m.h5"]
        said = "names.jsonl:1: the value is missing; say --missing drop or --missing mean (column 'k1')"
        self.assertLess(self.peak(train, 65, said), 250 << 20)
        self.assertLess(self.peak(["sample", "names.jsonl", "--rows", "3", "--output", "s.jsonl", "--memory", "200M"]), 200 << 20)
        for ranks in (None, 2):
            self.succeed("sample", "names.jsonl", "--rows", "3", "--output", "r.jsonl", ranks=ranks)
            self.assertEqual(self.read("r.jsonl"), self.read("s.jsonl"))

    def test_scratch_that_cannot_be_used(self):
        train = ["train", "kmeans", "--input", "points.csv", "--output", "model.h5"]
        self.write("file", "x")
        for name in ("absent", "file", "/proc"):
            self.fail_with(73, [*train, "--scratch", name], "scratch directory " + name, "--scratch names another", ranks=(None, 3))
        # Words come before, data after.
        self.fail_with(64, [*train, "--scratch", "absent", "--k", "0"], "--k")
        self.fail_with(66, [*train, "--scratch", "absent", "--input", "nothing.csv"], "nothing.csv")

    @unittest.skipUnless(os.geteuid() == 0 and pathlib.Path("/usr/bin/setpriv").exists(), "needs root, to be another user")
    def test_scratch_without_permission(self):
        os.chmod(self.directory, 0o777)
        os.chmod(self.path("scratch"), 0o500)
        line = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", *support.command(
            ["train", "kmeans", "--input", "points.csv", "--output", "model.h5", "--scratch", "scratch"])]
        result = support.run_line(line, cwd=self.directory, HOME="/tmp")
        self.check_failure(result, 73, "scratch directory scratch: Permission denied")

    @unittest.skipUnless(os.geteuid() == 0, "needs root, to mount a small file system")
    def test_scratch_that_is_too_small(self):
        script = 'mount -t tmpfs -o size=64k none scratch && exec "$@"'
        for ranks in (None, 2):
            line = ["unshare", "-m", "bash", "-c", script, "bash", *support.command(
                ["train", "kmeans", "--input", "points.csv", "--output", "model.h5", "--scratch", "scratch"], ranks)]
            result = support.run_line(line, cwd=self.directory, **SMALL)
            self.check_failure(result, 73, "scratch directory scratch", "are needed by a rank", "free")
            self.assertFalse(os.path.exists(self.path("model.h5")))

    @unittest.skipUnless(os.geteuid() == 0, "needs root, to mount a small file system")
    def test_outputs_on_a_full_disk_say_what_to_do(self):
        said = "No space left on device"
        full = 'mount -t tmpfs -o size=64k none scratch && dd if=/dev/zero of=scratch/fill bs=1k count=60 status=none && exec "$@"'
        train = ["train", "kmeans", "--input", "points.csv", "--output"]
        outputs = [["convert", "points.csv", "scratch/o" + ending] for ending in (".csv", ".h5", ".npz", ".jsonl", ".parquet", ".fsp")]
        for words in (*outputs, [*train, "scratch/m.h5"], [*train, "m.h5", "--checkpoint", "scratch/saved"]):
            for ranks in (None, 2) if words[0] == "train" else (None,):
                result = support.run_line(["unshare", "-m", "bash", "-c", full, "bash", *support.command(words, ranks)], cwd=self.directory)
                if result.code == 69:  # a build without Arrow
                    continue
                self.assertIn(result.code, (73, 74), result)
                message = self.check_failure(result, result.code, said, "make room there, or name a file on another disk")
                self.assertIn("an older file stays as it was", message)

    @unittest.skipUnless(os.geteuid() == 0, "needs root, to mount a small file system")
    def test_scratch_that_fills_while_ratings_are_sorted(self):
        # What a sort outside of memory takes is not reserved: the disk is found to be full when it is written.
        self.write("ratings.csv", support.ratings_csv(users=400, items=40))
        for ranks, size in ((None, "64k"), (None, "160k"), (2, "160k")):  # as they are read, and later
            script = f'mount -t tmpfs -o size={size} none scratch && exec "$@"'
            line = ["unshare", "-m", "bash", "-c", script, "bash", *support.command(
                ["train", "als", "--input", "ratings.csv", "--rank", "3", "--output", "model.h5", "--scratch", "scratch"], ranks)]
            result = support.run_line(line, cwd=self.directory, **SMALL)
            self.assertIn(result.code, (73, 74), result)
            self.check_failure(result, result.code, "scratch directory scratch", "--scratch names another", "free")
            self.assertFalse(os.path.exists(self.path("model.h5")))

    def start_long(self, *more):
        """A fit that goes on until it is stopped, its rows in scratch; returns once it iterates."""
        source = random.Random(3)
        lines = ["a,b,c"] + [",".join(f"{source.gauss(0, 1):.6f}" for _ in range(3)) for _ in range(40000)]
        self.write("many.csv", "\n".join(lines) + "\n")
        words = ["train", "kmeans", "--input", "many.csv", "--k", "1000", "--tol", "0", "--max-iter", "100000", "--threads", "2",
                 "--scratch", "scratch", "--output", "model.h5", "--heartbeat", "beat.json", *more]
        process = subprocess.Popen(support.command(words), cwd=self.directory, env=support.environment(**SMALL),
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        for _ in range(600):
            if b'"fitting"' in (self.read("beat.json") if os.path.exists(self.path("beat.json")) else b""):
                return process
            time.sleep(0.05)
        self.fail("the fit did not begin")

    def test_a_killed_job_leaves_nothing_in_scratch(self):
        process = self.start_long()
        self.assertEqual(self.left(), [])
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.assertEqual(self.left(), [])

    def test_scratch_that_is_removed_meanwhile_is_not_missed(self):
        process = self.start_long("--checkpoint", "saved")
        os.rmdir(self.path("scratch"))
        time.sleep(0.3)
        self.assertIsNone(process.poll())
        process.send_signal(signal.SIGUSR1)
        self.assertEqual(process.wait(timeout=60), 75)


class Plan(CliTest):
    def setUp(self):
        super().setUp()
        self.write("points.csv", support.classification_csv(rows=3000, features=6))

    def test_what_a_fit_would_take(self):
        for ranks in (None, 1, 3):
            plan = self.succeed("plan", "logistic", "--input", "points.csv", "--json", ranks=ranks).json
            self.assertEqual((plan["command"], plan["learner"], plan["rows"], plan["features"], plan["ranks"]),
                             ("plan", "logistic", 3000, 6, ranks or 1))
            self.assertGreaterEqual(plan["feature_bytes_per_rank"] * (ranks or 1), 3000 * 6 * 8)
            self.assertEqual((plan["spilled_bytes_per_rank"], plan["seconds_per_pass"]), (0, None))
            small = self.succeed("plan", "logistic", "--input", "points.csv", "--json", ranks=ranks, **SMALL).json
            self.assertGreater(small["spilled_bytes_per_rank"], 0)
            self.assertGreater(small["seconds_per_pass"], 0)

    def test_what_a_fit_of_ratings_would_take(self):
        rows = 300000
        self.write("ratings.csv", "user,item,rating\n" + "".join(f"{i * 7919 % 5003},{i * 31 % 997},{i % 5 + 1}\n" for i in range(rows)))
        for ranks in (None, 1, 3):
            plan = self.succeed("plan", "als", "--input", "ratings.csv", "--rank", "4", "--json", ranks=ranks).json
            self.assertEqual((plan["command"], plan["learner"], plan["rows"], plan["users"], plan["items"], plan["ranks"]),
                             ("plan", "als", rows, 5003, 997, ranks or 1))
            self.assertGreaterEqual(plan["rating_bytes_per_rank"] * (ranks or 1), rows * 24)
            self.assertGreaterEqual(plan["factor_bytes_per_rank"], 6000 * 4 * 8)
            self.assertEqual((plan["spilled_bytes_per_rank"], plan["seconds_per_iteration"]), (0, None))
            small = self.succeed("plan", "als", "--input", "ratings.csv", "--rank", "4", "--json", ranks=ranks, **SMALL).json
            self.assertGreater(small["spilled_bytes_per_rank"], 0)
            self.assertGreater(small["seconds_per_iteration"], 0)
        self.assertIn("300000 ratings of 5003 users and 997 items", self.succeed("plan", "als", "--input", "ratings.csv").out)
        self.fail_with(64, ["plan", "als", "--input", "ratings.csv", "--rank", "0"], "--rank")
        self.fail_with(66, ["plan", "als", "--input", "absent.csv"], "absent.csv")

    def test_takes_the_words_of_train(self):
        words = ["kmeans", "--input", "points.csv", "--k", "7", "--output", "model.h5", "--memory", "256M", "--precision", "single"]
        text = self.succeed("plan", *words).out
        self.assertIn("kmeans: 3000 rows x 6 features", text)
        self.assertIn("256 MiB a rank", text)
        self.assertFalse(os.path.exists(self.path("model.h5")))
        self.fail_with(64, ["plan", "kmeans", "--input", "points.csv", "--k", "0"], "--k")
        self.fail_with(66, ["plan", "kmeans", "--input", "absent.csv"], "absent.csv")


if __name__ == "__main__":
    unittest.main()
