# SPDX-License-Identifier: Apache-2.0
"""Whatever file a user names: what is no regular file is said at once. A pipe that nobody writes never ends an open()."""

import os
import resource
import unittest

import support
from support import CliTest


class RegularFiles(CliTest):
    def setUp(self):
        super().setUp()
        self.write("a.csv", support.clusters_csv(rows=40))
        os.mkfifo(self.path("p"))

    def test_no_command_waits_for_a_pipe(self):
        for words in (["inspect", "p"], ["score", "p", "--input", "a.csv", "--output", "o.csv"], ["evaluate", "p", "--input", "a.csv"],
                      ["train", "kmeans", "--input", "a.csv", "--init-file", "p", "--output", "m.h5"]):
            self.fail_with(66, words, "cannot read 'p': not a regular file", ranks=[None, 3])
        self.assertEqual(sorted(os.listdir(self.directory)), ["a.csv", "p"])

    def test_initial_centres_without_end(self):
        train = ["train", "kmeans", "--input", "a.csv", "--output", "m.h5", "--init-file"]
        self.fail_with(66, [*train, "/dev/zero"], "cannot read '/dev/zero': not a regular file", ranks=[None, 3])
        self.write("hole.csv", "1,2\n")
        os.truncate(self.path("hole.csv"), 1 << 40)  # takes no disk
        self.fail_with(65, [*train, "hole.csv"], "hole.csv:2: a line from here on is longer than 256 MiB", ranks=[None, 3])
        most_kib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        if not support.SANITIZED:  # what a sanitizer holds counts too
            self.assertLess(most_kib, 600 << 10)

    def test_a_pipe_among_checkpoints_is_passed_over(self):
        train = ["train", "kmeans", "--input", "a.csv", "--tol", "0", "--checkpoint", "saved"]
        self.succeed(*train, "--output", "m.h5")
        for ranks in (None, 3):
            os.mkfifo(self.path("saved/iteration-0000099.fsc"))
            result = self.succeed(*train, "--resume", "--output", "n.h5", ranks=ranks)
            self.assertEqual(result.lines("warning: saved"),
                             ["warning: saved/iteration-0000099.fsc is torn or corrupted: passed over"], result)
            self.assertIn("going on after iteration", result.err)
            self.assertEqual(self.read("m.h5"), self.read("n.h5"))
            os.unlink(self.path("saved/iteration-0000099.fsc"))


if __name__ == "__main__":
    unittest.main()
