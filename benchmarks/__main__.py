"""`make bench`: measure, then write `docs/benchmarks.md`.

Every figure is the median of several runs made one after the other in one session; what counts is the ratio between
lines of one table, never an absolute time.
"""

from __future__ import annotations

import platform
import sys
from importlib.metadata import version
from pathlib import Path

from benchmarks import cases
from benchmarks.measure import Figure

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"


def main() -> int:
    """Run every case, or those named, and write the page; 0 unless a case failed to run.

    `python -m benchmarks 5 history` measures that case alone and replaces its section: the others stay as they are.
    """
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    names = sys.argv[2:]
    tables = []
    for case in cases.ALL:
        if names and case.__name__ not in names:
            continue
        print(f"{case.__name__} …", flush=True)
        title, note, figures = case(repeats)
        apart = f" Measured apart from the rest, medians of {repeats} or more. {_load()}" if names else ""
        tables.append(_table(title, f"{note}{apart}".rstrip(), figures))
        print(tables[-1], flush=True)
    PAGE.write_text(_replaced(PAGE.read_text(), tables) if names else "\n".join([_head(repeats), *tables]))
    print(f"wrote {PAGE.name}")
    return 0


def _replaced(page: str, tables: list[str]) -> str:
    """The page with these sections in the place of those with their titles, or at its end."""
    sections = page.rstrip("\n").split("\n\n## ")
    for table in tables:
        new = table.removeprefix("## ").rstrip("\n")
        title = new.partition("\n")[0]
        titles = [section.partition("\n")[0] for section in sections]
        if title in titles[1:]:
            sections[titles.index(title)] = new
        else:
            sections.append(new)
    return "\n\n## ".join(sections) + "\n"


def _head(repeats: int) -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in ("papermill", "nbclient", "mlflow", "pandas", "numpy"))
    return (
        f"# Benchmarks\n\nWritten by `python -m benchmarks {repeats}` (`make bench`); medians of "
        f"{repeats} runs, in brackets the fastest and the slowest. One session on {_cpus()} cores, "
        f"Python {platform.python_version()}, {packages}. Tracking is off. {_load()}Compare lines of one table with each other.\n"
    )


def _cpus() -> int:
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _load() -> str:
    """How busy the machine was: figures of a busy one are too high, their ratios less so."""
    import os

    try:
        busy = os.getloadavg()[1]
    except (AttributeError, OSError):
        return ""
    return f"Other programs ran beside: load average {busy:.1f}. " if busy > _cpus() else ""


def _seconds(number: float) -> str:
    """Hundredths, and of less than a tenth of a second four places."""
    return f"{number:.2f}" if number >= 0.1 else f"{number:.4f}"  # noqa: PLR2004 - as said


def _table(title: str, note: str, figures: list[Figure]) -> str:
    base = figures[0].median
    rows = [
        f"| {f.what} | {_seconds(f.median)} ({_seconds(f.fastest)} to {_seconds(f.slowest)}) | {f.median / base:.2f} | {f.extra} |"
        for f in figures
    ]
    head = "| what | seconds | ratio to the first line | |\n|---|---|---|---|"
    return f"## {title}\n\n{note}\n\n{head}\n" + "\n".join(rows) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
