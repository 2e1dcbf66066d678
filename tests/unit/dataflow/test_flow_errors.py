"""Errors before anything runs: each with its stage, its cell, its line and a way out."""

from __future__ import annotations

import builtins
import subprocess
import sys

import pytest
from flows import flow_of, inputs_of, stages_of

from nbpipe.dataflow.missing import BUILTINS
from nbpipe.errors import CycleError, PipelineError, UndefinedNameError

A = "%%stage a\n"
B = "%%stage b\n"


def refused(*cells: str) -> PipelineError:
    with pytest.raises(PipelineError) as caught:
        flow_of(*cells)
    assert caught.value.fix
    return caught.value


def test_a_name_that_nothing_gives() -> None:
    error = refused(A + "x = 1\nprint(x,\n      nowhere)")
    assert isinstance(error, UndefinedNameError)
    assert (error.stage, error.cell, error.line, error.name) == ("a", 1, 4, "nowhere")


def test_a_name_that_somebody_has_put_into_builtins_here(monkeypatch: pytest.MonkeyPatch) -> None:
    # As IceCream does when it is installed: a fresh kernel has none of it.
    monkeypatch.setattr(builtins, "ic", print, raising=False)
    assert refused(A + "ic(1)").name == "ic"


def test_every_name_that_python_has_is_known() -> None:
    shown = subprocess.run(
        [sys.executable, "-c", "import builtins; print(*vars(builtins))"], capture_output=True, text=True, check=True
    )
    assert set(shown.stdout.split()) == BUILTINS


def test_a_name_that_only_an_exploration_cell_computes() -> None:
    error = refused("from m import f\ntable = f()", A + "print(table)")
    assert "exploration cell computes (cell 1)" in error.message
    assert "%%stage to cell 1" in (error.fix or "")


def test_variables_of_the_shell_are_no_names_that_are_missing() -> None:
    flow_of(A + "%%bash\nfor i in *.txt; do echo $i ${i}; done", B + "!for j in 1 2; do echo $j $HOME {a,b}; done")
    assert inputs_of("b", A + "word = str(1)", B + "out = !echo $word") == {"word": "a"}
    assert refused("from m import f\nfolder = f()", A + "!ls $folder").name == "folder"
    assert refused(A + "!ls {folder}").name == "folder"


def test_a_name_that_is_bound_further_down() -> None:
    error = refused(A + "print(x)", B + "x = int('1')")
    assert "before it is defined" in error.message
    assert "'b'" in error.message


def test_a_name_that_a_function_needs_when_it_is_called() -> None:
    error = refused("from m import f\nk = f()\ndef g():\n    return k", A + "print(g())")
    assert error.name == "k"


def test_the_result_of_another_stages_cell() -> None:
    assert refused(A + "1 + 1", B + "print(_)").name == "_"
    assert refused(A + "1 + 1", B + "print(Out[1])").name == "Out"
    stages_of(A + "1 + 1", "%%stage a\nprint(_)")


def test_cells_of_a_stage_that_another_stage_stands_between() -> None:
    error = refused("from m import f", A + "x = f()", B + "x = x + f()", A + "print(x)")
    assert isinstance(error, CycleError)


def test_a_patched_module_that_depends_on_a_value() -> None:
    error = refused("import pandas as pd\nfrom m import f", A + "k = f()\npd.DataFrame.k = k", B + "pd.DataFrame().k")
    assert error.name == "pd.DataFrame.k"
    assert "%%setup" in (error.fix or "")


def test_a_definition_that_would_not_come_out_the_same_again() -> None:
    cells = (
        "from m import f",
        A + "k = f()\nclass P:\n    size = k\n",
        B + "k = f()",
        "%%stage c\nP()",
    )
    error = refused(*cells)
    assert error.name == "P"
    assert "'k'" in error.message


def test_a_second_import_does_not_make_a_definition_different() -> None:
    stages_of(
        "import functools", A + "@functools.cache\ndef f():\n    return 1", B + "import functools", "%%stage c\nf()"
    )


def test_a_decorator_that_registers_into_a_value_cannot_run_twice() -> None:
    cells = (
        "from m import load",
        A + "registry = load()\ndef add(f):\n    registry.append(f)\n    return f",
        B + "@add\ndef one():\n    return 1",
        "%%stage c\nprint(one())",
    )
    assert refused(*cells).name == "one"


@pytest.mark.parametrize("name", ["print", "display", "get_ipython", "__name__", "In", "_dh"])
def test_names_of_the_kernel_are_always_there(name: str) -> None:
    if name == "In":
        stages_of(A + "print(In)")
        assert refused(A + "x = 1", B + "print(In)").name == "In"
    else:
        stages_of(A + f"print({name})")


def test_a_name_behind_a_guard_may_be_missing() -> None:
    stages_of(A + "try:\n    fast\nexcept NameError:\n    fast = None\nprint(fast)")


def test_a_star_import_may_give_anything_and_is_said() -> None:
    for cells in (("from m import *", A + "print(anything)"), (A + "from m import *", B + "print(anything)")):
        flow = flow_of(*cells)
        assert [ref.split("@")[0] for ref in flow.stages[-1].flow.definitions] == ["*"]
        assert any("anything" in warning for warning in flow.warnings)


def test_text_that_is_not_python_names_its_line() -> None:
    error = refused(A + "x = 1\ny = = 2")
    assert (error.cell, error.line) == (1, 3)


def test_an_exploration_cell_need_not_be_python() -> None:
    assert stages_of("print 'hello'", "x = (", A + "print(1)")["a"].flow.inputs == {}
