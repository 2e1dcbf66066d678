"""Every execution of a stage cell is recorded: what ran, on what, with what result; and it can be had back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pandas as pd
import pytest

import nbpipe
from nbpipe.errors import UsageError
from nbpipe.history.diff import compute
from nbpipe.live.recording import Recording
from nbpipe.pipeline.code import fingerprint
from nbpipe.store.digest import digest

if TYPE_CHECKING:
    from kernels import Live


def test_a_stage_that_ran_is_a_trial_with_code_parameters_inputs_and_metrics(live: Live) -> None:
    live.run(
        "%%params\nlr: float = 0.1\nn = 3",
        "import numpy as np\ndef fit(x):\n    return x * lr",
        "%%stage load\ndf = np.arange(3)\nprint('loaded')",
        "%%stage train --metrics acc,losses\n\nnet = fit(df)\nlosses = [3.0, 2.0]\nacc = net.sum()\nacc",
    )
    load, train = live.trials()
    assert (load.id, load.stage, load.kind, load.status) == ("t1", "load", "stage", "succeeded")
    assert train.source.startswith("%%stage train --metrics acc,losses\n")
    assert train.code == fingerprint("\nnet = fit(df)\nlosses = [3.0, 2.0]\nacc = net.sum()\nacc")
    assert train.params == {"lr": 0.1}
    assert set(train.inputs) == {"df"}
    assert train.inputs["df"].type == "numpy.ndarray"
    assert train.inputs["df"].shape == (3,)
    assert train.inputs["df"].digest == digest(np.arange(3))
    assert train.metrics == pytest.approx({"acc": 0.3, "losses": 2.0})
    assert train.packages["numpy"] == np.__version__
    assert train.count == 4
    assert 0 < train.seconds < 60
    assert load.kernel == train.kernel
    assert [(ran.role, ran.name) for ran in train.before] == [("params", ""), ("", ""), ("stage", "load")]
    assert load.outputs == ({"output_type": "stream", "name": "stdout", "text": "loaded\n"},)
    assert train.outputs[0]["data"]["text/plain"].startswith("np.float64(0.3")


def test_parameters_are_those_the_cell_found_not_those_it_left(live: Live) -> None:
    live.run("%%params\nn = 3", "%%stage a\nx = [n, n]\nn = 9\nx.append(1)", "%%stage b\nx.append(n)")
    a, b = live.trials()
    assert a.params == {"n": 3}
    assert a.inputs == {}
    assert b.params == {"n": 9}
    assert b.inputs["x"].value == [3, 3, 1]
    assert b.inputs["x"].digest == digest([3, 3, 1])


@pytest.mark.parametrize(
    ("cell", "status", "ename", "line"),
    [
        ("%%stage a\nx = 1\n1 / 0", "failed", "ZeroDivisionError", 3),
        ("%%stage a\ndef f():\n    raise ValueError('no')\nf()", "failed", "ValueError", 3),
        ("%%stage a\nx = = 1", "failed", "SyntaxError", 2),
        ("%%stage a\nraise KeyboardInterrupt", "cancelled", "KeyboardInterrupt", 2),
        ("%%check ok --metric 'acc > 1'\nacc = 0.5", "rejected", "CheckRejected", None),
    ],
)
def test_a_cell_that_did_not_succeed_says_how_and_where(
    live: Live, cell: str, status: str, ename: str, line: int | None
) -> None:
    live.run(cell)
    trial = live.last()
    assert trial.status == status
    assert trial.error is not None
    assert (trial.error.ename, trial.error.line) == (ename, line)
    if ename == "ValueError":
        assert trial.error.evalue == "no"


def test_an_error_in_a_function_of_another_cell_gives_the_line_that_called_it(live: Live) -> None:
    live.run("def f():\n\n\n\n    return 1 / 0", "%%stage a\n\nf()")
    assert live.last().error is not None
    assert live.last().error.line == 3  # type: ignore[union-attr]


def test_big_values_are_told_by_type_and_shape_and_have_no_digest(live: Live) -> None:
    live.run("big = __import__('numpy').zeros((1000, 1000))\nmany = list(range(100_000))\ntext = 'x' * 20_000")
    live.shell.user_ns["frame"] = pd.DataFrame({"a": [1, 2], "b": [3, 4]})
    live.run("%%stage a\nbig, many, text, frame")
    inputs = live.last().inputs
    assert {name: (item.type, item.shape, item.digest) for name, item in inputs.items()} == {
        "big": ("numpy.ndarray", (1000, 1000), ""),
        "many": ("list", (100_000,), ""),
        "text": ("str", (20_000,), ""),
        "frame": (live.last().inputs["frame"].type, (2, 2), ""),
    }
    assert inputs["frame"].type.startswith("pandas.")


def test_other_cells_and_cells_whose_line_does_not_parse_are_no_trials(live: Live) -> None:
    live.run("x = 1", "%%params\nn = 1", "%%setup\ny = 2", "%%stage a --gpu 1\nz = 1", "%%stage b\nz = 1")
    assert [trial.stage for trial in live.trials()] == ["b"]


def test_a_stage_run_from_within_another_is_a_trial_of_its_own(live: Live) -> None:
    live.run("%%stage outer\nget_ipython().run_cell_magic('stage', 'inner', 'q = 4')\nw = q + 1")
    assert [trial.stage for trial in live.trials()] == ["inner", "outer"]


def test_secrets_never_land_in_a_trial(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    canary = "hunter2-canary<&'\"/"
    monkeypatch.setenv("TOKEN", canary)
    live.run(
        "import nbpipe\n%nbpipe --version",
        "%%params\nkey = ''",
        "%%stage ask\ntoken = nbpipe.secret('TOKEN')\nkey = token\nbag = {'k': [token]}\n"
        "print(token[:4], end='')\nprint(token[4:])\ntoken",
        f"%%stage use --metrics key\nuse = (token, key, bag)\nliteral = {canary!r}\nraise ValueError(token)",
    )
    ask, use = live.trials()
    assert use.inputs["token"].digest == ""
    assert use.inputs["bag"].digest == ""
    for trial in (ask, use):
        written = (live.root / ".nbpipe" / "trials" / f"{trial.id}.json").read_text()
        assert "hunter2" not in written
        assert "[secret]" in written


def test_long_outputs_are_cut_and_said_to_be(live: Live) -> None:
    live.run("%%stage a\nprint('x' * 300_000)")
    trial = live.last()
    assert trial.cut
    assert len(trial.outputs[0]["text"]) == 100_000


def test_off_records_nothing_and_on_records_again(live: Live) -> None:
    live.run("%nbpipe trials off", "%%stage a\nx = 1")
    assert live.trials() == []
    live.run("%nbpipe trials on", "%%stage b\nx = 1")
    assert [trial.stage for trial in live.trials()] == ["b"]


def test_any_trial_comes_back_as_the_next_input(live: Live) -> None:
    live.run("%%stage a\nx = 1", "%%stage a\nx = 2", "%%stage b\ny = 2")
    shown = live.run("%nbpipe restore t1")
    assert live.shell.rl_next_input == "%%stage a\nx = 1"
    assert "'a' as it ran" in shown
    assert nbpipe.trial("t2").source == "%%stage a\nx = 2"
    assert nbpipe.trial().stage == "b"
    with pytest.raises(UsageError):
        nbpipe.trial("t99")


def test_the_list_shows_the_newest_first_and_one_stage_when_asked(live: Live) -> None:
    live.run("%%params\nlr = 0.5", "%%stage a --metrics x\nx = lr", "%%stage b\n1 / 0")
    everything = live.run("%nbpipe trials").splitlines()
    assert [line.split()[:3] for line in everything] == [["t2", "b", "failed"], ["t1", "a", "succeeded"]]
    assert "lr=0.5" in everything[1]
    assert "x 0.5" in everything[1]
    assert len(live.run("%nbpipe trials a").splitlines()) == 1
    assert "no trials of 'c'" in live.run("%nbpipe trials c")


def test_ids_are_shared_by_kernels_and_the_oldest_are_removed(live: Live) -> None:
    from nbpipe.live.trial_files import TrialFiles

    live.run("%%stage a\nx = 1")
    trial = live.last()
    other, third = TrialFiles(live.project, kept=3), TrialFiles(live.project, kept=3)
    assert [files.write(trial) for files in (other, third, other, third)] == ["t2", "t3", "t4", "t5"]
    other.prune()
    assert [item.id for item in live.trials()] == ["t3", "t4", "t5"]
    live.run("%%stage a\nx = 2")
    assert live.last().id == "t6"


def test_a_trial_is_noted_for_delivery(live: Live) -> None:
    live.run("%%stage a\nx = 1")
    live.trials()
    assert json.loads((live.root / ".nbpipe" / "outbox" / "t1.json").read_text()) == {"schema": 1, "trial": "t1"}


def test_the_notebook_is_named_from_the_project(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = live.root / "nb" / "digits.ipynb"
    notebook.parent.mkdir()
    notebook.write_text("{}")
    monkeypatch.setenv("JPY_SESSION_NAME", str(notebook))
    live.shell.run_cell("%%stage a\nx = 1", store_history=True, cell_id="c-1")
    assert live.last().notebook == "nb/digits.ipynb"
    assert live.last().cell == "c-1"


def test_what_is_written_is_what_the_format_says(live: Live) -> None:
    live.run("%%stage a\nx = 1")
    live.trials()
    raw = (live.root / ".nbpipe" / "trials" / "t1.json").read_bytes()
    page = (Path(nbpipe.__file__).parents[1] / "docs" / "formats" / "trial.md").read_text()
    assert all(f"| `{name}` |" in page for name in msgspec.json.decode(raw))


def test_a_cell_that_failed_has_no_metric_that_an_earlier_one_left(live: Live) -> None:
    live.run("%%stage a --metrics acc,losses\nacc = 0.75\nlosses = [1.0]")
    live.run("%%stage a --metrics acc,losses\nlosses.append(0.5)\n1/0\nacc = 0.8")
    assert live.last().metrics == {"losses": 0.5}
    live.run("%%stage a --metrics acc,losses\nacc = 0.25\n1/0")
    assert live.last().metrics == {"acc": 0.25}


def test_a_text_that_json_cannot_carry_costs_no_trial(live: Live) -> None:
    live.run("%%params\nname: str = chr(0xD800)", "%%stage a\nfile = name + 'x'\nprint(len(file))\nraise OSError(file)")
    found = live.last()
    assert found.params == {}
    assert found.inputs["name"].type == "str"
    assert found.error is not None
    assert found.error.evalue == "\\ud800x"


def test_a_check_that_says_no_shows_numbers_as_a_run_does(live: Live) -> None:
    shown = live.run("import numpy as np\nacc = np.float64(0.25)", "%%check ok --metric 'acc > 0.5'\npass")
    assert "'acc > 0.5' does not hold: acc = 0.25" in shown


def test_a_frame_is_told_by_its_columns_and_two_that_differ_in_them_are_told_apart(live: Live) -> None:
    live.run(
        "import pandas as pd\nimport polars as pl\nclass Odd:\n    __str__ = __repr__ = lambda self: 1 / 0",
        "df = pd.DataFrame({'a': [1, 2], 'b': ['x', 'y'], 3: [0.5, 1.0], Odd: 0})\nlazy = pl.DataFrame({'c': [1]})",
        "%%stage a\nn = len(df) + len(lazy)\ndf['late'] = 0",
        "%%stage a\nn = len(df) + len(lazy)\ndf['late'] = 0",
    )
    first, second = live.trials()
    assert first.inputs["df"].columns == {"a": "int64", "b": "str", "3": "float64"}
    assert first.inputs["df"].digest == ""
    assert second.inputs["df"].columns["late"] == "int64"
    assert first.inputs["lazy"].columns == {"c": "Int64"}
    found = compute(live.project, "t1", "t2", parts=("data",))
    assert [(value.name, value.change) for value in found.data] == [("df", "changed")]
    assert any("'lazy' was not digested" in note.text for note in found.notes)


@pytest.mark.parametrize("file", ["nbpipe.toml", "pyproject.toml"])
def test_a_project_may_switch_trials_off_and_the_environment_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, live: Live, file: str
) -> None:
    (tmp_path / file).write_text("trials = false" if file == "nbpipe.toml" else "[tool.nbpipe]\ntrials = false")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NBPIPE_TRIALS", raising=False)
    assert not Recording(live.shell, lambda: None).on
    monkeypatch.setenv("NBPIPE_TRIALS", "1")
    assert Recording(live.shell, lambda: None).on
    monkeypatch.delenv("NBPIPE_TRIALS")
    (tmp_path / file).write_text("trials = [")
    broken = Recording(live.shell, lambda: None)
    assert broken.on
    assert file in broken.recorder.trouble
