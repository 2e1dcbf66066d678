"""Metaflow: a flow with a step per stage.

Metaflow draws no graph but branches that are joined again, so stages are put into levels: those of one level run side by
side, and wait for all of the level above.
"""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Iterator
from itertools import count
from typing import Any, Literal

from nbpipe.errors import UnsupportedError
from nbpipe.export.airflow import FINAL
from nbpipe.export.base import Definition, Deployment
from nbpipe.export.engines_here import METAFLOW
from nbpipe.export.names import identifier, mapped
from nbpipe.export.python import assign, call, dotted, source, value
from nbpipe.model import Param, Stage

#: Seconds that a step has beyond its stage's timeout, within which the job ends by itself and says why.
_GRACE = 60
#: Names of steps, and of attributes, that are Metaflow's own, and ours.
_STEPS = (
    "start",
    "end",
    "name",
    "next",
    "input",
    "index",
    "cmd",
    "foreach_stack",
    "script_name",
    "merge_artifacts",
    "nbpipe_run",
)
#: Options of `python flow.py run`.
_OPTIONS = (
    *("params", "with", "tag", "namespace", "obj", "tags", "decospecs", "run_id_file", "max_num_splits", "max_workers"),
    *("max_log_size", "user_namespace", "run_id", "task_id", "runner_attribute_file", "help"),
)
_CLASSES = (
    "FlowSpec",
    "JSONType",
    "Parameter",
    "Path",
    "FOLDER",
    "PYTHON",
    "FINAL",
    "PARAMS",
    "StageFailed",
    "json",
    "os",
)
_HEAD = """
import json
import os
import subprocess
import sys
from pathlib import Path
from metaflow import FlowSpec, JSONType, Parameter, current, exit_hook, resources, retry, schedule, step, timeout
from metaflow.exception import MetaflowException
"""
_RUN = '''
class StageFailed(MetaflowException):
    """A stage has failed; its log is above."""

    headline = "Stage failed"


def nbpipe(flow, *what):
    """Run `python -m nbpipe.stage`; a resumed run goes on with the results of the one it resumes."""
    given = {name: getattr(flow, attribute) for name, attribute in PARAMS.items()}
    command = [PYTHON, "-m", "nbpipe.stage", str(FOLDER), *what, "--run", flow.nbpipe_run, "--params", "-"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "NBPIPE_PARENT": str(os.getpid())}
    code = subprocess.run(command, input=json.dumps(given).encode(), env=environment).returncode
    if code:
        raise StageFailed(FINAL.get(code, f"the stage ended with exit code {code}"))


def record_failed_run(run):
    """The history has runs that failed, too."""
    try:
        nbpipe(run["start"].task.data, "--finish")
    except StageFailed as failed:
        print(failed)
'''
_CARRIES = {
    "after": "level of the step",
    "retries": "`@retry`",
    "timeout": "`@timeout`, and the job's own",
    "cpus": "`@resources`",
    "memory": "`@resources`",
    "gpus": "`@resources`",
    "model": "recorded by `end`",
    "register": "registered by `end`",
    "--param": "`Parameter`, typed",
    "--schedule": "`@schedule`",
    "--trigger-dataset": "`@trigger`, one event",
    "secrets": "environment",
}
_TYPES = {"int": "int", "float": "float", "str": "str", "bool": "bool"}


