"""A stage is fresh only while its variables are what the notebook, run from top to bottom, would give now."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import nbformat
import pytest

from nbpipe.live.status import Status, status_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kernels import Live

PARAMS = "%%params\nlr = 0.1"
FIT = "def fit(x):\n    return [v * lr for v in x]"
LOAD = "%%stage load\ndf = [1, 2, 3]"
TRAIN = "%%stage train\nnet = fit(df)"
SCORE = "%%stage score --metrics acc\nacc = sum(net)"
ALL = (PARAMS, FIT, LOAD, TRAIN, SCORE)


def save(path: Path, *sources: str) -> Path:
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


class Case:
    """A kernel, its notebook on disk, and what the status says of both."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self.path = live.root / "n.ipynb"

    def save(self, *sources: str) -> None:
        save(self.path, *sources)

    def run(self, *sources: str) -> None:
        self.live.run(*sources)

    def status(self) -> Status:
        return status_of(self.live.session)

    def states(self) -> dict[str, str]:
        return {item.stage: item.state for item in self.status().stages}

    def kinds(self, stage: str) -> set[str]:
        return {reason.kind for item in self.status().stages if item.stage == stage for reason in item.reasons}

    def texts(self, stage: str) -> str:
        return "\n".join(r.text for item in self.status().stages if item.stage == stage for r in item.reasons)


@pytest.fixture
def case(live: Live, monkeypatch: pytest.MonkeyPatch) -> Case:
    made = Case(live)
    monkeypatch.setenv("JPY_SESSION_NAME", str(made.path))
    return made


@pytest.fixture
def ran(case: Case) -> Case:
    case.save(*ALL)
    case.run(*ALL)
    return case


def test_nothing_has_run_then_everything_is_fresh(case: Case) -> None:
    case.save(*ALL)
    assert case.states() == dict.fromkeys(("load", "train", "score"), "not run")
    assert case.status().run == ("load", "train", "score")
    case.run(*ALL)
    assert case.states() == dict.fromkeys(("load", "train", "score"), "fresh")
    assert case.status().run == ()


def test_a_parameter_with_another_value_makes_its_readers_stale_until_it_is_back(ran: Case) -> None:
    ran.run("lr = 0.2")
    assert ran.states() == {"load": "fresh", "train": "stale", "score": "stale"}
    assert "'lr' is 0.2 now, it ran with 0.1" in ran.texts("train")
    assert ran.kinds("score") == {"upstream"}
    assert ran.status().run == ("train", "score")
    ran.run("lr = 0.1")
    assert set(ran.states().values()) == {"fresh"}


def test_a_params_cell_that_was_edited_and_has_not_run_is_said(ran: Case) -> None:
    ran.save("%%params\nlr = 0.5", *ALL[1:])
    assert ran.kinds("train") == {"params"}
    assert "has not run since" in ran.texts("train")
    assert ran.states()["load"] == "fresh"
    ran.save("%%params\nlr = 0.1  # the rate", *ALL[1:])
    assert set(ran.states().values()) == {"fresh"}


def test_an_edited_cell_is_stale_and_so_is_what_depends_on_it_but_a_comment_is_no_edit(ran: Case) -> None:
    ran.save(PARAMS, FIT, LOAD, "%%stage train\nnet = fit(df) * 2", SCORE)
    assert ran.states() == {"load": "fresh", "train": "stale", "score": "stale"}
    assert ran.kinds("train") == {"code"}
    ran.save(PARAMS, FIT, LOAD, "%%stage train\n\nnet = fit( df )  # fitted", SCORE)
    assert set(ran.states().values()) == {"fresh"}


def test_a_cell_that_was_edited_run_and_taken_back_is_stale(ran: Case) -> None:
    ran.run("%%stage train\nnet = [0]")
    assert ran.kinds("train") == {"code"}


def test_a_giver_that_ran_again_makes_its_readers_stale_unless_it_gave_the_same(ran: Case) -> None:
    ran.run(LOAD)
    assert set(ran.states().values()) == {"fresh"}
    ran.save(PARAMS, FIT, "%%stage load\ndf = [4]", TRAIN, SCORE)
    ran.run("%%stage load\ndf = [4]")
    assert ran.states() == {"load": "fresh", "train": "stale", "score": "stale"}
    assert "'load', which gives 'df', ran after it" in ran.texts("train")
    ran.run(TRAIN)
    assert ran.states() == {"load": "fresh", "train": "fresh", "score": "stale"}


def test_a_big_value_counts_as_another_when_its_giver_ran_again(case: Case) -> None:
    cells = ("%%stage load\nimport numpy as np\nbig = np.zeros(100_000)", "%%stage use\nn = big.sum()")
    case.save(*cells)
    case.run(*cells)
    assert set(case.states().values()) == {"fresh"}
    case.run(cells[0])
    assert case.kinds("use") == {"input"}


