# SPDX-License-Identifier: BSD-2-Clause
"""Draws docs/growth.svg: three small figures side by side, both axes logarithmic.

A line carries its name at its end, so there is no legend to look up; names that
would touch are moved apart. The figure has a background of its own, for it is
shown on pages whose colours follow another setting than its own.
"""

import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 1000, 338
PANEL, GAP = 200, 132  # the gap is for names
LEFT, TOP, BOTTOM = 52, 66, 286
LINE = 15  # between names

# What is ours has one hue, what is others' another, and what nobody can beat
# is grey; dashes tell apart what a hue has in common.
SERIES = {
    "checkerd": ("ours", ""),
    "checkerd, kept": ("ours", "5 3"),
    "HAProxy": ("theirs", ""),
    "floor": ("floor", ""),
    "floor, kept": ("floor", "5 3"),
    "stock nginx": ("theirs", ""),
    "round_robin": ("ours", ""),
    "least_conn": ("ours", "5 3"),
    "random": ("ours", "1 3"),
    "hash": ("ours", "9 3 1 3"),
}

PANELS = [
    ("check", "Processor time of a check", "microseconds"),
    ("memory", "Memory of the checker", "megabytes"),
    ("pick", "Cost of a pick in nginx", "instructions"),
]

STYLE = """
text { font: 13px system-ui, sans-serif; fill: #57606a }
.title { font-weight: 600; font-size: 14px; fill: #1f2328 }
.card { fill: #ffffff }
.grid { stroke: #d8dee4; stroke-width: 1 }
path { fill: none; stroke-width: 2; stroke-linejoin: round }
path.ours { stroke: #0969da } circle.ours, text.ours { fill: #0969da }
path.theirs { stroke: #bc4c00 } circle.theirs, text.theirs { fill: #bc4c00 }
path.floor { stroke: #818b98 } circle.floor, text.floor { fill: #6e7781 }
@media (prefers-color-scheme: dark) {
text { fill: #9198a1 }
.title { fill: #f0f6fc }
.card { fill: #0d1117 }
.grid { stroke: #30363d }
path.ours { stroke: #58a6ff } circle.ours, text.ours { fill: #58a6ff }
path.theirs { stroke: #f0883e } circle.theirs, text.theirs { fill: #f0883e }
path.floor { stroke: #8b949e } circle.floor, text.floor { fill: #8b949e }
}
"""


def short(value):
    for limit, suffix in ((1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:g}{suffix}"
    return f"{value:g}"


def ticks(low, high):
    """Round numbers around the values: decades, and 2 and 5 between few."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1,) if len(decades) > 3 else (1, 2, 5)
    marks = [step * 10.0 ** decade for decade in decades for step in steps]
    first = max((m for m in marks if m <= low), default=marks[0])
    last = min((m for m in marks if m >= high), default=marks[-1])
    return [mark for mark in marks if first <= mark <= last]


def apart(places):
    """The same, in order, at least a line apart, moved as little as needed."""
    order = sorted(range(len(places)), key=lambda n: places[n])
    moved = list(places)
    for _ in range(200):
        for a, b in zip(order, order[1:]):
            overlap = LINE - (moved[b] - moved[a])
            if overlap > 0.01:
                moved[a] -= overlap / 2
                moved[b] += overlap / 2
    return moved


class Scale:
    """From values to pixels, by logarithm."""

    def __init__(self, low, high, start, end):
        self.low, self.high = math.log10(low), math.log10(high)
        self.start, self.end = start, end

    def __call__(self, value):
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def panel(left, title, unit, lines):
    """`lines` is {series: [(hosts, value), ...]}."""
    hosts = sorted({h for points in lines.values() for h, _ in points})
    values = [v for points in lines.values() for _, v in points]
    marks = ticks(min(values), max(values))
    x = Scale(hosts[0], hosts[-1], left, left + PANEL)
    y = Scale(marks[0], marks[-1], BOTTOM, TOP)
    yield f'<text class="title" x="{left - 34}" y="26">{title}</text>'
    yield f'<text x="{left - 34}" y="44">{unit}</text>'
    for mark in marks:
        yield (f'<path class="grid" d="M{left} {y(mark):.1f}h{PANEL}"/>'
               f'<text x="{left - 7}" y="{y(mark) + 4:.1f}" '
               f'text-anchor="end">{short(mark)}</text>')
    for host in hosts:
        yield (f'<text x="{x(host):.1f}" y="{BOTTOM + 20}" '
               f'text-anchor="middle">{short(host)}</text>')
    yield (f'<text x="{left + PANEL / 2}" y="{BOTTOM + 40}" '
           'text-anchor="middle">hosts</text>')
    ends = {}
    for series, points in lines.items():
        kind, dashes = SERIES[series]
        places = [(x(h), y(v)) for h, v in sorted(points)]
        dash = f' stroke-dasharray="{dashes}"' if dashes else ""
        yield (f'<path class="{kind}"{dash} d="M'
               + "L".join(f"{a:.1f} {b:.1f}" for a, b in places) + '"/>')
        for a, b in places:
            yield f'<circle class="{kind}" cx="{a:.1f}" cy="{b:.1f}" r="2.5"/>'
        ends[series] = places[-1]
    heights = apart([height for _, height in ends.values()])
    for (series, (end, _)), height in zip(ends.items(), heights):
        yield (f'<text class="{SERIES[series][0]}" x="{end + 8:.1f}" '
               f'y="{height + 4:.1f}">{escape(series)}</text>')


def svg(table):
    """Of rows (panel, series, hosts, value)."""
    parts = []
    left = LEFT
    for name, title, unit in PANELS:
        lines = {series: [(h, v) for p, s, h, v in table
                          if (p, s) == (name, series)] for series in SERIES}
        lines = {series: points for series, points in lines.items() if points}
        parts += panel(left, title, unit, lines)
        left += PANEL + GAP
    body = "\n".join(parts)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" \
viewBox="0 0 {WIDTH} {HEIGHT}" role="img">
<title>Cost over 10 to 100 000 hosts; tests/bench/growth.py made it of growth.csv</title>
<style>{STYLE}</style>
<rect class="card" width="{WIDTH}" height="{HEIGHT}" rx="6"/>
{body}
</svg>
"""
