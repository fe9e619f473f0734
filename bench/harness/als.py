# SPDX-License-Identifier: Apache-2.0
"""ALS: seconds an iteration. Starts differ (every library has its own random ones), so the objectives after the same
number of iterations are compared, not the factors."""
import h5py
import numpy as np

from harness import data
from harness.bench import Contestant, Disagreement, ratio, share, spark

AGREE = 0.03  # relative, of the objective after the iterations: what other starts make of it
CHUNK = 500_000
EXACT = 1e-6  # of a system, relative: what an exact half-step may leave
SYSTEMS = 200


class Ratings:
    def __init__(self, bench, rows, users, items, rank, iterations, implicit):
        self.bench, self.rank, self.iterations, self.implicit = bench, rank, iterations, implicit
        self.path = data.ratings(bench.folder, rows, users, items)
        # Without penalty where implicit: the libraries scale theirs differently.
        self.reg_param = 0.0 if implicit else 0.1
        with h5py.File(self.path) as file:
            self.user, self.item, self.rating = file["user"][:], file["item"][:], file["rating"][:]
        self.users, self.items = int(self.user.max()) + 1, int(self.item.max()) + 1
        self.models = {}

    def objective(self, users, items):
        total = 0.0
        for begin in range(0, len(self.user), CHUNK):
            part = slice(begin, begin + CHUNK)
            r = self.rating[part]
            s = np.einsum("ij,ij->i", users[self.user[part]], items[self.item[part]])
            total += float(np.sum((1 + r) * (1 - s)**2 - s**2)) if self.implicit else float(np.sum((r - s)**2))
        if self.implicit:
            return total + float(np.sum((users.T @ users) * (items.T @ items)))
        of_users, of_items = np.bincount(self.user), np.bincount(self.item)
        return total + self.reg_param * float(of_users @ np.sum(users**2, axis=1) + of_items @ np.sum(items**2, axis=1))

    def residual(self, users, items):
        """The largest ‖Ax − b‖ / ‖b‖ of some systems of the side that was solved last."""
        sides = []
        for own, other, ids, others in ((users, items, self.user, self.item), (items, users, self.item, self.user)):
            order = np.argsort(ids, kind="stable")
            begin = np.searchsorted(ids, np.arange(len(own) + 1), sorter=order)
            gram = other.T @ other if self.implicit else np.zeros((self.rank, self.rank))
            worst = 0.0
            for entity in np.linspace(0, len(own) - 1, SYSTEMS).astype(int):
                rated = order[begin[entity]:begin[entity + 1]]
                rows, ratings = other[others[rated]], self.rating[rated].astype("f8")
                if len(rated) == 0:
                    continue
                weights, targets = (ratings, 1 + ratings) if self.implicit else (np.ones(len(rated)), ratings)
                matrix = gram + (rows.T * weights) @ rows + self.reg_param * len(rated) * np.eye(self.rank)
                wanted = rows.T @ targets
                worst = max(worst, np.linalg.norm(matrix @ own[entity] - wanted) / np.linalg.norm(wanted))
            sides.append(worst)
        return min(sides)

    def contestant(self, peer, solver, threads, single=False):
        ours = peer == "firesteel"
        where = "local[2]" if peer == "spark" else f"{threads} thread{'s' if threads > 1 else ''}"
        name = f"{peer}{' ' + solver if solver else ''}{', single' if single else ''}, {where}"
        model = self.models[name] = self.bench.models / f"als-{len(self.models)}.{'h5' if ours else 'npz'}"
        load = {"op": "ratings", "path": str(data.parquet(self.path) if peer == "spark" else self.path), "alpha": 1.0,
                "single": single}
        slot = str(self.path) if peer == "spark" else "single" if single else "ratings"
        request = {"op": "fit", "learner": "als", "slot": slot, "threads": threads, "model": str(model), "rank": self.rank,
                   "max_iter": self.iterations, "reg_param": self.reg_param, "implicit": self.implicit, "alpha": 1.0,
                   "solver": solver}
        if ours:
            request["parameters"] = {"rank": str(self.rank), "max_iter": str(self.iterations), "reg_param": repr(self.reg_param),
                                     "solver": solver or "cholesky", "implicit_prefs": str(self.implicit).lower(), "alpha": "1"}
        run = lambda: self.bench.peer(peer, slot, load).ask(400, **request)  # noqa: E731
        if peer == "spark":
            return spark(name, run)
        # implicit's Cholesky takes five times as long as the others: fewer rounds, so that a case stays bearable.
        return Contestant(name, run, budget=40, least=2) if solver == "cholesky" else Contestant(name, run)

    def compare(self, results):
        costs = {}
        for name, path in self.models.items():
            if "failure" in results[name]:
                continue
            file = np.load(path) if path.suffix == ".npz" else h5py.File(path)
            factors = [np.asarray(file[key][:], dtype="f8") for key in ("user_factors", "item_factors")]
            costs[name] = results[name]["objective"] = self.objective(*factors)
            if " cg" not in name:
                left = results[name]["residual"] = self.residual(*factors)
                results[name]["note"] = f"residual {left:.0e}"
                if name.startswith("firesteel") and left > EXACT:
                    raise Disagreement(f"{name}: a residual of {left:.1e} is not exact")
        best = min(costs.values())
        for name, cost in costs.items():
            if cost > (1 + AGREE) * best:
                raise Disagreement(f"{name}: objective {cost:.6g} after {self.iterations} iterations, another reached {best:.6g}")


