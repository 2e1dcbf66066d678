"""Prefect 3: a flow with a task per stage. Importing the module starts nothing."""

from __future__ import annotations

import ast
import re
from typing import Any, Literal

import msgspec

from nbpipe.export.airflow import FINAL
from nbpipe.export.base import Definition, Deployment
from nbpipe.export.engines_here import PREFECT
from nbpipe.export.names import identifier, mapped
from nbpipe.export.python import assign, call, dotted, source, value
from nbpipe.model import Param

_RECORD = "record_run"
_HEAD = """
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal, Optional
from prefect import flow, runtime, task
"""
_EVENTS = "from prefect.events import DeploymentEventTrigger"
_TASKS = '''
class Final(Exception):
    """A failure that another try cannot mend."""


def nbpipe(run, given, *what):
    """Run `python -m nbpipe.stage`; what it prints goes to the log of the task."""
    command = [PYTHON, "-m", "nbpipe.stage", str(FOLDER), *what, "--run", run, "--params", "-"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True, env=environment) as process:
        process.stdin.write(json.dumps(given))
        process.stdin.close()
        for line in process.stdout:
            print(line, end="")
    if process.returncode in FINAL:
        raise Final(FINAL[process.returncode])
    if process.returncode:
        raise RuntimeError(f"the stage ended with exit code {process.returncode}; its log is above")


def another_try(task, task_run, state):
    """Whether a failed task is tried again."""
    return not isinstance(state.result(raise_on_failure=False), Final)


def stage_task(name, *what, **options):
    """The task of a stage."""

    def run_stage(run, given):
        nbpipe(run, given, *what)

    return task(
        run_stage, name=name, log_prints=True, retry_delay_seconds=1, retry_condition_fn=another_try, **options
    )
'''
_DATED = """
if given[DATE] == DEFAULT_DATE:
    given = {**given, DATE: f"{runtime.flow_run.scheduled_start_time:%Y-%m-%d}"}
"""
_CARRIES = {
    "after": "`wait_for`",
    "retries": "`retries` of the task",
    "timeout": "the job's own",
    "model": "recorded by the last task",
    "register": "registered by the last task",
    "--param": "parameters of the flow, typed",
    "--schedule": "`cron` of `serve`",
    "--trigger-dataset": "event of the asset, `triggers` of `serve`",
    "--logical-date-param": "`scheduled_start_time` of the run",
    "secrets": "environment of the worker",
}
_TYPES = {"int": "int", "float": "float", "str": "str", "bool": "bool", "list": "list", "dict": "dict", "none": "None"}


class PrefectExporter:
    """Writes `flow.py`."""

    name = "prefect"
    title = "Prefect 3"
    proof: Literal["executed"] = "executed"
    remote = False
    verification = PREFECT
    #: Names of parameters that it takes.
    parameters = "(?!(wait_for|return_state|model_config)$)[^_].*"
    carries = _CARRIES
    instead = dict.fromkeys(
        ("cpus", "memory", "gpus", "image", "--image"),
        "Prefect's work pools decide where a flow runs: take it off, or choose a scheduler whose stages are containers.",
    )

    def definition(self, deployment: Deployment) -> Definition:
        """`flow.py`."""
        pipeline = deployment.pipeline
        # No parameter of the user may hide what the flow's own body calls.
        run = mapped(["run_pipeline"], identifier, taken=[param.name for param in deployment.params])["run_pipeline"]
        taken = [run, _RECORD, "nbpipe", "another_try", "stage_task", "given", "flow", "task", "runtime", "Final"]
        taken += ["DATE", "DEFAULT_DATE", "FOLDER", "PYTHON", "FINAL"]
        flow = mapped([pipeline.name], identifier, taken=taken)[pipeline.name]
        names = mapped((stage.name for stage in deployment.stages), lambda n: identifier(f"task_{n}"), taken=[flow])
        about = f"The pipeline {pipeline.name!r}, version {pipeline.version[:7]}. Written by nbpipe export."
        body: list[ast.stmt] = [
            ast.Expr(ast.Constant(about)),
            *ast.parse(_HEAD + (_EVENTS if deployment.trigger_datasets else "")).body,
            assign("FOLDER", ast.parse("Path(__file__).resolve().parent", mode="eval").body),
            assign("PYTHON", ast.parse("os.environ.get('NBPIPE_PYTHON', sys.executable)", mode="eval").body),
            assign("FINAL", value(FINAL)),
            *_dates(deployment),
            *ast.parse(_TASKS).body,
            *(
                assign(
                    names[stage.name],
                    call("stage_task", value(stage.name), value(stage.name), retries=value(stage.options.retries)),
                )
                for stage in deployment.stages
            ),
            assign(_RECORD, call("stage_task", value(_RECORD), value("--finish"))),
            _run(run, names, deployment),
            _flow(flow, run, deployment),
            _main(flow, deployment),
        ]
        return Definition(
            main="flow.py",
            files={"flow.py": source(body)},
            steps=(
                (
                    "Install what the stages need where Prefect's workers run, or in an environment that `NBPIPE_PYTHON` names:",
                    "pip install -r requirements.txt",
                ),
                ("Try it:", f"python -c 'import flow; flow.{flow}()'"),
                ("Serve it: it runs by its schedule, and when somebody asks:", "python flow.py"),
            ),
            notes=(f"the workers' environment has to hold {', '.join(deployment.secrets)}",)
            if deployment.secrets
            else (),
        )


