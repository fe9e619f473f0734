# SPDX-License-Identifier: Apache-2.0
"""Logistic regression: one objective, mean loss + reg_param/2 ‖w‖², nothing standardised. Every contestant runs with the
loosest tolerance of a list with which it reaches the same gradient norm; the list is tried before the rounds."""
import math

import h5py
import numpy as np
import scipy.special

from harness import data
from harness.bench import Contestant, Disagreement, Failed, ratio, share, spark
from peers.rows import read_rows

GRADIENT_NORM = 1e-5
TOLERANCES = [1e-3, 1e-4, 1e-5, 1e-6, 1e-7]
SPARK_TOLERANCES = [1e-6, 1e-9]


class Problem:
    """Objective and gradient in double, for the harness only."""

    def __init__(self, path, reg_param, fit_intercept, gradient_norm=GRADIENT_NORM):
        self.path, self.reg_param, self.fit_intercept, self.gradient_norm = path, reg_param, fit_intercept, gradient_norm
        self.features, self.labels = read_rows({"path": str(path)})
        self.classes = len(np.unique(self.labels))

    def judge(self, coefficients, intercept):
        """Objective, and the 2-norm of its gradient."""
        margins = self.features @ coefficients.T.astype("f8") + intercept
        rows = len(self.labels)
        if len(coefficients) == 1:
            z = margins[:, 0]
            loss = np.logaddexp(0, np.where(self.labels > 0, -z, z)).mean()
            residual = ((scipy.special.expit(z) - (self.labels > 0)) / rows)[:, None]
        else:
            chosen = self.labels.astype(int)
            loss = (scipy.special.logsumexp(margins, axis=1) - margins[np.arange(rows), chosen]).mean()
            residual = scipy.special.softmax(margins, axis=1)
            residual[np.arange(rows), chosen] -= 1
            residual /= rows
        gradient = (self.features.T @ residual).T + self.reg_param * coefficients
        norm = np.sum(gradient**2) + (np.sum(residual.sum(axis=0)**2) if self.fit_intercept else 0)
        return loss + self.reg_param / 2 * np.sum(coefficients.astype("f8")**2), float(np.sqrt(norm))

    def admitted_gap(self, norm):
        """What a gradient norm admits above the least objective: norm²/(2·reg_param) where everything is penalised; ten
        times that, for the intercept."""
        return 10 * norm**2 / (2 * self.reg_param) + 1e-9


def model_of(path):
    file = np.load(path) if path.suffix == ".npz" else h5py.File(path)
    return np.asarray(file["coefficients"][:], dtype="f8"), np.asarray(file["intercept"][:], dtype="f8")


class Fits:
    def __init__(self, bench, problem):
        self.bench, self.problem, self.count, self.objectives = bench, problem, 0, {}

    def contestant(self, peer, solver, precision, threads, **options):
        """Calibrated: its first runs are over when this returns. `options` go with every request."""
        name = f"{peer}{' ' + solver if solver else ''}, {precision}, {'local[2]' if peer == 'spark' else f'{threads} thread'}"
        name += "s" if threads > 1 and peer != "spark" else ""
        self.count += 1
        model = self.bench.models / f"logistic-{self.count}.{'h5' if peer.startswith('firesteel') else 'npz'}"
        path = self.problem.path
        load = {"op": "rows", "path": str(data.parquet(path) if peer == "spark" else path), "single": precision == "single"}
        slot = str(path) if peer == "spark" else precision
        request = {"op": "fit", "learner": "logistic", "slot": slot, "threads": threads, "model": str(model), "solver": solver,
                   "reg_param": self.problem.reg_param, "fit_intercept": self.problem.fit_intercept, **options}

        def run(tol):
            words = dict(request, tol=tol)
            if peer.startswith("firesteel"):
                words["parameters"] = {"reg_param": repr(self.problem.reg_param), "tol": repr(tol), "standardization": "false",
                                       "fit_intercept": str(self.problem.fit_intercept).lower(), "max_iter": "1000"}
            return self.bench.peer(peer, slot, load).ask(300, **words)

        make = spark if peer == "spark" else Contestant
        contestant = make(name, None)
        chosen, contestant.note, contestant.failure = self.calibrate(name, run, model, peer)
        contestant.run = lambda: run(chosen)
        return contestant

    def calibrate(self, name, run, model, peer):
        """The tolerance to use, what to say of it, and why not if it cannot run at all."""
        found = []  # (norm, tol, objective)

        def attempt(tol):
            seconds = run(tol)["seconds"]
            objective, norm = self.problem.judge(*model_of(model))
            found.append((norm, tol, objective))
            return seconds

        try:
            for tol in SPARK_TOLERANCES if peer == "spark" else TOLERANCES:
                seconds = attempt(tol)
                if found[-1][0] <= self.problem.gradient_norm or seconds > 40:
                    break
                if len(found) > 2 and found[-1][0] > 0.9 * found[-3][0]:
                    break  # two more decades bring nothing: this is as near as it comes
            if peer != "spark" and found[-1][0] <= self.problem.gradient_norm and len(found) > 1 and seconds < 10:
                attempt(found[-1][1] * math.sqrt(10))  # looser by half a decade may do as well
        except Failed as failure:
            return None, "", str(failure)
        enough = [attempted for attempted in found if attempted[0] <= self.problem.gradient_norm]
        norm, tol, objective = max(enough, key=lambda attempted: attempted[1]) if enough else min(found)
        self.objectives[name] = objective, norm
        return tol, f"tol {tol:.3g}, gradient norm {norm:.1e}{'' if enough else ', as near as it comes'}", ""

    def compare(self):
        best = min(objective for objective, _ in self.objectives.values())
        for name, (objective, norm) in self.objectives.items():
            if objective - best > self.problem.admitted_gap(norm):
                raise Disagreement(f"{name}: objective {objective!r}, {best!r} is possible")