def implicit(bench, rows, users, items, rank, iterations):
    ratings = Ratings(bench, rows, users, items, rank, iterations, True)
    contestants = [ratings.contestant(peer, solver, threads, single) for threads in (1, 2)
                   for peer, solver, single in (("firesteel", "cg", True), ("implicit", "cg", False), ("firesteel", "cg", False),
                                                ("firesteel", "", True), ("firesteel", "", False),
                                                ("implicit", "cholesky", False))]
    contestants.append(ratings.contestant("spark", "", 2))
    results = bench.turns(contestants)
    ratings.compare(results)
    lines = []
    for words in ("1 thread", "2 threads"):
        for ours, solver, target, both in (("firesteel cg, single", "cg", 4, "both three steps in single precision"),
                                           ("firesteel cg", "cg", None, "both three steps, ours in double"),
                                           ("firesteel, single", "cholesky", 6, "both exact in single precision"),
                                           ("firesteel", "cholesky", None, "both exact, ours in double")):
            lines.append(ratio(results, f"{ours}, {words}", [f"implicit {solver}, {words}"], target,
                               f"implicit {solver}, an iteration, {both}, {words}", "iteration_seconds"))
    for ours, target, what in (("firesteel cg, single", 40, "ours three steps of CG in single precision"),
                               ("firesteel, single", 15, "both exact, factors in single precision"),
                               ("firesteel", None, "both exact, ours in double")):
        lines.append(ratio(results, f"{ours}, 2 threads", ["spark, local[2]"], target,
                           f"spark, an iteration, {what}, 2 threads", "iteration_seconds"))
    return {"title": f"ALS implicit, {rows:,} interactions, {ratings.users:,} x {ratings.items:,}, rank {rank}, "
                     f"{iterations} iterations (implicit in single precision)", "results": results, "lines": lines}


def explicit(bench, rows, users, items, rank, iterations, top):
    """Fits, then the best items for every user by the factors that were fitted."""
    ratings = Ratings(bench, rows, users, items, rank, iterations, False)
    contestants = [ratings.contestant("firesteel", "", 2, True), ratings.contestant("firesteel", "", 2),
                   ratings.contestant("firesteel", "", 1), ratings.contestant("spark", "", 2)]
    limits = bench.limits()
    results = bench.turns(contestants)
    ratings.compare(results)
    lines = [ratio(results, f"{ours}, 2 threads", ["spark, local[2]"], target, f"spark, an iteration, {what}, 2 threads",
                   "iteration_seconds")
             for ours, target, what in (("firesteel, single", 25, "factors in single precision"),
                                        ("firesteel", None, "ours in double"))]
    row = results["firesteel, 1 thread"]
    if "failure" not in row:
        flops = 2 * rows * rank**2 + (ratings.users + ratings.items) * rank**3 / 3
        lines.append(share(flops / row["iteration_seconds"] / (limits[1]["fma_gflops_double"] * 1e9), 0.5,
                           "FMA peak, double, whole iteration, 1 thread"))
    recommending, more = recommend(bench, ratings, top)
    return {"title": f"ALS explicit, {rows:,} ratings, {ratings.users:,} x {ratings.items:,}, rank {rank}, {iterations} "
                     f"iterations; top {top} for all users", "results": {**results, **recommending}, "lines": lines + more,
            "limits": limits}


def recommend(bench, ratings, top):
    factors = ratings.models["firesteel, 1 thread"]
    files, contestants = {}, []
    for peer, threads in (("firesteel", 1), ("implicit", 1), ("firesteel", 2), ("implicit", 2), ("spark", 2)):
        where = "local[2]" if peer == "spark" else f"{threads} thread{'s' if threads > 1 else ''}"
        name = f"{peer} top {top}, {where}"
        files[name] = bench.models / f"top-{len(files)}.bin"
        request = {"op": "recommend", "top": top, "threads": threads, "path": str(files[name]), "factors": str(factors)}
        make = spark if peer == "spark" else Contestant
        contestants.append(make(name, lambda p=peer, r=request: bench.workers.of(p).ask(300, **r)))
    results = bench.turns(contestants)
    ours = np.fromfile(files[f"firesteel top {top}, 1 thread"], dtype="i8").reshape(-1, top)
    theirs = np.fromfile(files[f"implicit top {top}, 1 thread"], dtype="i8").reshape(-1, top)
    common = np.mean([len(set(a) & set(b)) / top for a, b in zip(ours, theirs)])
    if common < 0.995:  # implicit scores in single precision: near ties may fall out of the list
        raise Disagreement(f"recommended items: only {common:.2%} in common with implicit")
    return results, [
        ratio(results, f"firesteel top {top}, 2 threads", [f"spark top {top}, local[2]"], 50, f"spark, top {top}, 2 threads"),
        ratio(results, f"firesteel top {top}, 1 thread", [f"implicit top {top}, 1 thread"], 3, f"implicit, top {top}, 1 thread"),
        ratio(results, f"firesteel top {top}, 2 threads", [f"implicit top {top}, 2 threads"], 3, f"implicit, top {top}, 2 threads")]
