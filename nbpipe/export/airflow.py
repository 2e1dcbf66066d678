"""Airflow 3: a DAG with a task per stage. The module reads nothing and starts nothing until a task runs."""

from __future__ import annotations

import ast
from typing import Any, Literal

from nbpipe.export import airflow_assets
from nbpipe.export.base import Definition, Deployment, json_type
from nbpipe.export.engines_here import AIRFLOW
from nbpipe.export.names import mapped, worded
from nbpipe.export.python import assign, call, dotted, source, value
from nbpipe.model import Param, Stage

#: The task that checks and records the run; no stage's task is called so.
_RECORD = "record_run"
#: Seconds that a task has beyond its stage's timeout, within which the job ends by itself and says why.
_GRACE = 60
_HEAD = """
import json
import os
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, Param
from airflow.sdk.exceptions import AirflowException, AirflowFailException
"""
_RUN = '''
def run_stage(ti, params, run_id, **context):
    """Run this task's stage, or record the run, with `python -m nbpipe.stage`. What another try cannot mend gets none."""
    what = [STAGES[ti.task_id]] if ti.task_id in STAGES else ["--finish"]
    command = [PYTHON, "-m", "nbpipe.stage", str(FOLDER), *what, "--run", run_id, "--params", "-"]
    environment = {**os.environ, "NBPIPE_PARENT": str(os.getpid())}
    given = {name: params[name] for name in PARAMS if name in params}
    if DATE in given and given[DATE] == DEFAULT_DATE:
        # The run's own, the same for all of its tasks; a run that somebody triggers may be given another one.
        run = context["dag_run"]
        given[DATE] = f"{run.logical_date or run.run_after:%Y-%m-%d}"
    given = json.dumps(given).encode()
    code = subprocess.run(command, input=given, env=environment).returncode
    if code in FINAL:
        raise AirflowFailException(FINAL[code])
    if code:
        raise AirflowException(f"the stage ended with exit code {code}; its log is above")
'''
#: Exit codes after which another try gives the same.
FINAL = {
    2: "the stage was called wrongly, or a parameter does not fit",
    3: "the pipeline is not sound, or its result would not be that of one run",
    7: "bytes that are not trusted were about to be trusted",
    8: "a check said no",
}


_CARRIES = {
    "after": "upstream task",
    "retries": "`retries` of the task",
    "model": "recorded by the last task",
    "register": "registered by the last task",
    "timeout": "`execution_timeout`, and the job's own",
    "--param": "`Param`, typed",
    "--schedule": "`schedule`",
    "--trigger-file": "a DAG that looks, and an asset",
    "--trigger-dataset": "`Asset` in `schedule`",
    "--logical-date-param": "`logical_date` of the run",
    "secrets": "environment of the worker",
}