class MetaflowExporter:
    """Writes `flow.py`."""

    name = "metaflow"
    title = "Metaflow"
    proof: Literal["executed"] = "executed"
    remote = False
    verification = METAFLOW
    carries = _CARRIES
    instead = dict.fromkeys(
        ("image", "--image"), "Give the image when the flow is run or deployed: --with kubernetes:image=NAME."
    )

    def definition(self, deployment: Deployment) -> Definition:
        """`flow.py`."""
        pipeline, params = deployment.pipeline, deployment.params
        attributes = {param.name: f"param_{param.name}" for param in params}
        steps = mapped((stage.name for stage in deployment.stages), identifier, taken=[*_STEPS, *attributes.values()])
        flow = mapped([pipeline.name], _capital, taken=_CLASSES)[pipeline.name]
        options = _options(params)
        about = f"The pipeline {pipeline.name!r}, version {pipeline.version[:7]}. Written by nbpipe export."
        inside: list[ast.stmt] = [ast.Expr(ast.Constant(f"The pipeline {pipeline.name!r}."))]
        inside += [assign(attributes[param.name], _param(param, options[param.name])) for param in params]
        inside += _steps(steps, deployment)
        decorators: list[ast.expr] = [call("exit_hook", on_error=ast.List([dotted("record_failed_run")], ast.Load()))]
        if deployment.schedule is not None:
            decorators.append(call("schedule", cron=value(deployment.schedule)))
        if deployment.trigger_datasets:
            decorators.append(call("trigger", event=value(_event(deployment.trigger_datasets))))
        made = ast.parse(f"class {flow}(FlowSpec): pass").body[0]
        assert isinstance(made, ast.ClassDef)  # noqa: S101 - it stands there
        made.body, made.decorator_list = inside, decorators
        body: list[ast.stmt] = [
            ast.Expr(ast.Constant(about)),
            *ast.parse(_HEAD + ("from metaflow import trigger" if deployment.trigger_datasets else "")).body,
            assign("FOLDER", ast.parse("Path(__file__).resolve().parent", mode="eval").body),
            assign("PYTHON", ast.parse("os.environ.get('NBPIPE_PYTHON', sys.executable)", mode="eval").body),
            assign("FINAL", value(FINAL)),
            assign("PARAMS", value(attributes)),
            *ast.parse(_RUN).body,
            made,
            *ast.parse(f"if __name__ == '__main__':\n    {flow}()").body,
        ]
        return Definition(
            main="flow.py",
            files={"flow.py": source(body)},
            steps=(
                (
                    "Install what the stages need beside Metaflow, or in an environment that `NBPIPE_PYTHON` names:",
                    "pip install -r requirements.txt",
                ),
                ("Run it; parameters are options:", "python flow.py run"),
                *(
                    [("Deploy it, where its schedule and its event count:", "python flow.py argo-workflows create")]
                    if deployment.starts_itself
                    else []
                ),
            ),
            notes=_notes(deployment, options),
        )


def _event(datasets: tuple[str, ...]) -> str:
    """Metaflow waits for all of several events: what starts after any of them has one."""
    if len(datasets) > 1:
        raise UnsupportedError(
            f"Metaflow cannot express a second --trigger-dataset {datasets[1]}: a flow would wait for both",
            name="trigger-dataset",
            fix="Name one.",
        )
    return datasets[0]


def levels(deployment: Deployment) -> list[list[Stage]]:
    """Stages by the length of the longest way to them; each waits for some stage of the level above."""
    depth: dict[str, int] = {}
    found: list[list[Stage]] = []
    for stage in deployment.stages:
        depth[stage.name] = 1 + max((depth[name] for name in deployment.order[stage.name]), default=-1)
        found += [[] for _ in range(depth[stage.name] + 1 - len(found))]
        found[depth[stage.name]].append(stage)
    return found


