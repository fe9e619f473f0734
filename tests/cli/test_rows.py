# SPDX-License-Identifier: Apache-2.0
"""describe, sample, split, sort and join: against what Python makes of the same rows, at 1 to 4 ranks."""

import collections
import csv
import fractions
import json
import math
import random
import unittest

import support
from support import CliTest

RANKS = (None, 2, 3, 4)
MISSING = ("", "NA", "?")


def trades(rows=500, seed=11):
    """Rows of every kind of column, some values missing: id, price, town (quoted), code 007, flag."""
    draw = random.Random(seed)
    towns = ["Ulm", "Bonn", 'Bad "X", Ort', "Zürich", "", "NA"]
    table = []
    for row in range(rows):
        price = "" if draw.random() < 0.05 else repr(round(draw.gauss(1e6, 3), 4))
        count = "NA" if draw.random() < 0.05 else str(draw.randint(-3, 3))
        table.append({"id": str(row), "price": price, "town": draw.choice(towns), "code": f"{draw.randint(0, 40):03d}",
                      "count": count})
    return table


def csv_text(table, columns=None):
    columns = columns or list(table[0])

    def field(text):
        return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\n') else text
    return ",".join(columns) + "\n" + "".join(",".join(field(row[c]) for c in columns) + "\n" for row in table)


def exact_quantile(ordered, p):
    position = p * (len(ordered) - 1)
    low = math.floor(position)
    high = min(low + 1, len(ordered) - 1)
    part = position - low
    return ordered[low] if part == 0 or ordered[low] == ordered[high] else ordered[low] + part * (ordered[high] - ordered[low])


