"""Names are data: never code, never a path, never a shell word, never a command for the terminal."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tracked import environment, files, nbpipe, runs, wait_until_delivered, write

from nbpipe.errors import GrammarError, UsageError
from nbpipe.history.query import find_run
from nbpipe.notebook.reader import read_notebook
from nbpipe.notebook.stages import outline
from nbpipe.run.project import Project
from nbpipe.tracking.mlflow import client
from nbpipe.tracking.spool import read_spool, stage_environment

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

HOSTILE = [
    "../x",
    "..",
    "/etc/passwd",
    "a/b",
    "-rf",
    "$(touch pwned)",
    "`touch pwned`",
    "{0.__class__}",
    "x;touch pwned",
    "<script>",
    "x\x1b[2J",
    "\N{PILE OF POO}",
    "ｔrain",
    "a" * 300,
    "Train",
    "con.txt",
]
#: Everything else than colours: cursor movement, titles, links, bells.
CONTROL = re.compile(r"\x1b(?!\[[0-9;]*m)|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f\x80-\x9f]")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_stage_has_a_plain_name_however_it_is_given(tmp_path: Path, name: str) -> None:
    line = write(tmp_path, "line.ipynb", f"%%stage {json.dumps(name)}\nx = 1")
    with pytest.raises(GrammarError):
        outline(read_notebook(line))
    tagged = write(tmp_path, "tag.ipynb", "x = 1")
    book = json.loads(tagged.read_text())
    for metadata in ({"tags": [f"stage:{name}"]}, {"nbpipe": {"stage": name}}):
        book["cells"][0]["metadata"] = metadata
        tagged.write_text(json.dumps(book))
        with pytest.raises(GrammarError):
            outline(read_notebook(tagged))


@pytest.mark.parametrize("word", ["../r1", "r1/..", "r0", "r01", "-1", "r1\x00", "R1", "", "r1234567890", "..", "/r1"])
def test_only_ids_of_runs_become_folders(tmp_path: Path, word: str) -> None:
    project = Project(tmp_path)
    project.new_run()
    (project.state / "r1").mkdir()
    with pytest.raises(UsageError):
        find_run(project, word)


def test_a_notebook_with_a_hostile_name_and_outputs_runs_and_is_shown_harmlessly(tmp_path: Path) -> None:
    name = "{0.__class__} $(touch pwned);`touch pwned`&'\"\x1b[2J<b>é"
    hostile = "\x1b]0;title\x07\x1b[2J\x1b]8;;https://evil.example\x1b\\link\x9b1A\x08\x7f"
    body = f"import sys\nprint({hostile!r})\nsys.stderr.write({hostile!r})\nprint('plain')"
    write(tmp_path, f"{name}.ipynb", f"%%stage one\n{body}", f"%%stage two\nraise ValueError({hostile!r})")
    code, told = nbpipe(tmp_path, "run", f"{name}.ipynb")
    assert (code, told["status"]) == (1, "failed")
    assert Path(told["notebook"]).parent == tmp_path / ".nbpipe" / "runs" / "r1"
    for words in (["run", f"{name}.ipynb"], ["plan", f"{name}.ipynb"], ["history"], ["show"], ["logs", "--all"]):
        done = subprocess.run(
            [sys.executable, "-m", "nbpipe", *words],
            cwd=tmp_path,
            env=environment(tmp_path, FORCE_COLOR="1", NBPIPE_TRACKING="off"),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout
        assert not CONTROL.search(done.stdout + done.stderr), words
    assert nbpipe(tmp_path, "report", "r1", "-o", "page.html")[0] == 0
    wait_until_delivered(tmp_path)
    assert set(runs(client(tmp_path), f"{name}.ipynb")) == {"r1", "r1/one", "r1/two"}
    assert not list(tmp_path.rglob("pwned*"))
    assert {path.name for path in tmp_path.iterdir()} == {f"{name}.ipynb", ".nbpipe", "config", "page.html"}


def test_files_that_cells_log_under_hostile_names_and_links_stay_in_their_place(tmp_path: Path) -> None:
    (tmp_path / "private").write_text("private")
    stage_environment(tmp_path / "job")
    (artifacts,) = (tmp_path / "job" / "mlflow").glob("*/*/artifacts")
    (artifacts / "link").symlink_to(tmp_path / "private")
    (artifacts / "folder").symlink_to(tmp_path)
    (artifacts / "kept").write_text("kept")
    assert read_spool(tmp_path / "job").files == {"kept": artifacts / "kept"}


def test_planning_checking_and_drawing_run_nothing_of_the_notebook(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("open('imported', 'w').close()\n")
    touch = "open('ran', 'w').close()"
    write(
        tmp_path,
        "n.ipynb",
        f"{touch}\n!touch ran",
        f"%%params\nn: int = 1\nm = [{touch}]",
        f"%%setup\nimport helper\n{touch}",
        f"%%stage one\nimport helper\nclass A:\n    {touch}\n@({touch} or (lambda f: f))\ndef f(): pass\nf()",
        '%%check two --metric "n > 0"\nassert f',
    )
    before = {path.name for path in tmp_path.iterdir()}
    for command in ("plan", "check", "graph"):
        code, told = nbpipe(tmp_path, command, "n.ipynb")
        assert code == 0, told
    after = {path.name for path in tmp_path.iterdir()} - {".nbpipe", "config"}
    assert after == before


@pytest.mark.long
def test_a_logged_name_cannot_lead_out_of_the_artifacts(tmp_path: Path) -> None:
    write(tmp_path, "n.ipynb", "%%stage one\nimport mlflow\nmlflow.log_text('x', 'a/../b.txt')")
    code, _ = nbpipe(tmp_path, "run", "n.ipynb")
    if code == 0:
        wait_until_delivered(tmp_path)
        shown = runs(client(tmp_path), "n.ipynb")
        assert not [path for path in files(client(tmp_path), shown["r1/one"].info.run_id) if ".." in path]
    assert not list(tmp_path.rglob("*/jobs/one.1/mlflow/b.txt"))
