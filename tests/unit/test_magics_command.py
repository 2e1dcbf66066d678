"""`%nbpipe`: the command line from a cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nbpipe.errors import NbpipeError, UsageError
from nbpipe.live.command import notebook_path, run_command, split_line, with_notebook

if TYPE_CHECKING:
    from pathlib import Path


def test_the_notebook_at_hand_is_put_in_where_a_verb_wants_one() -> None:
    assert with_notebook(["run", "-p", "lr=1"], "/a/b.ipynb") == ["run", "/a/b.ipynb", "-p", "lr=1"]
    assert with_notebook(["run", "other.ipynb"], "/a/b.ipynb") == ["run", "other.ipynb"]
    assert with_notebook(["run", "--help"], "/a/b.ipynb") == ["run", "--help"]
    assert with_notebook(["history"], "/a/b.ipynb") == ["history"]
    assert with_notebook(["plan"], None) == ["plan"]
    assert with_notebook([], "/a/b.ipynb") == []


def test_the_path_comes_from_the_front_end_when_it_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.ipynb"
    monkeypatch.setenv("JPY_SESSION_NAME", str(path))
    assert notebook_path({}) is None
    path.write_text("{}")
    assert notebook_path({}) == str(path)
    monkeypatch.delenv("JPY_SESSION_NAME")
    assert notebook_path({"__vsc_ipynb_file__": str(path)}) == str(path)


def test_a_line_is_split_like_a_shell_does_and_never_expanded() -> None:
    assert split_line("run 'my book.ipynb' -p x=$HOME") == ["run", "my book.ipynb", "-p", "x=$HOME"]
    with pytest.raises(UsageError):
        split_line("run 'x")


def test_output_comes_as_it_is_printed_and_a_failure_carries_the_exit_code(capfd: pytest.CaptureFixture[str]) -> None:
    run_command(["--version"], module="platform")
    run_command(["-h"], module="json.tool")
    assert "usage" in capfd.readouterr().out
    with pytest.raises(NbpipeError) as caught:
        run_command(["/nowhere.json"], module="json.tool")
    assert caught.value.exit_code != 0
