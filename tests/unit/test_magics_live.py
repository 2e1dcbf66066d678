"""A real IPython shell: a cell with a magic line behaves as the plain cell does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from nbpipe.errors import CheckRejected, GrammarError, UsageError
from nbpipe.magics import load_ipython_extension, unload_ipython_extension

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def shell() -> Iterator[Any]:
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance()
    shell.history_manager.enabled = False
    shell.colors = "nocolor"
    load_ipython_extension(shell)
    yield shell
    shell.history_manager.end_session()
    InteractiveShell.clear_instance()


def run(shell: Any, source: str) -> tuple[Any, str]:
    with capture_output() as captured:
        result = shell.run_cell(source, store_history=True)
    return result, captured.stdout + captured.stderr


def test_a_stage_cell_binds_in_the_users_namespace_and_displays_its_last_value(shell: Any) -> None:
    result, shown = run(shell, "%%stage a --gpus 1\nx = 20\nx + 1")
    assert result.result == 21
    assert "21" in shown
    assert shell.user_ns["x"] == 20
    assert shell.user_ns["_"] == 21
    assert shell.user_ns["Out"][1] == 21
    assert shell.execution_count == 2


def test_other_magics_shell_lines_and_await_work_in_a_stage_cell(shell: Any) -> None:
    source = "%%stage a\nimport asyncio\ny = %pwd\nout = !echo hello\nawait asyncio.sleep(0)\nz = 3"
    result, _ = run(shell, source)
    assert result.success
    assert isinstance(shell.user_ns["y"], str)
    assert list(shell.user_ns["out"]) == ["hello"]
    assert shell.user_ns["z"] == 3


@pytest.mark.parametrize("above", ["", "\n", "\n\n"])
def test_a_cell_magic_may_stand_right_below_the_stage_line(shell: Any, above: str) -> None:
    result, shown = run(shell, f"%%stage a\n{above}%%time\nx = 5")
    assert result.success
    assert "time" in shown.lower()
    assert shell.user_ns["x"] == 5


@pytest.mark.parametrize(("above", "line"), [("", 3), ("\n\n", 5)])
def test_a_traceback_shows_the_users_line_counted_from_the_top_of_the_cell(shell: Any, above: str, line: int) -> None:
    result, shown = run(shell, f"{above}%%stage a\nx = 1\n1 / 0\ny = 2")
    assert isinstance(result.error_in_exec, ZeroDivisionError)
    assert result.error_in_exec.__traceback__ is not None
    frames = []
    traceback: Any = result.error_in_exec.__traceback__
    while traceback is not None:
        frames.append(traceback.tb_lineno)
        traceback = traceback.tb_next
    assert frames[-1] == line
    assert "1 / 0" in shown
    assert "nbpipe/" not in shown


def test_a_syntax_error_names_the_line_of_the_cell(shell: Any) -> None:
    result, _ = run(shell, "%%stage a\nx = 1\ny = = 2")
    assert isinstance(result.error_before_exec or result.error_in_exec, SyntaxError)
    assert (result.error_before_exec or result.error_in_exec).lineno == 3


def test_an_indented_body_runs_as_in_a_plain_cell(shell: Any) -> None:
    assert run(shell, "%%stage a\n    x = 1\n    y = 2")[0].success
    assert shell.user_ns["y"] == 2


def test_a_wrong_line_is_the_cells_error_shown_short_and_nothing_runs(shell: Any) -> None:
    result, shown = run(shell, "%%stage a --gpu 1\nx = 1")
    assert isinstance(result.error_before_exec, GrammarError)
    assert "Did you mean 'gpus'?" in shown
    assert "Traceback" not in shown
    assert "x" not in shell.user_ns
    with pytest.raises(GrammarError):
        result.raise_error()


def test_a_stage_line_below_a_comment_is_an_error_here_as_in_a_run(shell: Any) -> None:
    result, _ = run(shell, "# load\n%%stage a\nx = 1")
    assert isinstance(result.error_before_exec, GrammarError)
    assert "x" not in shell.user_ns


def test_a_target_that_is_not_there_is_named_with_those_that_are(shell: Any) -> None:
    result, shown = run(shell, "%%stage a --on gpu\nx = 1")
    assert isinstance(result.error_in_exec, UsageError)
    assert "there is no target 'gpu'" in shown
    assert "there are: local" in shown
    assert "x" not in shell.user_ns
    assert run(shell, "%%stage a --on local\nx = 1")[0].success
    assert "there is no target" in run(shell, "%nbpipe on gpu")[1]


def test_annotations_of_a_params_cell_need_no_import(shell: Any) -> None:
    result, _ = run(shell, '%%params\nlr: float = 0.1\nmodel: Literal["a", "b"] = "a"\nk: Optional[int] = None')
    assert result.success
    assert shell.user_ns["model"] == "a"


def test_a_profile_is_not_applied_until_asked(shell: Any) -> None:
    run(shell, "%%params\nepochs: int = 5")
    result, shown = run(shell, "%%params smoke\nepochs = 1")
    assert result.success
    assert "smoke" in shown
    assert shell.user_ns["epochs"] == 5
    _, shown = run(shell, "%nbpipe profile smoke")
    assert shell.user_ns["epochs"] == 1
    assert "epochs = 1" in shown


def test_a_mistake_in_a_call_shows_the_users_lines_and_none_of_nbpipes(shell: Any) -> None:
    with capture_output() as captured:
        shell.run_cell("import nbpipe\ndef look():\n    nbpipe.trial('zz')\n\nlook()")
    shown = captured.stdout + captured.stderr
    assert "line 5: look()\nline 3: nbpipe.trial('zz')\nnbpipe: 'zz' is not a trial\n" in shown
    assert "looking.py" not in shown


def test_an_unknown_profile_is_an_error_without_traceback(shell: Any) -> None:
    result, shown = run(shell, "%nbpipe profile nope")
    assert not result.success
    assert "Traceback" not in shown
    assert "no profile 'nope'" in shown


def test_a_check_whose_threshold_holds_is_a_plain_cell(shell: Any) -> None:
    result, shown = run(shell, '%%check good --metric "acc >= 0.9"\nacc = 0.95\nacc')
    assert result.success
    assert result.result == 0.95
    assert "rejected" not in shown


def test_a_check_whose_threshold_does_not_hold_fails_the_cell(shell: Any) -> None:
    result, shown = run(shell, '%%check good --metric "acc >= 0.9"\nacc = 0.5')
    assert isinstance(result.error_in_exec, CheckRejected)
    assert "acc = 0.5" in shown
    assert "Traceback" not in shown


def test_a_threshold_on_the_champion_is_left_to_runs(shell: Any) -> None:
    result, shown = run(shell, '%%check good --metric "acc >= champion.acc"\nacc = 0.5')
    assert result.success
    assert "champion.acc not known here" in shown


def test_a_failing_check_body_keeps_its_own_error(shell: Any) -> None:
    result, _ = run(shell, '%%check good --metric "acc >= 0.9"\nacc = 0.5\nassert acc > 0.6')
    assert isinstance(result.error_in_exec, AssertionError)


def test_loading_twice_hooks_once_and_unloading_takes_all_back(shell: Any) -> None:
    before = len(shell.input_transformers_cleanup)
    load_ipython_extension(shell)
    assert len(shell.input_transformers_cleanup) == before
    unload_ipython_extension(shell)
    assert len(shell.input_transformers_cleanup) == before - 1
    result, _ = run(shell, "%%stage a\nx = 1")
    assert not (result.success and "x" in shell.user_ns)
    load_ipython_extension(shell)
    assert run(shell, "%%stage a\nx = 1")[0].success


def test_the_magics_are_known_to_the_shell(shell: Any) -> None:
    known = shell.magics_manager.magics
    assert {"stage", "check", "setup", "params"} <= set(known["cell"])
    assert "nbpipe" in known["line"]


def test_a_magic_called_as_a_function_runs_its_body_and_raises_its_error(shell: Any) -> None:
    shell.run_cell_magic("stage", "a", "q = 4")
    assert shell.user_ns["q"] == 4
    with capture_output(), pytest.raises(ZeroDivisionError):
        shell.run_cell_magic("stage", "a", "1 / 0")


def test_completeness_checks_survive_a_wrong_line(shell: Any) -> None:
    assert shell.input_transformer_manager.check_complete("%%stage a --nope\nx = 1")[0] in (
        "complete",
        "incomplete",
        "invalid",
    )
