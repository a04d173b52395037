"""What is measured, in which order, and how often."""
from __future__ import annotations

import random
import sys
import time
from pathlib import Path

from job import Peers, Wrong
from lab import Lab
from measure import Wire, run
from results import Block as BlockKey, Cell, Results, cell_of
from tools import CHANGE, CHECK, CONVERGED, FIRST, FLOOR, Names, Site, Tool, text_of

SEED = 20_000
# A tool is not tried at a larger size once one of its runs took longer, in seconds.
TOO_SLOW = 20
# How many rounds a block gets, by the seconds that its runs took in the first one.
ROUNDS = ((30, 5), (120, 3), (float("inf"), 1))
# A phase that takes less is repeated in each block, this often.
SHORT, REPEATS = 2.0, 3
# What no run may take.
LIMIT = 900

# The cells of `make bench`, and how many rounds at most each of them gets.
CELLS = {
    Cell(1, 1, 5): 5, Cell(1, 1, 50): 5, Cell(4, 4, 5): 5, Cell(4, 4, 50): 5, Cell(1, 1, 500): 3, Cell(1, 1, 5_000): 3,
    Cell(100, 4, 50): 3, Cell(1_000, 4, 50): 1,
}
QUICK = {Cell(1, 1, 5): 3, Cell(1, 1, 50): 3}


class Bench:
    def __init__(self, lab: Lab, site: Site, tools: list[Tool], results: Results, logs: Path) -> None:
        self.lab, self.site, self.tools, self.results, self.logs = lab, site, tools, results, logs
        self.wire = Wire(lab.netns)
        self.failed: list[str] = []

    def measure(self, cells: dict[Cell, int]) -> None:
        for cell, rounds in cells.items():
            for number in range(rounds):
                self.round(cell, number)

    def round(self, cell: Cell, number: int) -> None:
        # The floors are measured in the blocks of fwdeploy, each time beside it.
        tools = [tool for tool in self.tools if FLOOR not in tool.phases]
        # The order of every round is another one, and always the same.
        random.Random(f"{SEED} {cell.key()} {number}").shuffle(tools)
        for tool in tools:
            block = (cell.key(), number, tool.name)
            if block in self.results.done:
                continue
            reason = self.why_not(cell, number, tool)
            if reason:
                self.results.finish(block, [], {"done": False, "why": reason})
                continue
            self.block(cell, block, tool)

    def why_not(self, cell: Cell, number: int, tool: Tool) -> str | None:
        if number:
            first = self.results.done[cell.key(), 0, tool.name]
            if not first["done"]:
                return first["why"]
            rounds = next(rounds for seconds, rounds in ROUNDS if first["seconds"] <= seconds)
            return "it has had its rounds" if number >= rounds else None
        if tool.is_always_tried:
            return None
        smaller = [run["wall"] for run in self.results.runs if run["tool"] == tool.name and is_smaller(run["block"][0], cell)]
        if smaller and max(smaller) > TOO_SLOW:
            return f"a run of a smaller size took {max(smaller):.0f} s"
        gone = [end for (key, _, name), end in self.results.done.items() if name == tool.name and not end["done"] and is_smaller(key, cell)
                and end["why"].startswith("a run of a smaller size")]
        return gone[0]["why"] if gone else None

    def block(self, cell: Cell, block: BlockKey, tool: Tool) -> None:
        """One tool in one round of one cell: from a node as it was before to one that has the job, then what comes after."""
        self.results.append({"block": block, "begun": time.strftime("%H:%M:%S")})
        print(f"{time.strftime('%H:%M:%S')} {cell.names} names, {cell.nodes} nodes, {cell.peers} peers, round {block[1] + 1}: {tool.title}", flush=True)
        for again in (False, True):
            work = Block(self, cell, block, tool)
            try:
                work.shared() if cell.is_shared() else work.whole()
            except Wrong as wrong:
                print(f"  {wrong}", file=sys.stderr, flush=True)
                if not again:
                    self.results.append({"block": block, "begun": "again"})
                    continue
                self.failed.append(f"{cell.key()}, {tool.title}, {wrong}".splitlines()[0])
                self.results.finish(block, [], {"done": False, "why": f"it failed; {wrong}".splitlines()[0]})
                return
            self.results.finish(block, work.runs, {"done": True, "seconds": sum(run["wall"] for run in work.runs if run["tool"] == tool.name)})
            return


