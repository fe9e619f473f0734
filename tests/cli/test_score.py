# SPDX-License-Identifier: Apache-2.0
"""score: one prediction per row, in order, the same bytes for any ranks; recommendations; evaluate."""

import csv
import io
import math
import random
import re
import subprocess
import unittest

import support
from support import CliTest


def table(text):
    if isinstance(text, bytes):
        text = text.decode()
    return list(csv.DictReader(io.StringIO(text)))


class Classifier(CliTest):
    def setUp(self):
        super().setUp()
        self.write("a.csv", support.classification_csv(classes=("no", "yes")))
        self.succeed("train", "logistic", "--input", "a.csv", "--output", "m.h5")

    def score(self, *words, ranks=None, output="p.csv"):
        self.succeed("score", "m.h5", "--input", "a.csv", "--output", output, *words, ranks=ranks)
        return self.read(output)

    def test_kept_numbers_are_numbers_in_hdf5(self):
        self.write("k.csv", "id,x0,x1,x2,x3,note,part\n9007199254740993,1,2,3,4,a,0.5\n7,4,3,2,1,b,\n")
        for ranks in (None, 3):
            self.succeed("score", "m.h5", "--input", "k.csv", "--output", "k.h5", "--keep", "id,note,part", ranks=ranks)
            header = subprocess.run(["h5dump", self.path("k.h5")], capture_output=True, text=True).stdout
            kinds = re.findall(r'DATASET "(id|note|part)" {\s+DATATYPE\s+(\w+)', header)
            self.assertEqual(kinds, [("id", "H5T_STD_I64LE"), ("note", "H5T_STRING"), ("part", "H5T_IEEE_F64LE")])
            self.assertIn("9007199254740993, 7", header)
            self.assertIn("0.5, nan", header)

    def test_columns_and_order(self):
        rows = table(self.score())
        self.assertEqual(list(rows[0]), ["prediction", "probability_0", "probability_1"])
        self.assertEqual(len(rows), 200)
        for row in rows:
            p = [float(row["probability_0"]), float(row["probability_1"])]
            self.assertAlmostEqual(sum(p), 1)
            self.assertEqual(row["prediction"], "yes" if p[1] > 0.5 else "no")

    def test_same_bytes_for_any_ranks(self):
        expected = self.score()
        for ranks in (1, 2, 3, 4):
            self.assertEqual(self.score(ranks=ranks), expected, ranks)
        hdf5 = self.score(output="p.h5")
        self.assertEqual(self.score(output="p.h5", ranks=3), hdf5)

    def test_stdout(self):
        expected = self.score().decode()
        for ranks in (None, 2):
            result = self.succeed("score", "m.h5", "--input", "a.csv", "--output", "-", ranks=ranks)
            self.assertEqual(result.out, expected)

    def test_json(self):
        result = self.succeed("score", "m.h5", "--input", "a.csv", "--output", "p.csv", "--json", ranks=2)
        self.assertEqual(result.json, {"command": "score", "rows": 200, "output": "p.csv"})

    def test_keep_copies_columns_in_front(self):
        rows = table(self.score("--keep", "label,x0", ranks=2))
        source = table(self.read("a.csv"))
        self.assertEqual(list(rows[0])[:3], ["label", "x0", "prediction"])
        self.assertEqual([r["label"] for r in rows], [s["label"] for s in source])
        self.assertEqual([float(r["x0"]) for r in rows], [float(s["x0"]) for s in source])

    def test_keep_copies_columns_of_hdf5(self):
        self.succeed("convert", "--input", "a.csv", "--output", "a.h5")
        expected = table(self.score("--keep", "label,x2,x0"))
        for ranks in (None, 3):
            self.succeed("score", "m.h5", "--input", "a.h5", "--output", "h.csv", "--keep", "label,x2,x0", ranks=ranks)
            rows = table(self.read("h.csv"))
            self.assertEqual(list(rows[0]), list(expected[0]))
            self.assertEqual([r["label"] for r in rows], [s["label"] for s in expected])
            for column in ("x2", "x0", "probability_1"):
                self.assertEqual([float(r[column]) for r in rows], [float(s[column]) for s in expected])
        self.fail_with(65, ["score", "m.h5", "--input", "a.h5", "--output", "h.csv", "--keep", "x9"], "'x9'", "--keep")

    def test_threshold(self):
        for row in table(self.score("--threshold", "0.8")):
            self.assertEqual(row["prediction"], "yes" if float(row["probability_1"]) > 0.8 else "no")

    def test_option_of_another_learner(self):
        self.fail_with(64, ["score", "m.h5", "--input", "a.csv", "--output", "p.csv", "--cold-start-strategy", "drop"],
                       "--cold-start-strategy", "logistic")
        self.fail_with(64, ["score", "m.h5", "--top", "3", "--output", "p.csv"], "--top", "als", ranks=[None, 2])

    def test_no_label_is_needed(self):
        rows = [line.rsplit(",", 1)[0] for line in self.read("a.csv").decode().splitlines()]
        self.write("b.csv", "\n".join(rows) + "\n")
        expected = self.score()
        self.succeed("score", "m.h5", "--input", "b.csv", "--output", "q.csv")
        self.assertEqual(self.read("q.csv"), expected)

    def test_columns_are_matched_by_name(self):
        expected = self.score()
        rows = [line.split(",") for line in self.read("a.csv").decode().splitlines()]
        self.write("b.csv", "".join(",".join([r[3], "7" if i else "other", r[1], r[2], r[0]]) + "\n"
                                    for i, r in enumerate(rows)))
        self.succeed("score", "m.h5", "--input", "b.csv", "--output", "q.csv")
        self.assertEqual(self.read("q.csv"), expected)

    def test_missing_column_is_named(self):
        rows = [line.split(",", 1)[1] for line in self.read("a.csv").decode().splitlines()]
        self.write("b.csv", "\n".join(rows) + "\n")
        self.fail_with(65, ["score", "m.h5", "--input", "b.csv", "--output", "q.csv"], "x0")

    def test_dropped_rows_keep_their_place(self):
        lines = self.read("a.csv").decode().splitlines()
        lines[3] = "," + lines[3].split(",", 1)[1]
        self.write("a.csv", "\n".join(lines) + "\n")
        self.fail_with(65, ["score", "m.h5", "--input", "a.csv", "--output", "p.csv"], "a.csv:4")
        for ranks in (None, 3):
            rows = table(self.score("--missing", "drop", ranks=ranks))
            self.assertEqual(len(rows), 200)
            self.assertEqual((rows[2]["prediction"], rows[2]["probability_1"]), ("nan", "nan"))
            self.assertNotEqual(rows[3]["prediction"], "nan")

    def test_evaluate(self):
        trained = self.succeed("train", "logistic", "--input", "a.csv", "--output", "m.h5", "--json").json
        for ranks in (None, 2, 3):
            report = self.succeed("evaluate", "m.h5", "--input", "a.csv", "--json", ranks=ranks).json
            self.assertEqual(set(report), {"command", "learner", "rows", "metrics"})
            self.assertEqual((report["command"], report["learner"], report["rows"]), ("evaluate", "logistic", 200))
            self.assertEqual(report["metrics"], trained["metrics"])
        self.assertIn("accuracy", self.succeed("evaluate", "m.h5", "--input", "a.csv").out)

    def test_evaluate_with_a_label_the_model_does_not_know(self):
        self.write("a.csv", self.read("a.csv").decode().replace(",yes", ",maybe"))
        self.fail_with(65, ["evaluate", "m.h5", "--input", "a.csv"], "maybe")

    def test_evaluate_without_label(self):
        self.fail_with(65, ["evaluate", "m.h5", "--input", "a.csv", "--label", "class"], "class")


