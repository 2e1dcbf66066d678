"""What `nbpipe export` says to a person."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from nbpipe.cli.main import run


@pytest.fixture
def notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "nbpipe.toml").touch()
    cells = ["%%params\ncount: int = 1  # how many", "%%stage one\nx = count"]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text, id=f"c{n}") for n, text in enumerate(cells)])
    nbformat.write(book, tmp_path / "n.ipynb")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "n.ipynb"


def test_an_export_lists_what_it_writes_and_the_next_one_shows_what_changed(
    notebook: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["export", "n.ipynb", "--to", "snakemake"]) == 0
    first = capsys.readouterr().out.splitlines()
    assert "  + Snakefile" in first
    assert "exports/n-snakemake   (tested on the scheduler itself)" in first[-2]
    assert run(["export", "n.ipynb", "--to", "snakemake"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("nothing changed in ")
    assert run(["export", "n.ipynb", "--to", "snakemake", "-p", "count=7"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "  ~ config.json"
    assert {'      - "count": 1', '      + "count": 7'} <= set(shown)


def test_a_store_that_no_worker_can_open_is_refused(notebook: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", str(notebook), "--to", "airflow", "--store", "foo://bucket"]) == 2
    assert "a protocol that fsspec does not know: 'foo'" in capsys.readouterr().err
    assert not (notebook.parent / "exports").exists()


def test_what_cannot_be_is_said_with_a_fix_and_an_exit_code(notebook: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, code, said in [
        (["--to", "airfow"], 2, "Did you mean"),
        (["--to", "airflow", "--schedule", "soon"], 2, "is not a cron expression"),
        (["--to", "dvc", "--schedule", "@daily"], 3, "DVC cannot express --schedule"),
        (["--to", "argo", "--image", "i"], 2, "need a store with a URL"),
        (["--to", "airflow", "-p", "m=1"], 2, "there is no parameter 'm'"),
    ]:
        assert run(["export", "n.ipynb", *words]) == code
        assert said in " ".join(capsys.readouterr().err.split())
    assert not (notebook.parent / "exports").exists()
