# SPDX-License-Identifier: Apache-2.0
"""A cost model of an iteration against measurements on three hosts, and what it says of up to 10,000 ranks.

    python3 bench/scaling.py [--rounds 7] [--output docs/scaling.md]

Hosts are network namespaces of this machine (tests/hosts/network.py; needs root) whose links are limited to 1 and 10 Gb/s. Needs the
release build with its tests and Python alone; five minutes on two quiet cores. An iteration costs

    seconds = (shared / ranks + repeated) x oversubscription  +  collectives x ceil(log2 ranks) x latency
              + bytes on the critical path / bandwidth

shared and repeated: what ranks divide among them and what each does for itself, from one rank by itself on all rows and on a third
of them; oversubscription: ranks over cores; collectives: counted by --verbose; latency and bandwidth: measured in the same
minute by the same operations (tests/hosts/host_traffic); bytes: by formula (`Learner.path`).
"""
import argparse
import datetime
import math
import os
import pathlib
import random
import re
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "hosts"))
import network  # noqa: E402

PROGRAM = ROOT / "build" / "release" / "firesteel"
TRAFFIC = ROOT / "build" / "release" / "tests" / "host_traffic"
CORES = len(os.sched_getaffinity(0))
RANKS = 3
ITERATIONS = re.compile(r" (\d+) iterations, ")
FIT = re.compile(r"fit ([0-9.e-]+)")
CALLS = re.compile(r"rank 0 sent by (\w+): (\d+) calls")
LONG = 2_000_000  # bytes of the messages that measure bandwidth


def hops(ranks):
    return math.ceil(math.log2(ranks)) if ranks > 1 else 0


class Learner:
    """What one iteration of a learner costs; `path(size, ranks)` gives {operation: bytes on the critical path}.

    `shared(size)` and `repeated(size)`: in what the two kinds of work grow. `grows`: what a rank brings more of in weak scaling."""

    def __init__(self, name, words, path, size, **about):
        self.name, self.words, self.path, self.size = name, words, path, size
        self.shared, self.repeated, self.grows = about["shared"], about["repeated"], about["grows"]
        self.iterations = about["iterations"]  # of a short and of a long fit
        self.strong, self.weak, self.pair = about["strong"], about["weak"], about["pair"]


def kmeans_path(size, ranks):
    """Sums and counts as whole numbers, free of order: reduce-scatter and allgather."""
    return {"allreduce_sum": 2 * (ranks - 1) / ranks * 2 * size["k"] * (size["d"] + 1) * 8}


def logistic_path(size, ranks):
    """The gradient in canonical order up a binary tree, the step broadcast: along a chain, in pieces."""
    vector = (size["d"] + 2) * 8
    return {"send": hops(ranks) * vector, "broadcast": vector if ranks > 1 else 0}


def als_path(size, ranks):
    """Each factor row to each other rank with a rating of it, users' and items', exchanged among all."""
    received = 0
    for entities in (size["users"], size["items"]):
        needed = -math.expm1(-size["ratings"] / ranks / entities)  # share of them that a rank's part of the ratings meets
        received += entities * (ranks - 1) / ranks * needed * size["rank"] * 8
    return {"alltoallv": received}


LEARNERS = [
    Learner("kmeans", ["--k", "400", "--tol", "0", "--init-mode", "random", "--seed", "3"], kmeans_path,
            {"rows": 24_576, "d": 50, "k": 400}, iterations=(3, 10), grows={"rows"},
            shared=lambda s: s["rows"] * s["d"] * s["k"], repeated=lambda s: s["d"] * s["k"] ** 2,
            strong={"rows": 1e8, "d": 100, "k": 1000}, weak={"rows": 1e6, "d": 100, "k": 1000}, pair={"rows": 80_000, "d": 50, "k": 400}),
    Learner("logistic", ["--solver", "lbfgs", "--tol", "0", "--reg-param", "0.001"], logistic_path,
            {"rows": 2048, "d": 3000}, iterations=(10, 60), grows={"rows"}, shared=lambda s: s["rows"] * s["d"], repeated=lambda s: s["d"],
            strong={"rows": 1e8, "d": 1000}, weak={"rows": 1e6, "d": 1000}, pair={"rows": 80_000, "d": 50}),
    Learner("als", ["--rank", "32"], als_path,
            {"ratings": 120_000, "users": 4000, "items": 2000, "rank": 32}, iterations=(4, 12), grows={"ratings", "users", "items"},
            shared=lambda s: s["ratings"] * 2 * s["rank"] ** 2 + (s["users"] + s["items"]) * s["rank"] ** 3 / 3,
            repeated=lambda s: s["rank"] ** 3,
            strong={"ratings": 1e9, "users": 1e7, "items": 1e6, "rank": 32}, weak={"ratings": 1e7, "users": 1e5, "items": 1e4, "rank": 32},
            pair={"ratings": 600_000, "users": 20_000, "items": 5000, "rank": 32}),
]


