# SPDX-License-Identifier: Apache-2.0
"""Checks the repository's own text: licence lines, include guards, line lengths, leftovers, links in docs.

Usage: check_text.py SOURCE_DIRECTORY
"""
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1])
CODE = {".cpp", ".hpp", ".h", ".c"}
SCRIPTS = {".py", ".cmake", ".sh"}
SKIPPED = {"build", ".git", "datasets"}
LEFTOVER = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b(?!\(#\d+\))")
MAX_LINES = 600

faults = []


def files():
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        if path.is_file() and not SKIPPED & set(parts) and "__pycache__" not in parts:
            yield path


def check_code(path, name, text):
    # A -inl.hpp is included once for each instruction set, under Highway's own guards.
    if path.suffix == ".hpp" and not path.stem.endswith("-inl") and "#pragma once" not in text:
        faults.append(f"{name}: no #pragma once")
    for include in re.findall(r'#include "([^"]+)"', text):
        if not include.startswith("firesteel/") and not name.startswith("tests/"):
            faults.append(f'{name}: #include "{include}": expected "firesteel/…"')
    lines = text.count("\n")
    if lines > MAX_LINES and not name.startswith("tests/reference/"):
        faults.append(f"{name}: {lines} lines: split by subject")


def check_links(path, name, text):
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        if "://" not in target and not target.startswith("mailto:") and not (path.parent / target).exists():
            faults.append(f"{name}: link to {target}, which does not exist")


checked = 0
for path in files():
    is_script = path.suffix in SCRIPTS or path.name == "CMakeLists.txt" or path.parent.name in {"scripts", ".ci", "bench"}
    if path.suffix not in CODE and not is_script and path.suffix != ".md":
        continue
    checked += 1
    name = str(path.relative_to(root))
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".md" and "SPDX-License-Identifier: Apache-2.0" not in "\n".join(text.split("\n")[:2]):
        faults.append(f"{name}: no SPDX line at the top")
    for number, line in enumerate(text.split("\n"), 1):
        if LEFTOVER.search(line) and path.name != "check_text.py":
            faults.append(f"{name}:{number}: leftover: {line.strip()[:80]}")
        if line != line.rstrip() and path.suffix != ".md":
            faults.append(f"{name}:{number}: blanks at the end of the line")
    if path.suffix in CODE:
        check_code(path, name, text)
    if path.suffix == ".md":
        check_links(path, name, text)

print("\n".join(faults))
print(f"{checked} files checked")
sys.exit(1 if faults or checked < 10 else 0)
