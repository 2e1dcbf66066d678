"""One stage from job.json to verdict.json: values, parameters, definitions, outputs, checks."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest
from jobs import Bench

from nbpipe.model import Code, Snippet


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_outputs_are_stored_and_an_unbound_one_is_absent(bench: Bench) -> None:
    outcome = bench.run("a = [1, 2]", outputs=("a", "nothing"))
    assert (bench.code, outcome.status) == (0, "succeeded")
    assert bench.load(outcome.outputs) == {"a": [1, 2]}
    assert outcome.outputs["nothing"].format == "absent"


def test_a_value_changed_in_place_is_observed_although_nobody_asked(bench: Bench) -> None:
    made = bench.run("a = [1]; b = [2]", outputs=("a", "b")).outputs
    outcome = bench.run("a.append(b[0])", inputs=made)
    assert bench.load(outcome.observed) == {"a": [1, 2]}


def test_a_value_only_read_is_not_observed(bench: Bench) -> None:
    made = bench.run("a = [1]", outputs=("a",)).outputs
    assert bench.run("print(a)", inputs=made).observed == {}


def test_an_input_that_an_output_holds_is_stored_with_it(bench: Bench) -> None:
    made = bench.run("a = [1]", outputs=("a",)).outputs
    outcome = bench.run("pair = [a, 2]", inputs=made, outputs=("pair",))
    loaded = bench.load({**outcome.outputs, **outcome.observed})
    assert loaded["pair"][0] is loaded["a"]


def test_an_input_deleted_by_the_stage_is_observed_as_absent(bench: Bench) -> None:
    made = bench.run("a = [1]", outputs=("a",)).outputs
    assert bench.run("del a", inputs=made).observed["a"].format == "absent"


PARAM = Snippet(id="lr@1.1", kind="param", names=("lr",), source="lr: NoSuchType = 0.1", cell=1, line=2)
FUNCTION = Snippet(
    id="f@2.1",
    kind="function",
    names=("f",),
    source="def f(x=lr):\n    f.calls = getattr(f, 'calls', 0) + 1\n    return x, f.calls",
    cell=2,
    line=3,
    needs=("lr",),
)


def test_a_parameter_replaces_the_assigned_value_and_annotations_are_not_evaluated(bench: Bench) -> None:
    outcome = bench.run("y = lr", snippets=(PARAM,), params={"lr": 5}, outputs=("y",))
    assert bench.load(outcome.outputs) == {"y": 5}
    assert bench.load(bench.run("y = lr", snippets=(PARAM,), outputs=("y",)).outputs) == {"y": 0.1}


def test_state_hung_on_a_function_goes_to_the_next_stage(bench: Bench) -> None:
    first = bench.run("f(); f()", snippets=(PARAM, FUNCTION))
    assert first.observed["f"].format == "defstate"
    bench.run("print(f())", snippets=(PARAM, FUNCTION), inputs=first.observed)
    assert bench.printed() == "(0.1, 3)\n"


def test_a_function_that_is_only_called_has_no_state_to_report(bench: Bench) -> None:
    plain = Snippet(id="g", kind="function", names=("g",), source="def g():\n    return 1", cell=2, line=2)
    assert bench.run("g()", snippets=(plain,)).observed == {}


def test_the_source_of_a_definition_can_be_inspected(bench: Bench) -> None:
    bench.run("import inspect; print(inspect.getsource(f))", snippets=(PARAM, FUNCTION))
    assert bench.printed().startswith("def f(x=lr):")


def test_the_namespace_is_that_of_a_plain_notebook(bench: Bench) -> None:
    bench.run("print([name for name in dir() if not name.startswith('_')], __name__)")
    assert bench.printed() == "['In', 'Out', 'exit', 'get_ipython', 'open', 'quit'] __main__\n"


def test_setup_cells_run_first_and_see_parameters(bench: Bench) -> None:
    setup = (Code(cell=9, body="scale = lr * 10", line=2),)
    bench.run("print(scale)", snippets=(PARAM,), setup=setup, params={"lr": 2})
    assert bench.printed() == "20\n"


def test_the_executed_cells_are_in_the_notebook_and_in_the_store(bench: Bench) -> None:
    outcome = bench.run("print('one')", "1 + 1")
    notebook = nbformat.read(bench.folders[-1] / "executed.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert [cell.outputs[0].output_type for cell in notebook.cells] == ["stream", "execute_result"]
    stored = json.loads((bench.root / "store/objects" / outcome.executed[:2] / outcome.executed).read_text())
    assert [cell["cell"] for cell in stored] == [1, 2]
    assert stored[1]["outputs"][0]["data"]["text/plain"] == "2"


def test_displays_can_be_updated_and_cleared(bench: Bench) -> None:
    body = "from IPython.display import display, clear_output\nh = display(1, display_id=True)\nh.update(2)"
    bench.run(body, "print('gone')\nclear_output()\nprint('stays')")
    cells = nbformat.read(bench.folders[-1] / "executed.ipynb", as_version=4).cells
    assert [output.data["text/plain"] for output in cells[0].outputs] == ["2"]
    assert [output.text for output in cells[1].outputs] == ["stays\n"]


def test_output_over_the_limit_goes_to_the_log_only_and_the_notebook_says_so(bench: Bench) -> None:
    bench.run("for i in range(3000): print('x' * 100)", output_limit=10_000)
    outputs = nbformat.read(bench.folders[-1] / "executed.ipynb", as_version=4).cells[0].outputs
    assert len(outputs[0].text) == 10_000
    assert "293,000 bytes of output are not kept here" in outputs[-1].text
    assert len(bench.printed()) == 303_000


def test_a_cell_magic_below_the_stage_line_works(bench: Bench) -> None:
    outcome = bench.run("%%capture kept\nprint('hidden')", "print(kept.stdout)", outputs=())
    assert outcome.status == "succeeded"
    assert bench.printed() == "hidden\n\n"


@pytest.mark.parametrize(
    ("body", "fix"),
    [
        ("import pickle; pickle.loads(b'c__main__\\nNet\\n.')", "write the name 'Net' in this stage"),
        ("%hello you", "make it a %%setup cell"),
        ("(1).real_part", ""),
    ],
)
def test_an_error_of_a_kernel_that_has_less_than_the_notebooks_says_what_to_do(
    bench: Bench, body: str, fix: str
) -> None:
    failure = bench.run(body).failure
    assert failure is not None
    assert (fix in failure.fix) if fix else not failure.fix


def test_a_failed_assertion_in_a_check_rejects(bench: Bench) -> None:
    outcome = bench.run("acc = 0.5\nassert acc > 0.6, 'too low'", kind="check")
    assert (bench.code, outcome.status) == (8, "rejected")
    assert outcome.failure is not None
    assert (outcome.failure.message, outcome.failure.line) == ("AssertionError: too low", 3)


def test_a_threshold_that_does_not_hold_rejects_and_shows_the_values(bench: Bench) -> None:
    outcome = bench.run("acc = 0.5", kind="check", thresholds=("acc >= champion.acc",), champion={"acc": 0.6})
    assert bench.code == 8
    assert outcome.failure is not None
    assert "acc = 0.5, champion.acc = 0.6" in outcome.failure.message


def test_metrics_are_numbers_at_the_end_or_a_warning(bench: Bench) -> None:
    cell = "import numpy as np\nloss = [3.0, 1.0]; acc = np.float32(0.5); big = 10**400"
    outcome = bench.run(cell, metrics=("loss", "acc", "f1", "big"))
    assert outcome.metrics == {"loss": 1.0, "acc": 0.5}
    assert outcome.warnings == tuple(
        f"metric '{name}' is not a number at the end of the stage" for name in ("f1", "big")
    )


def test_a_threshold_on_what_is_no_number_rejects_and_says_so(bench: Bench) -> None:
    outcome = bench.run("acc = 'good'", kind="check", thresholds=("acc > 0.5",))
    assert bench.code == 8
    assert outcome.failure is not None
    assert outcome.failure.message == "acc > 0.5 cannot be computed: acc is no number"


def test_a_metric_that_is_nan_is_left_out_with_a_warning(bench: Bench) -> None:
    outcome = bench.run("loss = [1.0, float('nan')]; acc = 0.5", metrics=("loss", "acc"))
    assert (outcome.status, outcome.metrics) == ("succeeded", {"acc": 0.5})
    assert outcome.warnings == ("metric 'loss' is nan at the end of the stage: left out",)


def test_a_secret_appears_nowhere(bench: Bench) -> None:
    canary = "s3cr3t-canary-value"
    body = (
        "import os\nv = os.environ['KEY']\nfor part in (v[:5], v[5:]):\n"
        "    print(part, end='', flush=True)\nraise ValueError(v)"
    )
    bench.run(body, env={"KEY": canary}, secrets=("KEY",))
    for path in bench.folders[-1].rglob("*"):
        if path.is_file() and path.name != "job.json":
            assert canary.encode() not in path.read_bytes(), path.name


def test_a_kernel_that_is_not_installed_here_gives_way_to_this_python_and_is_said(bench: Bench) -> None:
    outcome = bench.run("print('ran')", kernel="conda-env-of-somebody-py")
    assert outcome.status == "succeeded", outcome.failure
    assert bench.printed() == "ran\n"
    assert any("conda-env-of-somebody-py" in warning for warning in outcome.warnings)


def test_a_definition_of_another_cell_that_fails_is_named_with_its_cell_and_line(bench: Bench) -> None:
    (bench.project / "helper.py").write_text("import nowhere_to_be_found\n")
    snippet = Snippet(id="f@7.1", kind="import", names=("f",), source="from helper import f", cell=7, line=3)
    failure = bench.run("x = 1", "f()", snippets=(snippet,)).failure
    assert failure is not None
    assert (failure.code, failure.cell, failure.line) == ("user-code", 7, 3)
    first, place, *rest = failure.traceback.splitlines()
    assert (first, place) == ("Traceback (most recent call last):", "  Cell 7, line 3")
    assert "helper.py" in rest[1]
    assert "nbpipe" not in failure.traceback.replace(str(bench.project), "")


def test_a_traceback_counts_cells_as_the_notebook_does(bench: Bench) -> None:
    outcome = bench.run("x = 1", "def f():\n    return 1 / 0", "f()")
    assert outcome.failure is not None
    assert "Cell 3, line 2" in outcome.failure.traceback
    assert "Cell 2, line 3, in f()" in outcome.failure.traceback
    assert "In[" not in outcome.failure.traceback
