"""The report of a run: a table for people, JSON for programs, a chart for the documents."""
import dataclasses, html, json


def number(value):
    if value is None:
        return ""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def cells(row):
    others = ", ".join(f"{who} {number(value)}" for who, value in row.others.items())
    target = judged = ""
    if row.target:
        who, way, factor = row.target
        sign = {"<=": "≤", ">=": "≥"}[way]
        target = f"{sign} {factor:g} × {who}" if who else f"{sign} {factor:g}"
        judged = {True: "yes", False: "NO", None: "not measured"}[row.reached()]
    ratio = row.measured() if row.target and row.target[0] else next((row.ours / value for value in row.others.values() if value), None)
    return [row.job, f"{number(row.ours)} {row.unit}", others, number(ratio), target, judged, number(row.calls), number(row.fetched),
            number(row.cpu_per_gb), number(row.peak_mib), number(row.spread)]


HEAD = ["job", "BucketBar", "others", "ratio", "target", "reached", "Hub calls", "fetched or sent ×", "CPU s/GB", "peak MiB", "spread"]


def table(run):
    """Markdown, a table for each part."""
    lines = []
    for part in dict.fromkeys(row.part for row in run["rows"]):
        rows = [cells(row) for row in run["rows"] if row.part == part]
        lines += [f"### {part}", "", "| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
        lines += ["| " + " | ".join(row) + " |" for row in rows] + [""]
    return "\n".join(lines)


def head(run):
    where, options = run["machine"], run["options"]
    lines = [f"{where['date']}, commit {where['commit']}, {where['processors']} processors ({where['model']}), Linux {where['kernel']}; "
             f"load average before: {where['load_before']:.1f}.",
             f"Hub: local-hub on this machine, {options['latency']} ms for each answer, "
             + (f"{options['bandwidth']} MB/s" if options["bandwidth"] else "bandwidth unlimited") + f"; {options['repeats']} repeats, medians.", ""]
    return "\n".join(lines + [f"- {note}" for note in run["notes"]])


def text(run):
    judged = [row for row in run["rows"] if row.reached() is not None]
    closing = f"{sum(row.reached() for row in judged)} of {len(judged)} targets reached."
    return f"{head(run)}\n\n{table(run)}\n{closing}\n"


def as_json(run):
    rows = [dataclasses.asdict(row) | {"ratio": row.measured() if row.target else None, "reached": row.reached()} for row in run["rows"]]
    return json.dumps(run | {"rows": rows}, indent=1)


def chart(run):
    """Bars of each ratio that has a target, on a scale where 1 is the target: longer is better, whatever the unit."""
    rows = [row for row in run["rows"] if row.reached() is not None and row.measured()]
    width, left, step, most = 920, 420, 22, 3.0
    scale = (width - left - 90) / most
    high = 60 + step * len(rows)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{high}" font-family="sans-serif" font-size="12">',
             f'<rect width="{width}" height="{high}" fill="#ffffff"/>',
             '<text x="10" y="20" font-size="14" fill="#222">BucketBar by its targets: the line is the target, longer is better</text>']
    for n, row in enumerate(rows):
        good = row.target[2] / row.measured() if row.target[1] == "<=" else row.measured() / row.target[2]
        y = 36 + step * n
        fill = "#2f855a" if row.reached() else "#c05621"
        parts += [f'<text x="{left - 8}" y="{y + 13}" text-anchor="end" fill="#222">{html.escape(row.part + ": " + row.job)[:70]}</text>',
                  f'<rect x="{left}" y="{y}" width="{min(good, most) * scale:.0f}" height="{step - 6}" fill="{fill}"/>',
                  f'<text x="{left + min(good, most) * scale + 5:.0f}" y="{y + 13}" fill="#222">{good:.2f}</text>']
    parts += [f'<line x1="{left + scale}" x2="{left + scale}" y1="30" y2="{high - 12}" stroke="#222" stroke-dasharray="4 3"/>', "</svg>"]
    return "\n".join(parts) + "\n"