def scaled(learner, base, factor):
    return {name: value * factor if name in learner.grows else value for name, value in base.items()}


def write_data(learner, size, path):
    draw = random.Random(5)
    with open(path, "w", encoding="ascii") as file:
        if learner.name == "als":
            file.write("user,item,rating\n")
            for n in range(int(size["ratings"])):  # each id occurs
                item = n if n < size["items"] else draw.randrange(int(size["items"]))
                file.write(f"{n % int(size['users'])},{item},{draw.randrange(1, 11) / 2}\n")
            return
        label = learner.name == "logistic"
        file.write(",".join([f"x{j}" for j in range(size["d"])] + ["label"] * label) + "\n")
        for _ in range(int(size["rows"])):
            row = [draw.random() * 2 - 1 for _ in range(size["d"])]
            tail = f",{int(sum(row[:9]) + draw.gauss(0, 1) > 0)}" if label else ""
            file.write(",".join(f"{value:.4f}" for value in row) + tail + "\n")


class Bench:
    def __init__(self, hosts, rounds):
        self.hosts, self.rounds = hosts, rounds
        self.env = {"FIRESTEEL_BLOCK_ROWS": "64"}  # blocks enough for equal shares

    def job(self, line, hosts):
        os.environ.update(self.env)
        job = self.hosts.start(line, hosts, directory=self.hosts.directory)
        out, err = self.hosts.finish(job, 120)
        if job.returncode != 0:
            sys.exit(f"{line}: {err}{out}")
        return out + err

    def words(self, learner, data, count, model="m.h5"):
        return [PROGRAM, "train", learner.name, "--input", f"{learner.name}.{data}.csv", *learner.words, "--max-iter", count,
                "--threads", 1, "--output", model, "--verbose"]

    def iterations_of(self, learner, data, hosts):
        """Seconds of an iteration and collectives in it: of the later ones, the difference between a long fit and a short one."""
        said = [self.job(self.words(learner, data, count), hosts) for count in learner.iterations]
        calls = [sum(int(n) for _, n in CALLS.findall(text)) for text in said]
        return later(said), (calls[1] - calls[0]) / iterations_between(said)

    def call_seconds(self, operation, size, times):
        said = self.job([TRAFFIC, operation, size, times], [1, 2, 3])
        return float(re.search(r"([0-9.]+) seconds a call", said)[1])

    def link(self):
        """Latency of a hop, and bytes a second of each operation on its critical path, in the same minute."""
        latency = statistics.median(self.call_seconds("allreduce_sum", 8, 300) for _ in range(3)) / hops(RANKS)
        seconds = {name: statistics.median(self.call_seconds(name, LONG, 10) for _ in range(3))
                   for name in ("allreduce_sum", "send", "broadcast", "alltoallv")}
        # Bytes of one call on its critical path, as host_traffic does it. Of its sends, one a rank down the line, all overlap.
        moved = {"allreduce_sum": 2 * (RANKS - 1) / RANKS * LONG, "send": LONG, "broadcast": LONG,
                 "alltoallv": (RANKS - 1) / RANKS * LONG}
        return latency, {name: moved[name] / max(seconds[name] - hops(RANKS) * latency, 1e-9) for name in moved}


def predict(learner, size, ranks, work, calls, link, cores):
    """Seconds of computing, of waiting and on the wire. `work`: (shared, repeated) seconds of one rank; `link`: (latency, bandwidth)."""
    compute = (work[0] / ranks + work[1]) * max(1, ranks / cores)
    wire = sum(count / link[1][name] for name, count in learner.path(size, ranks).items() if count)
    return compute, calls * hops(ranks) * link[0], wire


