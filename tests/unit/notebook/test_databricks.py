"""Notebooks as Databricks exports them."""

from __future__ import annotations

from pathlib import Path

import nbformat

from nbpipe.notebook import databricks
from nbpipe.notebook.document import document
from nbpipe.notebook.reader import parse_notebook
from nbpipe.pipeline.extract import extract

_SOURCE = b"""\
# Databricks notebook source
# MAGIC %md
# MAGIC # Digits
# MAGIC
# MAGIC A text.

# COMMAND ----------

# DBTITLE 1,The data
# MAGIC %%stage load
# MAGIC rows = [1, 2]

# COMMAND ----------

# MAGIC %md-sandbox one line

# COMMAND ----------

# MAGIC %sql
# MAGIC select * from t

# COMMAND ----------

# MAGIC %python
# MAGIC def total(values):
# MAGIC   return sum(values)

# COMMAND ----------

# DBTITLE 1,Only a title

# COMMAND ----------

# MAGIC %%stage train
# MAGIC best = total(rows)
# MAGIC # MAGIC stays
"""
_CELLS = [
    ("markdown", "# Digits\n\nA text."),
    ("code", "%%stage load\nrows = [1, 2]"),
    ("markdown", "one line"),
    ("code", "%%sql\nselect * from t"),
    ("code", "def total(values):\n  return sum(values)"),
    ("code", ""),
    ("code", "%%stage train\nbest = total(rows)\n# MAGIC stays"),
]


def test_cells_titles_and_other_languages_are_told_apart() -> None:
    for data in (_SOURCE, _SOURCE.replace(b"\n", b"\r\n")):
        notebook = parse_notebook(data, "n.py")
        assert [(cell.kind, cell.source) for cell in notebook.cells] == _CELLS
    copy = document(parse_notebook(_SOURCE, "n.py"))
    nbformat.validate(nbformat.from_dict(copy))
    assert [(cell["cell_type"], cell["source"]) for cell in copy["cells"]] == _CELLS


def test_its_stages_make_a_pipeline(tmp_path: Path) -> None:
    (tmp_path / "n.py").write_bytes(_SOURCE)
    pipeline = extract(tmp_path / "n.py")
    assert [stage.name for stage in pipeline.stages] == ["load", "train"]
    assert [(edge.source, edge.target) for edge in pipeline.edges] == [("load", "train")]


def test_another_python_file_is_none() -> None:
    assert not databricks.is_databricks("# %%\n# Databricks notebook source\n")
    assert [cell.source for cell in parse_notebook(b"# %%\nx = 1\n# %%\ny = 2\n", "n.py").cells] == ["x = 1", "y = 2"]
