#!/usr/bin/env python3
"""Measures fwdeploy beside what a user would take instead, on nodes of the lab, and writes the section `speed` of docs/benchmarks.md.

    tests/bench/speed run                 measures, or goes on where it was interrupted
    tests/bench/speed page                writes the section and the plots, from what was measured
    tests/bench/speed quick               one node, 5 and 50 peers, fwdeploy and bare ssh, compared with what was recorded
    tests/bench/speed environments        installs the other tools, and nothing else

It needs root, the lab (tests/lab/README.md), PyPI once, and `cargo build --release`. `make bench` and `make bench-quick` call it.
"""
from __future__ import annotations

import argparse
import hashlib
import json
import platform
import resource
import shutil
import signal
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import page  # noqa: E402
import section  # noqa: E402
from bench import CELLS, QUICK, SEED, Bench  # noqa: E402
from job import Wrong  # noqa: E402
from lab import ROOT, Lab  # noqa: E402
from ratios import watched  # noqa: E402
from results import Cell, Results, cell_of  # noqa: E402
from tools import Environments, Fwdeploy, Floor, Site, every, versions  # noqa: E402

RECORDED = HERE.parent / "recorded.json"
# How far beyond the highest recorded ratio one may be, as a part of it.
ROOM = 0.15


def cells(text: str) -> dict[Cell, int]:
    """`NAMES-NODES-PEERS=ROUNDS`, with commas between them."""
    found = {}
    for word in text.split(","):
        key, _, rounds = word.partition("=")
        found[cell_of(key)] = int(rounds or 1)
    return found


def machine() -> str:
    """The machine, in a few words."""
    text = Path("/proc/cpuinfo").read_text()
    models = [line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")]
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 2**20
    kind = " ".join(models[0].split()) if models else platform.machine()
    return f"{len(models) or 1} processors ({kind}), {memory:.0f} GiB, Linux {platform.release().split('-')[0]}"


def header(options: argparse.Namespace, wanted: dict[Cell, int]) -> dict:
    """What makes one bench: with another one, what was measured does not go on."""
    said = ", ".join(f"{name} {version}" for name, version in versions(options.binary).items())
    files = sorted(path for folder in (HERE, HERE.parent / "tools") for path in folder.glob("*.*"))
    own = hashlib.sha256(b"".join(path.read_bytes() for path in files if path.name not in ("page.py", "plot.py", "ratios.py"))).hexdigest()
    return {
        "binary": hashlib.sha256(options.binary.read_bytes()).hexdigest(), "bench": own, "versions": said, "suite": options.suite,
        "machine": machine(), "cells": {cell.key(): rounds for cell, rounds in wanted.items()}, "seed": SEED, "tools": options.tools,
    }


def measure(options: argparse.Namespace, wanted: dict[Cell, int], file: Path, is_quick: bool) -> tuple[Results, list[str]]:
    results = Results(file)
    now = header(options, wanted)
    same = {name: value for name, value in results.header.items() if name != "date"} == now
    if not same or results.is_complete or is_quick:
        if results.header and not is_quick:
            shutil.copy(file, file.with_suffix(".before.jsonl"))
        results.begin({**now, "date": time.strftime("%Y-%m-%d")})
    else:
        print(f"going on with {file}: {len(results.done)} blocks are there", flush=True)
    environments = Environments(options.folder / "environments")
    lab = Lab(options.lab, max(cell.nodes for cell in wanted), options.suite)
    tools = [tool for tool in every(options.binary, environments)
             if (isinstance(tool, (Fwdeploy, Floor)) if is_quick else not options.tools or tool.name in options.tools)]
    try:
        lab.up(options.number, environments.packages("node"))
        site = Site(lab, options.folder)
        for tool in tools:
            tool.prepare(site)
        bench = Bench(lab, site, tools, results, options.folder / "log")
        bench.measure(wanted)
    finally:
        if not options.keep:
            lab.down()
    results.append({"complete": time.strftime("%H:%M:%S")})
    return Results(file), bench.failed


def compare(results: Results, recorded: dict) -> list[str]:
    """What is slower than recorded; prints everything."""
    worse = []
    for cell, ratios in watched(results, QUICK).items():
        names, nodes, peers = cell_of(cell)
        for what, (low, middle, high) in ratios.items():
            before = recorded.get(cell, {}).get(what)
            is_worse = bool(before) and middle > before[2] * (1 + ROOM)
            was = f"recorded {before[1]:.2f} ({before[0]:.2f}–{before[2]:.2f})" if before else "nothing is recorded"
            line = f"{peers} peers: {what}: {middle:.2f} ({low:.2f}–{high:.2f}); {was}"
            print(("SLOWER  " if is_worse else "        ") + line)
            worse += [line] if is_worse else []
    return worse


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests/bench/speed", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "page", "quick", "environments"))
    parser.add_argument("--binary", type=lambda text: Path(text).resolve(), default=ROOT / "target/release/fwdeploy")
    parser.add_argument("--folder", type=lambda text: Path(text).resolve(), default=ROOT / "target/bench", help="where everything is kept")
    parser.add_argument("--cells", type=cells, default=CELLS, metavar="NAMES-NODES-PEERS=ROUNDS,…")
    parser.add_argument("--tools", type=lambda text: text.split(","), help="only these, such as `fwdeploy,ssh-true,ssh-probe,pyinfra-optimised`")
    parser.add_argument("--suite", default="trixie")
    parser.add_argument("--lab", default="bench")
    parser.add_argument("--number", type=int, help="of the lab's network")
    parser.add_argument("--keep", action="store_true", help="leave the lab as it is at the end")
    parser.add_argument("--results", type=Path, help="the file with the measurements (FOLDER/speed.jsonl)")
    parser.add_argument("--page", type=Path, default=section.PAGE)
    parser.add_argument("--recorded", type=Path, default=RECORDED)
    options = parser.parse_args()
    # A tool that keeps a connection to every name needs a descriptor for each.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    # Whoever ends it ends the lab too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    file = options.results or options.folder / "speed.jsonl"
    try:
        match options.command:
            case "environments":
                environments = Environments(options.folder / "environments")
                print(environments.python("ansible"), environments.python("pyinfra"), environments.packages("node"), sep="\n")
            case "run":
                _, failed = measure(options, options.cells, file, False)
                sys.exit("\n".join(["these failed:", *failed]) if failed else 0)
            case "page":
                results = Results(file)
                if not results.runs:
                    raise Wrong(f"nothing was measured: {file}")
                page.write(results, options.page, options.recorded)
            case "quick":
                results, failed = measure(options, QUICK, options.folder / "quick.jsonl", True)
                recorded = json.loads(options.recorded.read_text()) if options.recorded.exists() else {}
                worse = compare(results, recorded)
                sys.exit(1 if worse or failed else 0)
    except Wrong as wrong:
        sys.exit(f"bench: {wrong}")
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


if __name__ == "__main__":
    main()
