"""The analysis is remembered by content: of the cells, and of what an import finds beside them."""

from __future__ import annotations

from pathlib import Path

from nbpipe.dataflow.flow import Flow
from nbpipe.dataflow.remembered import MOST, _analysis, analysis
from nbpipe.model import Cell, Notebook
from nbpipe.notebook.stages import outline
from nbpipe.pipeline.params import extract_params

FLOW = ("%%params\nlr = 0.1", "%%stage set\nimport helper\nhelper.x = lr", "%%stage read\nprint(helper.x)")


def flow(folder: Path, *sources: str, sha256: str = "") -> Flow:
    cells = tuple(Cell(number=n, kind="code", source=source) for n, source in enumerate(sources, 1))
    found = outline(Notebook(path=str(folder / "book.ipynb"), sha256=sha256, cells=cells))
    return analysis(found, extract_params(found)[0])


def test_an_unchanged_notebook_is_not_analysed_again_whatever_its_file_says(tmp_path: Path) -> None:
    assert flow(tmp_path, *FLOW) is flow(tmp_path, *FLOW, sha256="of another execution")


def test_a_changed_cell_or_parameter_is_analysed_again(tmp_path: Path) -> None:
    first = flow(tmp_path, *FLOW)
    assert flow(tmp_path, *FLOW[:2], "%%stage read\nprint(1)") != first
    assert flow(tmp_path, "%%params\nlr = 'fast'", *FLOW[1:]) is not first


def test_a_module_that_appears_beside_the_notebook_changes_the_answer(tmp_path: Path) -> None:
    before = flow(tmp_path, *FLOW)
    (tmp_path / "helper.py").write_text("x = 0")
    after = flow(tmp_path, *FLOW)
    assert [stage.flow for stage in after.stages] != [stage.flow for stage in before.stages]


def test_only_so_many_are_kept(tmp_path: Path) -> None:
    for number in range(MOST + 5):
        flow(tmp_path, f"%%stage a\nx = {number}")
    assert _analysis.cache_info().currsize == MOST
