"""Three runs of one small notebook, made once: as it was, changed in every part, and the changed one run afresh."""

from __future__ import annotations

from pathlib import Path

from runs import Site

SHARED = "import helpers\n\n\ndef scale(x):\n    return x * 2"
LOAD = """%%stage load --reads data.csv
import csv
import numpy as np
import pyarrow as pa
rows = list(csv.reader(open("data.csv")))
values = np.array([float(row[0]) for row in rows])
kinds = {row[1] for row in rows}
table = pa.table({"x": values, "kind": [row[1] for row in rows]})"""
TRAIN = """%%stage train --metrics acc
acc = scale(lr) * helpers.FACTOR + float(values.mean())
settings = {"lr": lr, "layers": [8, 8]}
print("\\x1b[31macc\\x1b[0m", round(acc, 3))"""
REPORT = """%%stage report
from IPython.display import HTML, display
from PIL import Image
body = "".join(f"<tr><th>{k}</th><td>{v}</td></tr>" for k, v in sorted(settings.items()))
display(HTML(f"<table><thead><tr><th></th><th>value</th></tr></thead><tbody>{body}</tbody></table>"))
display(Image.new("RGB", (4, 3), (10, 20, int(acc * 10))))"""
LAST = "%%stage last\nprint(len(kinds), table.num_rows)"
PARAMS = "%%params\nlr: float = 0.1  # learning rate\nunused: int = 1"


def compared_runs(root: Path) -> Site:
    """A project below `root`: `r1`; `r2`, in which every part differs, `load` is called `ingest`, and `last` stands before
    `report`; `r3`, as `r2`, nothing reused.
    """
    site = Site(root)
    (site.folder / "nbpipe.toml").touch()
    (site.folder / "helpers.py").write_text("FACTOR = 1.0\n")
    (site.folder / "data.csv").write_text("1,a\n2,b\n3,b\n")
    site.write(PARAMS, SHARED, LOAD, TRAIN, REPORT, LAST)
    assert site.run().code == 0

    (site.folder / "helpers.py").write_text("# how much\nFACTOR = 3.0\n")
    (site.folder / "data.csv").write_text("1,a\n2,b\n4,c\n5,c\n")
    renamed = LOAD.replace("%%stage load", "%%stage ingest").replace("values =", "# numbers\nvalues =")
    site.write(
        PARAMS.replace("unused: int = 1", "unused: int = 2"),
        SHARED.replace("x * 2", "x * 4"),
        renamed,
        TRAIN.replace("print(", "more = 1\nprint("),
        LAST,
        REPORT,
    )
    assert site.run("-p", "lr=0.2").code == 0
    assert site.run("-p", "lr=0.2", "--fresh").code == 0
    return site