def _dates(deployment: Deployment) -> list[ast.stmt]:
    """The parameter that gets the date of each run, and what it is where nobody has set it."""
    if not deployment.logical_date:
        return []
    return [assign("DATE", value(deployment.logical_date)), assign("DEFAULT_DATE", value(deployment.default_date))]


def _run(name: str, names: dict[str, str], deployment: Deployment) -> ast.FunctionDef:
    """Submits every task, and records the run whatever came of them."""
    body: list[ast.stmt] = [
        ast.Expr(ast.Constant("Submit the stages as the graph allows; the last task fails if one of them did.")),
        assign("run", ast.parse("str(runtime.flow_run.id)", mode="eval").body),
        *ast.parse(_DATED if deployment.logical_date else "").body,
    ]
    local = {stage: f"{task}_ends" for stage, task in names.items()}
    for stage in deployment.stages:
        keywords: dict[str, ast.expr] = {}
        above = deployment.order[stage.name]
        if above:
            keywords["wait_for"] = ast.List([dotted(local[each]) for each in above], ast.Load())
        body.append(
            assign(local[stage.name], call(f"{names[stage.name]}.submit", dotted("run"), dotted("given"), **keywords))
        )
    ends = ast.List([dotted(local[each]) for each in deployment.stages_last], ast.Load())
    wait = ast.Expr(call("end.wait"))
    body.append(ast.For(ast.Name("end", ast.Store()), ends, [wait], []))
    body.append(ast.Expr(call(_RECORD, dotted("run"), dotted("given"))))
    return _function(name, ast.arguments([], [ast.arg("given")], None, [], [], None, []), body, [])


def _flow(name: str, run: str, deployment: Deployment) -> ast.FunctionDef:
    """The function whose parameters are those of the pipeline, keyword only: required ones may come after others."""
    dated = deployment.logical_date
    params = tuple(
        msgspec.structs.replace(param, required=False, default=None, optional=True)
        if param.name == dated and param.required
        else param
        for param in deployment.params
    )
    arguments = ast.arguments(
        [],
        [],
        None,
        [ast.arg(param.name, _annotation(param)) for param in params],
        [None if param.required else value(param.default) for param in params],
        None,
        [],
    )
    given = ast.Dict([value(param.name) for param in params], [dotted(param.name) for param in params])
    said = "\n".join([deployment.pipeline.name, "", *(f"{p.name}: {p.help}" for p in params if p.help)])
    body: list[ast.stmt] = [ast.Expr(call(run, given))]
    # What Prefect takes in no name, and what is not to be seen in one; the description has it all.
    title = re.sub(r"[/%&<>\x00-\x1f\x7f]", "_", deployment.pipeline.name) or "pipeline"
    return _function(name, arguments, body, [call("flow", name=value(title), description=value(said))])


def _main(flow: str, deployment: Deployment) -> ast.If:
    keywords: dict[str, ast.expr] = {"name": value("nbpipe")}
    if deployment.schedule is not None:
        keywords["cron"] = value(deployment.schedule)
    if deployment.trigger_datasets:
        told: dict[str, Any] = {
            "expect": ["prefect.asset.materialization.succeeded"],
            "match": {"prefect.resource.id": list(deployment.trigger_datasets)},
        }
        trigger = call("DeploymentEventTrigger", **{name: value(each) for name, each in told.items()})
        keywords["triggers"] = ast.List([trigger], ast.Load())
    test = ast.Compare(ast.Name("__name__", ast.Load()), [ast.Eq()], [ast.Constant("__main__")])
    return ast.If(test, [ast.Expr(call(f"{flow}.serve", **keywords))], [])


def _annotation(param: Param) -> ast.expr:
    if param.choices is not None:
        found: ast.expr = ast.Subscript(dotted("Literal"), value(tuple(param.choices)), ast.Load())
    else:
        found = dotted(_TYPES.get(param.type, "Any")) if param.type != "none" else ast.Constant(None)
    return ast.Subscript(dotted("Optional"), found, ast.Load()) if param.optional and param.type != "none" else found


def _function(name: str, arguments: ast.arguments, body: list[ast.stmt], decorators: list[ast.expr]) -> ast.FunctionDef:
    made = ast.parse("def f(): pass").body[0]
    assert isinstance(made, ast.FunctionDef)  # noqa: S101 - it stands there
    made.name, made.args, made.body, made.decorator_list = name, arguments, body, decorators
    return made


EXPORTER = PrefectExporter()
