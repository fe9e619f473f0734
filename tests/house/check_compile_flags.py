# SPDX-License-Identifier: Apache-2.0
"""Reads compile_commands.json: no target may be compiled so that its arithmetic depends on compiler or machine.

The last of contradicting flags wins, as in the compiler. Usage: check_compile_flags.py COMPILE_COMMANDS
"""
import json
import re
import shlex
import sys

FORBIDDEN = re.compile(
    r"-march=|-mtune=native|-mcpu=|-m(no-)?(avx|fma|sse)|-ffast-math|-Ofast|-funsafe-math-optimizations|-fassociative-math"
    r"|-freciprocal-math|-ffinite-math-only|-fno-signed-zeros|-fno-rounding-math|-fexcess-precision")


def faults_of(command):
    words = shlex.split(command)
    contraction = [w for w in words if w.startswith("-ffp-contract")]
    if contraction[-1:] != ["-ffp-contract=off"]:
        yield f"-ffp-contract=off expected, found {contraction or 'nothing'}"
    for word in words:
        if FORBIDDEN.match(word):
            yield f"{word} is not allowed"


# The check itself must be able to fail.
assert list(faults_of("g++ -O3 -c a.cpp"))
assert list(faults_of("g++ -ffp-contract=off -ffp-contract=fast -c a.cpp"))
assert list(faults_of("g++ -ffp-contract=off -march=native -c a.cpp"))
assert not list(faults_of("g++ -ffp-contract=off -fno-fast-math -c a.cpp"))

entries = json.load(open(sys.argv[1]))
faults = [f"{entry['file']}: {fault}" for entry in entries for fault in faults_of(entry["command"])]
print("\n".join(faults))
print(f"{len(entries)} commands checked")
sys.exit(1 if faults or not entries else 0)