class AirflowExporter:
    """Writes `dag.py`."""

    name = "airflow"
    title = "Airflow 3"
    proof: Literal["executed"] = "executed"
    remote = False
    verification = AIRFLOW
    carries = _CARRIES
    instead = dict.fromkeys(
        ("cpus", "memory", "gpus", "image", "--image"),
        "Airflow's workers decide what a task may use: take it off, or choose a scheduler whose stages are containers.",
    )

    def definition(self, deployment: Deployment) -> Definition:
        """`dag.py`."""
        pipeline = deployment.pipeline
        tasks = mapped((stage.name for stage in deployment.stages), worded, taken=[_RECORD])
        variables = mapped(tasks.values(), lambda name: f"task_{name}".replace("-", "_"))
        dag = worded(pipeline.name)
        body: list[ast.stmt] = [
            ast.Expr(
                ast.Constant(
                    f"The pipeline {pipeline.name!r}, version {pipeline.version[:7]}. Written by nbpipe export."
                )
            ),
            *ast.parse(_HEAD + airflow_assets.imports(deployment)).body,
            assign("FOLDER", ast.parse("Path(__file__).resolve().parent", mode="eval").body),
            assign("PYTHON", ast.parse("os.environ.get('NBPIPE_PYTHON', sys.executable)", mode="eval").body),
            assign("STAGES", value({task: stage for stage, task in tasks.items()})),
            assign("PARAMS", value([param.name for param in deployment.params])),
            assign("DATE", value(deployment.logical_date or None)),
            assign("DEFAULT_DATE", value(deployment.default_date)),
            assign("FINAL", value(FINAL)),
            *ast.parse(_RUN).body,
            *airflow_assets.looking_tasks(deployment, dag),
        ]
        inside: list[ast.stmt] = [
            assign(variables[tasks[stage.name]], _task(stage, tasks[stage.name])) for stage in deployment.stages
        ]
        for stage in deployment.stages:
            above = [ast.Name(variables[tasks[name]], ast.Load()) for name in deployment.order[stage.name]]
            if above:
                target = ast.Name(variables[tasks[stage.name]], ast.Load())
                left: ast.expr = above[0] if len(above) == 1 else ast.List(list(above), ast.Load())
                inside.append(ast.Expr(ast.BinOp(left, ast.RShift(), target)))
        inside.append(assign(_RECORD, _record()))
        ends: list[ast.expr] = [ast.Name(variables[tasks[name]], ast.Load()) for name in deployment.stages_last]
        inside.append(ast.Expr(ast.BinOp(ast.List(ends, ast.Load()), ast.RShift(), ast.Name(_RECORD, ast.Load()))))
        body.append(ast.With([ast.withitem(_dag(dag, deployment), None)], inside))
        body += airflow_assets.looking_dag(deployment)
        return Definition(
            main="dag.py",
            files={"dag.py": source(body)},
            steps=(
                (
                    "Install what the stages need where Airflow's workers run, or in an environment that `NBPIPE_PYTHON` names:",
                    "pip install -r requirements.txt",
                ),
                (
                    "Let Airflow see this folder (as a DAG bundle, or a link in its DAGs folder):",
                    'ln -s "$PWD" "$(airflow config get-value core dags_folder)/"',
                ),
                ("Try it:", f"airflow dags test {dag}"),
            ),
            notes=_notes(deployment),
        )


def _dag(name: str, deployment: Deployment) -> ast.Call:
    return call(
        "DAG",
        dag_id=value(name),
        description=value(f"{deployment.pipeline.name} {deployment.pipeline.version[:7]}"),
        schedule=airflow_assets.schedule(deployment),
        # Of a run for a day before it, Airflow runs no task and calls it a success.
        start_date=ast.parse("datetime(1970, 1, 1, tzinfo=timezone.utc)", mode="eval").body,
        catchup=value(False),  # noqa: FBT003 - a keyword's value
        max_active_runs=value(1),
        params=ast.Dict(
            [value(param.name) for param in deployment.params],
            [_param(each, dated=each.name == deployment.logical_date) for each in deployment.params],
        ),
        tags=value(["nbpipe"]),
    )


def _param(param: Param, *, dated: bool) -> ast.Call:
    schema: dict[str, Any] = json_type(param)
    if dated and param.required:
        # None until the run gives it its date.
        schema = {"type": ["string", "null"]}
    keywords = {name: value(each) for name, each in schema.items()}
    if param.help:
        keywords["description"] = value(param.help)
    return call("Param", *([] if param.required and not dated else [value(param.default)]), **keywords)


def _task(stage: Stage, task: str) -> ast.Call:
    keywords: dict[str, ast.expr] = {"task_id": value(task), "python_callable": dotted("run_stage")}
    # Zero as well: Airflow's own configuration may have another default, and a check is not tried again.
    keywords["retries"] = value(stage.options.retries)
    keywords["retry_delay"] = call("timedelta", seconds=value(1))
    if stage.options.timeout is not None:
        keywords["execution_timeout"] = call("timedelta", seconds=value(stage.options.timeout + _GRACE))
    return call("PythonOperator", **keywords)


def _record() -> ast.Call:
    """The last task, whatever came of the others; the run has failed if it fails."""
    return call(
        "PythonOperator",
        task_id=value(_RECORD),
        python_callable=dotted("run_stage"),
        retries=value(0),
        trigger_rule=value("all_done"),
    )


def _notes(deployment: Deployment) -> tuple[str, ...]:
    found = ["runs of this DAG come one after the other (max_active_runs=1): they share the project's folder"]
    if deployment.trigger_files:
        found.append(
            "two DAGs have to be switched on: the pipeline's, and the one that looks at the files once a minute"
        )
    if deployment.secrets:
        found.append(f"the workers' environment has to hold {', '.join(deployment.secrets)}")
    return tuple(found)


EXPORTER = AirflowExporter()