def _steps(names: dict[str, str], deployment: Deployment) -> Iterator[ast.stmt]:
    """`start`, a step per stage, steps of their own where branches meet and part again, `end`."""
    rows: list[tuple[list[str], list[Stage]]] = [(["start"], [])]
    known = set(names.values())

    def bare(said: str) -> None:
        rows.append(([next(name for n in count(len(rows)) if (name := f"{said}_{n}") not in known)], []))

    for level in levels(deployment):
        if len(level) > 1 and len(rows[-1][0]) > 1:
            bare("join")
        # Metaflow does not let a step that joins branches start new ones.
        if len(level) > 1 and len(rows) > 1 and len(rows[-2][0]) > 1:
            bare("split")
        rows.append(([names[stage.name] for stage in level], level))
    rows.append((["end"], []))
    for number, (row, level) in enumerate(rows):
        joins = number > 0 and len(rows[number - 1][0]) > 1
        below = rows[number + 1][0] if number + 1 < len(rows) else []
        for place, name in enumerate(row):
            body: list[ast.stmt] = ast.parse("self.nbpipe_run = inputs[0].nbpipe_run").body if joins else []
            body += ast.parse("self.nbpipe_run = current.run_id").body if name == "start" else []
            if level or name == "end":
                what = level[place].name if level else "--finish"
                body.append(ast.Expr(call("nbpipe", dotted("self"), value(what))))
            if below:
                body.append(ast.Expr(call("self.next", *(dotted(f"self.{each}") for each in below))))
            made = ast.parse(f"def {name}(self{', inputs' if joins else ''}): pass").body[0]
            assert isinstance(made, ast.FunctionDef)  # noqa: S101 - it stands there
            made.body = body
            made.decorator_list = [*(_wishes(level[place]) if level else []), dotted("step")]
            yield made


def _wishes(stage: Stage) -> Iterator[ast.expr]:
    options = stage.options
    amounts: dict[str, ast.expr] = {}
    if options.cpus:
        amounts["cpu"] = value(math.ceil(options.cpus))
    if options.memory:
        amounts["memory"] = value(math.ceil(options.memory / 2**20))
    if options.gpus:
        amounts["gpu"] = value(math.ceil(options.gpus))
    if amounts:
        yield call("resources", **amounts)
    if options.timeout is not None:
        yield call("timeout", seconds=value(math.ceil(options.timeout) + _GRACE))
    if options.retries:
        yield call("retry", times=value(options.retries), minutes_between_retries=value(0))


def _options(params: tuple[Param, ...]) -> dict[str, str]:
    """Parameter -> its option. Metaflow takes upper for lower case, and keeps some names for itself."""
    found: dict[str, str] = {}
    used = set(_OPTIONS)
    for param in params:
        new, number = param.name, 2
        while new.lower() in used:
            new, number = f"{param.name}_{number}", number + 1
        used.add(new.lower())
        found[param.name] = new
    return found


def _param(param: Param, option: str) -> ast.Call:
    """What is no plain value is given as JSON. The job itself holds it against the declared type and choices."""
    kind = _TYPES.get(param.type)
    if param.choices is not None and len({type(choice) for choice in param.choices}) == 1:
        kind = _TYPES.get(type(param.choices[0]).__name__)
    keywords: dict[str, ast.expr] = {"type": dotted(kind or "JSONType")}
    if param.required:
        keywords["required"] = value(data=True)
    elif kind is None or param.default is not None:
        given: Any = param.default if kind is not None else json.dumps(param.default)
        keywords["default"] = value(given)
    if param.help:
        keywords["help"] = value(param.help)
    return call("Parameter", value(option), **keywords)


def _capital(name: str) -> str:
    text = identifier(name)
    # `true` becomes a keyword.
    return identifier(text[:1].upper() + text[1:])


def _notes(deployment: Deployment, options: dict[str, str]) -> tuple[str, ...]:
    found = [f"{name}: the option is --{option}" for name, option in options.items() if name != option]
    if any(stage.options.cpus or stage.options.memory or stage.options.gpus for stage in deployment.stages):
        found.append(
            "what @resources asks for is seen to by Metaflow's compute layers, and not by a run on this machine"
        )
    if deployment.schedule is not None:
        found.append("@schedule counts where the flow is deployed; the machines there have to see the project's folder")
    if deployment.secrets:
        found.append(f"the environment has to hold {', '.join(deployment.secrets)}")
    return tuple(found)


EXPORTER = MetaflowExporter()