def test_a_variable_that_another_cell_bound_is_stale_on_both_sides(ran: Case) -> None:
    ran.run("df = [9]")
    assert ran.kinds("load") == {"output"}
    assert "input" in ran.kinds("train")
    assert ran.status().run == ("load", "train", "score")


def test_a_value_that_changed_with_no_cell_to_explain_it_is_said(ran: Case) -> None:
    ran.live.shell.user_ns["df"] = [5, 5]
    assert ran.texts("train") == "'df' is another value now than the one it read"


def test_a_function_that_was_edited_or_defined_anew_makes_its_users_stale(ran: Case) -> None:
    ran.run("def fit(x):\n    return x")
    assert ran.kinds("train") == {"definition"}
    ran.run(FIT)
    assert set(ran.states().values()) == {"fresh"}
    ran.save(PARAMS, "def fit(x):\n    return x", LOAD, TRAIN, SCORE)
    assert "'fit' in cell 2 was edited after it ran" in ran.texts("train")


def test_a_stage_that_ran_before_its_giver_is_out_of_order(case: Case) -> None:
    case.save(*ALL)
    case.run(PARAMS, FIT, "df = [1]", TRAIN)
    assert case.kinds("train") == {"order"}
    assert "'load'" not in case.texts("load")
    assert case.states() == {"load": "not run", "train": "stale", "score": "not run"}
    assert case.status().run == ("load", "train", "score")


@pytest.mark.parametrize("how", ["computed", "constant"])
def test_a_stage_below_that_bound_a_name_this_one_reads_is_out_of_order(case: Case, how: str) -> None:
    first = {"computed": "%%stage a\nx = len('a')", "constant": "%%stage a\nx = 1"}[how]
    cells = (first, "%%stage b\ny = x", "%%stage c\nx = 5")
    case.save(*cells)
    case.run(*cells)
    assert set(case.states().values()) == {"fresh"}
    case.run(cells[1])
    assert "'c', which stands below, had bound 'x' before it ran" in case.texts("b")
    assert case.states()["b"] == "stale"
    case.run(cells[0], cells[1])
    assert case.states()["b"] == "fresh"


def test_a_stage_that_builds_on_itself_and_ran_twice_is_stale(case: Case) -> None:
    cells = ("%%stage a\nx = 1", "%%stage b\nx = x + 1")
    case.save(*cells)
    case.run(*cells, cells[1])
    assert "it binds 'x' anew and ran again, without 'a' before it" in case.texts("b")
    case.run(*cells)
    assert case.states()["b"] == "fresh"


def test_what_may_have_changed_in_place_is_unknown_never_fresh(case: Case) -> None:
    cells = ("%%stage a\nx = [1]", "%%stage b\nx.append(2)")
    case.save(*cells)
    case.run(*cells)
    assert case.states() == {"a": "fresh", "b": "fresh"}
    case.run(cells[1])
    assert case.states()["b"] == "unknown"
    assert "'b' may have changed 'x' before it ran" in case.texts("b")


def test_a_stage_that_is_gone_leaves_its_readers_stale(ran: Case) -> None:
    ran.save(PARAMS, FIT, TRAIN, SCORE)
    assert ran.states() == {"train": "stale", "score": "stale"}
    assert ran.texts("train") == "'df' came from 'load', which is no longer in the notebook"
    assert ran.kinds("score") == {"upstream"}


def test_a_renamed_stage_is_the_same_stage(ran: Case) -> None:
    ran.save(PARAMS, FIT, LOAD.replace("load", "read"), TRAIN, SCORE)
    assert ran.states() == {"read": "fresh", "train": "fresh", "score": "fresh"}


def test_a_stage_of_several_cells_needs_all_of_them_in_order(case: Case) -> None:
    one, two = "%%stage a\nx = 1", "%%stage a\ny = x + 1"
    case.save(one, two, "%%stage b\nz = y")
    case.run(one)
    assert "cell 2 was edited after it ran, or has not run" in case.texts("a")
    case.run(two, "%%stage b\nz = y")
    assert case.states() == {"a": "fresh", "b": "fresh"}
    case.run(one)
    assert "its cells ran in another order than they stand" in case.texts("a")


@pytest.mark.parametrize("cell", ["%%stage load\n1 / 0", "%%check load --metric 'n > 1'\nn = 0"])
def test_a_cell_that_failed_is_failed_and_what_needs_it_is_out_of_order(case: Case, cell: str) -> None:
    case.save(cell.replace("\n", "\ndf = 1\n", 1), "%%stage use\ny = df")
    case.run(cell.replace("\n", "\ndf = 1\n", 1), "%%stage use\ny = df")
    assert case.states() == {"load": "failed", "use": "stale"}
    assert "'load', which gives 'df', had failed before it" in case.texts("use")