class Clusters(CliTest):
    def test_prediction_and_distance(self):
        self.write("a.csv", support.clusters_csv())
        trained = self.succeed("train", "kmeans", "--k", "3", "--input", "a.csv", "--output", "m.h5", "--json").json
        self.succeed("score", "m.h5", "--input", "a.csv", "--output", "p.csv", ranks=2)
        rows = table(self.read("p.csv"))
        self.assertEqual(list(rows[0]), ["prediction", "distance"])
        self.assertEqual({row["prediction"] for row in rows}, {"0", "1", "2"})
        cost = sum(float(row["distance"]) ** 2 for row in rows)
        self.assertTrue(math.isclose(cost, trained["training_cost"], rel_tol=1e-9))
        metrics = self.succeed("evaluate", "m.h5", "--input", "a.csv", "--json").json["metrics"]
        self.assertEqual(metrics, trained["metrics"])


class KeptColumns(CliTest):
    """--keep means the same columns, and writes the same text, whatever the format of the input."""

    RANKS = (None, 3)

    def setUp(self):
        super().setUp()
        self.write("a.csv", "a,b,c,label\n1,0,2.5,0\n0,0,0,1\n3,4,0,0\n0,-1,7,1\n2,0,0,1\n")
        self.succeed("train", "kmeans", "--input", "a.csv", "--k", "2", "--label", "label", "--output", "m.h5")
        self.succeed("convert", "--input", "a.csv", "--label", "label", "--output", "a.h5")
        self.succeed("convert", "--input", "a.csv", "--label", "label", "--output", "a.svm")
        # Sparse rows, whose columns are f0, f1, f2.
        self.succeed("convert", "--input", "a.svm", "--label", "label", "--output", "s.h5")
        self.succeed("train", "kmeans", "--input", "a.svm", "--k", "2", "--output", "s_model.h5")

    def kept(self, model, data, keep, ranks=None):
        self.succeed("score", model, "--input", data, "--keep", keep, "--output", "p.csv", ranks=ranks)
        lines = self.read("p.csv").decode().splitlines()
        width = lines[0].split(",").index("prediction")
        return [line.split(",")[:width] for line in lines]

    def test_numbers_and_ranges_of_dense_hdf5(self):
        for keep in ("2", "b", "0-1", "c,0", "label,1", "1,label"):
            expected = self.kept("m.h5", "a.csv", keep)
            for ranks in (None, 3):
                self.assertEqual(self.kept("m.h5", "a.h5", keep, ranks), expected, keep)
        self.assertEqual(self.kept("m.h5", "a.h5", "-1")[0], ["c"])

    def test_sparse_hdf5(self):
        for keep in ("2", "f1", "0-1", "f2,label,0", "-1"):
            expected = self.kept("s_model.h5", "a.svm", keep)
            for ranks in (None, 3):
                self.assertEqual(self.kept("s_model.h5", "s.h5", keep, ranks), expected, keep)

    def test_what_cannot_be_meant(self):
        for model, data, columns in (("m.h5", "a.h5", "'a', 'b', 'c'"), ("s_model.h5", "s.h5", "f0 … f2")):
            for keep in ("nothing", "3", "1-3", "-4"):
                self.fail_with(65, ["score", model, "--input", data, "--keep", keep, "--output", "p.csv"], f"'{keep}'",
                               "--keep", "'label'", columns, "0 … 2")
            self.fail_with(65, ["score", model, "--input", data, "--keep", "1,0-1", "--output", "p.csv"], "--keep", "twice")


