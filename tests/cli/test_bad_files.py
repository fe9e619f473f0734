# SPDX-License-Identifier: Apache-2.0
"""Files that are not what they should be, under the verbs that read them: each its own message."""

import gzip
import os
import pathlib
import resource
import shutil
import subprocess
import time
import unittest

import support
from support import CliTest

VERBS = (["train", "kmeans", "--output", "m.h5", "--input"], ["describe"], ["sort", "--by", "x", "--output", "b.csv"],
         ["convert", "--output", "b.h5", "--input"])


class BadFiles(CliTest):
    turn = 0

    def all_fail(self, code, name, *fragments):
        """The same message from every verb alone, and from one of them, in turn, at 2 ranks."""
        BadFiles.turn += 1
        messages = {self.fail_with(code, [*verb, name], *fragments,
                                   ranks=[None, 2] if number == BadFiles.turn % len(VERBS) else [None])
                    for number, verb in enumerate(VERBS)}
        self.assertEqual(len(messages), 1, messages)

    def test_encodings(self):
        text = "x,y\n1,2\n3,4\n"
        for encoding, name in (("utf-16", "UTF-16"), ("utf-16-le", "UTF-16"), ("utf-16-be", "UTF-16"), ("utf-32", "UTF-32")):
            self.write("a.csv", text.encode(encoding))
            self.all_fail(65, "a.csv", f"a.csv is {name} text, expected UTF-8", f"iconv -f {name} -t UTF-8 a.csv")
        self.write("a.csv", b"\xff\xfe" + text.encode("utf-16-be"))
        self.all_fail(65, "a.csv", "UTF-16")
        self.write("a.jsonl", '{"x": 1}\n'.encode("utf-16"))
        self.all_fail(65, "a.jsonl", "UTF-16")
        self.write("a.csv.gz", gzip.compress(text.encode("utf-16")))
        self.all_fail(65, "a.csv.gz", "a.csv.gz is UTF-16 text")
        self.write("plain", text.encode("utf-16"))  # by first bytes
        self.all_fail(65, "plain", "UTF-16")
        # Other bytes than UTF-8 are taken as they are: names and texts come out as they went in.
        self.write("l.csv", "größe,x\nklein,1\ngroß,2\n".encode("latin-1"))
        self.succeed("sort", "l.csv", "--by", "x", "--output", "b.csv", ranks=2)
        self.assertEqual(self.read("b.csv"), self.read("l.csv"))

    def test_a_line_of_a_gigabyte_takes_no_gigabyte(self):
        """Written as a hole, so that it takes no disk either; the message comes before the line is held."""
        for begin, verb in ((b"x,y\n1,2\n", VERBS[0]), (b'x,y\n1,"', VERBS[1]), (b"", VERBS[2])):
            self.write("a.csv", begin)
            os.truncate(self.path("a.csv"), 1 << 30)
            line = begin.count(b"\n") + 1
            result = self.run_here(*verb, "a.csv", ranks=2)
            self.check_failure(result, 65, f"a.csv:{line}: a record from here on is longer than 256 MiB")
            most_kib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
            self.assertLess(most_kib, 400 << 10)

    def test_a_long_line_in_bounded_memory(self):
        self.write("a.csv", "x\n" + "1" * (6 << 20) + "\n")
        self.fail_with(65, ["train", "kmeans", "--input", "a.csv", "--memory", "128M", "--output", "m.h5"],
                       "a.csv:2: a record from here on is longer than 4 MiB")

    def test_ragged_lines(self):
        rows = "".join(f"{row},{row}\n" for row in range(3000))
        for bad, got in (("1\n", 1), ("1,2,3\n", 3), ("1,2,\n", 3)):
            self.write("a.csv", "x,y\n" + rows + bad + rows)
            self.all_fail(65, "a.csv", f"a.csv:3002: expected 2 columns, got {got}")

    def test_cut_short(self):
        text = ("x,y\n" + "".join(f"{row},{row * row}\n" for row in range(5000))).encode()
        whole = gzip.compress(text)
        for size in (12, len(whole) // 2, len(whole) - 3):
            self.write("a.csv.gz", whole[:size])
            self.all_fail(66, "a.csv.gz", "a.csv.gz", "cut short")
        self.write("a.csv", text)
        if self.run_here("convert", "a.csv", "a.parquet").code == 69:
            return
        whole = self.read("a.parquet")
        for size in (4, len(whole) // 2, len(whole) - 1):
            self.write("t.parquet", whole[:size])
            self.all_fail(65, "t.parquet", "t.parquet is damaged, cut short or of another format")

    def test_cut_short_in_its_first_bytes(self):
        for magic, kind in ((b"BZh9", "bzip2"), (b"BZh91AY&S", "bzip2"), (b"\x1f\x8b", "gzip"), (b"\xfd7zXZ", "xz"),
                            (b"\x28\xb5\x2f", "Zstandard")):
            for name in ("a.csv", "plain", "a.jsonl", "a.svm"):
                self.write(name, magic)
                self.fail_with(66, ["describe", name], f"{name} is a {kind} file that is cut short", ranks=[None])
        self.write("a.csv", b"\x1f\x8b")
        self.all_fail(66, "a.csv", "a.csv is a gzip file that is cut short in its first bytes: copy it again")

    def test_lines_that_end_with_a_bare_carriage_return(self):
        said = ": its lines end with a bare carriage return, expected a line feed: convert it by tr '\\r' '\\n' < "
        self.write("a.csv", b"x,y\r1,2\r3,4\r")
        self.all_fail(65, "a.csv", "a.csv" + said + "a.csv")
        self.write("a.jsonl", b'{"x": 1}\r{"x": 2}\r')
        self.all_fail(65, "a.jsonl", "a.jsonl" + said)
        self.write("a.svm", b"1 1:1\r0 1:2\r")
        self.fail_with(65, ["describe", "a.svm"], "a.svm" + said)
        # Within quotes it is a character, before a line feed a part of the line's end.
        self.write("a.csv", b'"x\ry",z\r\n1,2\r\n')
        self.succeed("describe", "a.csv")
        self.write("a.csv", b"x,y\r\n1,2")
        self.succeed("describe", "a.csv")

    def test_mixed_schemas_name_the_file(self):
        os.mkdir(self.path("d"))
        self.write("d/1.csv", "x,y\n1,2\n")
        self.write("d/2.csv", "")
        self.write("d/3.csv", "x,z\n1,2\n")
        self.all_fail(65, "d", "d/3.csv:1: expected the header of d/1.csv, got column 2 called 'z', not 'y'")
        self.write("d/3.csv", "x\n1\n")
        self.all_fail(65, "d", "d/3.csv:1", "1 columns, not 2")
        self.write("d/3.csv", "x,y\nthree,4\n")
        self.all_fail(65, "d", "d/3.csv:2:1: expected a number, got 'three'")
        self.write("d/3.csv", "x,y\n3,4\n")
        for verb in VERBS:
            result = self.succeed(*verb, "d", *(["--k", "1"] if verb[0] == "train" else []), ranks=2)
            self.assertEqual(result.lines("warning: "), ["warning: files of 0 bytes are passed over: 'd/2.csv'"])
        self.write("d/3.jsonl", '{"x": 1}\n')
        self.all_fail(65, "d", "d/1.csv is csv, but d/3.jsonl is jsonl: all inputs must have one format")

    def test_duplicate_columns(self):
        self.write("a.csv", "x,y,x\n1,2,3\n")
        self.all_fail(65, "a.csv", "a.csv:1: two columns are called 'x': names must differ")
        self.write("a.jsonl", '{"x": 1, "x": 2}\n')
        self.all_fail(65, "a.jsonl", "a.jsonl:1: member 'x' is given twice")

    def test_nothing_there(self):
        self.write("empty.csv", "")
        self.all_fail(65, "empty.csv", "empty.csv is empty")
        self.all_fail(66, "none-*.csv", "cannot read 'none-*.csv': no file matches this pattern")
        self.all_fail(66, "none.csv", "cannot read 'none.csv': No such file or directory")
        os.mkdir(self.path("empty"))
        self.all_fail(66, "empty", "the directory has no files")
        self.write("header.csv", "x,y\n")
        self.all_fail(65, "header.csv", "header.csv has a header and no data rows")

    @unittest.skipUnless(os.geteuid() == 0 and pathlib.Path("/usr/bin/setpriv").exists(), "needs root, to be another user")
    def test_permission_denied(self):
        os.chmod(self.directory, 0o777)
        self.write("a.csv", "x\n1\n")
        os.chmod(self.path("a.csv"), 0o600)
        os.mkdir(self.path("d"))
        os.chmod(self.path("d"), 0o700)
        program = self.path("firesteel")  # where any user may run it
        shutil.copy(support.FIRESTEEL, program)
        for verb in VERBS:
            for name in ("a.csv", "d"):
                line = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", program, *verb, name]
                result = support.run_line(line, cwd=self.directory, HOME="/tmp")
                self.check_failure(result, 66, f"cannot read '{name}'", "Permission denied")

    def test_a_file_that_grows_while_it_is_read(self):
        """What is written between finding the file and the end of reading is told by the verbs that copy rows, too."""
        self.write("a.csv", "x,y\n" + "1.25,2.5\n" * 200000)
        line = support.command(["sort", "a.csv", "--by", "x", "--output", "b.csv", "--threads", "1"])
        process = subprocess.Popen(line, cwd=self.directory, env=support.environment(), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        with open(self.path("a.csv"), "a", encoding="utf-8") as file:
            while process.poll() is None:
                file.write("3,4\n")
                file.flush()
                time.sleep(0.002)
        out, err = process.communicate()
        self.assertEqual((process.returncode, out), (74, ""), err)
        self.assertIn("a.csv changed while it was read", err)
        self.assertFalse(os.path.exists(self.path("b.csv")))

    def test_more_ranks_than_rows(self):
        self.write("a.csv", "x,y\n1,a\n")
        for words in (["describe", "a.csv"], ["sort", "a.csv", "--by", "x", "--output", "b.csv"],
                      ["join", "a.csv", "a.csv", "--on", "x", "--output", "b.csv"],
                      ["convert", "a.csv", "b.h5"], ["sample", "a.csv", "--rows", "3", "--output", "b.csv"]):
            one = self.succeed(*words, "--quiet")
            files = {name: self.read(name) for name in os.listdir(self.directory)}
            self.assertEqual(self.succeed(*words, "--quiet", ranks=4).out, one.out)
            self.assertEqual({name: self.read(name) for name in os.listdir(self.directory)}, files)


if __name__ == "__main__":
    unittest.main()
