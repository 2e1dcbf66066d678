"""Kubeflow Pipelines v2: a pipeline of lightweight components, a task per stage, whose image holds the exported folder."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from typing import Any, Literal

from nbpipe.errors import UnsupportedError, UsageError
from nbpipe.export.base import Definition, Deployment
from nbpipe.export.engines_here import KFP
from nbpipe.export.images import dockerfile
from nbpipe.export.names import dashed, identifier, mapped
from nbpipe.export.python import assign, call, dotted, source, value
from nbpipe.model import Param, Stage

#: Seconds that a pod has beyond its stage's timeout, within which the job ends by itself and says why.
_GRACE = 60
#: Installed in the image: components import it.
_KFP = ("kfp==2.17.0", "kfp-kubernetes==2.17.0")
#: What Kubeflow replaces wherever it stands.
_TEMPLATES = ("{{$", "{{channel:")
#: What breaks the line of a comment, into which Kubeflow's compiler writes defaults as they are, or is no YAML at all.
_BREAKS = re.compile(
    "[^\t\\x20-\\x7e\\xa0-\\u2027\\u202a-\\ud7ff\\ue000-\\ufefe\\uff00-\\ufffd\\U00010000-\\U0010ffff]"
)
_HEAD = "from kfp import compiler, dsl, kubernetes"
_COMPONENT = """
@dsl.component(base_image=IMAGE, install_kfp_package=False)
def nbpipe_stage():
    import json
    import os
    import subprocess
    import sys
    command = [os.environ.get("NBPIPE_PYTHON", sys.executable), "-m", "nbpipe.stage"]
    command += [os.environ.get("NBPIPE_FOLDER", "/nbpipe"), stage, "--run", run, "--texts", "-"]
    sys.exit(subprocess.run(command, input=json.dumps(given).encode()).returncode)
"""
_TASK = '''
def task(stage, given, after=(), timeout=None, retries=0, cpus=None, memory=None, gpus=None, image=None):
    """The task of a stage; Kubeflow's cache is off, as nbpipe knows better what has changed."""
    made = nbpipe_stage(**{STAGE: stage, RUN: dsl.PIPELINE_JOB_ID_PLACEHOLDER}, **given)
    made.set_display_name(stage).set_caching_options(False).after(*after)
    kubernetes.use_secret_as_env(made, secret_name=SECRET, secret_key_to_env={name: name for name in SECRETS})
    if timeout:
        kubernetes.set_timeout(made, seconds=timeout)
    if retries:
        made.set_retry(num_retries=retries, backoff_duration="1s")
    if cpus:
        made.set_cpu_request(cpus).set_cpu_limit(cpus)
    if memory:
        made.set_memory_request(memory).set_memory_limit(memory)
    if gpus:
        made.set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(gpus)
    if image:
        made.set_container_image(image)
    return made
