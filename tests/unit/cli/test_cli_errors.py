"""Errors as people and programs see them."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from nbpipe.cli import main as tree
from nbpipe.cli.failure import INTERNAL, error_text
from nbpipe.cli.help import pages
from nbpipe.cli.main import run
from nbpipe.errors import NbpipeError, NotebookError, UndefinedNameError

ROOT = Path(__file__).parents[3]


def test_an_error_says_what_where_what_next_and_where_to_read_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "110")
    error = UndefinedNameError(
        "uses 'scaler', which only an exploration cell computes (cell 5)",
        stage="train",
        cell=7,
        line=3,
        name="scaler",
        fix="Add %%stage to cell 5, or move the line into a stage.",
    )
    first, second = error_text(error).splitlines()
    assert first.startswith("nbpipe: stage 'train' (cell 7, line 3): uses 'scaler', which only an exploration cell")
    assert second.startswith("        Add %%stage to cell 5, or move the line into a stage.  ")
    assert second.endswith("docs: nbpipe help undefined-name")


def test_a_message_that_ends_in_a_question_gets_no_full_stop() -> None:
    assert "Did you mean '--from'?\n" in error_text(NbpipeError("No such option '--foo'. Did you mean '--from'?."))


@pytest.mark.parametrize("columns", ["40", "80", "300"])
def test_no_line_is_wider_than_the_terminal(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    error = NotebookError("word " * 60, cell=3, fix="do this " * 20)
    assert max(len(line) for line in error_text(error).splitlines()) <= min(int(columns), 120)


def test_messages_cannot_move_the_cursor() -> None:
    assert "\x1b" not in error_text(NbpipeError("\x1b[2Jgone\x1b]0;t\x07", fix="\x1b[31mred"))


def test_an_option_without_its_value_names_the_help_of_its_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", "x.ipynb", "-p"]) == 2
    assert "Try: nbpipe run --help" in capsys.readouterr().err


def test_a_current_folder_that_is_gone_is_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    for words in (["history"], ["doctor"]):
        assert run(words) == 2
        assert "the current folder is gone" in capsys.readouterr().err


def test_a_command_without_files_to_write_to_works(tmp_path: Path) -> None:
    code = "import os, sys; os.closerange(0, 3); os.execv(sys.executable, [sys.executable, '-m', 'nbpipe', 'history'])"
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0


def test_an_error_before_anything_runs_is_still_one_json_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(["run", str(tmp_path / "none.ipynb"), "--json"])
    out, err = capsys.readouterr()
    shape = json.loads(out)
    assert out.count("\n") == 1
    assert (code, shape["exit_code"], shape["status"], shape["run"]) == (3, 3, "error", None)
    assert shape["error"]["code"] == "notebook"
    assert err.startswith("nbpipe:")
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "words",
    [
        ["rnu"],
        ["run"],
        ["stop"],
        ["run", "x.ipynb", "--wat"],
        ["run", "x.ipynb", "--jobs", "0"],
        ["run", "x.ipynb", "-p", "lr"],
        ["--x"],
    ],
)
def test_a_wrong_command_line_is_exit_code_2_with_a_fix(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*words, "--json"]) == 2
    out, err = capsys.readouterr()
    assert json.loads(out)["error"]["fix"]
    assert "docs: nbpipe help usage" in err


def test_a_word_that_is_nearly_a_command_is_understood(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["histroy"]) == 2
    assert "Did you mean 'history'?" in capsys.readouterr().err


def break_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def fall_over() -> str:
        raise ZeroDivisionError("of all things")

    monkeypatch.setattr("nbpipe.cli.welcome.welcome", fall_over)


def test_a_mistake_in_nbpipe_is_a_short_message_and_a_report_for_its_owner_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    break_a_command(monkeypatch)

    assert run([]) == INTERNAL == 70

    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert "ZeroDivisionError: of all things" in err
    (report,) = tmp_path.glob("nbpipe-report-*.txt")
    assert str(report) in err
    assert "fall_over" in report.read_text()
    assert stat.S_IMODE(report.stat().st_mode) == 0o600


def test_debug_shows_the_traceback_of_a_mistake(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    break_a_command(monkeypatch)
    assert run(["--debug"]) == INTERNAL
    assert "Traceback" in capsys.readouterr().err


def test_a_report_holds_no_values_of_the_command_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["nbpipe", "run", "x.ipynb", "-p", "token=hunter2"])
    break_a_command(monkeypatch)
    run([])
    capsys.readouterr()
    (report,) = tmp_path.glob("nbpipe-report-*.txt")
    assert "hunter2" not in report.read_text()
    assert "command: nbpipe run" in report.read_text()


def test_ctrl_c_is_130_and_no_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt() -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("nbpipe.cli.welcome.welcome", interrupt)
    assert run([]) == 130
    assert "Traceback" not in capsys.readouterr().err


def nbpipe(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: text for name, text in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    return subprocess.run(
        [sys.executable, "-m", "nbpipe", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=clean | environment,
    )


def test_colours_are_for_terminals_unless_asked_for() -> None:
    assert "\x1b" not in nbpipe("rnu").stderr
    assert "\x1b[31m" in nbpipe("rnu", FORCE_COLOR="1").stderr
    assert "\x1b" not in nbpipe("rnu", FORCE_COLOR="1", NO_COLOR="1").stderr


def test_a_reader_that_goes_away_is_no_error() -> None:
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {sys.executable} -m nbpipe --help | true"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_terminal_that_cannot_show_symbols_gets_others() -> None:
    done = nbpipe("graph", "example_notebooks/quickstart.ipynb", PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert "throw" in done.stdout


def test_the_same_program_starts_as_module_and_as_command() -> None:
    for module in ("nbpipe", "nbpipe.cli.main"):
        done = subprocess.run(
            [sys.executable, "-m", module, "--version"], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert done.stdout.startswith("nbpipe ")
    assert callable(tree.main)


def test_help_shows_the_page_of_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert {error.code for error in (NbpipeError, NotebookError, UndefinedNameError)} <= pages().keys()
    for code in pages():
        assert run(["help", code]) == 0
        assert capsys.readouterr().out.startswith(f"# {code}\n")
    assert run(["help"]) == 0
    assert "undefined-name" in capsys.readouterr().out


def test_help_shows_a_command_and_knows_what_is_nearly_meant(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["help", "diff"]) == 0
    assert "Usage: nbpipe diff" in capsys.readouterr().out
    assert run(["help", "undefined-nam"]) == 2
    assert "undefined-name" in capsys.readouterr().err
