"""A pipeline of fifty stages is exported for every scheduler: `python -m benchmarks exports`.

What counts is the time of this process: others may be busy, and the disk's is not the exporter's.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nbformat

from benchmarks.measure import Figure
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


def measure(repeats: int) -> list[Figure]:
    """A figure for each scheduler, each export into an empty folder."""
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        book = read_notebook(notebook(Path(scratch)))
        for name, exporter in exporters().items():
            given: dict[str, Any] = {
                "store": "s3://bucket/x" if exporter.remote else None,
                "image": "registry/image:1" if exporter.remote else None,
                "schedule": "@daily" if "--schedule" in exporter.carries else None,
            }
            figure = Figure(name)
            deployment_of(book, to=name, **given)  # what is imported on use is imported now
            for number in range(repeats):
                started = time.process_time()
                export_notebook(book, to=name, out=Path(scratch) / f"{name}-{number}", **given)
                figure.seconds.append(time.process_time() - started)
            found.append(figure)
    return found


def exports(repeats: int) -> tuple[str, str, list[Figure]]:
    """The table of the page."""
    note = (
        f"A notebook of {STAGES} stages is read, analysed and written for each scheduler into an empty folder. Seconds of the "
        f"process; the limit is {LIMIT:g}."
    )
    return "Exports", note, measure(repeats)


def main() -> int:
    """Print the table; 1 if a scheduler takes longer than it may."""
    found = measure(5)
    for figure in found:
        print(f"{figure.what:<20} {figure.median * 1000:6.0f} ms   limit {LIMIT * 1000:.0f} ms")
    return int(any(figure.median > LIMIT for figure in found))


if __name__ == "__main__":
    sys.exit(main())