class MissingValues(CliTest):
    """score and evaluate treat missing values as the model was trained to, and their help says so."""

    def setUp(self):
        super().setUp()
        self.write("a.csv", "x,y,label\n1,2,0\n2,,1\n3,1,1\n?,2,0\n2,0,1\n1,1,0\n")
        self.write("whole.csv", "x,y,label\n1,2,0\n3,1,1\n2,0,1\n1,1,0\n")

    def train(self, *words):
        self.succeed("train", "logistic", "--reg-param", "1", "--output", "m.h5", "--input", *words)

    def test_help(self):
        for command in ("score", "evaluate"):
            text = " ".join(self.succeed(command, "--help").out.split())
            self.assertIn("take the mean [the model's]", text)
        self.assertIn("take the mean [error]", " ".join(self.succeed("train", "--help").out.split()))

    def test_the_models_choice(self):
        score = ["score", "m.h5", "--input", "a.csv", "--output", "p.csv"]
        evaluate = ["evaluate", "m.h5", "--input", "a.csv", "--json"]
        for missing, unpredicted, rows in (("drop", 2, 4), ("mean", 0, 6)):
            self.train("a.csv", "--missing", missing)
            self.succeed(*score, ranks=2)
            self.assertEqual([row["prediction"] for row in table(self.read("p.csv"))].count("nan"), unpredicted)
            self.assertEqual(self.succeed(*evaluate).json["rows"], rows)
            self.fail_with(65, [*score, "--missing", "error"], "a.csv:3:2")
            self.fail_with(65, [*evaluate, "--missing", "error"], "a.csv:3:2", ranks=[None])
        self.train("whole.csv")
        self.fail_with(65, score, "a.csv:3:2", "--missing drop")
        self.assertEqual(self.succeed(*evaluate, "--missing", "drop").json["rows"], 4)
        self.fail_with(65, [*score, "--missing", "mean"], "--missing mean")