class RowsTest(CliTest):
    RANKS = (None,)  # of words that are refused; test_bad_files.py has data that are, at more ranks

    def setUp(self):
        super().setUp()
        self.table = trades()
        self.write("a.csv", csv_text(self.table))

    def read_csv(self, name):
        with open(self.path(name), newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    turn = 0

    def same_at_all_ranks(self, words, *outputs, every=False, **env):
        """Runs with small blocks at 2, 3 or 4 ranks in turn, or alone and at each of them: then outputs and stdout must be the
        same bytes. What they should be is the caller's to check."""
        first = None
        RowsTest.turn += 1
        for ranks in RANKS if every else (2 + RowsTest.turn % 3,):
            result = self.succeed(*words, "--threads", "2" if ranks == 2 else "1", "--quiet", ranks=ranks,
                                  FIRESTEEL_BLOCK_ROWS="32", **env)
            found = [result.out] + [self.read(name) for name in outputs]
            first = first or found
            self.assertEqual(found, first, f"{words} at {ranks} ranks")
        return first

    def as_written(self, row):
        """A row of the table as the program writes it: a missing number is nothing, numbers are the shortest."""
        row = dict(row)
        for name in ("price", "count"):
            if row.get(name) in MISSING:
                row[name] = ""
        if row.get("price"):
            row["price"] = shortest(float(row["price"]))
        return row


def shortest(value):
    return str(int(value)) if value == int(value) and abs(value) < 1e16 else repr(value)


class Describe(RowsTest):
    def columns(self, *words):
        out = self.same_at_all_ranks(["describe", *words, "--json"], every=words == ("a.csv",))[0]
        summary = json.loads(out)
        return summary, {column["name"]: column for column in summary["columns"]}

    def check_numbers(self, column, values, missing):
        values = [float(value) for value in values]
        self.assertEqual((column["values"], column["missing"]), (len(values), missing))
        exact = [fractions.Fraction(value) for value in values]
        mean = sum(exact) / len(exact)
        self.assertEqual(column["mean"], float(sum(exact)) / len(exact))
        variance = sum((value - mean) ** 2 for value in exact) / (len(exact) - 1)
        # Exact sums, then a few roundings: to 1e-14, though mean / sd is 3e5.
        self.assertAlmostEqual(column["sd"] / math.sqrt(variance), 1, delta=1e-14)
        self.assertEqual((column["min"], column["max"]), (min(values), max(values)))
        self.assertEqual(column["zeros"], values.count(0))
        ordered = sorted(values)
        for p, found in column["quantiles"].items():
            self.assertEqual(found, exact_quantile(ordered, float(p)), p)
        self.assertTrue(column["exact_quantiles"])

    def test_every_kind_of_column(self):
        summary, columns = self.columns("a.csv")
        self.assertEqual((summary["command"], summary["rows"], summary["format"]), ("describe", 500, "csv"))
        self.assertEqual({name: column["kind"] for name, column in columns.items()},
                         {"id": "whole", "price": "real", "town": "text", "code": "text", "count": "whole"})
        for name in ("id", "price", "count"):
            there = [row[name] for row in self.table if row[name] not in MISSING]
            self.check_numbers(columns[name], there, 500 - len(there))
        towns = collections.Counter(row["town"] for row in self.table if row["town"] not in MISSING)
        self.assertEqual(columns["town"]["missing"], 500 - sum(towns.values()))
        self.assertEqual(columns["town"]["distinct"], len(towns))
        expected = sorted(towns.items(), key=lambda item: (-item[1], item[0].encode()))[:5]
        self.assertEqual([(each["value"], each["count"]) for each in columns["town"]["top"]], expected)
        lengths = [len(town.encode()) for town in towns]
        self.assertEqual((columns["town"]["shortest"], columns["town"]["longest"]), (min(lengths), max(lengths)))
        counts = collections.Counter(int(row["count"]) for row in self.table if row["count"] not in MISSING)
        expected = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:5]
        self.assertEqual([(each["value"], each["count"]) for each in columns["count"]["top"]], expected)

    def test_for_people(self):
        text = self.same_at_all_ranks(["describe", "a.csv", "--top", "2"])[0]
        self.assertIn("500 rows, 5 columns (csv)", text)
        for word in ("price", "town", "'Bonn'", "missing", "50%"):
            self.assertIn(word, text)

    def test_numbers_of_every_size(self):
        values = [1e308, -1e308, 1e-308, 5e-324, 1.0, -1.0, 1e16, 1.0, -1e16]
        self.write("n.csv", "x\n" + "".join(f"{value!r}\n" for value in values))
        _, columns = self.columns("n.csv")
        self.assertEqual(columns["x"]["mean"], math.fsum(values) / len(values))

    def test_other_formats(self):
        lines = [{"x": 1.5, "y": "b"}, {"x": None, "y": "a"}, {"x": -2, "y": "b", "z": [1]}]
        self.write("a.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
        _, columns = self.columns("a.jsonl")
        self.check_numbers(columns["x"], [1.5, -2], 1)
        self.assertEqual(columns["y"]["top"], [{"value": "b", "count": 2}, {"value": "a", "count": 1}])
        self.assertEqual(columns["z"], {"name": "z", "kind": "other"})
        self.write("l.csv", support.classification_csv(rows=90, features=3))
        self.succeed("convert", "l.csv", "l.h5")
        _, from_csv = self.columns("l.csv")
        _, from_h5 = self.columns("l.h5")
        self.assertEqual(from_h5, from_csv)
        result = self.run_here("convert", "--input", "l.csv", "--output", "l.parquet")
        if result.code != 69:
            _, from_parquet = self.columns("l.parquet")
            for name in ("x0", "x1", "x2"):
                self.assertEqual(from_parquet[name], from_csv[name])

    def test_sparse(self):
        self.write("a.svm", "1 1:2 3:-1\n0 2:5\n1\n0 1:1 2:1 3:1\n")
        summary, columns = self.columns("a.svm")
        self.assertEqual((summary["sparse"], summary["nonzeros"], summary["rows"]), (True, 6, 4))
        for name, values in (("f0", [2, 0, 0, 1]), ("f1", [0, 5, 0, 1]), ("f2", [-1, 0, 0, 1])):
            self.check_numbers(columns[name], values, 0)
        self.assertEqual(columns["label"]["top"], [{"value": 0, "count": 2}, {"value": 1, "count": 2}])

    def test_many_different_values(self):
        rows = 70000
        self.write("w.csv", "word\n" + "".join(f"w{row}\n" for row in range(rows)))
        _, columns = self.columns("w.csv")
        self.assertFalse(columns["word"]["exact_distinct"])
        self.assertEqual(columns["word"]["top"], [])
        # About 35,000 of the values are kept: four standard errors of that.
        self.assertAlmostEqual(columns["word"]["distinct"] / rows, 1, delta=4 / math.sqrt(35000))

    def test_refusals(self):
        self.fail_with(64, ["describe"], "needs DATA", "example: firesteel describe")
        self.fail_with(64, ["describe", "a.csv", "--label", "id"], "--label has no use for a.csv", "leave it out")
        self.fail_with(64, ["describe", "a.csv", "--output", "b.csv"], "--output is not an option of 'describe'")
        self.fail_with(66, ["describe", "absent.csv"], "absent.csv")
        self.write("bad.csv", "x\n1\ntwo\n")
        self.fail_with(65, ["describe", "bad.csv"], "bad.csv:3:1: expected a number, got 'two'")


class Choose(RowsTest):
    def ids(self, name):
        return [int(row["id"]) for row in self.read_csv(name)]

    def test_sample(self):
        self.same_at_all_ranks(["sample", "a.csv", "--rows", "50", "--output", "s.csv"], "s.csv", every=True)
        rows = self.read_csv("s.csv")
        self.assertEqual(len(rows), 50)
        chosen = [int(row["id"]) for row in rows]
        self.assertEqual(chosen, sorted(set(chosen)))
        self.assertEqual(rows, [self.as_written(self.table[row]) for row in chosen])
        # A larger sample holds a smaller one; another seed chooses others.
        self.succeed("sample", "a.csv", "--fraction", "0.4", "--output", "l.csv", ranks=3)
        self.assertEqual(len(self.ids("l.csv")), 200)
        self.assertLess(set(chosen), set(self.ids("l.csv")))
        self.succeed("sample", "a.csv", "--rows", "50", "--seed", "1", "--output", "o.csv")
        self.assertNotEqual(self.ids("o.csv"), chosen)
        self.succeed("sample", "a.csv", "--rows", "9999", "--output", "all.csv", ranks=2)
        self.assertEqual(self.ids("all.csv"), list(range(500)))

    def test_every_row_is_as_likely(self):
        hits = collections.Counter()
        for seed in range(10):
            self.succeed("sample", "a.csv", "--fraction", "0.2", "--seed", str(seed), "--output", "s.csv", "--quiet")
            hits.update(self.ids("s.csv"))
        # 10 draws of 0.2 each: a row in all ten has a chance of 1e-7.
        self.assertEqual(sum(hits.values()), 10 * 100)
        self.assertLess(max(hits.values()), 10)
        halves = sum(count for row, count in hits.items() if row < 250)
        self.assertLess(abs(halves - 500), 6 * math.sqrt(1000 * 0.25))

    def test_formats(self):
        self.write("l.csv", support.classification_csv(rows=80, features=3))
        self.succeed("sample", "l.csv", "--rows", "20", "--output", "s.csv", "--quiet")
        self.succeed("convert", "s.csv", "e.csv", "--quiet")
        expected = self.read("e.csv")
        outputs = ["s.h5", "s.npz", "s.jsonl", "s.tsv"]
        if self.run_here("convert", "l.csv", "l.parquet").code != 69:
            outputs += ["s.parquet", "s.arrow", "s.orc"]
        # Rows of features, dense and sparse, keep what they are.
        for name in ("l.h5", "l.svm"):
            self.succeed("convert", "l.csv", name, "--quiet")
        for source, output in [*(("l.csv", output) for output in outputs), ("l.h5", "t.h5"), ("l.h5", "t.csv")]:
            self.same_at_all_ranks(["sample", source, "--rows", "20", "--output", output], output)
            self.succeed("convert", output, "back.csv", "--quiet")
            self.assertEqual(self.read("back.csv"), expected, output)
        self.succeed("convert", "s.csv", "e.svm", "--quiet")
        for source in ("l.csv", "l.svm"):
            self.same_at_all_ranks(["sample", source, "--rows", "20", "--output", "s.svm"], "s.svm")
            self.assertEqual(self.read("s.svm"), self.read("e.svm"), source)

    def test_split(self):
        self.same_at_all_ranks(["split", "a.csv", "--train", "0.75", "--output", "p.csv"], "p-train.csv", "p-test.csv",
                               every=True)
        train, test = self.ids("p-train.csv"), self.ids("p-test.csv")
        self.assertEqual((len(train), len(test)), (375, 125))
        self.assertEqual(sorted(train + test), list(range(500)))
        self.assertEqual((train, test), (sorted(train), sorted(test)))
        result = self.succeed("split", "a.csv", "--train", "0.75", "--output", "x.csv,y.jsonl", "--json", ranks=2).json
        self.assertEqual(result["train"], {"rows": 375, "output": "x.csv"})
        self.assertEqual(result["test"], {"rows": 125, "output": "y.jsonl"})
        self.assertEqual(self.read("x.csv"), self.read("p-train.csv"))

    def test_stratified(self):
        for column in ("town", "count", "code"):
            self.same_at_all_ranks(["split", "a.csv", "--train", "0.8", "--stratify", column, "--output", "p.csv"],
                                   "p-train.csv", "p-test.csv")
            of_class = collections.Counter(missing_is_one(row[column], column) for row in self.table)
            of_train = collections.Counter(missing_is_one(row[column], column) for row in self.read_csv("p-train.csv"))
            self.assertEqual({name: of_train[name] for name in of_class},
                             {name: math.floor(0.8 * count + 0.5) for name, count in of_class.items()})
        self.write("l.csv", support.classification_csv(rows=81, features=2, classes=("a", "b")))
        self.succeed("convert", "l.csv", "l.h5", "--quiet")
        self.same_at_all_ranks(["split", "l.h5", "--train", "0.5", "--stratify", "label", "--output", "q.csv"],
                               "q-train.csv", "q-test.csv")
        labels = collections.Counter(row["label"] for row in self.read_csv("l.csv"))
        train = collections.Counter(row["label"] for row in self.read_csv("q-train.csv"))
        self.assertEqual(train, {name: math.floor(count / 2 + 0.5) for name, count in labels.items()})

    def test_more_ranks_than_rows(self):
        self.write("two.csv", "x,y\n1,a\n2,b\n")
        self.same_at_all_ranks(["sample", "two.csv", "--rows", "1", "--output", "one.csv"], "one.csv")
        self.same_at_all_ranks(["split", "two.csv", "--train", "0.1", "--output", "t.csv"], "t-train.csv", "t-test.csv")
        self.assertEqual(self.read("t-train.csv"), b"x,y\n")
        self.assertEqual(self.read("t-test.csv"), b"x,y\n1,a\n2,b\n")

    def test_standard_output(self):
        self.succeed("sample", "a.csv", "--rows", "5", "--output", "s.csv")
        for ranks in (None, 3):
            result = self.succeed("sample", "a.csv", "--rows", "5", "--output", "-", "--quiet", ranks=ranks)
            self.assertEqual(result.out.encode(), self.read("s.csv"))

    def test_words(self):
        self.fail_with(64, ["sample", "a.csv", "--output", "b.csv"], "--fraction F or --rows N")
        self.fail_with(64, ["sample", "a.csv", "--rows", "1", "--fraction", "0.1", "--output", "b.csv"], "exclude each other")
        self.fail_with(64, ["sample", "a.csv", "--rows", "0", "--output", "b.csv"], "--rows")
        self.fail_with(64, ["sample", "a.csv", "--fraction", "1.5", "--output", "b.csv"], "--fraction", "'1.5'")
        self.fail_with(64, ["sample", "a.csv", "--rows", "1", "--output", "b.txt"], "--output", ".parquet")
        self.fail_with(64, ["split", "a.csv", "--train", "1", "--output", "b.csv"], "--train")
        self.fail_with(64, ["split", "a.csv", "--train", "0.5", "--output", "b.csv,b.csv"], "two names")
        self.fail_with(64, ["split", "a.csv", "--train", "0.5", "--output", "a.csv,b.csv"], "is read by this command")
        self.fail_with(64, ["sample", "a.csv", "--rows", "2", "--label", "id", "--output", "b.csv"], "--label has no use")
        self.fail_with(65, ["split", "a.csv", "--train", "0.5", "--stratify", "towns", "--output", "b.csv"],
                       "--stratify: no column 'towns'", "did you mean 'town'")
        self.fail_with(73, ["sample", "a.csv", "--rows", "1", "--output", "absent/b.csv"], "absent")


def missing_is_one(text, column):
    return "" if text in MISSING else text


class Sort(RowsTest):
    def sort_key(self, column, descending):
        def key(row):
            text = row[column]
            if text in MISSING:
                return (1, 0)
            value = text.encode() if column in ("town", "code") else float(text)
            if not descending:
                return (0, value)
            return (0, -value if isinstance(value, float) else bytes(255 - byte for byte in value) + b"\xff")
        return key

    def expected(self, by):
        rows = list(self.table)
        for column, descending in reversed(by):
            rows.sort(key=self.sort_key(column, descending))
        return [self.as_written(row) for row in rows]

    def test_against_python(self):
        for by in ([("price", False)], [("price", True)], [("town", False), ("count", True)], [("count", False)],
                   [("code", True), ("town", True), ("id", True)]):
            words = ",".join(column + (":desc" if descending else "") for column, descending in by)
            self.same_at_all_ranks(["sort", "a.csv", "--by", words, "--output", "b.csv"], "b.csv", every=len(by) == 2)
            self.assertEqual(self.read_csv("b.csv"), self.expected(by), words)

    def test_in_bounded_memory(self):
        self.succeed("sort", "a.csv", "--by", "town,price", "--output", "b.csv")
        for ranks in (None, 3):
            self.succeed("sort", "a.csv", "--by", "town,price", "--memory", "300M", "--output", "c.csv", ranks=ranks,
                         FIRESTEEL_POOL_BYTES="40000", FIRESTEEL_BLOCK_ROWS="32")
            self.assertEqual(self.read("c.csv"), self.read("b.csv"), ranks)

    def test_numbers_as_numbers(self):
        values = ["10", "9", "-1", "0", "-0.0", "1e3", "NaN", "2.5", "-1e300", "1e-300", ""]
        self.write("n.csv", "x,row\n" + "".join(f"{value},{row}\n" for row, value in enumerate(values)))
        self.same_at_all_ranks(["sort", "n.csv", "--by", "x", "--output", "b.csv"], "b.csv")
        rows = [int(row["row"]) for row in self.read_csv("b.csv")]
        self.assertEqual(rows, [8, 2, 3, 4, 9, 7, 1, 0, 5, 6, 10])
        self.write("w.csv", "x\n9223372036854775807\n-9223372036854775808\n9223372036854775806\n")
        self.succeed("sort", "w.csv", "--by", "x", "--output", "b.csv", ranks=2)
        self.assertEqual(self.read("b.csv"), b"x\n-9223372036854775808\n9223372036854775806\n9223372036854775807\n")

    def test_texts_by_bytes(self):
        texts = ["b", "a", "aa", "Z", "ä", "a b", "ab"]
        self.write("t.csv", "x\n" + "".join(text + "\n" for text in texts))
        for order in ("", ":desc"):
            self.same_at_all_ranks(["sort", "t.csv", "--by", "x" + order, "--output", "b.csv"], "b.csv")
            expected = sorted(texts, key=str.encode, reverse=order != "")
            self.assertEqual([row["x"] for row in self.read_csv("b.csv")], expected)

    def test_other_formats(self):
        self.write("l.csv", support.classification_csv(rows=60, features=2))
        rows = sorted(self.read_csv("l.csv"), key=lambda row: float(row["x1"]))
        self.write("e.csv", csv_text(rows))
        self.succeed("convert", "l.csv", "l.h5")
        for source in ("l.csv", "l.h5"):
            self.same_at_all_ranks(["sort", source, "--by", "x1", "--output", "b.h5"], "b.h5")
            self.succeed("convert", "b.h5", "b.csv")
            self.assertEqual(self.read_csv("b.csv"), self.read_csv("e.csv"), source)
        # Options that name parts have done so when the rows were read.
        self.succeed("convert", "l.csv", "n.h5", "--label", "x0")
        self.same_at_all_ranks(["sort", "n.h5", "--by", "x1", "--label", "label", "--features", "x1", "--output", "b.h5"], "b.h5")
        self.succeed("convert", "b.h5", "b.csv")
        self.assertEqual([list(row) for row in self.read_csv("b.csv")], [["x1", "label"]] * 60)

    def test_words(self):
        self.fail_with(64, ["sort", "a.csv", "--output", "b.csv"], "needs --by")
        self.fail_with(65, ["sort", "a.csv", "--by", "prise", "--output", "b.csv"], "--by: no column 'prise'", "'price'")
        self.fail_with(65, ["sort", "a.csv", "--by", "id,id", "--output", "b.csv"], "'id' is named twice")
        self.fail_with(64, ["sort", "a.csv", "--by", ":desc", "--output", "b.csv"], "--by")
        self.fail_with(64, ["sort", "a.csv", "--by", "id", "--seed", "1", "--output", "b.csv"], "--seed is not an option")


class Join(RowsTest):
    def setUp(self):
        super().setUp()
        draw = random.Random(3)
        self.left = [{"key": draw.choice(["a", "b", "c", "d", "", "é"]), "n": str(draw.randint(0, 6)), "v": str(row)}
                     for row in range(60)]
        self.right = [{"w": f"w{row}", "key": draw.choice(["b", "c", "e", "", "é"]), "n": f"{draw.randint(3, 9)}.0", "v": str(-row)}
                      for row in range(40)]
        self.write("l.csv", csv_text(self.left))
        self.write("r.csv", csv_text(self.right))

    def expected(self, on, how):
        """Nested loops: the definition of a join."""
        def key(row):
            values = tuple(float(row[name]) if name == "n" else row[name].encode() for name in on)
            return None if any(row[name] == "" for name in on) else values
        others = [name for name in self.right[0] if name not in on]
        names = {name: name + "_right" if name in self.left[0] else name for name in others}
        found = []
        matched = set()
        for i, left in enumerate(self.left):
            partners = [j for j, right in enumerate(self.right) if key(left) is not None and key(left) == key(right)]
            matched.update(partners)
            for j in partners:
                found.append((key(left), i, j))
            if not partners and how in ("left", "full"):
                found.append((key(left), i, None))
        if how in ("right", "full"):
            found += [(key(right), None, j) for j, right in enumerate(self.right) if j not in matched]
        # Ascending keys; of rows without one those of the left side first, both at the end.
        found.sort(key=lambda f: (f[0] is None, f[0] or (), f[0] is None and f[1] is None,
                                  -1 if f[1] is None else f[1], -1 if f[2] is None else f[2]))
        rows = []
        for _, i, j in found:
            row = {}
            for name in self.left[0]:
                shown = name + "_left" if name in names else name
                source = self.left[i] if i is not None else self.right[j] if name in on else None
                row[shown] = "" if source is None else source[name]
                if name == "n" and row[shown] != "" and shown == "n":
                    row[shown] = shortest(float(row[shown]))
            for name, shown in names.items():
                row[shown] = "" if j is None else self.right[j][name]
                if name == "n" and row[shown] != "":
                    row[shown] = shortest(float(row[shown]))
            rows.append(row)
        return rows

    def test_against_nested_loops(self):
        for on in (["key"], ["key", "n"], ["n"]):
            for how in ("inner", "left", "right", "full"):
                self.same_at_all_ranks(["join", "l.csv", "r.csv", "--on", ",".join(on), "--how", how, "--output", "j.csv"],
                                       "j.csv", every=len(on) == 2 and how == "full")
                self.assertEqual(self.read_csv("j.csv"), self.expected(on, how), f"{on} {how}")

    def test_keys_of_other_names_and_formats(self):
        self.write("users.jsonl", '{"user": 2, "name": "two"}\n{"user": 1, "name": null}\n')
        self.write("clicks.csv", "id,page\n1,x\n2,y\n3,z\n1,w\n")
        self.same_at_all_ranks(["join", "clicks.csv", "users.jsonl", "--on", "id=user", "--how", "left", "--output", "j.csv"],
                               "j.csv")
        self.assertEqual(self.read("j.csv").decode(), "id,page,name\n1,x,\n1,w,\n2,y,two\n3,z,\n")

    def test_in_bounded_memory(self):
        self.succeed("join", "l.csv", "r.csv", "--on", "key", "--how", "full", "--output", "b.csv")
        for ranks in (None, 3):
            self.succeed("join", "l.csv", "r.csv", "--on", "key", "--how", "full", "--memory", "300M", "--output", "c.csv",
                         ranks=ranks, FIRESTEEL_POOL_BYTES="20000", FIRESTEEL_BLOCK_ROWS="32")
            self.assertEqual(self.read("c.csv"), self.read("b.csv"), ranks)

    def test_refusals(self):
        self.fail_with(64, ["join", "l.csv", "--on", "key", "--output", "j.csv"], "two data sets, LEFT RIGHT, got 1")
        self.fail_with(64, ["join", "l.csv", "r.csv", "--output", "j.csv"], "needs --on")
        self.fail_with(64, ["join", "l.csv", "r.csv", "--on", "key", "--how", "outer", "--output", "j.csv"], "--how", "'outer'")
        self.fail_with(65, ["join", "l.csv", "r.csv", "--on", "w", "--output", "j.csv"], "--on: no column 'w' in l.csv")
        self.fail_with(65, ["join", "l.csv", "r.csv", "--on", "v=kye", "--output", "j.csv"], "no column 'kye' in r.csv", "'key'")
        self.fail_with(65, ["join", "l.csv", "r.csv", "--on", "key=n", "--output", "j.csv"], "holds texts in l.csv", "numbers in r.csv")
        self.write("d.csv", "key,v,v_left\na,1,2\n")
        self.fail_with(65, ["join", "d.csv", "r.csv", "--on", "key", "--output", "j.csv"], "two columns called 'v_left'")


class Help(CliTest):
    def test_teaches(self):
        for verb in ("describe", "sample", "split", "sort", "join"):
            text = self.succeed(verb, "--help").out
            self.assertIn("More examples", text)
            self.assertGreaterEqual(text.count(f"firesteel {verb} "), 3, verb)


if __name__ == "__main__":
    unittest.main()
