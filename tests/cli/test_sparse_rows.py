# SPDX-License-Identifier: Apache-2.0
"""sort, join, sample and split of sparse rows: against what Python makes of the same rows, at 1 to 4 ranks."""

import random
import struct
import unittest
import zipfile

import test_rows


class SparseRows(test_rows.RowsTest):
    """Sparse rows as {column: value} with a label; what is not there is 0."""

    def setUp(self):
        super().setUp()
        draw = random.Random(5)
        self.rows = [(draw.randint(-2, 2), {column: draw.choice([-1.5, 0.25, 3, 1e-7]) for column in range(9)
                                            if draw.random() < 0.3}) for row in range(300)]
        for row, (_, entries) in enumerate(self.rows):
            entries[9] = row + 1  # which row it was
        self.write("a.svm", self.libsvm(self.rows))

    @staticmethod
    def libsvm(rows):
        return "".join(str(label) + "".join(f" {column + 1}:{test_rows.shortest(float(value))}" for column, value in sorted(entries.items())
                                            if value != 0) + "\n" for label, entries in rows)

    def as_libsvm(self, name):
        if name.endswith(".svm"):
            return self.read(name).decode()
        self.succeed("convert", name, "back.svm", "--quiet")
        return self.read("back.svm").decode()

    def sorted_rows(self, *by):
        rows = list(self.rows)
        for column, sign in reversed(by):
            rows.sort(key=lambda row: sign * (row[0] if column == "label" else row[1].get(column, 0)))
        return self.libsvm(rows)

    def test_sort_in_every_format(self):
        expected = self.sorted_rows(("label", 1), (3, -1))
        for source, target in (("a.svm", "b.svm"), ("a.svm", "b.h5"), ("a.h5", "b.npz"), ("a.npz", "b.fsp"), ("a.fsp", "b.h5")):
            if source != "a.svm":
                self.succeed("convert", "a.svm", source, "--quiet", FIRESTEEL_BLOCK_ROWS="32")
            self.same_at_all_ranks(["sort", source, "--by", "label,f3:desc", "--output", target], target, every=target == "b.h5")
            self.assertEqual(self.as_libsvm(target), expected, source)

    def test_sort_by_numbers(self):
        for by, column in (("0", 0), ("-2", 8), ("f5", 5)):
            self.same_at_all_ranks(["sort", "a.svm", f"--by={by}", "--output", "b.svm"], "b.svm")
            self.assertEqual(self.as_libsvm("b.svm"), self.sorted_rows((column, 1)), by)
        self.fail_with(65, ["sort", "a.svm", "--by", "f10", "--output", "b.svm"], "--by: no column 'f10' in a.svm", "f0 … f9")
        self.fail_with(65, ["sort", "a.svm", "--by", "f1,1", "--output", "b.svm"], "'1' is named twice")

    def test_sort_by_weight_and_dense_outputs(self):
        self.same_at_all_ranks(["sort", "a.svm", "--weight", "f9", "--by", "weight:desc", "--output", "b.csv"], "b.csv")
        rows = self.read_csv("b.csv")
        self.assertEqual([int(row["weight"]) for row in rows], list(range(300, 0, -1)))
        self.assertEqual([float(row["f0"]) for row in rows], [entries.get(0, 0) for _, entries in reversed(self.rows)])

    def test_matrix_market(self):
        lines = [(row, column, value) for row, (_, entries) in enumerate(self.rows) for column, value in entries.items()]
        self.write("a.mtx", f"%%MatrixMarket matrix coordinate real general\n300 10 {len(lines)}\n"
                   + "".join(f"{row + 1} {column + 1} {value}\n" for row, column, value in lines))
        self.same_at_all_ranks(["sort", "a.mtx", "--by", "f1", "--output", "b.mtx"], "b.mtx")
        self.rows = [(0, entries) for _, entries in self.rows]
        self.assertEqual(self.as_libsvm("b.mtx"), self.sorted_rows((1, 1)))

    def test_more_than_memory(self):
        self.succeed("sort", "a.svm", "--by", "f3", "--output", "b.fsp", FIRESTEEL_BLOCK_ROWS="32")
        self.succeed("join", "a.svm", "a.svm", "--on", "f9", "--output", "d.h5", FIRESTEEL_BLOCK_ROWS="32")
        for ranks in (None, 3):
            bound = {"FIRESTEEL_POOL_BYTES": "110000", "FIRESTEEL_BLOCK_ROWS": "32"}
            self.succeed("sort", "a.svm", "--by", "f3", "--memory", "300M", "--output", "c.fsp", ranks=ranks, **bound)
            self.assertEqual(self.read("c.fsp"), self.read("b.fsp"), ranks)
            self.succeed("join", "a.svm", "a.svm", "--on", "f9", "--memory", "300M", "--output", "e.h5", ranks=ranks, **bound)
            self.assertEqual(self.read("e.h5"), self.read("d.h5"), ranks)

    @staticmethod
    def joined(left, right, label_of_right):
        """Nested loops, by equal keys, which are at -1; RIGHT's columns from 1 on come behind LEFT's."""
        found = sorted((a[-1], i, j) for i, (_, a) in enumerate(left) for j, (_, b) in enumerate(right) if a[-1] == b[-1])
        rows = []
        for _, i, j in found:
            entries = {**left[i][1], **{9 + column: value for column, value in right[j][1].items() if column > 0}}
            del entries[-1]
            rows.append((right[j][0] if label_of_right else left[i][0], entries))
        return rows

    def test_join_of_sparse_rows(self):
        draw = random.Random(6)
        other = [(row, {0: float(draw.randint(-2, 3)), 2: 7.5, 3: 0.5 * row}) for row in range(40)]
        self.write("o.svm", self.libsvm(other))
        for key in ("f8", "label"):
            self.same_at_all_ranks(["join", "a.svm", "o.svm", "--on", f"{key}=f0", "--output", "b.svm"], "b.svm", every=key == "f8")
            left = [(label, {**entries, -1: label if key == "label" else entries.get(8, 0)}) for label, entries in self.rows]
            right = [(label, {**entries, -1: entries[0]}) for label, entries in other]
            # A key is the label only where there is no other.
            rows = self.joined(left, right, key == "label")
            self.assertEqual(self.as_libsvm("b.svm"), self.libsvm(rows), key)
        # Sides without a row: their features are zeros, the key is that of the other side.
        self.write("l.svm", "1 1:5 2:1\n")
        self.write("r.svm", "2 1:6 2:3\n2 2:4\n")
        self.same_at_all_ranks(["join", "l.svm", "r.svm", "--on", "f0", "--how", "left", "--output", "b.svm"], "b.svm")
        self.assertEqual(self.read("b.svm"), b"1 1:5 2:1\n")
        self.fail_with(65, ["join", "l.svm", "r.svm", "--on", "f0", "--how", "right", "--output", "b.svm"], "the label is missing")
        self.succeed("join", "l.svm", "r.svm", "--on", "f0,label", "--how", "full", "--output", "b.svm")
        self.assertEqual(self.read("b.svm"), b"2 3:4\n1 1:5 2:1\n2 1:6 3:3\n")

    def test_join_with_a_table(self):
        self.write("t.csv", "id,age,town,label\n" + "".join(f"{row},{row % 7},x{row},{row % 3}\n" for row in range(290, 0, -2)))
        words = ["join", "a.svm", "t.csv", "--on", "f9=id"]
        for how in ("inner", "left"):
            extra = ["--how", how] + (["--missing", "drop"] if how == "left" else [])
            result = self.same_at_all_ranks([*words, *extra, "--output", "b.h5"], "b.h5", every=how == "inner")
            rows = [(label, {**entries, 10: entries[9] % 7}) for label, entries in self.rows
                    if entries[9] % 2 == 0 and entries[9] <= 290]
            self.assertEqual(self.as_libsvm("b.h5"), self.libsvm(rows), result)
        self.fail_with(65, [*words, "--how", "left", "--output", "b.h5"], "a value is missing; say --missing drop", "'age'")
        warned = self.succeed(*words, "--output", "b.csv").err
        self.assertIn("text columns are left out: 'town'", warned)
        self.assertIn("that of LEFT is taken", warned)
        self.assertEqual(list(self.read_csv("b.csv")[0]), [f"f{column}" for column in range(10)] + ["age", "label"])
        # The table's label where it is named, or where the other is the key.
        self.succeed(*words, "--label", "age", "--output", "b.svm")
        self.assertEqual(self.read("b.svm").decode(), self.libsvm([(entries[9] % 7, {**entries, 10: entries[9] % 3}) for _, entries
                                                                   in self.rows if entries[9] % 2 == 0 and entries[9] <= 290]))
        self.write("id.svm", "4 1:2\n6 2:3\n")
        self.same_at_all_ranks(["join", "t.csv", "id.svm", "--on", "id=label", "--exclude", "id,age", "--output", "b.svm"], "b.svm")
        self.assertEqual(self.read("b.svm"), b"1 1:2\n0 2:3\n")

    def test_arrays_as_keys(self):
        self.succeed("convert", "a.svm", "a.npz", "--quiet")
        header = b"{'descr': '|S4', 'fortran_order': False, 'shape': (300,), }"
        header += b" " * (63 - (10 + len(header)) % 64) + b"\n"
        with zipfile.ZipFile(self.path("a.npz"), "a") as file:
            file.writestr("name.npy", b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header
                          + b"".join(f"n{(row * 7) % 300:03d}".encode() for row in range(300)))
        self.same_at_all_ranks(["sort", "a.npz", "--by", "name:desc", "--output", "b.svm"], "b.svm")
        order = sorted(range(300), key=lambda row: -((row * 7) % 300))
        self.assertEqual(self.as_libsvm("b.svm"), self.libsvm([self.rows[row] for row in order]))
        self.write("n.csv", "name,extra\nn003,1\nn001,2\n")
        self.succeed("join", "a.npz", "n.csv", "--on", "name", "--output", "b.svm")
        rows = [(self.rows[row][0], {**self.rows[row][1], 10: extra}) for row, extra in ((43, 2), (129, 1))]
        self.assertEqual(self.read("b.svm").decode(), self.libsvm(rows))

    def test_sample_and_split(self):
        self.same_at_all_ranks(["sample", "a.svm", "--rows", "20", "--output", "s.npz"], "s.npz")
        chosen = self.as_libsvm("s.npz").splitlines(keepends=True)
        self.assertEqual(len(chosen), 20)
        self.assertTrue(set(chosen) <= set(self.libsvm(self.rows).splitlines(keepends=True)))
        self.same_at_all_ranks(["split", "a.svm", "--train", "0.7", "--stratify", "label", "--output", "s.h5"],
                               "s-train.h5", "s-test.h5")
        both = self.as_libsvm("s-train.h5") + self.as_libsvm("s-test.h5")
        self.assertEqual(sorted(both.splitlines()), sorted(self.libsvm(self.rows).splitlines()))


if __name__ == "__main__":
    unittest.main()
