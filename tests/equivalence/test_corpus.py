"""The promise: a run gives what one fresh kernel gives, cold, from the cache and in parallel; or it says why not."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from corpus import Case, cases
from reference import Reference, normal, run_all

from nbpipe.errors import NbpipeError
from nbpipe.run.api import RunResult, run_notebook

CASES = cases()
#: Those that import libraries which take seconds to load; the default suite has one of each library, and two of three others.
_SLOW = [case for case in CASES if any(re.search(r"import torch|from torch|sklearn", cell) for cell in case.cells)]
_FEW = {"torch_seed", "sklearn_fit", "options_of_a_library_whose_warnings_are_filtered"}
_LONG = ({case.name for case in _SLOW} | {case.name for case in CASES[2::3]}) - _FEW
_MARKED = [pytest.param(case, marks=pytest.mark.long) if case.name in _LONG else case for case in CASES]


def _outputs(result: RunResult) -> dict[int, list[dict[str, Any]]]:
    book = nbformat.read(result.notebook, 4)
    return {number: normal(cell.outputs) for number, cell in enumerate(book.cells, start=1) if cell.cell_type == "code"}


def _digests(project: Path) -> dict[str, dict[str, str]]:
    """Stage -> name -> digest, as the last attempt of each stage stored them."""
    found: dict[str, dict[str, str]] = {}
    for path in sorted(project.glob(".nbpipe/runs/*/jobs/*/verdict.json"), key=lambda p: p.stat().st_mtime_ns):
        verdict = json.loads(path.read_text())
        if verdict["status"] == "succeeded":
            found[verdict["stage"]] = {
                name: "absent" if artifact["format"] == "absent" else artifact["digest"]
                for name, artifact in verdict.get("outputs", {}).items()
                # A group's digest covers the sharing too: it is not the value's alone.
                if artifact["format"] != "defstate" and not artifact.get("group")
            }
    return found


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NBPIPE_TRACKING", "off")
    return tmp_path


def _refused(case: Case, result: RunResult) -> bool:
    """It did not succeed, and the error is one that the case allows."""
    if result.failure is None:
        return False
    allowed = case.expect.removeprefix("error ") if case.expect.startswith("error ") else "*"
    return allowed in {"*", result.failure.code}


def test_the_corpus_is_large_enough() -> None:
    assert len(CASES) >= 60
    assert len(_LONG) <= 15 + len(CASES) / 3
    assert {case.name for case in CASES} >= _FEW
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize(("name", "said"), [("numpy_errstate", "raised"), ("numpy_options_below_a_filter", "[1.23]")])
def test_a_kernel_that_is_not_forked_gives_the_same(
    name: str, said: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some of them here; `make test-cold` has all."""
    monkeypatch.setenv("NBPIPE_FORK", "0")
    case = next(case for case in CASES if case.name == name)
    result = run_notebook(case.write(project))
    assert result.status == "succeeded", result.failure
    assert said in result.notebook.read_text()


