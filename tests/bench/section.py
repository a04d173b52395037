"""docs/benchmarks.md is one page from several programs: each replaces its own section, between two lines that name it."""
from __future__ import annotations

from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent.parent / "docs/benchmarks.md"


def replace(page: Path, name: str, text: str) -> None:
    """Writes a section of the page; everything else stays as it is."""
    begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->\n"
    before, found, rest = page.read_text().partition(begin)
    _, found_end, after = rest.partition(end)
    if not found or not found_end:
        raise SystemExit(f"{page} has no section {name}: it takes the lines `{begin.strip()}` and `{end.strip()}`")
    page.write_text(before + begin + text.rstrip("\n") + "\n" + end + after)
