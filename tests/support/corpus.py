"""Reads `tests/equivalence/corpus/*.txt`: many small notebooks in one text file.

A case starts with `=== name: sentence`. Below may stand `expect: …`, `tags: CELL TAG`, and `file: PATH` … `end`.
A cell starts with a line `%%stage`, `%%check`, `%%setup`, `%%params`, or `%%explore` (an untagged cell).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat

EQUIVALENCE = Path(__file__).parent.parent / "equivalence"
_CELL = re.compile(r"^%%(stage|check|setup|params|explore)\b")


@dataclass(frozen=True)
class Case:
    """One notebook of the corpus and what is expected of it."""

    name: str
    about: str
    cells: tuple[str, ...]
    expect: str = "equal"
    files: dict[str, str] = field(default_factory=dict)
    tags: dict[int, list[str]] = field(default_factory=dict)

    def write(self, folder: Path) -> Path:
        """The notebook and its files, on disk."""
        for path, text in self.files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        notebook = folder / "case.ipynb"
        nbformat.write(self.notebook(), notebook)
        return notebook

    def stages(self) -> list[str]:
        """Names of its stages and checks, in the order of the notebook."""
        heads = [re.match(r"%%(?:stage|check)\s+([a-z][a-z0-9_-]*)", cell) for cell in self.cells]
        return list(dict.fromkeys(head[1] for head in heads if head))

    def notebook(self) -> Any:
        """The notebook as nbformat holds it."""
        cells = []
        for number, source in enumerate(self.cells, start=1):
            cell = nbformat.v4.new_code_cell(source, id=f"cell-{number}")
            if number in self.tags:
                cell.metadata["tags"] = self.tags[number]
            cells.append(cell)
        book = nbformat.v4.new_notebook(cells=cells)
        book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        return book


def cases(files: str = "corpus/*.txt") -> list[Case]:
    """Every case of the files of `tests/equivalence` that the pattern names, in their order."""
    return [case for path in sorted(EQUIVALENCE.glob(files)) for case in _read(path)]


def _read(path: Path) -> list[Case]:
    blocks = re.split(r"^=== ", path.read_text(), flags=re.MULTILINE)[1:]
    return [_case(block) for block in blocks]


def _case(block: str) -> Case:
    head, *lines = block.rstrip("\n").split("\n")
    name, about = head.split(": ", 1)
    expect, cells = "equal", list[str]()
    files: dict[str, str] = {}
    tags: dict[int, list[str]] = {}
    while lines:
        line = lines.pop(0)
        if _CELL.match(line):
            source = [] if line.startswith("%%explore") else [line]
            while lines and not _CELL.match(lines[0]):
                source.append(lines.pop(0))
            cells.append("\n".join(source).rstrip("\n"))
        elif line.startswith("expect: "):
            expect = line.removeprefix("expect: ")
        elif line.startswith("tags: "):
            number, tag = line.removeprefix("tags: ").split()
            tags.setdefault(int(number), []).append(tag)
        elif line.startswith("file: "):
            end = lines.index("end")
            files[line.removeprefix("file: ")] = "\n".join(lines[:end]) + "\n"
            del lines[: end + 1]
        elif line.strip():
            raise ValueError(f"{name}: what is {line!r}?")
    return Case(name, about, tuple(cells), expect, files, tags)
