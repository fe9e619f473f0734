# SPDX-License-Identifier: Apache-2.0
"""Runs the ```console blocks of a page and compares what they print with what the page says.

In a block, a line that begins "$ " is a command, run by bash in the repository's root; the lines below it are its output
(stdout and stderr together). "..." alone on a line stands for any lines; times and digests stand for any, and the line that says where ranks and threads run, which
depends on the machine, is left out.
Usage: run_console.py SOURCE_DIRECTORY BINARY_DIRECTORY PAGE.md [--write]
--write puts the present output into the page in place of the old one.
"""
import os
import pathlib
import re
import subprocess
import sys

root, binaries, page = (pathlib.Path(word).resolve() for word in sys.argv[1:4])
write = "--write" in sys.argv
environment = dict(os.environ, PATH=f"{binaries}:{os.environ['PATH']}")
NUMBER = re.compile(r"\d+(\.\d+)?([eE][-+]?\d+)?")
DIGEST = re.compile(r"\b[0-9a-f]{64}\b")
MACHINE = re.compile(r"\d+ ranks? x \d+ threads?|warning: .*\b(CPUs?|cores?)\b")


def run(command):
    done = subprocess.run(["bash", "-c", command], cwd=root, env=environment, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return "\n".join(line for line in done.stdout.rstrip("\n").split("\n") if not MACHINE.match(line))


def timeless(line):
    line = DIGEST.sub("DIGEST", line.rstrip())
    return NUMBER.sub("TIME", line) if line.lstrip().startswith("seconds") else line


def same(expected, found):
    pattern = ""
    for line in expected.split("\n"):
        pattern += r"(?:.*\n)*?" if line.strip() == "..." else re.escape(timeless(line)) + r"\n"
    lines = "\n".join(timeless(line) for line in found.split("\n"))
    return re.fullmatch(pattern, lines + "\n") is not None


commands = 0
faults = 0


def replay(block):
    global commands, faults
    pieces = re.split(r"(?m)^\$ ", block)[1:]
    text = ""
    for piece in pieces:
        command, _, expected = piece.rstrip("\n").partition("\n")
        while command.endswith("\\"):
            more, _, expected = expected.partition("\n")
            command += "\n" + more
        found = run(command)
        commands += 1
        if not same(expected, found) and not write:
            faults += 1
            print(f"$ {command}\nexpected:\n{expected}\nfound:\n{found}\n")
        keep = same(expected, found)
        output = expected if keep else found
        text += f"$ {command}\n" + (output + "\n" if output else "")
    return text


source = page.read_text()
result = re.sub(r"```console\n(.*?)```", lambda match: "```console\n" + replay(match[1]) + "```", source, flags=re.DOTALL)
if write:
    page.write_text(result)
print(f"{page.name}: {commands} commands, {faults} with other output")
sys.exit(1 if faults or commands == 0 else 0)