@pytest.mark.parametrize("case", _MARKED, ids=lambda case: case.name)
def test_a_run_gives_what_a_fresh_kernel_gives(
    case: Case, project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    notebook = case.write(project)
    before = _written(project).keys()
    try:
        cold = run_notebook(notebook, jobs=2)
    except NbpipeError as error:
        assert case.expect in {"equal-or-error", "error *", f"error {error.code}"}, error
        assert error.message
        return
    if case.expect.startswith("error "):
        assert _refused(case, cold), (cold.status, cold.failure)
        return
    if case.expect.startswith("warned "):
        assert cold.status == "succeeded"
        assert any(case.expect.removeprefix("warned ") in text for text in cold.warnings), cold.warnings
        return
    if cold.status != "succeeded":
        assert case.expect == "equal-or-error", (cold.status, cold.failure)
        assert cold.failure is not None
        assert cold.failure.message
        return

    stored = _digests(project)
    elsewhere = tmp_path_factory.mktemp("reference")
    case.write(elsewhere)
    reference = run_all(case.notebook(), elsewhere, {stage: sorted(names) for stage, names in stored.items()})
    assert not reference.error
    _compare(case, cold, stored, reference)
    _same_files(case, project, elsewhere)

    for path in _written(project).keys() - before:
        (project / path).unlink()
    again = run_notebook(notebook, jobs=2)
    assert again.status in {"succeeded", "up-to-date"}
    if case.expect != "equal-ignoring-output" and _outputs(again) != _outputs(cold):
        # Files that the first run left behind may matter: then a second fresh kernel finds them too.
        _same_outputs(case, again, run_all(case.notebook(), elsewhere, {}))
    _same_files(case, project, elsewhere)


#: Read by every kernel of a run as it starts: stages wait, once all is watched and before their first cell.
_SKEW = """
import time
import nbpipe.job.kernel as kernel
prepare, seconds = kernel.Session.prepare, %r
def late(self):
    prepare(self)
    time.sleep(seconds.get(self.spec.stage, 0))
kernel.Session.prepare = late
"""
#: How much longer the first stage of a notebook takes than its last one, in seconds.
_SKEWED_BY = 1.0
_SKEWED = cases("skewed.txt") + [case for case in CASES if case.expect == "equal" and len(case.stages()) > 1][1::4]


@pytest.mark.long
@pytest.mark.parametrize("case", _SKEWED, ids=lambda case: case.name)
def test_stages_that_are_done_before_those_above_them_give_the_same(
    case: Case, project: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    *early, _ = stages = case.stages()
    seconds = {stage: _SKEWED_BY * (1 - number / len(early)) for number, stage in enumerate(stages)}
    profile = tmp_path_factory.mktemp("ipython") / "profile_default"
    profile.mkdir()
    (profile / "ipython_kernel_config.py").write_text(_SKEW % seconds)
    notebook = case.write(project)
    with monkeypatch.context() as patched:
        patched.setenv("IPYTHONDIR", str(profile.parent))
        # As if no name of a file or of ambient state stood in the code: all is left to what the run observes.
        patched.setattr("nbpipe.dataflow.links._Files.edges", lambda *_: [])
        patched.setattr("nbpipe.dataflow.links._Ambient.edges", lambda *_: [])
        result = run_notebook(notebook, jobs=4)
    assert result.status == "succeeded", result.failure
    stored = _digests(project)
    elsewhere = tmp_path_factory.mktemp("reference")
    case.write(elsewhere)
    reference = run_all(case.notebook(), elsewhere, {stage: sorted(names) for stage, names in stored.items()})
    assert not reference.error
    _compare(case, result, stored, reference)
    _same_files(case, project, elsewhere)


KILLS = (
    "attempt.after_submit:1",
    "commit.before_trace:1",
    "commit.after_trace:1",
    "commit.after_event:1",
    "finish.before_notebook:1",
    "journal.after_write:3",
)
_WHOLE = [case for case in CASES if case.expect == "equal"]
_KILLED = [(case, KILLS[number % len(KILLS)]) for number, case in enumerate(_WHOLE[3::11])]


@pytest.mark.long
@pytest.mark.parametrize(("case", "fault"), _KILLED, ids=lambda item: getattr(item, "name", item))
def test_a_run_after_a_killed_one_gives_the_same(
    case: Case, fault: str, project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    notebook = case.write(project)
    command = [sys.executable, "-m", "nbpipe", "run", str(notebook)]
    killed = subprocess.run(command, env={**os.environ, "NBPIPE_FAULT": fault}, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    result = run_notebook(notebook, jobs=2)
    assert result.status in {"succeeded", "up-to-date"}
    elsewhere = tmp_path_factory.mktemp("reference")
    case.write(elsewhere)
    _same_outputs(case, result, run_all(case.notebook(), elsewhere, {}))


@pytest.mark.parametrize(
    "clear", ["shutil.rmtree('out', ignore_errors=True)", "if os.path.exists('out'):\n    shutil.rmtree('out')"]
)
def test_a_file_added_by_hand_to_a_folder_that_a_stage_clears_is_gone(clear: str, project: Path) -> None:
    made = f"%%stage made\nimport os, shutil\n{clear}\nos.makedirs('out/deep')\nopen('out/deep/a.txt', 'w').write('1')"
    case = Case("cleared", "", (made, "%%stage seen\nimport os\nprint(sorted(os.listdir('out')))"))
    notebook = case.write(project)
    first = run_notebook(notebook)
    assert run_notebook(notebook).status == "up-to-date", "its own folder is no reason to run again"
    for added in ("out/mine.txt", "out/deep/mine.txt"):
        (project / added).write_text("by hand")
        again = run_notebook(notebook)
        assert again.status == "succeeded"
        assert not (project / added).exists()
        assert _outputs(again) == _outputs(first)
    assert run_notebook(notebook).status == "up-to-date"


@pytest.mark.parametrize(
    "body",
    [
        "open('data/a.txt', 'w').write('1')\nprint(sorted(os.listdir('data')))",
        "os.makedirs('data/deep', exist_ok=True)\nopen('data/deep/a.txt', 'w').write('1')\nprint(os.listdir('data'))",
        "if os.path.exists('data/b.txt'):\n    os.remove('data/b.txt')\nprint(os.listdir('data'))",
    ],
)
def test_a_stage_that_writes_into_a_folder_and_lists_it_settles(body: str, project: Path) -> None:
    made = f"%%stage made\nimport os\nos.makedirs('data', exist_ok=True)\n{body}"
    case = Case("lists", "", (made, "%%stage below\nopen('data/b.txt', 'w').write('2')"))
    notebook = case.write(project)
    # The second run finds what the first has left, as a second fresh kernel does; the third finds nothing else.
    assert [run_notebook(notebook).status for _ in range(3)] == ["succeeded", "succeeded", "up-to-date"]


def _written(folder: Path) -> dict[str, bytes]:
    """What lies in a project, without what is nbpipe's and Python's own."""
    own = {".nbpipe", "__pycache__", "mlruns", ".ipynb_checkpoints"}
    inside = ((path.relative_to(folder), path) for path in folder.rglob("*"))
    return {str(name): path.read_bytes() for name, path in inside if path.is_file() and not own & set(name.parts)}


def _same_files(case: Case, project: Path, elsewhere: Path) -> None:
    if case.expect == "equal":
        assert _written(project) == _written(elsewhere)


def _compare(case: Case, result: RunResult, stored: dict[str, dict[str, str]], reference: Reference) -> None:
    if case.expect != "equal-ignoring-output":
        _same_outputs(case, result, reference)
    if case.expect != "equal-ignoring-values":
        for stage, names in stored.items():
            assert names == reference.digests.get(stage, {}), stage


def _same_outputs(case: Case, result: RunResult, reference: Reference) -> None:
    outputs = _outputs(result)
    for number, expected in reference.outputs.items():
        if number > 0 and not case.cells[number - 1].startswith("%%params"):
            assert outputs[number] == expected, f"cell {number}"
