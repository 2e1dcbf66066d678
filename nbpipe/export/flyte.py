"""Flyte: a workflow with a task per stage, whose image holds the exported folder."""

from __future__ import annotations

import ast
import json
from typing import Any, Literal

from nbpipe.errors import UnsupportedError, UsageError
from nbpipe.export.airflow import FINAL
from nbpipe.export.base import Definition, Deployment
from nbpipe.export.engines_here import FLYTE
from nbpipe.export.images import dockerfile
from nbpipe.export.names import dashed, identifier, mapped
from nbpipe.export.python import assign, call, dotted, source, value
from nbpipe.model import Param, Stage

#: Seconds that a task has beyond its stage's timeout, within which the job ends by itself and says why.
_GRACE = 60
#: Installed in the image: it starts the tasks.
_FLYTEKIT = "flytekit==1.16.31"
#: Tasks that are no stage.
_RECORDS = ("record_run", "record_failed_run")
_HEAD = """
import json
import os
import subprocess
import sys
import uuid
from datetime import timedelta
from pathlib import Path
from flytekit import CronSchedule, LaunchPlan, Resources, Secret, current_context, task, workflow
from flytekit.exceptions.user import FlyteRecoverableException
"""
_RUN = '''
def HELPER(given, *what, retries=0):
    """Run `python -m nbpipe.stage`; what another try cannot mend gets none, which is Flyte's own rule for exceptions."""
    execution = current_context().execution_id
    here = execution.project == "local"
    run = LOCAL_RUN if here else execution.name
    again = ["--retries", str(retries)] if here and retries else []
    command = [PYTHON, "-m", "nbpipe.stage", str(FOLDER), *what, *again, "--run", run, "--texts", "-"]
    code = subprocess.run(command, input=json.dumps(given).encode()).returncode
    if code in FINAL:
        raise RuntimeError(FINAL[code])
    if code:
        raise FlyteRecoverableException(f"the stage ended with exit code {code}; its log is above")
'''
_CARRIES = {
    "after": "`>>`",
    "retries": "`retries` of the task",
    "timeout": "`timeout`, and the job's own",
    "cpus": "`Resources`",
    "memory": "`Resources`",
    "gpus": "`Resources`",
    "image": "`container_image`",
    "model": "recorded by the last task",
    "register": "registered by the last task",
    "--param": "inputs of the workflow, typed",
    "--schedule": "`CronSchedule` of a launch plan",
    "--image": "`container_image` of all tasks",
    "secrets": "`Secret`",
}
_REGISTER = "pyflyte run --remote --copy none --version"
_TYPES = {"int": "int", "float": "float", "str": "str", "bool": "bool"}


