"""Nothing to do is said without starting anything; anything to do is not overlooked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rig import Rig

from nbpipe.cli.main import run
from nbpipe.model import FileState
from nbpipe.notebook.reader import read_notebook
from nbpipe.pipeline.contents import digest_file
from nbpipe.run import record as records
from nbpipe.run.planning import plan_pipeline
from nbpipe.run.settings import Settings
from nbpipe.run.uptodate import up_to_date

_CELLS = ("%%params\nk = 1", "%%stage a\na = [k]", "%%stage b\nprint(a)")


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    made = Rig(tmp_path, _CELLS)
    (tmp_path / "in.txt").write_text("data")
    (tmp_path / "out.txt").write_text("made")
    read = FileState(path="in.txt", digest=digest_file(tmp_path / "in.txt"))
    kept = made.store.objects.put_file(tmp_path / "out.txt")
    wrote = FileState(path="out.txt", digest=digest_file(tmp_path / "out.txt"), object=kept)
    _run(made, {"a": [made.succeed(files_read=(read,), files_written=(wrote,))]})
    return made


def _run(rig: Rig, script: dict[str, Any] | None = None, **fields: Any) -> None:
    assert rig.run(script) == "succeeded"
    folder = rig.project.runs / f"r{rig.runs}"
    (folder / "n.ipynb").write_text("{}")
    keys = {name: trace.key for name, trace in rig.engines[-1].traces.items()}
    given: dict[str, Any] = {"id": folder.name, "notebook": "n.ipynb", "name": "n", "version": "v"}
    given |= {"status": "succeeded", "sha256": read_notebook(rig.notebook).sha256, "keys": keys}
    given |= {"results": {name: trace.outcome.token for name, trace in rig.engines[-1].traces.items()}}
    given |= {"executed": f".nbpipe/runs/{folder.name}/n.ipynb"}
    records.write(folder, records.Record(**{**given, **fields}))


def _found(rig: Rig, **settings: Any) -> str | None:
    found = up_to_date(rig.pipeline(), rig.project, rig.store, Settings(**settings), read_notebook(rig.notebook))
    return found.id if found is not None else None


def test_the_run_that_gave_the_same_is_found(rig: Rig) -> None:
    assert _found(rig) == "r1"


def test_a_plan_is_not_up_to_date_where_a_run_would_put_back_a_file(
    rig: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    (rig.project.root / "out.txt").write_text("of another version")
    assert _found(rig) is None
    planned = plan_pipeline(read_notebook(rig.notebook))
    assert ({item.action for item in planned.plan.decisions}, planned.plan.restores) == ({"HIT"}, ("out.txt",))
    assert planned.up_to_date is None
    assert run(["plan", str(rig.notebook)]) == 0
    assert "nothing to compute: a run would put back out.txt" in capsys.readouterr().out


def test_the_latest_of_several_is_found(rig: Rig) -> None:
    _run(rig)
    assert _found(rig) == "r2"


@pytest.mark.parametrize(
    "settings", [{"params": {"k": 2}}, {"forced": frozenset("a")}, {"selected": frozenset("a")}], ids=str
)
def test_another_question_has_another_answer(rig: Rig, settings: dict[str, Any]) -> None:
    assert _found(rig, **settings) is None


def test_the_seed_counts_where_something_may_draw(rig: Rig) -> None:
    assert _found(rig, seed=0) == "r1"


@pytest.mark.parametrize("what", ["notebook", "input", "output", "no output", "copy", "object", "trace"])
def test_anything_that_changed_is_something_to_do(rig: Rig, what: str) -> None:
    if what == "notebook":
        rig.write(*_CELLS, "%%stage c\nprint(2)")
    elif what == "input":
        (rig.root / "in.txt").write_text("other")
    elif what == "output":
        (rig.root / "out.txt").write_text("other")
    elif what == "no output":
        (rig.root / "out.txt").unlink()
    elif what == "copy":
        (rig.project.runs / "r1" / "n.ipynb").unlink()
    elif what == "object":
        for digest in list(rig.store.objects.list()):
            rig.store.objects.delete(digest)
    else:
        for name in rig.store.documents.names("traces"):
            rig.store.documents.delete(name)
    assert _found(rig) is None


@pytest.mark.parametrize("status", ["failed", "interrupted", "running", "rejected", "cancelled"])
def test_a_run_that_did_not_succeed_is_not_what_was_asked_for(tmp_path: Path, status: str) -> None:
    rig = Rig(tmp_path, _CELLS)
    _run(rig, status=status)
    assert _found(rig) is None


@pytest.mark.parametrize(
    "cells",
    [
        (*_CELLS[:2], "%%stage b --no-cache\nprint(a)"),
        (
            *_CELLS[:2],
            '%%check b --metric "acc > champion.acc"\nprint(a)',
            "%%stage c --model a --register m\nprint(a)",
        ),
    ],
    ids=["no-cache", "champion"],
)
def test_a_stage_that_must_be_asked_each_time_is_always_something_to_do(tmp_path: Path, cells: tuple[str, ...]) -> None:
    rig = Rig(tmp_path, cells)
    _run(rig)
    assert _found(rig) is None


def test_nothing_ran_yet_is_something_to_do(tmp_path: Path) -> None:
    assert _found(Rig(tmp_path, _CELLS)) is None
