"""Environment variables from outside that a stage read are part of what its result depends on."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from jobs import Bench, ambient

from nbpipe.run.api import RunResult, run_notebook
from nbpipe.run.planning import plan_notebook


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture(autouse=True)
def _outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBPIPE_TRACKING", "off")
    monkeypatch.delenv("NOT_THERE", raising=False)


READS = [
    'os.environ["HOME"]',
    'os.environ.get("HOME")',
    'os.getenv("HOME", "slow")',
    '"HOME" in os.environ',
    'os.path.expandvars("$HOME")',
    'os.environ.setdefault("HOME", "x")',
    "get_ipython().run_line_magic('env', 'HOME')",
    "helper.mode()",
    'list(map(os.environ.get, ["HOME"]))',
]


@pytest.mark.parametrize("read", READS)
def test_a_variable_that_a_cell_or_a_local_module_reads_is_reported(bench: Bench, read: str) -> None:
    (bench.project / "helper.py").write_text("import os\ndef mode():\n    return os.getenv('HOME')\n")
    outcome = bench.run(f"import os, helper\nprint({read})")
    assert outcome.status == "succeeded", outcome.failure
    assert list(outcome.variables) == ["HOME"]
    assert str(Path.home()) not in outcome.variables["HOME"]


def test_one_that_is_not_set_is_reported_too(bench: Bench) -> None:
    assert bench.run("import os\nos.getenv('NOT_THERE')").variables == {"NOT_THERE": ""}


@pytest.mark.parametrize(
    "body",
    [
        "import os\nos.environ['NEW'] = '1'\nprint(os.environ['NEW'])",
        "import pandas, matplotlib.pyplot, sklearn, torch",
        "print('nothing')",
    ],
)
def test_what_cells_set_and_what_libraries_read_is_not(bench: Bench, body: str) -> None:
    outcome = bench.run(body)
    assert outcome.status == "succeeded", outcome.failure
    assert outcome.variables == {}


def test_options_of_the_stage_and_secrets_are_not(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "a-long-secret")
    body = "import os\nos.environ['OPTION'], os.environ['TOKEN']\nNone"
    assert bench.run(body, env={"OPTION": "1"}, secrets=("TOKEN",)).variables == {}


def test_going_through_all_variables_makes_a_result_that_is_not_used_again(bench: Bench) -> None:
    outcome = bench.run("import os\nlen(dict(os.environ))")
    assert outcome.uncacheable == ("it reads all environment variables",)
    assert bench.run("import os\nlen(dict(os.environ))", declared=True).uncacheable == ()


def test_a_variable_set_to_the_value_that_it_had_is_set_for_the_stages_below(bench: Bench) -> None:
    home = str(Path.home())
    first = bench.run(f"import os\nos.environ['HOME'] = {home!r}")
    assert first.variables == {}
    bench.run("import os\nprint(os.environ['HOME'])", ambient=ambient(first), env={"HOME": "another"})
    assert bench.printed() == f"{home}\n"


def _run(path: Path) -> RunResult:
    result = run_notebook(path)
    assert result.status == "succeeded", result.failure
    return result


def test_a_stage_runs_again_when_a_variable_that_it_read_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nbpipe.toml").touch()
    monkeypatch.setenv("MODE_OUTSIDE", "fast")
    cells = [
        "%%stage load\nimport os\nmode = os.environ.get('MODE_OUTSIDE', 'none')",
        "%%stage other\nx = 1",
        "%%stage show\nprint(mode, x)",
    ]
    path = tmp_path / "n.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in cells]), path)
    _run(path)
    assert run_notebook(path).status == "up-to-date"
    monkeypatch.setenv("MODE_OUTSIDE", "slow")
    load = plan_notebook(path).decisions[0]
    assert (load.action, load.reasons) == ("RUN", ("environment variable MODE_OUTSIDE changed",))
    again = _run(path)
    assert {stage.name: stage.status for stage in again.stages} == {
        "load": "succeeded",
        "other": "cached",
        "show": "succeeded",
    }
    monkeypatch.delenv("MODE_OUTSIDE")
    assert plan_notebook(path).decisions[0].reasons == ("environment variable MODE_OUTSIDE is gone",)
    monkeypatch.setenv("MODE_OUTSIDE", "fast")
    assert {decision.action for decision in plan_notebook(path).decisions} == {"HIT"}
