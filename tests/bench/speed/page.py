"""The section `speed` of docs/benchmarks.md, its plots, and what `make bench-quick` compares with: all from the measurements."""
from __future__ import annotations

import json
import math
from pathlib import Path

import plot
from bench import CELLS, ROUNDS, TOO_SLOW
from ratios import Spread, fit, ratio, values, watched
from results import Cell, Results
from tools import CHANGE, CHECK, CONVERGED, FIRST, FLOOR

HERE = Path(__file__).resolve().parent
LEGEND = HERE.parent / "legends/speed.md"
# Written by hand after a bench: why something does not hold, and where the time goes.
NOTES = HERE.parent / "legends/speed-notes.md"
TITLES = {
    "fwdeploy": "fwdeploy", "pyinfra-optimised": "pyinfra, optimised", "pyinfra-idiomatic": "pyinfra, idiomatic",
    "ansible-optimised": "Ansible, optimised", "ansible-idiomatic": "Ansible, idiomatic", "ssh-true": "`ssh node true`",
    "ssh-probe": "ssh, same probe",
}
TOOLS = [tool for tool in TITLES if not tool.startswith("ssh-")]
FLOORS = ["ssh-true", "ssh-probe"]
PHASES = {FIRST: "first apply", CHANGE: "one peer changed", CONVERGED: "converged", CHECK: "`--check`"}
FWDEPLOY, SSH, PROBE = "fwdeploy", ("ssh-true", FLOOR), ("ssh-probe", FLOOR)
NONE = "—"
ONE, HUNDRED, THOUSAND, LARGE = Cell(1, 1, 50), Cell(100, 4, 50), Cell(1_000, 4, 50), Cell(1, 1, 5_000)
SMALL = [Cell(1, 1, 5), ONE, Cell(4, 4, 5), Cell(4, 4, 50)]


