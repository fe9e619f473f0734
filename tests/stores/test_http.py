# SPDX-License-Identifier: Apache-2.0
"""Inputs by http:// and https://: the same model as from the file, each byte asked for about once, and every fault of
servers and networks either got over or told once."""

import gzip
import os
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cli"))
from http_server import Server
from support import CliTest, classification_csv

RANKS = (None, 2, 3, 4)
# One attempt more than the faults need.
QUICK = {"FIRESTEEL_STORE_ATTEMPTS": "4", "FIRESTEEL_STORE_TIMEOUT": "20", "NO_PROXY": "*", "no_proxy": "*"}


class HttpTest(CliTest):
    def setUp(self):
        super().setUp()
        self.server = None

    def serve(self, **kinds):
        self.server = Server({name.replace("_", "."): data for name, data in kinds.items()})
        self.addCleanup(self.server.close)
        return self.server

    def digest(self, *inputs, ranks=None, words=(), **env):
        return self.succeed("train", "logistic", "--input", *inputs, *words, "--max-iter", "2", "--threads", "2", "--output",
                            "m.h5", "--json", "--quiet", ranks=ranks, **QUICK | env).json["sha256"]


class Reading(HttpTest):
    def test_each_rank_reads_its_share(self):
        data = classification_csv(12000, 16).encode()
        self.write("a.csv", data)
        expected = self.digest("a.csv")
        server = self.serve(a_csv=data)
        for ranks in RANKS:
            server.log.clear()
            self.assertEqual(self.digest(f"{server.url}/a.csv", ranks=ranks), expected, ranks)
            shares = [(first, last) for name, first, last, _ in server.log if last > first]
            covered = set()
            for first, last in shares:
                covered.update(range(first >> 10, (last >> 10) + 1))
            self.assertEqual(len(covered), (len(data) + 1023) >> 10)
            # Ranks ask for whole lines at the borders of their shares, and for 64 KiB at the least.
            self.assertLessEqual(server.bytes_sent("a.csv"), len(data) + (ranks or 1) * (160 << 10))
            longest = max(last + 1 - first for first, last in shares)
            self.assertLessEqual(longest, len(data) // (ranks or 1) + (160 << 10))

    def test_all_formats(self):
        self.write("a.csv", classification_csv(300, 4))
        expected = self.digest("a.csv")
        files = {"a.csv.gz": gzip.compress(self.read("a.csv"))}
        names = ["a.h5", "a.npz", "a.jsonl", "a.tsv", "a.parquet"]
        for name in names:
            result = self.run_here("convert", "--input", "a.csv", "--output", name, "--quiet")
            if name.endswith("parquet") and result.code == 69:
                continue
            self.assertEqual(result.code, 0, result)
            files[name] = self.read(name)
        server = Server(files)
        self.addCleanup(server.close)
        for number, name in enumerate(files):
            ranks = RANKS[number % len(RANKS)]
            self.assertEqual(self.digest(f"{server.url}/{name}", ranks=ranks), expected, f"{name} at {ranks}")
        # Without a name that says so, the first bytes do.
        server.files["plain"] = files["a.h5"]
        self.assertEqual(self.digest(f"{server.url}/plain", ranks=2), expected)

    def test_several_files_and_a_model(self):
        text = classification_csv(200, 3).splitlines(keepends=True)
        parts = ["".join(text[:1] + text[1:101]).encode(), "".join(text[:1] + text[101:]).encode()]
        self.write("a.csv", "".join(text))
        expected = self.digest("a.csv")
        server = self.serve(b_csv=parts[0], c_csv=parts[1], m_h5=self.read("m.h5"))
        self.assertEqual(self.digest(f"{server.url}/b.csv", f"{server.url}/c.csv", ranks=3), expected)
        self.succeed("score", "m.h5", "--input", "a.csv", "--output", "p.csv")
        self.succeed("score", f"{server.url}/m.h5", "--input", f"{server.url}/b.csv", f"{server.url}/c.csv", "--output", "q.csv",
                     ranks=2, **QUICK)
        self.assertEqual(self.read("q.csv"), self.read("p.csv"))


class Packed(HttpTest):
    """Packed files: a small header by ranges, then of each array what a rank has rows of."""

    def pack(self, *words, name="a.fsp"):
        self.succeed("convert", *words, "--output", name, "--quiet", FIRESTEEL_BLOCK_ROWS="512")
        return self.read(name)

    def test_each_rank_reads_its_share(self):
        self.write("a.csv", classification_csv(12000, 32))
        lines = classification_csv(12000, 40).splitlines()[1:]
        self.write("s.svm", "".join(line.split(",")[-1] + "".join(f" {j + 1}:{value}" for j, value in enumerate(line.split(",")[:-1])
                                                                  if float(value) > 0) + "\n" for line in lines))
        for words in (("a.csv",), ("a.csv", "--precision", "single"), ("s.svm",)):
            expected = self.digest(words[0], words=words[1:], FIRESTEEL_BLOCK_ROWS="512")
            data = self.pack(*words)
            server = self.serve(a_fsp=data)
            for ranks, more in ((None, ()), (2, ()), (3, ()), (4, ()), (2, ("--memory", "300M"))):
                server.log.clear()
                self.assertEqual(self.digest(f"{server.url}/a.fsp", ranks=ranks, words=more, FIRESTEEL_BLOCK_ROWS="512"), expected, (words, ranks))
                # What every rank reads: the header, the checksums, and blocks at the borders of shares.
                self.assertLess(server.bytes_sent("a.fsp"), len(data) + (ranks or 1) * (450 << 10), (words, ranks))
                longest = max(last + 1 - first for _, first, last, _ in server.log)
                self.assertLess(longest, len(data) // (ranks or 1) + (160 << 10))

    def test_columns_of_a_model(self):
        self.write("a.csv", classification_csv(700, 4))
        server = self.serve(a_fsp=self.pack("a.csv"))
        for words, kept in (((), ("--keep", "x1")), (("--features", "x2,x0"), ("--keep", "x1"))):
            self.digest("a.csv", words=words)
            self.succeed("score", "m.h5", "--input", "a.csv", *kept, "--output", "p.csv")
            self.succeed("score", "m.h5", "--input", f"{server.url}/a.fsp", *kept, "--output", "q.csv", ranks=3, **QUICK)
            self.assertEqual(self.read("q.csv"), self.read("p.csv"))

    def test_what_is_damaged(self):
        self.write("a.csv", classification_csv(3000, 4))
        whole = self.pack("a.csv")
        damaged = bytearray(whole)
        damaged[len(whole) // 2] ^= 1
        server = self.serve(damaged_fsp=bytes(damaged), short_fsp=whole[:len(whole) // 2], less_fsp=whole[:300], none_fsp=b"x,y\n1,2\n" * 300)
        for name, message in (("damaged", "do not fit their checksum"), ("short", "short.fsp"), ("less", "less.fsp"), ("none", "none.fsp")):
            for ranks in (None, 3):
                result = self.run_here("train", "logistic", "--input", f"{server.url}/{name}.fsp", "--output", "m.h5", ranks=ranks, **QUICK)
                self.check_failure(result, 65, message)

    def test_faults(self):
        self.write("a.csv", classification_csv(3000, 4))
        data = self.pack("a.csv")
        server = self.serve(a_fsp=data)
        expected = self.digest("a.csv")
        for fault in ("503", "truncated", "reset", "noranges"):
            server.seen.clear()
            self.assertEqual(self.digest(f"{server.url}/{fault}/a.fsp", ranks=2), expected, fault)
        for fault, code, message in (("changing", 74, "a.fsp changed while it was read"), ("503always", 74, "the server says 503"),
                                     ("nothing", 66, "it does not exist")):
            for ranks in (None, 3):
                name = "absent.fsp" if fault == "nothing" else f"{fault}/a.fsp"
                result = self.run_here("train", "kmeans", "--input", f"{server.url}/{name}", "--output", "m.h5", ranks=ranks, **QUICK)
                self.check_failure(result, code, message, name)


class Faults(HttpTest):
    def setUp(self):
        super().setUp()
        self.data = classification_csv(600, 4).encode()
        self.write("a.csv", self.data)

    def test_what_is_got_over(self):
        expected = self.digest("a.csv")
        server = self.serve(a_csv=self.data)
        for fault in ("503", "truncated", "reset", "slow", "noranges", "redirect", "notag"):
            for ranks in (None, 3) if fault in ("503", "noranges") else (2,):
                server.seen.clear()
                self.assertEqual(self.digest(f"{server.url}/{fault}/a.csv", ranks=ranks), expected, f"{fault} at {ranks}")

    def test_what_ends_the_job(self):
        server = self.serve(a_csv=self.data)
        cases = {
            "changing": (74, "a.csv changed while it was read"),
            "503always": (74, "reading failed: the server says 503 Service Unavailable (after 4 attempts)"),
            "down": (69, "the server says 503 Service Unavailable"),
            "absent": (66, "it does not exist"),
            "nolength": (66, "does not say how long it is"),
            "loop": (69, "redirects"),
        }
        for fault, (code, message) in cases.items():
            name = "nothing.csv" if fault == "absent" else "a.csv"
            for ranks in (3,) if fault == "changing" else (None,) if fault != "503always" else (None, 2):
                result = self.run_here("train", "kmeans", "--input", f"{server.url}/{fault}/{name}", "--output", "m.h5", ranks=ranks,
                                       **QUICK)
                self.check_failure(result, code, message, f"{server.url}/{fault}/{name}")
                self.assertFalse(os.path.exists(self.path("m.h5")))

    def test_a_server_that_hangs_does_not_hang_the_job(self):
        server = self.serve(a_csv=self.data)
        for fault, ranks in (("hang", 2), ("trickle", None)):
            result = self.run_here("train", "kmeans", "--input", f"{server.url}/{fault}/a.csv", "--output", "m.h5", ranks=ranks,
                                   **QUICK | {"FIRESTEEL_STORE_ATTEMPTS": "2", "FIRESTEEL_STORE_TIMEOUT": "2"})
            self.check_failure(result, 74, "next to nothing, came for 2 s (after 2 attempts)", f"{server.url}/{fault}/a.csv")

    def test_a_server_that_dies_midway(self):
        server = self.serve(a_csv=self.data)
        result = self.run_here("train", "kmeans", "--input", f"{server.url}/dies/a.csv", "--output", "m.h5", ranks=3,
                               **QUICK | {"FIRESTEEL_STORE_ATTEMPTS": "2"})
        self.check_failure(result, 74, "dies/a.csv: reading failed: ")
        result = self.run_here("train", "kmeans", "--input", f"{server.url}/a.csv", "--output", "m.h5",
                               **QUICK | {"FIRESTEEL_STORE_ATTEMPTS": "2"})
        self.check_failure(result, 69, "cannot read '", "(after 2 attempts)")

    def test_scratch_that_takes_nothing(self):
        server = self.serve(a_csv=self.data)
        result = self.run_here("train", "kmeans", "--input", f"{server.url}/a.csv", "--output", "m.h5", "--scratch", "nowhere", **QUICK)
        self.check_failure(result, 73, "scratch directory nowhere")


class Words(HttpTest):
    def test_secrets_are_not_shown(self):
        data = classification_csv(50, 2).encode()
        self.write("a.csv", data)
        server = self.serve(a_csv=data, b_csv=b"x,y\n1\n")
        url = f"{server.url}/token/a.csv?signature=hidden"
        self.assertEqual(self.digest(url, ranks=2), self.digest("a.csv"))
        result = self.run_here("train", "kmeans", "--input", f"{server.url}/token/b.csv?signature=hidden", "--output", "m.h5", ranks=2,
                               **QUICK)
        self.check_failure(result, 65, "b.csv?signature=...")
        self.assertNotIn("hidden", result.err)
        message = self.fail_with(64, ["train", "kmeans", "--input", "http://me:hidden@127.0.0.1/a.csv", "--output", "m.h5"],
                                 "a user or password", "~/.netrc")
        self.assertNotIn("hidden", message)

    def test_what_is_refused(self):
        self.write("a.csv", classification_csv(50, 2))
        train = ["train", "kmeans", "--input", "a.csv"]
        self.fail_with(73, [*train, "--output", "http://127.0.0.1:9/m.h5"], "web servers are only read")
        self.fail_with(64, [*train, "--output", "m.h5", "--checkpoint", "s3://bucket/d"], "--checkpoint: expected a path")
        self.fail_with(64, [*train, "--output", "ftp://host/m.h5"], "expected a URL of http, https, s3 or hdfs")
        self.fail_with(64, ["train", "kmeans", "--input", "http://host:99999/a.csv", "--output", "m.h5"], "expected a port")


class Https(HttpTest):
    def test_certificates_are_checked(self):
        made = subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
                               "subjectAltName=IP:127.0.0.1", "-keyout", self.path("key.pem"), "-out", self.path("cert.pem")],
                              capture_output=True)
        self.assertEqual(made.returncode, 0, made.stderr)
        data = classification_csv(50, 2).encode()
        self.write("a.csv", data)
        server = Server({"a.csv": data}, (self.path("cert.pem"), self.path("key.pem")))
        self.addCleanup(server.close)
        self.assertEqual(self.digest(f"{server.url}/a.csv", ranks=2, SSL_CERT_FILE=self.path("cert.pem"), CURL_CA_BUNDLE=""), self.digest("a.csv"))
        result = self.run_here("train", "kmeans", "--input", f"{server.url}/a.csv", "--output", "m.h5",
                               **QUICK | {"SSL_CERT_FILE": "", "CURL_CA_BUNDLE": ""})
        self.check_failure(result, 69, "certificate")


if __name__ == "__main__":
    unittest.main()
