# SPDX-License-Identifier: Apache-2.0
"""A cost model of an iteration against measurements on three hosts, and what it says of up to 10,000 ranks.

    python3 bench/scaling.py [--rounds 7] [--output docs/scaling.md]

Hosts are network namespaces of this machine (tests/hosts/network.py; needs root) whose links are limited to 1 and 10 Gb/s. Needs the
release build with its tests and Python alone; five minutes on two quiet cores. An iteration costs

    seconds = work / ranks x oversubscription  +  collectives x ceil(log2 ranks) x latency  +  bytes on the critical path / bandwidth

work: seconds of one rank by itself, measured; collectives: counted by --verbose; latency and bandwidth: measured in the same
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
ITERATION = re.compile(r"iteration (\d+) .*?([0-9.e-]+) s, (\d+) bytes sent")
CALLS = re.compile(r"rank 0 sent by (\w+): (\d+) calls")
LONG = 2_000_000  # bytes of the messages that measure bandwidth


def hops(ranks):
    return math.ceil(math.log2(ranks)) if ranks > 1 else 0


class Learner:
    """What one iteration of a learner sends; `path(size, ranks)` gives {operation: bytes on the critical path}."""

    def __init__(self, name, words, path, size, strong, weak, work):
        self.name, self.words, self.path, self.size = name, words, path, size
        self.strong, self.weak, self.work = strong, weak, work


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
    Learner("kmeans", ["--input", "points.csv", "--k", "400", "--tol", "0", "--init-mode", "random", "--seed", "3"], kmeans_path,
            {"rows": 8192, "d": 50, "k": 400}, {"rows": 1e8, "d": 100, "k": 1000}, {"rows": 1e6, "d": 100, "k": 1000},
            lambda s: s["rows"] * s["d"] * s["k"]),
    Learner("logistic", ["--input", "wide.csv", "--solver", "lbfgs", "--tol", "0", "--reg-param", "0.001"], logistic_path,
            {"rows": 2048, "d": 3000}, {"rows": 1e8, "d": 1000}, {"rows": 1e6, "d": 1000}, lambda s: s["rows"] * s["d"]),
    Learner("als", ["--input", "ratings.csv", "--rank", "32"], als_path,
            {"ratings": 120_000, "users": 4000, "items": 2000, "rank": 32},
            {"ratings": 1e9, "users": 1e7, "items": 1e6, "rank": 32}, {"ratings": 1e7, "users": 1e5, "items": 1e4, "rank": 32},
            lambda s: s["ratings"] * 2 * s["rank"] ** 2 + (s["users"] + s["items"]) * s["rank"] ** 3 / 3),
]


def write_data(directory):
    draw = random.Random(5)
    for name, size, label in (("points.csv", LEARNERS[0].size, False), ("wide.csv", LEARNERS[1].size, True)):
        with open(directory / name, "w", encoding="ascii") as file:
            names = [f"x{j}" for j in range(size["d"])]
            file.write(",".join(names + ["label"] * label) + "\n")
            for _ in range(size["rows"]):
                row = [draw.random() * 2 - 1 for _ in range(size["d"])]
                tail = f",{int(sum(row[:9]) + draw.gauss(0, 1) > 0)}" if label else ""
                file.write(",".join(f"{value:.4f}" for value in row) + tail + "\n")
    size = LEARNERS[2].size
    with open(directory / "ratings.csv", "w", encoding="ascii") as file:
        file.write("user,item,rating\n")
        for n in range(size["ratings"]):  # each id occurs
            file.write(f"{n % size['users']},{n % size['items'] if n < size['items'] else draw.randrange(size['items'])},"
                       f"{draw.randrange(1, 11) / 2}\n")


class Bench:
    def __init__(self, hosts, rounds, iterations=12):
        self.hosts, self.rounds, self.iterations = hosts, rounds, iterations
        self.env = {"FIRESTEEL_BLOCK_ROWS": "64"}  # blocks enough for equal shares

    def job(self, line, hosts):
        os.environ.update(self.env)
        job = self.hosts.start(line, hosts, directory=self.hosts.directory)
        out, err = self.hosts.finish(job, 120)
        if job.returncode != 0:
            sys.exit(f"{line}: {err}{out}")
        return out + err

    def iterations_of(self, learner, hosts):
        """Seconds of the iterations after the first two, and collectives in an iteration."""
        said = {}
        for count in (self.iterations // 2, self.iterations):
            line = [PROGRAM, "train", learner.name, *learner.words, "--max-iter", count, "--threads", 1, "--output", "m.h5", "--verbose"]
            said[count] = self.job(line, hosts)
        seconds = [float(found[1]) for found in ITERATION.findall(said[self.iterations]) if int(found[0]) > 2]
        calls = [sum(int(n) for _, n in CALLS.findall(text)) for text in said.values()]
        return sum(seconds) / len(seconds), (calls[1] - calls[0]) / (self.iterations - self.iterations // 2)

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


def predict(learner, size, ranks, work_seconds, calls, latency, bandwidth, cores):
    compute = work_seconds / ranks * max(1, ranks / cores)
    wire = sum(count / bandwidth[name] for name, count in learner.path(size, ranks).items() if count)
    return compute, calls * hops(ranks) * latency, wire


def measure(bench):
    """[(rate, learner, one rank's seconds, calls, predicted parts, measured seconds)] and the links."""
    rows, links = [], {}
    for rate in ("1gbit", "10gbit"):
        for number in (1, 2, 3):
            bench.hosts.limit(number, rate)
        for learner in LEARNERS:
            alone, apart, parts = [], [], []
            for _ in range(bench.rounds):  # in turn
                latency, bandwidth = bench.link() if not parts or len(parts) % 3 == 0 else links[rate]
                links[rate] = latency, bandwidth
                one, _ = bench.iterations_of(learner, [1])
                three, calls = bench.iterations_of(learner, [1, 2, 3])
                alone.append(one)
                apart.append(three)
                parts.append(predict(learner, learner.size, RANKS, one, calls, latency, bandwidth, CORES))
            predicted = [statistics.median(part) for part in zip(*parts)]
            rows.append((rate, learner, statistics.median(alone), calls, predicted, statistics.median(apart)))
            print(f"{rate} {learner.name}: predicted {sum(predicted) * 1e3:.2f} ms, measured {rows[-1][-1] * 1e3:.2f} ms", flush=True)
        for number in (1, 2, 3):
            bench.hosts.mend(number)
    return rows, links


def pairs_of_ranks(bench):
    """Speed of two ranks of one job over that of two jobs of one rank at a time, a learner: medians of rounds in turn."""
    result = {}
    for learner in LEARNERS:
        ratios = []
        for _ in range(bench.rounds):
            lines = [[PROGRAM, "train", learner.name, *learner.words, "--max-iter", bench.iterations, "--threads", "1", "--output",
                      f"m{n}.h5", "--verbose"] for n in range(2)]
            env = dict(bench.hosts.environment(), **bench.env)
            both = [subprocess.Popen(list(map(str, line)), cwd=bench.hosts.directory, env=env, stdout=subprocess.DEVNULL,
                                     stderr=subprocess.PIPE, text=True) for line in lines]
            texts = [job.communicate(timeout=120)[1] for job in both]
            apart = statistics.mean(mean_seconds(text) for text in texts)
            done = subprocess.run(["mpirun", "-n", "2", "--oversubscribe", "--bind-to", "none", *map(str, lines[0])], text=True,
                                  cwd=bench.hosts.directory, env=env, capture_output=True, timeout=120, check=True)
            ratios.append(apart / 2 / mean_seconds(done.stderr))
        result[learner.name] = ratios
    return result


def mean_seconds(text):
    return statistics.mean(float(found[1]) for found in ITERATION.findall(text) if int(found[0]) > 2)


# What it says of larger machines.

NETWORKS = {"10 Gb/s Ethernet, 30 µs": (30e-6, 1.25e9), "100 Gb/s, 2 µs": (2e-6, 12.5e9)}
COUNTS = (1, 2, 4, 10, 32, 100, 316, 1000, 3162, 10_000)


def tables(rows):
    lines = []
    for learner in LEARNERS:
        mine = [row for row in rows if row[1] is learner]
        rate = statistics.median(row[2] for row in mine) / learner.work(learner.size)  # seconds a unit of work
        calls = statistics.median(row[3] for row in mine)
        for title, base, weak in (("strong", learner.strong, False), ("weak", learner.weak, True)):
            about = ", ".join(f"{name} {value:,.0f}" for name, value in base.items())
            lines += ["", f"### {learner.name}, {title}: {about}{' a rank' if weak else ''}", "",
                      "| ranks | " + " | ".join(f"{name}: s an iteration | of it messages" for name in NETWORKS) + " |",
                      "|---:|" + "---:|" * (2 * len(NETWORKS))]
            crossing = {}
            for ranks in COUNTS:
                grown = {"rows", "ratings", "users", "items"} if weak else set()
                size = {name: value * ranks if name in grown else value for name, value in base.items()}
                cells = []
                for name, (latency, speed) in NETWORKS.items():
                    path = {key: speed for key in ("allreduce_sum", "send", "broadcast", "alltoallv")}
                    compute, wait, wire = predict(learner, size, ranks, rate * learner.work(size), calls, latency, path, ranks)
                    total = compute + wait + wire
                    if wait + wire > compute:
                        crossing.setdefault(name, ranks)
                    cells.append(f"{total:.3g} | {(wait + wire) / total:.0%}")
                lines.append(f"| {ranks:,} | " + " | ".join(cells) + " |")
            lines += ["", "Messages take over at: " + "; ".join(
                f"{name}: {f'{crossing[name]:,} ranks' if name in crossing else 'not up to 10,000 ranks'}" for name in NETWORKS) + "."]
    return lines


def report(rows, links, pairs, rounds):
    date = datetime.date.today().isoformat()
    lines = ["", f"{date}, {CORES} cores, medians of {rounds} rounds in turn.", "",
             "| link | latency of a hop | allreduce | send | broadcast | alltoallv |", "|---|---:|---:|---:|---:|---:|"]
    for rate, (latency, bandwidth) in links.items():
        lines.append(f"| {rate} | {latency * 1e6:.0f} µs | " + " | ".join(f"{bandwidth[name] / 1e6:.0f} MB/s" for name in
                     ("allreduce_sum", "send", "broadcast", "alltoallv")) + " |")
    lines += ["", "| link | learner | one rank | calls | computing | waiting | on the wire | predicted | measured | off by |",
              "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|"]
    ms = lambda seconds: f"{seconds * 1e3:.2f} ms"
    for rate, learner, one, calls, parts, measured in rows:
        lines.append(f"| {rate} | {learner.name} | {ms(one)} | {calls:.1f} | " + " | ".join(map(ms, parts)) +
                     f" | {ms(sum(parts))} | {ms(measured)} | {sum(parts) / measured - 1:+.0%} |")
    lines += ["", "Two ranks of one job against two jobs of one rank each at the same time (speed over speed; the aim is 95 %):", "",
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
            write_data(hosts.directory)
            bench = Bench(hosts, options.rounds)
            rows, links = measure(bench)
            pairs = pairs_of_ranks(bench)
    except network.Unavailable as reason:
        sys.exit(f"no hosts can be made here: {reason}")
    page = pathlib.Path(options.output)
    mark = "<!-- From here on written by bench/scaling.py. -->"
    head = page.read_text(encoding="utf-8").split(mark)[0] if page.exists() else "# Scaling\n\n"
    lines = [mark, "", "## Model and measurement", *report(rows, links, pairs, options.rounds), "", "## Up to 10,000 ranks", *tables(rows)]
    page.write_text(head + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
