# SPDX-License-Identifier: Apache-2.0
"""Checks datasets/ against SHA256SUMS: every file listed, unchanged, and small enough for a repository.

Usage: check_datasets.py SOURCE_DIRECTORY
"""
import hashlib
import pathlib
import sys

MAX_FILE_BYTES = 4 * 1024 * 1024
MAX_TOTAL_BYTES = 12 * 1024 * 1024

folder = pathlib.Path(sys.argv[1]) / "datasets"
listed = {}
for line in (folder / "SHA256SUMS").read_text().splitlines():
    digest, name = line.split(maxsplit=1)
    listed[name] = digest
present = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
own = {"README.md", "SHA256SUMS"}

faults = [f"{name}: listed but absent" for name in listed.keys() - present.keys()]
faults += [f"{name}: not in SHA256SUMS" for name in present.keys() - listed.keys() - own]
for name in listed.keys() & present.keys():
    content = present[name].read_bytes()
    if hashlib.sha256(content).hexdigest() != listed[name]:
        faults.append(f"{name}: changed")
    if len(content) > MAX_FILE_BYTES:
        faults.append(f"{name}: {len(content)} bytes, at most {MAX_FILE_BYTES}")
total = sum(path.stat().st_size for path in present.values())
if total > MAX_TOTAL_BYTES:
    faults.append(f"all files: {total} bytes, at most {MAX_TOTAL_BYTES}")
readme = (folder / "README.md").read_text()
faults += [f"{name}: no row in README.md" for name in {n.split("/")[0] for n in listed} if f"| `{name}` |" not in readme]

for fault in sorted(faults):
    print("datasets/" + fault)
print(f"{len(listed)} files checked, {total} bytes")
sys.exit(1 if faults else 0)