def test_setup_counts_for_every_stage(case: Case) -> None:
    cells = ("%%setup\nk = 1", "%%stage a\nx = 1")
    case.save(*cells)
    case.run(cells[1])
    assert "the %%setup cell 1 had not run before it" in case.texts("a")
    case.run(*cells)
    assert case.states() == {"a": "fresh"}
    case.save("%%setup\nk = 2", cells[1])
    assert "the %%setup cell 1 was edited after it ran" in case.texts("a")


def test_a_helper_module_counts_as_it_is_loaded(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    helper = case.live.root / "stale_helper.py"
    helper.write_text("def f():\n    return 1\n")
    monkeypatch.syspath_prepend(str(case.live.root))
    cells = ("%%stage a\nimport stale_helper\nx = stale_helper.f()",)
    case.save(*cells)
    case.run(*cells)
    assert case.states() == {"a": "fresh"}
    helper.write_text("def f():\n    return 1  # a comment\n")
    assert case.states() == {"a": "fresh"}
    helper.write_text("def f():\n    return 22\n")
    assert "stale_helper.py was edited, and the kernel still has the old one" in case.texts("a")
    case.run("import importlib; importlib.reload(stale_helper)")
    assert case.texts("a") == "stale_helper.py was loaded anew since, with other code"
    case.run(*cells)
    assert case.states() == {"a": "fresh"}


def test_code_that_cannot_be_followed_is_unknown(case: Case) -> None:
    cells = ("%%stage a\nx = 1", "%%stage b\ncode = 'y = ' + str(x)\nexec(code)")
    case.save(*cells)
    case.run(*cells)
    assert case.states() == {"a": "fresh", "b": "unknown"}


def test_without_the_notebooks_file_what_ran_is_all_there_is_and_that_is_said(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    live.run(*ALL)
    live.run("lr = 3")
    found = status_of(live.session)
    assert [item.state for item in found.stages] == ["fresh", "stale", "stale"]
    assert any("file is not known" in note for note in found.notes)


@pytest.mark.parametrize("breaks", [lambda p: p.write_text("{"), lambda p: p.unlink(), lambda p: save(p, "x = 1")])
def test_a_notebook_that_cannot_be_read_or_has_no_stages_is_a_note(
    ran: Case, breaks: Callable[[Path], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    breaks(ran.path)
    found = status_of(ran.live.session, ran.path)
    assert found.stages == ()
    assert str(ran.path) in found.notes[0]


def test_switching_trials_off_takes_nothing_from_the_status(case: Case) -> None:
    case.run("%nbpipe trials off")
    case.save(*ALL)
    case.run(*ALL)
    assert set(case.states().values()) == {"fresh"}
    assert any("switched off" in note for note in case.status().notes)
    assert case.live.trials() == []


def test_the_verb_prints_a_table_and_json(ran: Case) -> None:
    ran.run("lr = 0.2")
    lines = ran.live.run("%nbpipe status").splitlines()
    assert lines[0].split() == ["load", "✓", "fresh"]
    assert lines[1].split(maxsplit=3) == ["train", "⟳", "stale", "'lr' is 0.2 now, it ran with 0.1"]
    assert "run: train, score" in lines
    told = json.loads(ran.live.run("%nbpipe status --json"))
    assert told["schema"] == 1
    assert told["stages"][1]["state"] == "stale"
    assert told["notebook"] == str(ran.path)


def test_python_gets_the_status_of_its_own_kernel(ran: Case) -> None:
    ran.run("import nbpipe\nfound = nbpipe.status()")
    assert [item.state for item in ran.live.shell.user_ns["found"].stages] == ["fresh", "fresh", "fresh"]


def test_a_real_kernel_tells_its_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nbclient import NotebookClient

    path = save(tmp_path / "n.ipynb", *ALL)
    monkeypatch.setenv("JPY_SESSION_NAME", str(path))
    monkeypatch.setenv("NBPIPE_TRIALS", "1")
    sources = ("%load_ext nbpipe", *ALL, "lr = 0.2", "%nbpipe status", "%nbpipe trials")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    NotebookClient(
        notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    shown = notebook.cells[-2].outputs[0].text
    assert "train  ⟳ stale" in shown
    assert "'lr' is 0.2 now" in shown
    assert notebook.cells[-1].outputs[0].text.splitlines()[-1].split()[:3] == ["t1", "load", "succeeded"]
    written = json.loads((tmp_path / ".nbpipe" / "trials" / "t3.json").read_text())
    assert written["notebook"] == path.name


def test_a_line_that_does_not_parse_leaves_the_status_of_everything_else(live: Live) -> None:
    assert "no stages have run here yet" in live.run("%nbpipe status")
    live.run("%%stage Bad Name\n1", "%%stage a\nx = 1")
    found = status_of(live.session)
    assert [(item.stage, item.state) for item in found.stages] == [("a", "fresh")]
    assert "does not understand 'now'" in live.run("%nbpipe status now")
