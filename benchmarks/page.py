"""`docs/benchmarks.md`: sections by their titles, replaced one by one."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.measure import Section

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
_HEAD = """# Benchmarks

Written by `python -m benchmarks` (`make bench`), section by section: each says on what it was measured. Medians, in brackets the
fastest and the slowest. Tracking is off. Compare lines of one table with each other."""
_ROW = re.compile(r"^\| (.+?) \| (-?[0-9.]+) \(", re.MULTILINE)


class Page:
    """The page as it stands. Sections keep their places; new ones go to the end, the goals to the beginning."""

    def __init__(self, text: str) -> None:
        _, *sections = text.rstrip("\n").split("\n\n## ")
        self._sections = {section.partition("\n")[0]: section.partition("\n")[2].strip("\n") for section in sections}

    def put(self, section: Section, measured: str = "") -> None:
        """Replace a section; `measured` says where and how."""
        note = f"{section.note} {measured}".strip()
        self._sections[section.title] = f"{note}\n\n{section.table}"

    def text_of(self, title: str) -> str:
        """A section with its title."""
        return f"## {title}\n\n{self._sections[title]}\n"

    def seconds(self, title: str, row: str) -> float | None:
        """The median in a line of a section; None where there is none."""
        found = dict(_ROW.findall(self._sections.get(title, "")))
        return float(found[row]) if row in found else None

    def slower(self, section: Section, slack: float) -> list[str]:
        """Lines of a new section whose ratio to its first line is more than `slack` times what the page says."""
        before, now = (_ratios(text) for text in (self._sections.get(section.title, ""), section.table))
        return [
            f"{section.title}: {row}: {now[row]:.2f} times the first line, {before[row]:.2f} on the page"
            for row in before.keys() & now.keys()
            if now[row] > slack * before[row]
        ]

    def write(self) -> None:
        """Replace the file at once: it is whole whenever somebody looks."""
        first = sorted(self._sections, key=lambda title: not title.startswith("Figures to reach"))
        text = "\n\n".join([_HEAD, *(f"## {title}\n\n{self._sections[title]}" for title in first)]) + "\n"
        scratch = PAGE.with_name(f".{PAGE.name}.{os.getpid()}")
        scratch.write_text(text)
        scratch.replace(PAGE)


def _ratios(text: str) -> dict[str, float]:
    found = {row: float(seconds) for row, seconds in _ROW.findall(text)}
    base = next(iter(found.values()), 0.0)
    return {row: seconds / base for row, seconds in found.items()} if base else {}


def machine() -> str:
    """Where this process runs."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    packages = [found for name in ("papermill", "ipykernel", "mlflow", "pandas", "torch") if (found := _package(name))]
    return f"{cpus} cores, {platform.system()}, Python {platform.python_version()}, {', '.join(packages)}."


def _package(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return ""
