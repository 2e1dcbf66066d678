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
    """Run every case and write the page; 0 unless a case failed to run."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    tables = []
    for case in cases.ALL:
        print(f"{case.__name__} …", flush=True)
        title, note, figures = case(repeats)
        tables.append(_table(title, note, figures))
        print(tables[-1], flush=True)
    PAGE.write_text("\n".join([_head(repeats), *tables]))
    print(f"wrote {PAGE.name}")
    return 0


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


def _table(title: str, note: str, figures: list[Figure]) -> str:
    base = figures[0].median
    rows = [
        f"| {f.what} | {f.median:.2f} ({f.fastest:.2f} to {f.slowest:.2f}) | {f.median / base:.2f} | {f.extra} |"
        for f in figures
    ]
    head = "| what | seconds | ratio to the first line | |\n|---|---|---|---|"
    return f"## {title}\n\n{note}\n\n{head}\n" + "\n".join(rows) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