def plural(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def title(cell: Cell) -> str:
    return f"{plural(cell.names, 'name')} of {plural(cell.nodes, 'node')}" if cell.is_shared() else plural(cell.nodes, "node")


def seconds(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def seconds_of(found: Spread) -> str:
    """The median; the spread only where there is one."""
    return seconds(found.middle) if found.count == 1 else f"{seconds(found.middle)} ({seconds(found.low)}–{seconds(found.high)})"


def times(found: Spread) -> str:
    form = ".2f" if found.middle < 10 else ".0f"
    return "×" + (format(found.middle, form) if found.count == 1 else f"{found.middle:{form}} ({found.low:{form}}–{found.high:{form}})")


def table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


# ---------------------------------------------------------------------------------------------- what is asked

def asked(results: Results) -> list[tuple[str, str, str, bool | None]]:
    """Each requirement: what is compared, what is asked, what was measured, and whether it holds (nothing where it was not measured)."""
    out: list[tuple[str, str, str, bool | None]] = []

    def most(what: str, found: Spread | None, limit: float, form: str = ".2f", unit: str = "") -> None:
        shown = NONE if found is None else found.text(form) + unit
        out.append((what, f"at most {limit:g}{unit}", shown, None if found is None else found.middle <= limit))

    def least(what: str, found: Spread | None, limit: float, form: str = ".1f") -> None:
        shown = NONE if found is None else found.text(form)
        word = "more than 1" if limit == 1 else f"at least {limit:g}"
        out.append((what, word, shown, None if found is None else found.middle > 1 if limit == 1 else found.middle >= limit))

    here = (FWDEPLOY, CHECK)
    most("`--check` of one node / `ssh node true`", ratio(results, ONE, here, SSH), 1.6)
    most("`--check` of one node / ssh with the same probe", ratio(results, ONE, here, PROBE), 1.15)
    most("`--check` of 100 names / `xargs -P50 ssh` with the same probe", ratio(results, HUNDRED, here, PROBE), 1.15)
    for cell in SMALL:
        where = f"{plural(cell.peers, 'peer')}, {plural(cell.nodes, 'node')}"
        least(f"first apply, {where}: pyinfra optimised / fwdeploy", ratio(results, cell, ("pyinfra-optimised", FIRST), (FWDEPLOY, FIRST)), 1, ".2f")
    for cell in SMALL:
        where = f"{plural(cell.peers, 'peer')}, {plural(cell.nodes, 'node')}"
        least(f"one peer changed, {where}: pyinfra optimised / fwdeploy", ratio(results, cell, ("pyinfra-optimised", CHANGE), (FWDEPLOY, CHANGE)), 3)
    least("converged, 1 node: pyinfra optimised / fwdeploy", ratio(results, ONE, ("pyinfra-optimised", CONVERGED), (FWDEPLOY, CONVERGED)), 3)
    least("converged, 1 node: Ansible optimised / fwdeploy", ratio(results, ONE, ("ansible-optimised", CONVERGED), (FWDEPLOY, CONVERGED)), 10)
    least("converged, 100 names: Ansible optimised / fwdeploy",
          ratio(results, HUNDRED, ("ansible-optimised", CONVERGED), (FWDEPLOY, CONVERGED)), 20)
    least("`--check`, 100 names: Ansible optimised / fwdeploy", ratio(results, HUNDRED, ("ansible-optimised", CHECK), (FWDEPLOY, CHECK)), 20)
    for cell, phase in ((ONE, CONVERGED), (HUNDRED, CHECK)):
        least(f"controller CPU, {PHASES[phase]}, {title(cell)}: Ansible optimised / fwdeploy",
              ratio(results, cell, ("ansible-optimised", phase), (FWDEPLOY, phase), "cpu"), 20)
    most("5,000 peers, first apply", values(results, LARGE, FWDEPLOY, FIRST), 10, ".1f", " s")
    most("5,000 peers, one peer changed", values(results, LARGE, FWDEPLOY, CHANGE), 2, ".1f", " s")
    memory = values(results, THOUSAND, FWDEPLOY, CHECK, "memory")
    scaled = memory and Spread(*(value / 1e6 for value in memory[:3]), memory.count)
    most("1,000 names, peak memory of the controller", scaled, 150, ".0f", " MB")
    return out


def asked_table(results: Results) -> str:
    words = {True: "yes", False: "**no**", None: NONE}
    return table(["", "asked", "measured", "holds"], [[what, limit, shown, words[holds]] for what, limit, shown, holds in asked(results)])


# ---------------------------------------------------------------------------------------------- the tables

def why_not(results: Results, cell: Cell, tool: str) -> str | None:
    """Why a tool has no figures in a cell."""
    end = results.done.get((cell.key(), 0, tool))
    return None if end is None or end["done"] else end["why"]


def times_table(results: Results, cell: Cell) -> str:
    phases = [phase for phase in PHASES if any(results.of(cell, tool, phase) for tool in TOOLS)]
    rows = []
    for tool in TOOLS:
        row = [TITLES[tool]]
        for phase in phases:
            found, compared = values(results, cell, tool, phase), ratio(results, cell, (tool, phase), (FWDEPLOY, phase))
            shown = NONE if found is None else seconds_of(found)
            row.append(shown if tool == FWDEPLOY or compared is None else f"{shown}, {times(compared)}")
        if not all(word == NONE for word in row[1:]):
            rows.append(row)
    for floor in FLOORS:
        found, compared = values(results, cell, floor, FLOOR), ratio(results, cell, (floor, FLOOR), (FWDEPLOY, CHECK))
        if found:
            rows.append([TITLES[floor], *[""] * (len(phases) - 1), f"{seconds_of(found)}, {times(compared)}"])
    left = [f"{TITLES[tool]}: {reason}" for tool in TOOLS if (reason := why_not(results, cell, tool))]
    note = f"\n\nWithout figures: {'; '.join(left)}." if left else ""
    return table(["", *(PHASES[phase] for phase in phases)], rows) + note


def size(value: float) -> str:
    return f"{value / 1e6:.1f} MB" if value >= 1e6 else f"{value / 1e3:.1f} kB"


def cost_table(results: Results, cell: Cell, phase: str) -> str:
    """What one phase takes of everything but time."""
    def middle(tool: str, what: str, form) -> str:
        found = values(results, cell, tool, FLOOR if tool in FLOORS else phase, what)
        return NONE if found is None else form(found.middle)

    whole = lambda value: f"{value:,.0f}"  # noqa: E731
    columns = [("controller CPU", "cpu", lambda value: f"{value:.3f} s"), ("peak memory", "memory", size),
               ("CPU of the nodes", "node_cpu", lambda value: f"{value:.2f} s"), ("sent", "sent", size), ("received", "received", size),
               ("packets", "packets", whole), ("connections", "connections", whole), ("round trips", "round_trips", whole)]
    tools = [tool for tool in [*TOOLS, *(FLOORS if phase == CHECK else [])]
             if results.of(cell, tool, FLOOR if tool in FLOORS else phase)]
    return table(["", *(name for name, _, _ in columns)], [[TITLES[tool], *(middle(tool, what, form) for _, what, form in columns)] for tool in tools])


# ---------------------------------------------------------------------------------------------- growth

def points(results: Results, tool: str, phase: str, by: str, what: str = "wall") -> list[tuple[float, float]]:
    """The medians by the number of peers on one node, or by the number of names with 50 peers each."""
    cells = [cell for cell in results.cells() if (cell.nodes == 1 if by == "peers" else cell.peers == 50)]
    return [(getattr(cell, by), found.middle) for cell in cells if (found := values(results, cell, tool, phase, what)) and found.middle > 0]


def exponent(found: list[tuple[float, float]]) -> float | None:
    """How it grows between the two largest sizes: 1 is in proportion, 0 not at all."""
    if len(found) < 2:
        return None
    (x, y), (x2, y2) = found[-2:]
    return math.log(y2 / y) / math.log(x2 / x)


def growth_table(results: Results) -> str:
    rows = []
    todo = [("peers", phase, "wall", f"{PHASES[phase]}, seconds") for phase in PHASES]
    todo += [("names", CHECK, "wall", "`--check`, seconds"), ("names", CHECK, "cpu", "`--check`, controller CPU, seconds"),
             ("names", CHECK, "memory", "`--check`, peak memory, MB")]
    for by, phase, what, name in todo:
        found = points(results, FWDEPLOY, phase, by, what)
        if what == "memory":
            found = [(x, y / 1e6) for x, y in found]
        line, power = fit(found), exponent(found)
        if line is None or power is None:
            continue
        rows.append([name, by, ", ".join(f"{x:,.0f}: {seconds(y)}" for x, y in found), f"{line.start:.3g} + {line.each:.3g} · {by}",
                     f"{line.off:.0%}", f"{power:.2f}"])
    return table(["fwdeploy", "by", "measured", "line", "farthest point", "exponent of the last step"], rows) if rows else "Not measured."


def plots(results: Results) -> dict[str, str]:
    """The plots by the names of their files."""
    def lines(phase: str, by: str, what: str = "wall", scale: float = 1) -> list[plot.Line]:
        found = [plot.Line(TITLES[tool], index, [(x, y * scale) for x, y in points(results, tool, phase, by, what)]) for index, tool in enumerate(TOOLS)]
        if phase == CHECK:
            found += [plot.Line(TITLES[floor].replace("`", ""), len(TOOLS) + index, [(x, y * scale) for x, y in points(results, floor, FLOOR, by, what)], True)
                      for index, floor in enumerate(FLOORS)]
        return found

    peers = [plot.Panel(f"{PHASES[phase].replace('`', '')}, one node", "peers", "seconds", lines(phase, "peers")) for phase in PHASES]
    names = [plot.Panel("--check, 50 peers", "names", "seconds", lines(CHECK, "names")),
             plot.Panel("--check, 50 peers", "names", "seconds of the controller's CPU", lines(CHECK, "names", "cpu")),
             plot.Panel("--check, 50 peers", "names", "MB of the controller's memory", lines(CHECK, "names", "memory", 1e-6)),
             plot.Panel("converged, 50 peers", "names", "seconds", lines(CONVERGED, "names"))]
    return {"peers.svg": plot.svg("Time by the number of peers", peers), "names.svg": plot.svg("Cost by the number of names", names)}


# ---------------------------------------------------------------------------------------------- the section

def document(results: Results) -> str:
    header = results.header
    legend = LEGEND.read_text().rstrip()
    rounds = ", ".join(f"{count} up to {limit:.0f} s" if limit < float("inf") else f"else {count}" for limit, count in ROUNDS)
    words = {"date": header["date"], "suite": header["suite"], "machine": header["machine"], "versions": header["versions"], "limit": f"{TOO_SLOW}",
             "rounds": rounds, "most": str(max(CELLS.values()))}
    for name, value in words.items():
        legend = legend.replace(f"{{{name}}}", value)
    out = [legend, "", "### What is asked of fwdeploy", "", asked_table(results), "", NOTES.read_text().rstrip(), "", "### Seconds", ""]
    for cell in sorted(results.cells(), key=lambda cell: (cell.names, cell.peers)):
        out += [f"**{title(cell)}, {plural(cell.peers, 'peer')}**", "", times_table(results, cell), ""]
    out += ["![Time by the number of peers](benchmarks/peers.svg)", "", "![Cost by the number of names](benchmarks/names.svg)", "", "### What it takes", ""]
    shown = [*((ONE, phase) for phase in PHASES), (Cell(1, 1, 5), FIRST), (Cell(1, 1, 5), CONVERGED), (HUNDRED, CHECK), (THOUSAND, CHECK)]
    for cell, phase in shown:
        if results.of(cell, FWDEPLOY, phase):
            out += [f"**{PHASES[phase]}, {title(cell)}, {plural(cell.peers, 'peer')}**", "", cost_table(results, cell, phase), ""]
    out += ["### Growth", "", growth_table(results), ""]
    return "\n".join(out)


def write(results: Results, page: Path, recorded: Path | None) -> None:
    """Writes the section, the plots in a folder beside the page, and what is recorded for `make bench-quick`."""
    import section

    folder = page.parent / page.stem
    folder.mkdir(exist_ok=True)
    for name, text in plots(results).items():
        (folder / name).write_text(text)
    section.replace(page, "speed", document(results))
    if recorded:
        recorded.write_text(json.dumps(watched(results, [Cell(1, 1, 5), Cell(1, 1, 50)]), indent=1) + "\n")