class Case:
    """Rounds of one learner over one kind of link."""

    def __init__(self, rate, learner):
        self.rate, self.learner = rate, learner
        self.rounds = []  # (shared, repeated), calls, predicted parts, measured

    def add(self, bench, link):
        whole, _ = bench.iterations_of(self.learner, "whole", [1])
        third, _ = bench.iterations_of(self.learner, "third", [1])
        measured, calls = bench.iterations_of(self.learner, "whole", [1, 2, 3])
        shared = min(max(0.0, (whole - third) * 3 / 2), whole)
        work = shared, whole - shared
        self.rounds.append((work, calls, predict(self.learner, self.learner.size, RANKS, work, calls, link, CORES), measured))

    def work(self):
        return tuple(statistics.median(part) for part in zip(*(work for work, *_ in self.rounds)))

    def calls(self):
        return statistics.median(calls for _, calls, *_ in self.rounds)

    def predicted(self):
        return [statistics.median(part) for part in zip(*(parts for _, _, parts, _ in self.rounds))]

    def measured(self):
        return statistics.median(measured for *_, measured in self.rounds)


def measure(bench):
    """The cases, and the links as last measured."""
    cases, links = [], {}
    for rate in ("1gbit", "10gbit"):
        for number in (1, 2, 3):
            bench.hosts.limit(number, rate)
        mine = [Case(rate, learner) for learner in LEARNERS]
        for _ in range(bench.rounds):  # in turn
            links[rate] = bench.link()
            for case in mine:
                case.add(bench, links[rate])
        for case in mine:
            print(f"{rate} {case.learner.name}: predicted {sum(case.predicted()) * 1e3:.2f} ms, measured {case.measured() * 1e3:.2f} ms",
                  flush=True)
        cases += mine
        for number in (1, 2, 3):
            bench.hosts.mend(number)
    return cases, links


def pairs_of_ranks(bench):
    """Speed of two ranks of one job over that of two jobs of one rank at a time, a learner: medians of rounds in turn."""
    result = {}
    env = dict(bench.hosts.environment(), **bench.env)
    options = {"cwd": bench.hosts.directory, "env": env, "text": True}
    for learner in LEARNERS:
        result[learner.name] = []
        for _ in range(bench.rounds):
            apart, together = [[], []], []
            for count in learner.iterations:
                lines = [list(map(str, bench.words(learner, "pair", count, f"m{n}.h5"))) for n in range(2)]
                both = [subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options) for line in lines]
                for said, job in zip(apart, both):
                    said.append(job.communicate(timeout=120)[0])
                together.append(subprocess.run(["mpirun", "-n", "2", "--oversubscribe", "--bind-to", "none", *lines[0]],
                                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, check=True, **options).stdout)
            result[learner.name].append(statistics.mean(map(later, apart)) / 2 / later(together))
    return result


def iterations_between(said):
    short, long = (int(ITERATIONS.search(text)[1]) for text in said)
    return long - short


def later(said):
    """Seconds of an iteration that the long fit has beyond the short one."""
    short, long = (float(FIT.search(text)[1]) for text in said)
    return max(long - short, 1e-9) / iterations_between(said)


# What it says of larger machines.

NETWORKS = {"10 Gb/s Ethernet, 30 µs": (30e-6, 1.25e9), "100 Gb/s, 2 µs": (2e-6, 12.5e9)}
COUNTS = (1, 2, 4, 10, 32, 100, 316, 1000, 3162, 10_000)


