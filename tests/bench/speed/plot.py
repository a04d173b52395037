"""Plots as SVG: lines over logarithmic axes, each with its name at its end. Readable on a bright and on a dark page."""
from __future__ import annotations

import math
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 380, 300
LEFT, RIGHT, TOP, BOTTOM = 46, 128, 40, 40
# From one name to the next.
LINE = 13
# For a bright page and for a dark one. They differ in brightness too, and every line has its name at its end.
COLOURS = [("#0a5fb4", "#6cb6ff"), ("#b3470b", "#f0883e"), ("#8a6d00", "#e3b341"), ("#8e3aa8", "#d2a8ff"), ("#b02a5b", "#ff9bce"),
           ("#57606a", "#8b949e"), ("#1a7f4b", "#56d364")]


class Line(NamedTuple):
    """The points of one tool."""

    name: str
    colour: int
    points: list[tuple[float, float]]
    is_dashed: bool = False


class Panel(NamedTuple):
    """One pair of axes."""

    title: str
    x: str
    y: str
    lines: list[Line]


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:.{max(0, -math.floor(math.log10(value)))}f}"


def decades(low: float, high: float) -> list[float]:
    return [10.0**power for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]


def panel(it: Panel, left: float, top: float) -> list[str]:
    every = [point for line in it.lines for point in line.points]
    if not every:
        return []
    xs = sorted({x for x, _ in every})
    # Beyond the outermost points, as far as the next half decade.
    low_y, high_y = (10 ** (rounding(math.log10(value) * 2) / 2) for rounding, value in
                     ((math.floor, min(y for _, y in every)), (math.ceil, max(y for _, y in every))))
    low_x, high_x = xs[0], max(xs[-1], xs[0] * 10)
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        return (left + LEFT + wide * math.log(x / low_x) / math.log(high_x / low_x),
                top + TOP + high * (1 - math.log(y / low_y) / math.log(high_y / low_y)))

    out = [f'<text class="title" x="{left + LEFT}" y="{top + 15}">{escape(it.title)}</text>']
    for value in decades(low_y, high_y):
        if low_y <= value <= high_y * 1.001:
            _, y = place(low_x, value)
            out.append(f'<line class="grid" x1="{left + LEFT}" x2="{left + LEFT + wide}" y1="{y:.1f}" y2="{y:.1f}"/>')
            out.append(f'<text class="end" x="{left + LEFT - 6}" y="{y + 4:.1f}">{number(value)}</text>')
    for value in xs:
        x, _ = place(value, low_y)
        out.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top + TOP}" y2="{top + TOP + high}"/>')
        out.append(f'<text class="middle" x="{x:.1f}" y="{top + TOP + high + 15}">{number(value)}</text>')
    out.append(f'<text class="middle" x="{left + LEFT + wide / 2}" y="{top + HEIGHT - 6}">{escape(it.x)}</text>')
    out.append(f'<text x="{left + LEFT}" y="{top + TOP - 6}">{escape(it.y)}</text>')
    names = []
    for line in it.lines:
        if not line.points:
            continue
        places = [place(*point) for point in sorted(line.points)]
        shape = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        dash = ' stroke-dasharray="5 3"' if line.is_dashed else ""
        out.append(f'<polyline class="line c{line.colour}" points="{shape}"{dash}/>')
        out += [f'<circle class="dot c{line.colour}" cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>' for x, y in places]
        names.append([places[-1][1], places[-1], line])
    # Among the names of one column, each is moved down until it is clear of the one above it; where the last would be below the axes, all move up.
    for column in {name[1][0] for name in names}:
        ours = sorted((name for name in names if name[1][0] == column), key=lambda name: name[0])
        for above, below in zip(ours, ours[1:]):
            below[0] = max(below[0], above[0] + LINE)
        ours[-1][0] = min(ours[-1][0], top + TOP + high)
        for above, below in reversed(list(zip(ours, ours[1:]))):
            above[0] = min(above[0], below[0] - LINE)
    for y, (x, _), line in names:
        out.append(f'<text class="name n{line.colour}" x="{x + 7:.1f}" y="{y + 4:.1f}">{escape(line.name)}</text>')
    return out


def svg(title: str, panels: list[Panel], columns: int = 2) -> str:
    """All panels, in rows of so many."""
    panels = [it for it in panels if any(line.points for line in it.lines)]
    rows = -(-len(panels) // columns)
    width, height = WIDTH * min(columns, max(1, len(panels))), HEIGHT * max(1, rows)
    bright = "".join(f".c{index}{{stroke:{one};fill:{one}}}.n{index}{{fill:{one}}}" for index, (one, _) in enumerate(COLOURS))
    dark = "".join(f".c{index}{{stroke:{one};fill:{one}}}.n{index}{{fill:{one}}}" for index, (_, one) in enumerate(COLOURS))
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">',
           f"<title>{escape(title)}</title>",
           "<style>text{font:11px sans-serif;fill:#24292f}.title{font-weight:bold;font-size:12px}.middle{text-anchor:middle}.end{text-anchor:end}"
           ".page{fill:#fff}.name{paint-order:stroke;stroke:#fff;stroke-width:3px;stroke-linejoin:round}"
           f".grid{{stroke:#8c959f;stroke-opacity:.35}}.line{{fill:none!important;stroke-width:1.8}}{bright}"
           f"@media(prefers-color-scheme:dark){{text{{fill:#d0d7de}}.page{{fill:#0d1117}}.name{{stroke:#0d1117}}{dark}}}</style>",
           '<rect class="page" width="100%" height="100%"/>']
    for index, it in enumerate(panels):
        out += panel(it, WIDTH * (index % columns), HEIGHT * (index // columns))
    return "\n".join([*out, "</svg>"]) + "\n"