'''
_CARRIES = {
    "after": "`after`",
    "retries": "`set_retry`",
    "timeout": "`set_timeout`, and the job's own",
    "cpus": "request and limit",
    "memory": "request and limit",
    "gpus": "`nvidia.com/gpu`",
    "image": "image of the task",
    "model": "recorded by the exit task",
    "register": "registered by the exit task",
    "--param": "inputs of the pipeline, typed",
    "--schedule": "`kfp recurring-run create`",
    "--image": "image of all tasks",
    "secrets": "`use_secret_as_env`",
}
_TYPES = {"int": "int", "float": "float", "str": "str", "bool": "bool"}


class KfpExporter:
    """Writes `pipeline.py` and a Dockerfile."""

    name = "kfp"
    title = "Kubeflow Pipelines"
    proof: Literal["executed"] = "executed"
    remote = True
    verification = KFP
    #: Names of parameters that it takes.
    parameters = "(?!self$)[A-Za-z][A-Za-z0-9_]*"
    carries = _CARRIES
    instead: dict[str, str] = {}  # noqa: RUF012 - read only

    def definition(self, deployment: Deployment) -> Definition:
        """The files. Raises UnsupportedError for a text that Kubeflow would take for one of its templates."""
        if deployment.image is None:
            raise UsageError(
                "the stages are containers, and there is no image", name="image", fix="Add --image REGISTRY/NAME:TAG."
            )
        _refuse_templates(deployment)
        _refuse_breaks(deployment)
        pipeline, params = deployment.pipeline, deployment.params
        name = dashed(pipeline.name, longest=50)
        given = [param.name for param in params]
        # Neither may be a parameter of the user, nor hide what the component's body calls.
        ours = mapped(["stage", "run", "draw"], identifier, taken=[*given, "given", "json", "os", "subprocess", "sys"])
        function = mapped([pipeline.name], identifier, taken=[*ours.values(), "dsl", "kubernetes", "compiler", "task"])
        about = f"The pipeline {pipeline.name!r}, version {pipeline.version[:7]}. Written by nbpipe export."
        held = [*deployment.secrets, "NBPIPE_STORE_KEY"]
        body: list[ast.stmt] = [
            ast.Expr(ast.Constant(about)),
            *ast.parse(_HEAD).body,
            assign("IMAGE", value(deployment.image)),
            assign("SECRET", value(f"{name}-secrets")),
            assign("SECRETS", value(held)),
            assign("STAGE", value(ours["stage"])),
            assign("RUN", value(ours["run"])),
            _component(ours, params),
            *ast.parse(_TASK).body,
            _draw(ours["draw"], deployment),
            _pipeline(function[pipeline.name], name, ours["draw"], deployment),
            *ast.parse(
                f"if __name__ == '__main__':\n compiler.Compiler().compile({function[pipeline.name]}, 'pipeline.yaml')"
            ).body,
        ]
        literals = " ".join(f"--from-literal={each}=…" for each in held)
        return Definition(
            main="pipeline.py",
            files={
                "pipeline.py": source(body),
                "Dockerfile": dockerfile(*_KFP),
                ".dockerignore": "README.md\npipeline.py\npipeline.yaml\n",
            },
            steps=(
                (
                    "Build the image that every stage runs in, under the name that the pipeline has, and push it:",
                    f"docker build --build-arg PYTHON={pipeline.python} -t IMAGE . && docker push IMAGE",
                ),
                (
                    "Make the secret that the containers are given; all stages sign their results with one key:",
                    f"kubectl create secret generic {name}-secrets {literals}",
                ),
                ("Compile it, where kfp is installed:", f"pip install {' '.join(_KFP)} && python pipeline.py"),
                ("Run it:", f"kfp run create --experiment-name {name} --package-file pipeline.yaml"),
                *_clock(name, deployment.schedule),
            ),
            notes=(f"the image is {deployment.image}: build and push it before the first run",),
        )


def _component(ours: dict[str, str], params: tuple[Param, ...]) -> ast.FunctionDef:
    """The component: it holds all it needs, as Kubeflow sends its source alone."""
    made = ast.parse(_COMPONENT).body[0]
    assert isinstance(made, ast.FunctionDef)  # noqa: S101 - it stands there
    arguments = [ast.arg(ours["stage"], dotted("str")), ast.arg(ours["run"], dotted("str"))]
    arguments += [ast.arg(param.name, dotted(_kind(param))) for param in params]
    made.args = ast.arguments([], arguments, None, [], [], None, [])
    # First, before anything that is imported takes the name of a parameter.
    names = ast.Dict([value(param.name) for param in params], [dotted(param.name) for param in params])
    made.body.insert(0, assign("given", names))
    for node in ast.walk(ast.Module(made.body[1:], [])):
        if isinstance(node, ast.Name) and node.id in ("stage", "run"):
            node.id = ours[node.id]
    return made


def _draw(name: str, deployment: Deployment) -> ast.FunctionDef:
    names = mapped((stage.name for stage in deployment.stages), identifier)
    tasks = {stage: f"{name}_task" for stage, name in names.items()}
    made = ast.parse(
        f"def {name}(given):\n '''Each stage, and the record of the run whatever came of them.'''\n"
        " with dsl.ExitHandler(task('--finish', given), name='stages'):\n  pass"
    ).body[0]
    assert isinstance(made, ast.FunctionDef)  # noqa: S101 - it stands there
    inside = made.body[-1]
    assert isinstance(inside, ast.With)  # noqa: S101 - it stands there
    inside.body = [
        assign(
            tasks[stage.name],
            call("task", value(stage.name), dotted("given"), **_options(stage, tasks, deployment)),
        )
        for stage in deployment.stages
    ]
    return made


def _options(stage: Stage, tasks: dict[str, str], deployment: Deployment) -> dict[str, ast.expr]:
    options = stage.options
    told: dict[str, Any] = {}
    above = deployment.order[stage.name]
    found: dict[str, ast.expr] = {}
    if above:
        found["after"] = ast.List([dotted(tasks[each]) for each in above], ast.Load())
    if options.timeout is not None:
        told["timeout"] = int(options.timeout) + _GRACE
    if options.retries:
        told["retries"] = options.retries
    if options.cpus:
        told["cpus"] = f"{options.cpus:g}"
    if options.memory:
        told["memory"] = str(options.memory)
    if options.gpus:
        if options.gpus != int(options.gpus):
            raise UnsupportedError(
                f"Kubeflow Pipelines cannot express --gpus {options.gpus:g}: a pod gets whole GPUs",
                stage=stage.name,
                name="gpus",
                fix="Write a whole number.",
            )
        told["gpus"] = int(options.gpus)
    if options.image:
        told["image"] = options.image
    return {**found, **{key: value(each) for key, each in told.items()}}


def _pipeline(name: str, title: str, draw: str, deployment: Deployment) -> ast.FunctionDef:
    """The function whose parameters are those of the pipeline; required ones stand first, as Python wants it."""
    params = sorted(deployment.params, key=lambda param: not param.required)
    made = ast.parse(f"def {name}(): pass").body[0]
    assert isinstance(made, ast.FunctionDef)  # noqa: S101 - it stands there
    arguments = [ast.arg(param.name, dotted(_kind(param))) for param in params]
    defaults = [value(_default(param)) for param in params if not param.required]
    made.args = ast.arguments([], arguments, None, [], [], None, defaults)
    given = ast.Dict([value(param.name) for param in params], [dotted(param.name) for param in params])
    made.body = [ast.Expr(call(draw, given))]
    # Kubeflow's compiler writes it into a comment of one line.
    said = "; ".join([deployment.pipeline.name, *(f"{param.name}: {param.help}" for param in params if param.help)])
    made.decorator_list = [call("dsl.pipeline", name=value(title), description=value(one_line(said)))]
    return made


def _kind(param: Param) -> str:
    """The type of an input. What Kubeflow's own would change on the way (1.0 in a list) travels as JSON."""
    if param.optional:
        return "str"
    if param.choices is not None:
        return "str"
    return _TYPES.get(param.type, "str")


def _default(param: Param) -> Any:
    kind = _kind(param)
    if kind != "str" or (isinstance(param.default, str) and not param.optional):
        return float(param.default) if kind == "float" else param.default
    return json.dumps(param.default)


def one_line(text: str) -> str:
    """A description as Kubeflow's compiler can write it: without line breaks and control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _clock(name: str, schedule: str | None) -> Iterator[tuple[str, str]]:
    if schedule is not None:
        words = f"--experiment-name {name} --job-name {name} --pipeline-package-path pipeline.yaml --max-concurrency 1"
        # Kubeflow's expressions begin with seconds.
        yield ("Start its clock:", f"kfp recurring-run create {words} --no-catchup --cron-expression '0 {schedule}'")


def _refuse_templates(deployment: Deployment) -> None:
    """Raise UnsupportedError for a text that Kubeflow would replace: it has no escape."""
    for what, text in _texts(deployment):
        found = next((mark for mark in _TEMPLATES if mark in text), None)
        if found:
            raise UnsupportedError(
                f"Kubeflow Pipelines would take '{found}' in {what} for a placeholder of its own",
                name=what,
                fix=f"Write it without '{found}'.",
            )


def _refuse_breaks(deployment: Deployment) -> None:
    """Raise UnsupportedError for a default that would break what Kubeflow's compiler writes, or bring lines of its own."""
    for param in deployment.params:
        default = None if param.required else _default(param)
        if isinstance(default, str) and _BREAKS.search(default):
            raise UnsupportedError(
                f"Kubeflow Pipelines cannot express the default of '{param.name}': it has line breaks or control characters",
                name=param.name,
                fix="Give it another default, and this value when a run is created.",
            )


def _texts(deployment: Deployment) -> Iterator[tuple[str, str]]:
    for param in deployment.params:
        yield f"parameter '{param.name}'", f"{json.dumps(param.default, ensure_ascii=False)} {param.help}"
    yield "the name of the pipeline", deployment.pipeline.name
    yield "the image", deployment.image or ""
    for stage in deployment.stages:
        yield f"the image of stage '{stage.name}'", stage.options.image or ""


EXPORTER = KfpExporter()
