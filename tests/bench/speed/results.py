"""The measurements, as lines of JSON that survive an interruption.

The first line is the header: what was measured, where and when. A line with `phase` is one run of one tool. A line with `done` ends a block: the
runs of one tool in one round of one cell. Lines of a block that has not ended do not count, and the block is measured again. The last line says
that nothing is left to measure.
"""
from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple


class Cell(NamedTuple):
    """What is measured together: so many names on so many nodes, with so many peers each."""

    names: int
    nodes: int
    peers: int

    def key(self) -> str:
        return f"{self.names}-{self.nodes}-{self.peers}"

    def is_shared(self) -> bool:
        """Whether several names are one node."""
        return self.names > self.nodes


def cell_of(key: str) -> Cell:
    return Cell(*map(int, key.split("-")))


# A cell's key, the number of the round, and the name of the tool.
Block = tuple[str, int, str]


class Results:
    """One file of lines."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.header: dict = {}
        self.is_complete = False
        self.runs: list[dict] = []
        self.done: dict[Block, dict] = {}
        waiting: dict[Block, list[dict]] = {}
        for line in file.read_text().splitlines() if file.exists() else []:
            try:
                record = json.loads(line)
            except ValueError:
                # The line that was being written when the run was interrupted.
                continue
            if "header" in record:
                self.header = record["header"]
                continue
            if "complete" in record:
                self.is_complete = True
                continue
            block = (*record["block"],)
            if "begun" in record:
                waiting[block] = []
            elif "phase" in record:
                waiting.setdefault(block, []).append(record)
            else:
                self.done[block] = record
                self.runs += waiting.pop(block, [])

    def begin(self, header: dict) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.unlink(missing_ok=True)
        self.append({"header": header})
        self.__init__(self.file)

    def append(self, record: dict) -> None:
        with self.file.open("a") as out:
            out.write(json.dumps(record) + "\n")

    def finish(self, block: Block, runs: list[dict], end: dict) -> None:
        self.append({"block": block, **end})
        self.done[block] = end
        self.runs += runs

    # ---- what the page asks

    def of(self, cell: Cell, tool: str, phase: str) -> list[dict]:
        return [run for run in self.runs if (run["block"][0], run["tool"], run["phase"]) == (cell.key(), tool, phase)]

    def cells(self) -> list[Cell]:
        return sorted({cell_of(cell) for cell, _, _ in self.done})

