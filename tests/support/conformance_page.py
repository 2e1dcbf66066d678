"""The table of the documentation that says what was compared on which engine: written by the engine tests, and held against them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "export-conformance.md"
_BEGIN, _END = "<!-- rows -->\n", "<!-- end -->\n"


def rows() -> list[str]:
    """The rows, without the head of the table."""
    return PAGE.read_text().partition(_BEGIN)[2].partition(_END)[0].splitlines()


def row(scheduler: str, engine: str, notebook: str, compared: Mapping[str, tuple[bool, int]]) -> str:
    """The row of a run: `compared` is stage -> whether it is equal, and in how many things."""
    count = sum(each for _, each in compared.values())
    equal = "equal" if compared and all(good for good, _ in compared.values()) else "differs"
    return f"| {scheduler} | {engine} | {notebook.removesuffix('.ipynb')} | {len(compared)} | {count} | {equal} |"


def hold(made: str) -> None:
    """Raise AssertionError where the page says something else; with `NBPIPE_WRITE_CONFORMANCE` it is given this row."""
    others = [each for each in rows() if _about(each) != _about(made)]
    if os.environ.get("NBPIPE_WRITE_CONFORMANCE"):
        head, _, rest = PAGE.read_text().partition(_BEGIN)
        table = "".join(f"{each}\n" for each in sorted([*others, made]))
        PAGE.write_text(f"{head}{_BEGIN}{table}{_END}{rest.partition(_END)[2]}")
    said = [each for each in rows() if _about(each) == _about(made)]
    assert said in ([], [made]), f"docs/reference/{PAGE.name} says {said}, and the run gave {made}"


def _about(line: str) -> tuple[str, str]:
    cells = [cell.strip() for cell in line.split("|")]
    return cells[1], cells[3]
