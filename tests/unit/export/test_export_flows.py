"""Graphs, parameters and options as the engines for Python flows want them."""

from __future__ import annotations

import ast
import itertools
from typing import Any

import pytest

from nbpipe.errors import UnsupportedError, UsageError
from nbpipe.export.base import Deployment
from nbpipe.export.registry import exporter
from nbpipe.model import Options, Param, Pipeline, Stage

_NAMES = "abcde"


def deployment(order: dict[str, tuple[str, ...]], options: Options | None = None, **given: Any) -> Deployment:
    stages = tuple(Stage(name=name, kind="stage", cells=(), options=options or Options()) for name in order)
    pipeline = Pipeline(name="flow", version="0" * 64, stages=stages, python="3.11")
    return Deployment(pipeline=pipeline, order=order, **given)


def shapes() -> list[dict[str, tuple[str, ...]]]:
    """Every fifth graph of five stages."""
    pairs = list(itertools.combinations(_NAMES, 2))
    found = []
    for number in range(0, 2 ** len(pairs), 5):
        drawn = [pair for n, pair in enumerate(pairs) if number >> n & 1]
        found.append({name: tuple(one for one, other in drawn if other == name) for name in _NAMES})
    return found


def steps(text: str) -> dict[str, ast.FunctionDef]:
    """The steps of a flow by name."""
    (made,) = (node for node in ast.parse(text).body if isinstance(node, ast.ClassDef) and node.name == "Flow")
    return {node.name: node for node in made.body if isinstance(node, ast.FunctionDef)}


def following(step: ast.FunctionDef) -> list[str]:
    """The steps that come next."""
    last = step.body[-1]
    assert isinstance(last, ast.Expr)
    assert isinstance(last.value, ast.Call)
    called = ast.unparse(last.value.func)
    return [arg.attr for arg in last.value.args if isinstance(arg, ast.Attribute)] if called == "self.next" else []


def test_a_flow_of_metaflow_keeps_the_order_and_what_joins_never_splits() -> None:
    for order in shapes():
        given = deployment(order)
        found = steps(exporter("metaflow").definition(given).files["flow.py"])
        row, passed = ["start"], []
        while row != ["end"]:
            below = {tuple(following(found[name])) for name in row}
            (new,) = below  # those that run side by side all lead to the same
            joins = len(row) > 1
            assert not (joins and len(new) > 1)
            assert all((len(found[name].args.args) == 2) == joins for name in new)
            assert not (len(new) > 1 and len(found[row[0]].args.args) == 2)
            passed += row
            assert all(set(order[name]) <= set(passed) for name in new if name in order)
            row = list(new)
        assert set(passed) - set(order) <= {"start", *(f"{word}_{n}" for word in ("join", "split") for n in range(9))}
        assert sorted(set(passed) & set(order)) == list(_NAMES)


def test_a_step_of_metaflow_has_its_resources_its_timeout_and_its_retries() -> None:
    options = Options(cpus=1.5, memory=2**30 + 1, gpus=1.0, retries=2, timeout=90.0)
    (first,) = (s for s in steps(_metaflow(options)).values() if s.name == "a")
    assert [ast.unparse(each) for each in first.decorator_list] == [
        "resources(cpu=2, memory=1025, gpu=1)",
        "timeout(seconds=150)",
        "retry(times=2, minutes_between_retries=0)",
        "step",
    ]
    assert "@schedule(cron='0 6 * * *')" in _metaflow(options)


def _metaflow(options: Options) -> str:
    return exporter("metaflow").definition(deployment({"a": ()}, options, schedule="0 6 * * *")).files["flow.py"]


def test_parameters_that_metaflow_would_mistake_get_a_number_which_is_said() -> None:
    params = tuple(Param(name=name, type="int", default=1) for name in ("tag", "C", "c", "max_workers", "n"))
    found = exporter("metaflow").definition(deployment({"a": ()}, params=params))
    for option in ("tag_2", "C", "c_2", "max_workers_2", "n"):
        assert f"Parameter('{option}', type=int, default=1)" in found.files["flow.py"]
    assert [note for note in found.notes if "--tag_2" in note]


@pytest.mark.parametrize(
    ("param", "said"),
    [
        (Param(name="p", type="int", default=None, optional=True), "dagster.Noneable(dagster.Int)"),
        (Param(name="p", type="list", default=[1]), "dagster.Array(dagster.Any)"),
        (Param(name="p", type="dict", default={"a": 1}), "dagster.Permissive()"),
        (Param(name="p", type="str", required=True), "dagster.Field(dagster.String, is_required=True)"),
        (Param(name="p", type="choice", default="a", choices=("a", "b")), "dagster.Any"),
    ],
)
def test_the_config_of_dagster_has_the_types_of_the_notebook(param: Param, said: str) -> None:
    found = exporter("dagster").definition(deployment({"a": ()}, params=(param,)))
    assert said in found.files["definitions.py"]


def test_an_op_of_dagster_waits_for_those_above_and_is_tried_again_as_often_as_it_says() -> None:
    order: dict[str, tuple[str, ...]] = {"a": (), "b": (), "c": ("a", "b")}
    text = exporter("dagster").definition(deployment(order, Options(retries=2), schedule="0 6 * * *")).files
    assert "nbpipe_op('c', 'c', retries=2)(after=[a_ends, b_ends])" in text["definitions.py"]
    assert "nbpipe_op('record_run', '--finish')(after=[c_ends])" in text["definitions.py"]
    assert "cron_schedule='0 6 * * *'" in text["definitions.py"]