def finish(bench, fits, contestants, title, lines_of):
    fits.compare()
    limits = bench.limits()
    results = bench.turns(contestants, warmed_up=True)
    return {"title": f"{title}, to a gradient norm of {fits.problem.gradient_norm:g}", "results": results,
            "lines": lines_of(results, limits), "limits": limits}


def against(results, ours, peer, words, target, label):
    return ratio(results, ours, [name for name in results if name.startswith(peer + " ") or name.startswith(peer + ",")
                                 if name.endswith(words)], target, label)


def dense(bench, rows, columns, with_spark=True):
    problem = Problem(data.dense(bench.folder, "logistic", rows, columns), 1e-4, True)
    fits = Fits(bench, problem)
    contestants = []
    for precision, threads in (("double", 1), ("single", 1), ("double", 2)):
        contestants.append(fits.contestant("firesteel", "", precision, threads))
        for solver in ("lbfgs", "newton-cholesky"):
            contestants.append(fits.contestant("scikit-learn", solver, precision, threads))
        contestants.append(fits.contestant("sklearnex", "lbfgs", precision, threads))
    if with_spark:
        contestants.append(fits.contestant("spark", "", "double", 2))

    def lines_of(results, limits):
        lines = []
        for words in ("double, 1 thread", "single, 1 thread", "double, 2 threads"):
            lines.append(against(results, f"firesteel, {words}", "scikit-learn", words, 5, f"scikit-learn (best solver), {words}"))
            lines.append(against(results, f"firesteel, {words}", "sklearnex", words, 2.5, f"sklearnex, {words}"))
        if with_spark:
            lines.append(against(results, "firesteel, double, 2 threads", "spark", "local[2]", 40, "spark, double, 2 threads"))
        for precision, width in (("double", 8), ("single", 4)):
            row = results[f"firesteel, {precision}, 1 thread"]
            if row.get("iteration_seconds"):
                lines.append(share(rows * columns * width / row["iteration_seconds"] / (limits[1]["read_gb_per_s"] * 1e9), 0.7,
                                   f"read bandwidth, {precision}, median iteration as one pass, 1 thread"))
        return lines

    return finish(bench, fits, contestants, f"Logistic regression, {rows:,} x {columns} dense, reg_param 1e-4", lines_of)


def sparse(bench, path, reg_param, title, gradient_norm=GRADIENT_NORM):
    """Without intercept: LIBLINEAR would penalise it."""
    problem = Problem(path, reg_param, False, gradient_norm)
    fits = Fits(bench, problem)
    contestants = [fits.contestant("firesteel", "", "double", 1), fits.contestant("firesteel", "", "single", 1)]
    contestants += [fits.contestant("scikit-learn", solver, "double", 1) for solver in ("lbfgs", "newton-cg")]
    contestants += [fits.contestant("liblinear", solver, "double", 1) for solver in ("primal", "dual")]
    contestants += [fits.contestant("firesteel", "", "double", 2), fits.contestant("spark", "", "double", 2)]

    def lines_of(results, _):
        ours = "firesteel, double, 1 thread"
        return [against(results, ours, "scikit-learn", "double, 1 thread", 3, "scikit-learn (best solver), double, 1 thread"),
                against(results, ours, "liblinear", "double, 1 thread", 2, "LIBLINEAR (best solver), double, 1 thread"),
                against(results, "firesteel, double, 2 threads", "spark", "local[2]", 30, "spark, double, 2 threads")]

    return finish(bench, fits, contestants, f"{title}, reg_param {reg_param:g}, no intercept", lines_of)


def a9a(bench, source, copies):
    """Columns are nearly dependent: the last decade of the gradient norm takes most iterations, Spark's minutes."""
    return sparse(bench, data.a9a(bench.folder, source, copies), 1e-4, f"Logistic regression, a9a x {copies}, sparse", 1e-4)


def wide(bench, rows, columns, per_row):
    return sparse(bench, data.wide(bench.folder, rows, columns, per_row), 1e-6,
                  f"Logistic regression, {rows:,} x {columns:,} sparse, {per_row} a row")


def multinomial(bench, rows, columns, classes):
    problem = Problem(data.dense(bench.folder, "multinomial", rows, columns, classes=classes), 1e-3, True)
    fits = Fits(bench, problem)
    contestants = [fits.contestant(peer, solver, precision, 1) for precision in ("double", "single")
                   for peer, solver in (("firesteel", ""), ("scikit-learn", "lbfgs"))]

    def lines_of(results, _):
        return [against(results, f"firesteel, {precision}, 1 thread", "scikit-learn", f"{precision}, 1 thread", 4,
                        f"scikit-learn, {precision}, 1 thread") for precision in ("double", "single")]

    return finish(bench, fits, contestants, f"Logistic regression, {classes} classes, {rows:,} x {columns} dense, reg_param 1e-3",
                  lines_of)
