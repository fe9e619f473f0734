# SPDX-License-Identifier: Apache-2.0
"""Every learner across hosts gives the bytes that one process gives; a slow link changes nothing."""

LIMIT_S = 120


def differs(place, learner, expected, hosts, ranks_a_host, model):
    job = place.hosts.start(place.train(learner, model), hosts, ranks_a_host, directory=place.directory)
    out, err = place.hosts.finish(job, LIMIT_S)
    if job.returncode != 0:
        return f"code {job.returncode}: {out}{err}"
    if place.path(model).read_bytes() != expected:
        return "the model differs from that of one process"
    left = place.hosts.wait_until_empty(10)
    return f"processes left: {left}" if left else ""


def run(place):
    failures = 0
    for learner in ("kmeans", "logistic", "als"):
        expected = place.alone(learner, f"{learner}.h5")
        for hosts, ranks in (([1, 2, 3], 1), ([1, 2, 3], 2), ([3, 2], 1)):
            problem = differs(place, learner, expected, hosts, ranks, f"{learner}-hosts.h5")
            failures += place.report(f"{learner} on hosts {hosts}, {ranks} ranks each", problem)
        place.hosts.limit(2, "100mbit")
        problem = differs(place, learner, expected, [1, 2, 3], 1, f"{learner}-slow.h5")
        place.hosts.mend(2)
        failures += place.report(f"{learner}, the link of host 2 at 100 Mb/s", problem)
    failures += slow_link_is_no_loss(place)
    return failures


def slow_link_is_no_loss(place):
    """A link that is full for many times the timeout: signs of life queue behind the data and are late, not lost."""
    place.hosts.limit(2, "100mbit")
    line = [place.traffic, "allreduce_sum", 8 << 20, 12, "2"]
    job = place.hosts.start(line, [1, 2, 3], 1, directory=place.directory)
    out, err = place.hosts.finish(job, LIMIT_S)
    place.hosts.mend(2)
    problem = "" if job.returncode == 0 else f"code {job.returncode}: {out}{err}"
    return place.report("12 sums of 8 MiB over a link of 100 Mb/s, signs of life within 2 s", problem)