def test_a_job_of_slurm_has_its_resources_and_the_time_of_all_its_attempts() -> None:
    options = Options(cpus=1.5, memory=2**30 + 1, gpus=2.0, retries=1, timeout=3600.0)
    order: dict[str, tuple[str, ...]] = {"a": (), "a-b": ("a",), "a_b": ("a",), "c": ("a-b", "a_b")}
    found = exporter("slurm").definition(deployment(order, options)).files["submit.sh"]
    lines = [line for line in found.splitlines() if line.startswith("submit --")]
    wishes = "--time=0-02:01:00 --cpus-per-task=2 --mem=1025M --gres=gpu:2"
    assert lines[0] == f'submit --job-name=flow-a {wishes} stage.sh a "$run" 1 "$@"'
    assert f'--job-name=flow-a-b-2 {wishes} "--dependency=afterok:$job_a" stage.sh a_b' in lines[2]
    assert '"--dependency=afterok:$job_a_b:$job_a_b_2" stage.sh c' in lines[3]


@pytest.mark.parametrize("to", ["kfp", "flyte", "slurm"])
def test_half_a_gpu_is_refused_where_there_are_whole_ones(to: str) -> None:
    with pytest.raises(UnsupportedError, match="gets whole GPUs") as refused:
        exporter(to).definition(deployment({"a": ()}, Options(gpus=0.5), image="i"))
    assert (refused.value.stage, bool(refused.value.fix)) == ("a", True)


def test_the_inputs_of_flyte_are_in_lower_case_and_none_is_lost() -> None:
    params = tuple(Param(name=name, type="int", default=1) for name in ("C", "c", "Ab"))
    found = exporter("flyte").definition(deployment({"a": ()}, params=params, image="i"))
    assert "def flow(c: int=1, c_2: int=1, ab: int=1)" in found.files["workflow.py"]
    assert "nbpipe({'C': c, 'c': c_2, 'Ab': ab}, 'a')" in found.files["workflow.py"]
    assert "c: the input is c_2" in found.notes


@pytest.mark.parametrize(("to", "file"), [("kfp", "pipeline.py"), ("flyte", "workflow.py")])
def test_a_parameter_hides_nothing_that_a_container_s_code_calls(to: str, file: str) -> None:
    names = ("stage", "run", "given", "json", "os", "sys", "nbpipe", "task", "dsl", "draw", "recorded", "a_ends", "a")
    params = tuple(Param(name=name, type="int", default=1) for name in names)
    text = exporter(to).definition(deployment({"a": ()}, params=params, image="i")).files[file]
    called = {
        node.func.id for node in ast.walk(_flow(text)) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert called
    assert not called & set(names)


def _flow(text: str) -> ast.FunctionDef:
    (found,) = (node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef) and node.name == "flow")
    return found


@pytest.mark.parametrize(
    ("param", "said"),
    [
        (Param(name="p", type="float", default=1), "p: float=1.0"),
        (Param(name="p", type="int", default=None, optional=True), "p: str='null'"),
        (Param(name="p", type="list", default=[1.0]), "p: str='[1.0]'"),
        (Param(name="p", type="choice", default="a", choices=("a", "b")), "p: str='a'"),
        (Param(name="p", type="choice", default=1, choices=(1, 2)), "p: str='1'"),
        (Param(name="p", type="bool", required=True), "p: bool)"),
    ],
)
@pytest.mark.parametrize(("to", "file"), [("kfp", "pipeline.py"), ("flyte", "workflow.py")])
def test_the_inputs_of_containers_are_typed_or_json(to: str, file: str, param: Param, said: str) -> None:
    text = exporter(to).definition(deployment({"a": ()}, params=(param,), image="i")).files[file]
    assert f"def flow({said}" in text


def test_a_default_that_would_break_what_kubeflow_s_compiler_writes_is_refused() -> None:
    for default in ("a\nb: c", "a\rb", "\x00", "a\u2028b"):
        param = Param(name="p", type="str", default=default)
        with pytest.raises(UnsupportedError, match="line breaks or control characters"):
            exporter("kfp").definition(deployment({"a": ()}, params=(param,), image="i"))
    with pytest.raises(UnsupportedError, match="a placeholder of its own"):
        exporter("kfp").definition(deployment({"a": ()}, image="{{$.inputs}}"))


@pytest.mark.parametrize("folder", ["/elsewhere", "../x", "a{b}"])
def test_a_folder_that_valohai_does_not_see_is_refused(folder: str) -> None:
    with pytest.raises(UnsupportedError, match="sees the repository only"):
        exporter("valohai").definition(deployment({"a": ()}, folder=folder))


def test_a_cron_job_needs_a_schedule_and_an_image() -> None:
    incomplete: list[dict[str, Any]] = [{"image": "i"}, {"schedule": "0 6 * * *"}]
    for given in incomplete:
        with pytest.raises(UsageError, match="needs a"):
            exporter("kubernetes").definition(deployment({"a": ()}, **given))
