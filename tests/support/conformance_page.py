"""The table of the documentation that says what was compared on which engine: written by the engine tests, and held against them."""

from __future__ import annotations

import fcntl
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
    if os.environ.get("NBPIPE_WRITE_CONFORMANCE"):
        with PAGE.open("r+") as page:
            fcntl.flock(page, fcntl.LOCK_EX)  # tests may run side by side
            head, _, rest = page.read().partition(_BEGIN)
            others = [each for each in rows() if _about(each) != _about(made)]
            table = "".join(f"{each}\n" for each in sorted([*others, made]))
            page.seek(0)
            page.write(f"{head}{_BEGIN}{table}{_END}{rest.partition(_END)[2]}")
            page.truncate()
    said = [each for each in rows() if _about(each) == _about(made)]
    assert said in ([], [made]), f"docs/reference/{PAGE.name} says {said}, and the run gave {made}"


def _about(line: str) -> tuple[str, str]:
    cells = [cell.strip() for cell in line.split("|")]
    return cells[1], cells[3]