class Recommender(CliTest):
    COLUMNS = ("--user", "userId", "--item", "movieId")

    def setUp(self):
        super().setUp()
        self.write("a.csv", support.ratings_csv(user="userId", item="movieId"))
        self.write("new.csv", "userId,movieId,rating,note\n3,104,4.5,known\n999,104,4,cold\n4,105,2,known\n")
        self.succeed("train", "als", *self.COLUMNS, "--rank", "3", "--input", "a.csv", "--output", "m.h5")

    def score(self, *words, ranks=None):
        self.succeed("score", "m.h5", *self.COLUMNS, "--input", "new.csv", "--output", "p.csv", *words, ranks=ranks)
        return table(self.read("p.csv"))

    def test_score_writes_the_inputs_names(self):
        for ranks in (None, 2):
            rows = self.score(ranks=ranks)
            self.assertEqual(list(rows[0]), ["userId", "movieId", "prediction"])
            self.assertEqual([row["userId"] for row in rows], ["3", "999", "4"])
            self.assertEqual(rows[1]["prediction"], "nan")

    def test_cold_start_drop(self):
        for ranks in (None, 2):
            self.assertEqual([r["userId"] for r in self.score("--cold-start-strategy", "drop", ranks=ranks)], ["3", "4"])
            rows = self.score("--cold-start-strategy", "drop", "--keep", "note", ranks=ranks)
            self.assertEqual([(r["note"], r["userId"]) for r in rows], [("known", "3"), ("known", "4")])

    def test_evaluate_counts_rows_scored(self):
        report = self.succeed("evaluate", "m.h5", *self.COLUMNS, "--input", "new.csv", "--json", ranks=2).json
        self.assertEqual(set(report), {"command", "learner", "rows", "rows_scored", "metrics"})
        self.assertEqual((report["rows"], report["rows_scored"]), (3, 2))
        self.assertIn("rmse", report["metrics"])

    def test_top(self):
        texts = set()
        for ranks in (None, 2, 3):
            self.succeed("score", "m.h5", "--top", "4", "--output", "t.csv", ranks=ranks)
            texts.add(self.read("t.csv"))
        self.assertEqual(len(texts), 1)
        rows = table(texts.pop())
        self.assertEqual(len(rows), 30 * 4)
        users = [int(row["userId"]) for row in rows]
        self.assertEqual(users, sorted(users))
        for u in range(30):
            scores = [float(row["prediction"]) for row in rows if int(row["userId"]) == u]
            self.assertEqual(scores, sorted(scores, reverse=True))

    def test_top_for_items(self):
        report = self.succeed("score", "m.h5", "--top=2", "--for", "item", "--output", "t.csv", "--json").json
        self.assertEqual(report["rows"], 20 * 2)
        items = [int(row["movieId"]) for row in table(self.read("t.csv"))]
        self.assertEqual(items, sorted(items))

    def test_columns_absent(self):
        self.fail_with(65, ["train", "als", "--input", "a.csv", "--output", "n.h5"], "user")

    def test_a_rating_column_that_is_named_must_be_there(self):
        words = ["train", "als", "--implicit-prefs", "--user", "userId", "--item", "movieId", "--input", "new.csv"]
        self.succeed(*words, "--output", "n.h5")
        self.fail_with(65, [*words, "--rating", "stars", "--output", "n.h5"], "--rating", "stars")