def is_smaller(key: str, cell: Cell) -> bool:
    other = cell_of(key)
    return other != cell and other.names <= cell.names and other.peers <= cell.peers


class Block:
    """The runs of a block."""

    def __init__(self, bench: Bench, cell: Cell, block: BlockKey, tool: Tool) -> None:
        self.bench, self.cell, self.name, self.tool = bench, cell, block, tool
        self.nodes = bench.lab.nodes[: cell.nodes]
        self.peers = Peers(cell.peers)
        self.runs: list[dict] = []
        # The floors have no state of their own, and are compared with fwdeploy alone.
        self.beside = [floor for floor in bench.tools if FLOOR in floor.phases] if tool.name == "fwdeploy" else []
        self.order = random.Random(f"{SEED} {block}")

    def names(self, count: int) -> Names:
        lab = self.bench.lab
        return [(self.nodes[number] if count == len(self.nodes) else f"name{number + 1}", lab.address(self.nodes[number % len(self.nodes)]))
                for number in range(count)]

    def write(self, names: Names) -> None:
        for tool in [self.tool, *self.beside]:
            tool.write(names, self.peers)

    def whole(self) -> None:
        """Every phase. What each has done is looked at on the nodes."""
        lab, names = self.bench.lab, self.names(self.cell.names)
        lab.clean(self.nodes)
        self.write(names)
        self.one(self.tool, FIRST)
        before = lab.verify(self.nodes, self.peers.now())
        self.repeated([(self.tool, CONVERGED), (self.tool, CHECK), *((floor, FLOOR) for floor in self.beside)])
        if lab.verify(self.nodes, self.peers.now()) != before:
            raise Wrong(f"{self.tool.title} has changed a node that was converged")
        times = REPEATS if self.runs[0]["wall"] < 2 * SHORT else 1
        for _ in range(times):
            self.peers.exchange()
            self.write(names)
            self.one(self.tool, CHANGE)
            lab.verify(self.nodes, self.peers.now())

    def shared(self) -> None:
        """Many names of few nodes, which only read."""
        lab = self.bench.lab
        lab.clean(self.nodes)
        self.write(self.names(len(self.nodes)))
        self.one(self.tool, FIRST, counts=False)
        before = lab.verify(self.nodes, self.peers.now())
        self.write(self.names(self.cell.names))
        # The largest cell has the one phase that all tools do for each name alike.
        phases = [(self.tool, CHECK)] if self.cell.names >= 1_000 else [(self.tool, CONVERGED), (self.tool, CHECK)]
        self.repeated([*phases, *((floor, FLOOR) for floor in self.beside)])
        if lab.verify(self.nodes, self.peers.now()) != before:
            raise Wrong(f"{self.tool.title} has changed a node that was converged")

    def repeated(self, todo: list[tuple[Tool, str]]) -> None:
        """Each of them, in an order that changes; what is short several times."""
        for number in range(REPEATS):
            self.order.shuffle(todo)
            walls = [self.one(tool, phase, number) for tool, phase in todo]
            if max(walls) > SHORT:
                return

    def one(self, tool: Tool, phase: str, number: int = 0, counts: bool = True) -> float:
        bench = self.bench
        log = bench.logs / f"{self.name[0]}-{tool.name}-{phase}.log"
        done = run(tool.command(phase), tool.environment(), tool.folder, log, LIMIT, bench.lab.name, self.nodes, bench.wire,
                   tool.input())
        said = text_of(log)
        wrong = "it took too long" if done.wall >= LIMIT else tool.judge(phase, done.code, said)
        if wrong:
            raise Wrong(f"{phase}: {wrong}\n{log} ends with:\n{said[-1500:]}")
        if counts:
            # The block of a floor is that of the tool that it is measured beside.
            record = {"block": self.name, "tool": tool.name, "phase": phase, "number": number, "wall": round(done.wall, 4), "cpu": round(done.cpu, 4),
                      "memory": done.memory, "node_cpu": round(done.node_cpu, 4), **done.traffic._asdict()}
            self.runs.append(record)
            bench.results.append(record)
        return done.wall
