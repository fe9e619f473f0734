# SPDX-License-Identifier: Apache-2.0
"""What came out, as JSON, as a Markdown table and as plain SVG."""
import html
import json
import math

from harness.bench import met

WIDTH, ROW, LEFT, RIGHT = 860, 22, 380, 90


def show(value, unit):
    if value is None:
        return "–"
    return {"x": f"{value:.2f}x" if value < 10 else f"{value:.0f}x", "share": f"{value:.1%}", "s": f"{value:.3f} s",
            "GB/s": f"{value:.2f} GB/s"}[unit]


def verdict(line):
    if line.get("value") is None:
        return f"not measured: {line.get('why', '')[:120]}"
    if line["target"] is None:
        return "for comparison"
    if met(line):
        return "met"
    gap = line["value"] / line["target"]
    return f"**missed**: {gap:.2f} of the target" if not line.get("at_most") else f"**missed**: {gap:.2f} times the limit"


def bound(line):
    if line["target"] is None:
        return ""
    return ("≤ " if line.get("at_most") else "≥ ") + show(line["target"], line["unit"])


def table(report):
    lines = ["<!-- Written by bench/run. -->", "", "# Results", "", machine_line(report), "", "## Against the targets", "",
             "| case | against | measured | target | |", "|---|---|---:|---:|---|"]
    for name, case in report["cases"].items():
        if "error" in case:
            lines.append(f"| {name} | | | | not measured: {case['error'][:160]} |")
            continue
        for line in case["lines"]:
            lines.append(f"| {name} | {line['label']} | {show(line['value'], line['unit'])} | {bound(line)} | {verdict(line)} |")
    lines += ["", "## Times"]
    for name, case in report["cases"].items():
        if "error" not in case:
            lines += ["", f"### {name}", "", case["title"] + f". {case['when']}, commit {case['commit']}.", ""]
            lines += [*limits_lines(case), *times(case["results"]), "", f"![{name}]({name}.svg)"]
    return "\n".join(lines) + "\n"


def machine_line(report):
    machine = report["machine"]
    peers = ", ".join(f"{name} {version}" for name, version in machine["peers"].items())
    return f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB; {peers}."


def limits_lines(case):
    if "limits" not in case:
        return []
    parts = []
    for threads, limit in case["limits"].items():
        parts.append(f"{threads} thread{'s' if int(threads) > 1 else ''}: {limit['fma_gflops_single']:.0f} / "
                     f"{limit['fma_gflops_double']:.0f} GFLOP/s single / double, {limit['read_gb_per_s']:.1f} GB/s read, "
                     f"{limit['memcpy_gb_per_s']:.1f} GB/s copied")
    return ["Limits of the machine in the same minute (" + case["limits"][next(iter(case["limits"]))]["simd"] + "): "
            + "; ".join(parts) + ".", ""]


def times(results):
    lines = ["| | median s | min s | max s | user + system s | iterations | s an iteration | runs | |",
             "|---|---:|---:|---:|---:|---:|---:|---:|---|"]
    number = lambda row, key: f"{row[key]:.4g}" if row.get(key) is not None else ""
    for name, row in results.items():
        if "failure" in row:
            lines.append(f"| {name} | | | | | | | 0 | {row['failure'][:160].replace('|', '/').splitlines()[-1]} |")
            continue
        cells = [number(row, key) for key in ("median_seconds", "min_seconds", "max_seconds", "cpu_seconds", "iterations",
                                               "iteration_seconds")]
        lines.append(f"| {name} | {' | '.join(cells)} | {row.get('runs', 1)} | {row.get('note', '')} |")
    return lines


def plot(case):
    """Horizontal bars of the medians on a logarithmic scale."""
    rows = [(name, row["median_seconds"]) for name, row in case["results"].items() if row.get("median_seconds")]
    low = math.floor(math.log10(min(value for _, value in rows)) - 0.3)
    high = math.log10(max(value for _, value in rows))
    scale = (WIDTH - LEFT - RIGHT) / max(high - low, 1e-9)
    height = ROW * (len(rows) + 2)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="12">',
             f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
             f'<text x="8" y="16" font-weight="bold">{html.escape(case["title"])}</text>']
    for i, (name, value) in enumerate(rows):
        y = ROW * (i + 1.3)
        width = max(1.0, (math.log10(value) - low) * scale)
        colour = "#c0392b" if name.startswith(("firesteel", "canonical")) else "#7f8c8d"
        parts.append(f'<text x="{LEFT - 8}" y="{y + 13}" text-anchor="end">{html.escape(name)}</text>')
        parts.append(f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{ROW - 5}" fill="{colour}"/>')
        parts.append(f'<text x="{LEFT + width + 5:.1f}" y="{y + 13}">{value:.3g} s</text>')
    return "\n".join([*parts, f'<text x="{LEFT}" y="{height - 4}" fill="#555">median seconds, logarithmic scale</text>', "</svg>"]) + "\n"


def write(report, folder):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(report, indent=1) + "\n")
    (folder / "table.md").write_text(table(report))
    for name, case in report["cases"].items():
        if "error" not in case and any(row.get("median_seconds") for row in case["results"].values()):
            (folder / f"{name}.svg").write_text(plot(case))