class LibsvmColumns(CliTest):
    """Columns of LIBSVM text are chosen by number and by the names f0, f1, ... as those of CSV are by name."""

    CHOICE = ("--features", "3,0-1", "--weight", "f4", "--reg-param", "0.1")

    def setUp(self):
        super().setUp()
        draw = random.Random(17)
        lines, rows = [], ["f0,f1,f2,f3,f4,label"]
        for _ in range(150):
            x = [round(draw.gauss(0, 1), 3) if draw.random() < 0.7 else 0 for _ in range(4)] + [draw.choice((0, 1, 2.5))]
            label = int(x[0] + x[3] + draw.gauss(0, 1) > 0)
            lines.append(f"{label} " + " ".join(f"{j + 1}:{v}" for j, v in enumerate(x) if v != 0))
            rows.append(",".join(map(str, [*x, label])))
        self.write("a.svm", "\n".join(lines) + "\n")
        self.write("a.csv", "\n".join(rows) + "\n")

    def train(self, data, model, ranks=None):
        self.succeed("train", "logistic", "--input", data, "--output", model, *self.CHOICE, ranks=ranks)
        return self.read(model)

    def test_as_csv_at_any_ranks(self):
        model = self.train("a.svm", "s.h5")
        for ranks in (1, 2, 3, 4):
            self.assertEqual(self.train("a.svm", "r.h5", ranks), model, ranks)
        self.train("a.csv", "c.h5")
        self.succeed("score", "c.h5", "--input", "a.csv", "--output", "c.csv", "--keep", "label,f2")
        expected = table(self.read("c.csv"))
        self.succeed("score", "s.h5", "--input", "a.svm", "--output", "s.csv", "--keep", "label,f2", ranks=2)
        found = table(self.read("s.csv"))
        self.assertEqual(list(found[0]), ["label", "f2", "prediction", "probability_0", "probability_1"])
        self.assertEqual(len(found), 150)
        for row, other in zip(found, expected):
            for column in ("label", "f2", "prediction"):
                self.assertEqual(float(row[column]), float(other[column]))
            # Two fits to a gradient of 1e-6 of the objective, of dense and of sparse rows.
            self.assertAlmostEqual(float(row["probability_1"]), float(other["probability_1"]), delta=1e-5)
        # Either model finds its columns in the other's format.
        for model, data in (("s.h5", "a.csv"), ("c.h5", "a.svm")):
            self.succeed("score", model, "--input", data, "--output", "x.csv", "--keep", "label,f2")
            for row, other in zip(table(self.read("x.csv")), expected):
                self.assertAlmostEqual(float(row["probability_1"]), float(other["probability_1"]), delta=1e-5)
        weighted = self.succeed("evaluate", "s.h5", "--input", "a.svm", "--weight", "f4", "--json", ranks=3).json
        by_csv = self.succeed("evaluate", "c.h5", "--input", "a.csv", "--weight", "f4", "--json").json
        self.assertAlmostEqual(weighted["metrics"]["log_loss"], by_csv["metrics"]["log_loss"], delta=1e-5)

    def test_convert_names_what_was_chosen(self):
        self.succeed("convert", "--input", "a.svm", "--exclude", "0,f2", "--output", "b.csv", ranks=2)
        rows = table(self.read("b.csv"))
        source = table(self.read("a.csv"))
        self.assertEqual(list(rows[0]), ["f1", "f3", "f4", "label"])
        for row, other in zip(rows, source):
            self.assertEqual([float(row[c]) for c in row], [float(other[c]) for c in row])

    def test_what_cannot_be_meant(self):
        train = ["train", "logistic", "--input", "a.svm", "--output", "m.h5"]
        self.fail_with(65, [*train, "--features", "f9"], "--features", "f9", "f0", "f4", "--num-features", ranks=[None, 2])
        self.fail_with(65, [*train, "--weight", "label"], "--weight", "label", "f0")
        self.fail_with(65, [*train, "--weight", "0"], "a.svm", "weight")


if __name__ == "__main__":
    unittest.main()
