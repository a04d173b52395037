"""Medians, spreads and ratios of what was measured."""
from __future__ import annotations

import statistics
from typing import NamedTuple

from results import Cell, Results
from tools import CHECK, CONVERGED, CHANGE, FIRST, FLOOR


class Spread(NamedTuple):
    """The median of the rounds, with the lowest and the highest."""

    low: float
    middle: float
    high: float
    count: int

    def text(self, form: str) -> str:
        low, middle, high = (format(value, form) for value in (self.low, self.middle, self.high))
        return middle if self.count == 1 or low == high else f"{middle} ({low}–{high})"


def spread(values: list[float]) -> Spread | None:
    return Spread(min(values), statistics.median(values), max(values), len(values)) if values else None


def rounds(results: Results, cell: Cell, tool: str, phase: str, what: str) -> dict[int, float]:
    """Of each round the median of the repetitions."""
    found: dict[int, list[float]] = {}
    for run in results.of(cell, tool, phase):
        if run[what] is not None:
            found.setdefault(run["block"][1], []).append(run[what])
    return {number: statistics.median(values) for number, values in sorted(found.items())}


def values(results: Results, cell: Cell, tool: str, phase: str, what: str = "wall") -> Spread | None:
    return spread(list(rounds(results, cell, tool, phase, what).values()))


Side = tuple[str, str]


def ratio(results: Results, cell: Cell, above: Side, below: Side, what: str = "wall") -> Spread | None:
    """One side divided by the other, within each round that has both."""
    ours, theirs = rounds(results, cell, *above, what), rounds(results, cell, *below, what)
    return spread([value / theirs[number] for number, value in ours.items() if theirs.get(number)])


# What `make bench-quick` compares with what was recorded: fwdeploy's phases by what the same round's bare ssh takes.
WATCHED = {
    "`--check` / `ssh node true`": ((("fwdeploy", CHECK)), ("ssh-true", FLOOR)),
    "`--check` / ssh with the same probe": (("fwdeploy", CHECK), ("ssh-probe", FLOOR)),
    "converged / ssh with the same probe": (("fwdeploy", CONVERGED), ("ssh-probe", FLOOR)),
    "one peer changed / ssh with the same probe": (("fwdeploy", CHANGE), ("ssh-probe", FLOOR)),
    "first apply / ssh with the same probe": (("fwdeploy", FIRST), ("ssh-probe", FLOOR)),
}


def watched(results: Results, cells) -> dict[str, dict[str, list[float]]]:
    """These ratios, as `recorded.json` has them: the lowest, the median and the highest."""
    return {cell.key(): {name: [round(value, 3) for value in found[:3]] for name, (above, below) in WATCHED.items()
                         if (found := ratio(results, cell, above, below))} for cell in cells}


class Line(NamedTuple):
    """A straight line through points: `start + each · x`, and how far the farthest point is from it, as a part of its own value."""

    start: float
    each: float
    off: float


def fit(points: list[tuple[float, float]]) -> Line | None:
    """The line with the smallest relative errors, so that the small sizes count as much as the large ones."""
    if len(points) < 3:
        return None
    weights = [1 / y**2 for _, y in points]
    total = sum(weights)
    x0 = sum(weight * x for weight, (x, _) in zip(weights, points)) / total
    y0 = sum(weight * y for weight, (_, y) in zip(weights, points)) / total
    each = (sum(weight * (x - x0) * (y - y0) for weight, (x, y) in zip(weights, points))
            / sum(weight * (x - x0) ** 2 for weight, (x, _) in zip(weights, points)))
    start = y0 - each * x0
    return Line(start, each, max(abs(start + each * x - y) / y for x, y in points))
