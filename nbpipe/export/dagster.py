"""Dagster: a job with an op per stage, in a module of Definitions. Importing the module starts nothing."""

from __future__ import annotations

import ast
import keyword
from typing import Any, Literal

from nbpipe.export import dagster_sensors
from nbpipe.export.airflow import FINAL
from nbpipe.export.base import Definition, Deployment
from nbpipe.export.engines_here import DAGSTER
from nbpipe.export.names import identifier, mapped
from nbpipe.export.python import assign, call, dotted, source, value
from nbpipe.model import Param

_RECORD = "record_run"
#: Names that Dagster keeps for itself, and ours.
_TAKEN = (
    *("context", "conf", "config", "meta", "arg_dict", "dict", "input_arg_dict", "output_arg_dict", "int", "str"),
    *("float", "bool", "input", "output", "op", "type", "pipeline", "solid", "asset", "job", _RECORD),
    *keyword.softkwlist,
)
_HEAD = """
import json
import os
import re
import subprocess
import sys
from collections import deque
from pathlib import Path
import dagster
"""
_OPS = '''
def nbpipe(run, given, *what):
    """Run `python -m nbpipe.stage`; what it prints is in the captured log, its end in the failure."""
    command = [PYTHON, "-m", "nbpipe.stage", str(FOLDER), *what, "--run", run.root_run_id or run.run_id, "--params", "-"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "NBPIPE_PARENT": str(os.getpid())}
    pipe, last = subprocess.PIPE, deque(maxlen=30)
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True, env=environment) as process:
        try:
            process.stdin.write(json.dumps(given))
            process.stdin.close()
            for line in process.stdout:
                print(line, end="", flush=True)
                last.append(line)
        except BaseException:
            process.terminate()
            raise
    code = process.returncode
    if code:
        said = FINAL.get(code, f"the stage ended with exit code {code}")
        plain = re.sub("\\x1b\\\\[[0-9;]*m", "", "".join(last))
        raise dagster.Failure(f"{said}\\n{plain}", metadata={"exit code": code}, allow_retries=code not in FINAL)


@dagster.resource(config_schema=PARAMS)
def params(context):
    """The parameters of the run."""
    return dict(context.resource_config)


def nbpipe_op(name, *what, waits=True, retries=0):
    """The op of a stage; values travel through the store, so that it is given nothing."""

    def run_stage(context):
        nbpipe(context.run, context.resources.params, *what)

    options = {"ins": {"after": dagster.In(dagster.Nothing)}} if waits else {}
    if retries:
        options["retry_policy"] = dagster.RetryPolicy(max_retries=retries, delay=1)
    nothing = dagster.Out(dagster.Nothing)
    return dagster.op(name=name, out=nothing, required_resource_keys={"params"}, tags={"nbpipe/stage": what[0]}, **options)(run_stage)
'''
_PARAMS = "return dict(context.resource_config)"
_DATED = '''
def dated(run, instance, given):
    """The parameters with the date that the run is for, unless somebody has given it another one."""
    if given.get(DATE, DEFAULT_DATE) != DEFAULT_DATE:
        return given
    first = instance.get_run_record_by_id(run.root_run_id or run.run_id)
    planned = first.dagster_run.tags.get(".dagster/scheduled_execution_time")
    return {**given, DATE: planned[:10] if planned else f"{first.create_timestamp:%Y-%m-%d}"}
'''
_FAILED = '''
@dagster.run_failure_sensor(monitored_jobs=[pipeline_job], default_status=dagster.DefaultSensorStatus.RUNNING)
def record_failed_run(context):
    """The history has runs that failed, too."""
    given = context.dagster_run.run_config.get("resources", {}).get("params", {}).get("config", {})
    try:
        nbpipe(context.dagster_run, given, "--finish")
    except dagster.Failure as failure:
        context.log.info(failure.description)
'''
_CARRIES = {
    "after": "input of the op",
    "retries": "`RetryPolicy`",
    "timeout": "the job's own",
    "model": "recorded by the last op",
    "register": "registered by the last op",
    "--param": "config of the resource `params`, typed",
    "--schedule": "`ScheduleDefinition`",
    "--logical-date-param": "time of the schedule, or the run's start",
    "--trigger-file": "sensor with a cursor",
    "--trigger-dataset": "`asset_sensor`",
    "secrets": "environment of the code location",
}
_TYPES = {"int": "Int", "float": "Float", "str": "String", "bool": "Bool", "dict": "Permissive"}


