"""Two notebooks of one project share results, but not the reasons why a stage has to run."""

from __future__ import annotations

from pathlib import Path

from tracked import nbpipe, write


def test_a_stage_of_the_same_name_in_another_notebook_is_no_reason(tmp_path: Path) -> None:
    write(tmp_path, "a.ipynb", "%%stage one\nx = float('1')", "%%stage two\nprint(x)")
    write(tmp_path, "b.ipynb", "%%stage one\nx = float('1')", "%%stage two\nprint(x + 1)", "%%stage three\ny = x")
    assert nbpipe(tmp_path, "run", "a.ipynb", NBPIPE_TRACKING="off")[0] == 0
    code, told = nbpipe(tmp_path, "plan", "b.ipynb", NBPIPE_TRACKING="off")
    assert code == 0
    assert [(stage["action"], stage["reasons"]) for stage in told["stages"]] == [
        ("HIT", []),
        ("RUN", ["first run"]),
        ("RUN", ["first run"]),
    ]