class FlyteExporter:
    """Writes `workflow.py` and a Dockerfile."""

    name = "flyte"
    title = "Flyte"
    proof: Literal["executed"] = "executed"
    remote = True
    carries = _CARRIES
    verification = FLYTE
    instead: dict[str, str] = {}  # noqa: RUF012 - read only

    def definition(self, deployment: Deployment) -> Definition:
        """The files."""
        if deployment.image is None:
            raise UsageError(
                "Flyte's tasks are containers, and there is no image",
                name="image",
                fix="Add --image REGISTRY/NAME:TAG.",
            )
        pipeline, params = deployment.pipeline, deployment.params
        # Inside the workflow parameters hide what has their name: neither tasks nor ours may.
        inside = list(_inputs(params).values())
        helpers = (
            "nbpipe",
            "task",
            "workflow",
            "secrets",
            "json",
            "os",
            "sys",
            "uuid",
            "subprocess",
            "given",
            *_RECORDS,
        )
        tasks = mapped((stage.name for stage in deployment.stages), identifier, taken=[*inside, *helpers])
        records = mapped(_RECORDS, identifier, taken=[*inside, *tasks.values()])
        helper = mapped(["nbpipe"], identifier, taken=[*inside, *tasks.values(), *records.values()])["nbpipe"]
        flow = mapped([pipeline.name], identifier, taken=[*helpers, helper, *tasks.values(), *records.values()])[
            pipeline.name
        ]
        name = dashed(pipeline.name, longest=50)
        about = f"The pipeline {pipeline.name!r}, version {pipeline.version[:7]}. Written by nbpipe export."
        here = "HERE if (HERE / 'bundle').is_dir() else Path('/nbpipe')"
        body: list[ast.stmt] = [
            ast.Expr(ast.Constant(about)),
            *ast.parse(_HEAD).body,
            *ast.parse(f"HERE = Path(__file__).resolve().parent\nFOLDER = {here}\nLOCAL_RUN = uuid.uuid4().hex").body,
            assign("PYTHON", ast.parse("os.environ.get('NBPIPE_PYTHON', sys.executable)", mode="eval").body),
            assign("FINAL", value(FINAL)),
            assign("IMAGE", value(deployment.image)),
            assign("SECRETS", ast.List(_secrets(name, deployment), ast.Load())),
            *ast.parse(_RUN.replace("HELPER", helper)).body,
            *(_task(tasks[stage.name], deployment, helper, stage.name, stage) for stage in deployment.stages),
            _task(records["record_run"], deployment, helper, "--finish"),
            *_failed(_task(records["record_failed_run"], deployment, helper, "--finish")),
            _workflow(flow, tasks, records, deployment),
        ]
        if deployment.schedule is not None:
            body.append(assign("CLOCK", _clock(name, flow, deployment.schedule)))
        return Definition(
            main="workflow.py",
            files={
                "workflow.py": source(body),
                "Dockerfile": dockerfile(_FLYTEKIT) + "ENV PYTHONPATH=/nbpipe\nWORKDIR /nbpipe\n",
                ".dockerignore": "README.md\n",
            },
            steps=(
                (
                    "Build the image that every task runs in, under the name that the workflow has, and push it:",
                    f"docker build --build-arg PYTHON={pipeline.python} -t IMAGE . && docker push IMAGE",
                ),
                (
                    "Make the secrets that the tasks are given, a group of that name; all stages sign their results with one key:",
                    f"kubectl create secret generic {name}-secrets "
                    + " ".join(f"--from-literal={each}=…" for each in (*deployment.secrets, "NBPIPE_STORE_KEY")),
                ),
                (
                    "Package and register it, and run it:",
                    f"pip install {_FLYTEKIT}\n{_REGISTER} {pipeline.version[:7]} workflow.py {flow}",
                ),
            ),
            notes=(
                f"the image is {deployment.image}: build and push it before the first run",
                *(f"{name}: the input is {new}" for name, new in _inputs(params).items() if new != name),
            ),
        )


def _task(name: str, deployment: Deployment, helper: str, what: str, stage: Stage | None = None) -> ast.FunctionDef:
    """The task of a stage, or of the record. Its inputs are the parameters."""
    params = deployment.params
    made = ast.parse(f"def {name}(): pass").body[0]
    assert isinstance(made, ast.FunctionDef)  # noqa: S101 - it stands there
    inputs = _inputs(params)
    made.args = ast.arguments([], [ast.arg(inputs[p.name], dotted(_kind(p))) for p in params], None, [], [], None, [])
    keywords: dict[str, ast.expr] = {}
    retries: dict[str, ast.expr] = {}
    image = dotted("IMAGE")
    if stage is not None:
        keywords = _wishes(stage)
        if stage.options.retries:
            retries["retries"] = value(stage.options.retries)
        if stage.options.image:
            image = value(stage.options.image)
    given = ast.Dict([value(param.name) for param in params], [dotted(inputs[param.name]) for param in params])
    made.body = [ast.Expr(call(helper, given, value(what), **retries))]
    made.decorator_list = [
        call("task", container_image=image, secret_requests=dotted("SECRETS"), **retries, **keywords)
    ]
    return made


def _failed(task: ast.FunctionDef) -> list[ast.stmt]:
    """The task of a run that has failed: what the record says of that is no failure of its own."""
    attempt = ast.parse(
        "try:\n pass\nexcept (RuntimeError, FlyteRecoverableException) as failed:\n print(failed)"
    ).body[0]
    assert isinstance(attempt, ast.Try)  # noqa: S101 - it stands there
    attempt.body = task.body
    task.body = [attempt]
    return [task]