class DagsterExporter:
    """Writes `definitions.py`."""

    name = "dagster"
    title = "Dagster"
    proof: Literal["executed"] = "executed"
    remote = False
    verification = DAGSTER
    carries = _CARRIES
    instead = dict.fromkeys(
        ("cpus", "memory", "gpus", "image", "--image"),
        "Dagster's run launcher decides what an op may use: take it off, or choose a scheduler whose stages are containers.",
    )

    def definition(self, deployment: Deployment) -> Definition:
        """`definitions.py`."""
        pipeline = deployment.pipeline
        ops = mapped((stage.name for stage in deployment.stages), identifier, taken=_TAKEN)
        job = mapped([pipeline.name], identifier, taken=[*_TAKEN, *ops.values()])[pipeline.name]
        about = f"The pipeline {pipeline.name!r}, version {pipeline.version[:7]}. Written by nbpipe export."
        dated = deployment.logical_date
        fields = [_field(param, dated=param.name == dated) for param in deployment.params]
        ops_text, failed = _OPS, _FAILED
        if dated:
            ops_text = _DATED + _OPS.replace(
                _PARAMS, "return dated(context.run, context.instance, dict(context.resource_config))"
            )
            failed = _FAILED.replace(
                "dagster_run, given,", "dagster_run, dated(context.dagster_run, context.instance, given),"
            )
        names, sensors = dagster_sensors.sensors(deployment)
        body: list[ast.stmt] = [
            ast.Expr(ast.Constant(about)),
            *ast.parse(_HEAD + ("import hashlib" if deployment.trigger_files else "")).body,
            assign("FOLDER", ast.parse("Path(__file__).resolve().parent", mode="eval").body),
            assign("PYTHON", ast.parse("os.environ.get('NBPIPE_PYTHON', sys.executable)", mode="eval").body),
            assign("FINAL", value(FINAL)),
            assign("PARAMS", ast.Dict([value(param.name) for param in deployment.params], list(fields))),
            *([assign("DATE", value(dated)), assign("DEFAULT_DATE", value(deployment.default_date))] if dated else []),
            *ast.parse(ops_text).body,
            _job(job, ops, deployment),
            *ast.parse(failed).body,
            *sensors,
            assign("defs", _definitions(deployment, names)),
        ]
        return Definition(
            main="definitions.py",
            files={"definitions.py": source(body)},
            steps=(
                (
                    "Install what the stages need where Dagster runs, or in an environment that `NBPIPE_PYTHON` names:",
                    "pip install -r requirements.txt",
                ),
                ("Try it:", f"dagster job execute -f definitions.py -j {job}"),
                ("Start Dagster with it, or name the file in your `workspace.yaml`:", "dagster dev -f definitions.py"),
            ),
            notes=_notes(deployment),
        )


def _field(param: Param, *, dated: bool) -> ast.Call:
    keywords: dict[str, ast.expr] = {"is_required": value(param.required and not dated)}
    if not param.required:
        keywords["default_value"] = value(param.default)
    if param.help:
        keywords["description"] = value(param.help)
    return call("dagster.Field", _type(param), **keywords)


def _type(param: Param) -> ast.expr:
    """Choices are left to the job: Dagster's own are names, not values."""
    kind = _TYPES.get(param.type)
    if param.type == "list":
        return _noneable(call("dagster.Array", dotted("dagster.Any")), param)
    if kind is None or (kind == "Permissive" and param.optional):
        return dotted("dagster.Any")
    return call("dagster.Permissive") if kind == "Permissive" else _noneable(dotted(f"dagster.{kind}"), param)


def _noneable(kind: ast.expr, param: Param) -> ast.expr:
    return call("dagster.Noneable", kind) if param.optional else kind


def _job(name: str, ops: dict[str, str], deployment: Deployment) -> ast.FunctionDef:
    """The function that calls every op with those it waits for."""
    made = ast.parse("def pipeline_job():\n 'Each op waits for those it is called with.'").body[0]
    assert isinstance(made, ast.FunctionDef)  # noqa: S101 - it stands there
    resources = ast.Dict([value("params")], [dotted("params")])
    made.decorator_list = [
        call("dagster.job", name=value(name), description=value(deployment.pipeline.name), resource_defs=resources)
    ]
    ends = {stage: f"{name}_ends" for stage, name in ops.items()}

    def add(to: str | None, name: str, *what: str, above: tuple[str, ...], retries: int = 0) -> None:
        options: dict[str, Any] = {} if above else {"waits": value(data=False)}
        if retries:
            options["retries"] = value(retries)
        op = call("nbpipe_op", value(name), *map(value, what), **options)
        after = ast.List([dotted(ends[each]) for each in above], ast.Load())
        called = ast.Call(op, [], [ast.keyword("after", after)] if above else [])
        made.body.append(assign(to, called) if to else ast.Expr(called))

    for stage in deployment.stages:
        add(
            ends[stage.name],
            ops[stage.name],
            stage.name,
            above=deployment.order[stage.name],
            retries=stage.options.retries,
        )
    add(None, _RECORD, "--finish", above=deployment.stages_last)
    return made


def _definitions(deployment: Deployment, sensors: list[str]) -> ast.Call:
    told: dict[str, ast.expr] = {
        "jobs": ast.List([dotted("pipeline_job")], ast.Load()),
        "sensors": ast.List([dotted(each) for each in ("record_failed_run", *sensors)], ast.Load()),
    }
    if deployment.schedule is not None:
        clock = call(
            "dagster.ScheduleDefinition",
            job=dotted("pipeline_job"),
            cron_schedule=value(deployment.schedule),
            default_status=dotted("dagster.DefaultScheduleStatus.RUNNING"),
        )
        told["schedules"] = ast.List([clock], ast.Load())
    return call("dagster.Definitions", **told)


def _notes(deployment: Deployment) -> tuple[str, ...]:
    found = ["runs share the project's folder: let one run at a time, `max_concurrent_runs: 1` in `dagster.yaml`"]
    if deployment.secrets:
        found.append(f"the environment of the code location has to hold {', '.join(deployment.secrets)}")
    return tuple(found)


EXPORTER = DagsterExporter()