def tables(cases):
    lines = []
    for learner in LEARNERS:
        mine = [case for case in cases if case.learner is learner]
        # Seconds a unit of either kind of work.
        rates = [statistics.median(case.work()[kind] for case in mine) / grows(learner.size)
                 for kind, grows in enumerate((learner.shared, learner.repeated))]
        calls = statistics.median(case.calls() for case in mine)
        for title, base, weak in (("strong", learner.strong, False), ("weak", learner.weak, True)):
            about = ", ".join(f"{name} {value:,.0f}" for name, value in base.items())
            lines += ["", f"### {learner.name}, {title}: {about}{' a rank' if weak else ''}", "",
                      "| ranks | " + " | ".join(f"{name}: s an iteration | repeated | messages" for name in NETWORKS) + " |",
                      "|---:|" + "---:|" * (3 * len(NETWORKS))]
            crossing = {}
            for ranks in COUNTS:
                size = scaled(learner, base, ranks if weak else 1)
                work = rates[0] * learner.shared(size), rates[1] * learner.repeated(size)
                cells = []
                for name, (latency, speed) in NETWORKS.items():
                    link = latency, dict.fromkeys(("allreduce_sum", "send", "broadcast", "alltoallv"), speed)
                    compute, wait, wire = predict(learner, size, ranks, work, calls, link, ranks)
                    total = compute + wait + wire
                    if wait + wire > compute:
                        crossing.setdefault(name, ranks)
                    cells.append(f"{total:.3g} | {work[1] / total:.0%} | {(wait + wire) / total:.0%}")
                lines.append(f"| {ranks:,} | " + " | ".join(cells) + " |")
            lines += ["", "Messages take over at: " + "; ".join(
                f"{name}: {f'{crossing[name]:,} ranks' if name in crossing else 'not up to 10,000 ranks'}" for name in NETWORKS) + "."]
    return lines


def report(cases, links, pairs, rounds):
    date = datetime.date.today().isoformat()
    lines = ["", f"{date}, {CORES} cores, medians of {rounds} rounds in turn.", "",
             "| link | latency of a hop | allreduce | send | broadcast | alltoallv |", "|---|---:|---:|---:|---:|---:|"]
    for rate, (latency, bandwidth) in links.items():
        lines.append(f"| {rate} | {latency * 1e6:.0f} µs | " + " | ".join(f"{bandwidth[name] / 1e6:.0f} MB/s" for name in
                     ("allreduce_sum", "send", "broadcast", "alltoallv")) + " |")
    lines += ["", "| link | learner | one rank: shared + repeated | collectives | computing | waiting | on the wire | predicted | measured | off by |",
              "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|"]
    ms = lambda seconds: f"{seconds * 1e3:.2f} ms"
    for case in cases:
        parts = case.predicted()
        lines.append(f"| {case.rate} | {case.learner.name} | {' + '.join(map(ms, case.work()))} | {case.calls():.1f} | " +
                     " | ".join(map(ms, parts)) + f" | {ms(sum(parts))} | {ms(case.measured())} | {sum(parts) / case.measured() - 1:+.0%} |")
    sizes = "; ".join(f"{learner.name} " + ", ".join(f"{name} {value:,}" for name, value in learner.pair.items()) for learner in LEARNERS)
    lines += ["", "Two ranks of one job against two jobs of one rank each at the same time, speed over speed (the aim is 95 %): " + sizes + ".", "",
              "| learner | median | least | most |", "|---|---:|---:|---:|"]
    for name, ratios in pairs.items():
        lines.append(f"| {name} | {statistics.median(ratios):.0%} | {min(ratios):.0%} | {max(ratios):.0%} |")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", default=str(ROOT / "docs" / "scaling.md"), help="the page whose part after its mark is written anew")
    options = parser.parse_args()
    try:
        with network.Hosts() as hosts:
            for learner in LEARNERS:
                for name, size in (("whole", learner.size), ("third", scaled(learner, learner.size, 1 / 3)), ("pair", learner.pair)):
                    write_data(learner, size, hosts.directory / f"{learner.name}.{name}.csv")
            bench = Bench(hosts, options.rounds)
            cases, links = measure(bench)
            pairs = pairs_of_ranks(bench)
    except network.Unavailable as reason:
        sys.exit(f"no hosts can be made here: {reason}")
    page = pathlib.Path(options.output)
    mark = "<!-- From here on written by bench/scaling.py. -->"
    head = page.read_text(encoding="utf-8").split(mark)[0] if page.exists() else "# Scaling\n\n"
    lines = [mark, "", "## Model and measurement", *report(cases, links, pairs, options.rounds), "", "## Up to 10,000 ranks", *tables(cases)]
    page.write_text(head + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
