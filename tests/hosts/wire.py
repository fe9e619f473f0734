# SPDX-License-Identifier: Apache-2.0
"""What the communicator says it has sent against the counters of the hosts' interfaces."""

OPERATIONS = ("broadcast", "allreduce_sum", "allgatherv", "gatherv", "alltoallv", "send")
BYTES = 3_000_000
TIMES = 20
TOLERANCE = 0.10  # headers, acknowledgements, the start of the job; virtual links carry long segments whole


def measure(place, operation):
    before = [place.hosts.sent(number) for number in (1, 2, 3)]
    job = place.hosts.start([place.traffic, operation, BYTES, TIMES], [1, 2, 3], 1, directory=place.directory)
    out, err = place.hosts.finish(job, 100)
    if job.returncode != 0:
        return f"code {job.returncode}: {err}", ""
    said = sum(map(int, out.split()))
    wire = sum(place.hosts.sent(number) for number in (1, 2, 3)) - sum(before)
    ratio = wire / said
    problem = "" if abs(ratio - 1) <= TOLERANCE else f"more than {TOLERANCE:.0%} apart"
    return problem, f"said {said / 1e6:.1f} MB, {wire / 1e6:.1f} MB on the wire, ratio {ratio:.3f}"


def run(place):
    return sum(place.report(f"{operation} on three hosts", *measure(place, operation)) for operation in OPERATIONS)
