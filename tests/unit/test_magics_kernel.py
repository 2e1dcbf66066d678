"""A real kernel: what a front-end gets from a notebook with nbpipe's magics."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

if TYPE_CHECKING:
    from pathlib import Path

LOAD = "from nbpipe.magics import load_ipython_extension as load\nload(get_ipython())"

pytestmark = pytest.mark.filterwarnings("ignore")


def executed(folder: Path, *sources: str, fails: bool = False) -> Any:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in (LOAD, *sources)])
    client = NotebookClient(notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    if fails:
        with pytest.raises(CellExecutionError):
            client.execute()
    else:
        client.execute()
    return notebook.cells[1:]


def test_outputs_and_counts_are_those_of_plain_cells(tmp_path: Path) -> None:
    tagged = executed(
        tmp_path,
        "%%params\nn: Literal[3, 4] = 3",
        "%%stage a\nx = n\nprint('hi')\nx",
        "%%stage b\nimport asyncio\nawait asyncio.sleep(0)\n_ + 1",
    )
    assert tagged[1].outputs[0].text == "hi\n"
    assert tagged[1].outputs[1].data["text/plain"] == "3"
    assert tagged[2].outputs[0].data["text/plain"] == "4"
    assert [cell.execution_count for cell in tagged] == [2, 3, 4]


def test_an_error_stops_run_all_and_shows_the_line_of_the_cell(tmp_path: Path) -> None:
    cells = executed(tmp_path, "%%stage a\nx = 1\n1 / 0", "%%stage b\nprint('never')", fails=True)
    (error,) = cells[0].outputs
    assert error.ename == "ZeroDivisionError"
    shown = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(error.traceback))
    assert re.search(r"-+> 3 1 / 0", shown)
    assert "nbpipe/" not in shown
    assert cells[1].outputs == []


def test_a_wrong_line_is_the_cells_error_and_stops_run_all(tmp_path: Path) -> None:
    cells = executed(tmp_path, "%%stage a --gpu 1\nx = 1", "print('never')", fails=True)
    (error,) = cells[0].outputs
    assert error.ename == "GrammarError"
    assert error.traceback[0].startswith("nbpipe: line 1: there is no option --gpu")
    assert cells[1].outputs == []


def test_a_threshold_that_does_not_hold_stops_run_all(tmp_path: Path) -> None:
    cells = executed(tmp_path, '%%check ok --metric "acc > 0.9"\nacc = 0.5\nacc', "print('never')", fails=True)
    assert cells[0].outputs[0].data["text/plain"] == "0.5"
    assert cells[0].outputs[-1].ename == "CheckRejected"
    assert cells[1].outputs == []