def _wishes(stage: Stage) -> dict[str, ast.expr]:
    options = stage.options
    found: dict[str, ast.expr] = {}
    amounts: dict[str, Any] = {}
    if options.timeout is not None:
        found["timeout"] = call("timedelta", seconds=value(int(options.timeout) + _GRACE))
    if options.cpus:
        amounts["cpu"] = f"{options.cpus:g}"
    if options.memory:
        amounts["mem"] = str(options.memory)
    if options.gpus:
        if options.gpus != int(options.gpus):
            raise UnsupportedError(
                f"Flyte cannot express --gpus {options.gpus:g}: a task gets whole GPUs",
                stage=stage.name,
                name="gpus",
                fix="Write a whole number.",
            )
        amounts["gpu"] = str(int(options.gpus))
    if amounts:
        wishes = {key: value(each) for key, each in amounts.items()}
        found |= {"requests": call("Resources", **wishes), "limits": call("Resources", **wishes)}
    return found


def _workflow(name: str, tasks: dict[str, str], records: dict[str, str], deployment: Deployment) -> ast.FunctionDef:
    """The workflow whose inputs are the parameters; required ones stand first, as Python wants it."""
    params = sorted(deployment.params, key=lambda param: not param.required)
    made = ast.parse(f"def {name}(): pass").body[0]
    assert isinstance(made, ast.FunctionDef)  # noqa: S101 - it stands there
    defaults = [value(_default(param)) for param in params if not param.required]
    inputs = _inputs(deployment.params)
    arguments = [ast.arg(inputs[p.name], dotted(_kind(p))) for p in params]
    made.args = ast.arguments([], arguments, None, [], [], None, defaults)
    given = {inputs[param.name]: dotted(inputs[param.name]) for param in params}
    ends = mapped(
        tasks.values(), lambda task: identifier(f"{task}_ends"), taken=[*given, *tasks.values(), *records.values()]
    )
    made.body = [assign(ends[task], call(task, **given)) for task in tasks.values()]
    made.body.append(assign("recorded", call(records["record_run"], **given)))
    for stage in deployment.stages:
        made.body += [_after(ends[tasks[one]], ends[tasks[stage.name]]) for one in deployment.order[stage.name]]
    made.body += [_after(ends[tasks[one]], "recorded") for one in deployment.stages_last]
    made.decorator_list = [call("workflow", on_failure=dotted(records["record_failed_run"]))]
    return made


def _after(one: str, other: str) -> ast.Expr:
    return ast.Expr(ast.BinOp(dotted(one), ast.RShift(), dotted(other)))


def _inputs(params: tuple[Param, ...]) -> dict[str, str]:
    """Parameter -> input of the workflow: Flyte's are in lower case."""
    return mapped((param.name for param in params), str.lower)


def _kind(param: Param) -> str:
    """The type of an input; what is no plain value travels as JSON."""
    return "str" if param.optional or param.choices is not None else _TYPES.get(param.type, "str")


def _default(param: Param) -> Any:
    kind = _kind(param)
    if kind != "str" or (isinstance(param.default, str) and not param.optional):
        return float(param.default) if kind == "float" else param.default
    return json.dumps(param.default)


def _secrets(name: str, deployment: Deployment) -> list[ast.expr]:
    held = [*deployment.secrets, "NBPIPE_STORE_KEY"]
    kind = dotted("Secret.MountType.ENV_VAR")
    return [
        call("Secret", group=value(f"{name}-secrets"), key=value(each), mount_requirement=kind, env_var=value(each))
        for each in held
    ]


def _clock(name: str, flow: str, schedule: str) -> ast.Call:
    clock = call("CronSchedule", schedule=value(schedule))
    return call("LaunchPlan.get_or_create", dotted(flow), name=value(f"{name}-scheduled"), schedule=clock)


EXPORTER = FlyteExporter()
