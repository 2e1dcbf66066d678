"""`python -m benchmarks.exports`: a pipeline of fifty stages is exported for every scheduler, each in less than 300 ms.

What counts is the time of this process: others may be busy. The disk's is shown beside it.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nbformat

from nbpipe.export.api import deployment_of, export_notebook
from nbpipe.export.registry import exporters
from nbpipe.notebook.reader import read_notebook

STAGES = 50
#: Seconds that reading, analysing, defining and writing may take together.
LIMIT = 0.3


def notebook(folder: Path) -> Path:
    """A notebook of fifty stages, each of which reads the one above."""
    (folder / "nbpipe.toml").touch()
    cells = ["%%params\nn: int = 1", "%%stage s0\nx0 = n"]
    cells += [f"%%stage s{n}\nimport math\nx{n} = math.floor(x{n - 1}) + 1" for n in range(1, STAGES)]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell, id=f"c{n}") for n, cell in enumerate(cells)])
    nbformat.write(book, folder / "n.ipynb")
    return folder / "n.ipynb"


def measure() -> dict[str, tuple[float, float]]:
    """Scheduler -> seconds of this process for a whole export, and seconds of the clock."""
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        book = read_notebook(notebook(Path(scratch)))
        for name, exporter in exporters().items():
            given: dict[str, Any] = {
                "store": "s3://bucket/x" if exporter.remote else None,
                "image": "registry/image:1" if exporter.remote else None,
                "schedule": "@daily" if "--schedule" in exporter.carries else None,
            }
            deployment_of(book, to=name, **given)  # what is imported on use is imported now
            started, clock = time.process_time(), time.perf_counter()
            export_notebook(book, to=name, **given)
            found[name] = time.process_time() - started, time.perf_counter() - clock
    return found


def main() -> int:
    """Print the table; 1 if a scheduler takes longer than it may."""
    found = measure()
    for name, (own, clock) in found.items():
        print(f"{name:<20} {own * 1000:6.0f} ms   {clock * 1000:6.0f} ms by the clock   limit {LIMIT * 1000:.0f} ms")
    return int(any(own > LIMIT for own, _ in found.values()))


if __name__ == "__main__":
    sys.exit(main())
