"""Argo Workflows: a WorkflowTemplate with a container per stage, and a CronWorkflow where there is a schedule."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal

from nbpipe.errors import UnsupportedError, UsageError
from nbpipe.export.base import Definition, Deployment
from nbpipe.export.images import dockerfile
from nbpipe.export.lines import yaml_text
from nbpipe.export.names import dashed, mapped
from nbpipe.model import Param, Stage

#: Seconds that a pod has beyond its stage's timeout, within which the job ends by itself and says why.
_GRACE = 60
_RECORD = "record-run"
_API = "argoproj.io/v1alpha1"
_CARRIES = {
    "after": "`dependencies`",
    "retries": "`retryStrategy`",
    "timeout": "`activeDeadlineSeconds`, and the job's own",
    "cpus": "`resources`",
    "memory": "`resources`",
    "gpus": "`nvidia.com/gpu`",
    "image": "image of the container",
    "model": "recorded by the exit handler",
    "register": "registered by the exit handler",
    "--param": "`arguments`",
    "--schedule": "`CronWorkflow`",
    "--image": "image of all containers",
    "secrets": "`secretKeyRef`",
}


class ArgoExporter:
    """Writes `workflow.yaml` and a Dockerfile."""

    name = "argo"
    title = "Argo Workflows"
    proof: Literal["validated"] = "validated"
    remote = True
    #: Names of parameters that it takes.
    parameters = "[A-Za-z0-9_]+"
    carries = _CARRIES
    instead: dict[str, str] = {}  # noqa: RUF012 - read only

    def definition(self, deployment: Deployment) -> Definition:
        """The files. Raises UnsupportedError for a text that Argo would take for one of its templates."""
        if deployment.image is None:
            raise UsageError(
                "Argo's stages are containers, and there is no image",
                name="image",
                fix="Add --image REGISTRY/NAME:TAG.",
            )
        _refuse_templates(deployment)
        name = dashed(deployment.pipeline.name, longest=50)
        secret = f"{name}-secrets"
        tasks = mapped((stage.name for stage in deployment.stages), dashed, taken=["main", _RECORD])
        spec = {
            "entrypoint": "main",
            "onExit": _RECORD,
            "arguments": {"parameters": [_argument(param) for param in deployment.params]},
            "templates": [
                {"name": "main", "dag": {"tasks": [_task(stage, tasks, deployment) for stage in deployment.stages]}},
                *(_template(stage, tasks[stage.name], deployment, secret) for stage in deployment.stages),
                {"name": _RECORD, "container": _container(deployment, deployment.image, secret, "--finish")},
            ],
        }
        if not deployment.params:
            del spec["arguments"]
        documents: list[dict[str, Any]] = [
            {"apiVersion": _API, "kind": "WorkflowTemplate", "metadata": {"name": name}, "spec": spec}
        ]
        if deployment.schedule is not None:
            documents.append(_clock(name, deployment.schedule))
        head = "Written by nbpipe export: export again instead of editing."
        text = "---\n".join(yaml_text(document, head=head if n == 0 else "") for n, document in enumerate(documents))
        held = [*deployment.secrets, "NBPIPE_STORE_KEY"]
        literals = " ".join(f"--from-literal={each}=…" for each in held)
        return Definition(
            main="workflow.yaml",
            files={"workflow.yaml": text, "Dockerfile": dockerfile(), ".dockerignore": "README.md\nworkflow.yaml\n"},
            steps=(
                (
                    "Build the image that every stage runs in, under the name that the workflow has, and push it:",
                    f"docker build --build-arg PYTHON={deployment.pipeline.python} -t IMAGE . && docker push IMAGE",
                ),
                (
                    "Make the secret that the containers are given; all stages sign their results with one key:",
                    f"kubectl create secret generic {secret} {literals}",
                ),
                ("Submit it:", f"kubectl apply -f workflow.yaml\nargo submit --from workflowtemplate/{name}"),
            ),
            notes=(f"the image is {deployment.image}: build and push it before the first run",),
        )


def _clock(name: str, schedule: str) -> dict[str, Any]:
    spec = {
        "schedules": [schedule],
        "concurrencyPolicy": "Forbid",
        "workflowSpec": {"workflowTemplateRef": {"name": name}},
    }
    return {"apiVersion": _API, "kind": "CronWorkflow", "metadata": {"name": name}, "spec": spec}


def _argument(param: Param) -> dict[str, Any]:
    """Argo's parameters are texts: a text is itself, everything else its JSON."""
    told: dict[str, Any] = {"name": param.name}
    if not param.required:
        told["value"] = _typed(param, param.default)
    if param.choices is not None:
        told["enum"] = [_typed(param, choice) for choice in param.choices]
    if param.help:
        told["description"] = param.help
    return told


def _typed(param: Param, value: Any) -> str:
    return value if isinstance(value, str) and param.type in ("str", "choice") else json.dumps(value)


def _task(stage: Stage, tasks: dict[str, str], deployment: Deployment) -> dict[str, Any]:
    told: dict[str, Any] = {"name": tasks[stage.name], "template": tasks[stage.name]}
    above = [tasks[name] for name in deployment.order[stage.name]]
    return {**told, "dependencies": above} if above else told


def _template(stage: Stage, task: str, deployment: Deployment, secret: str) -> dict[str, Any]:
    options = stage.options
    container = _container(deployment, options.image or deployment.image or "", secret, stage.name)
    wishes: dict[str, str] = {}
    if options.cpus:
        wishes["cpu"] = f"{options.cpus:g}"
    if options.memory:
        wishes["memory"] = str(options.memory)
    if options.gpus:
        if options.gpus != int(options.gpus):
            raise UnsupportedError(
                f"Argo Workflows cannot express --gpus {options.gpus:g}: a pod gets whole GPUs",
                stage=stage.name,
                name="gpus",
                fix="Write a whole number.",
            )
        wishes["nvidia.com/gpu"] = str(int(options.gpus))
    if wishes:
        container["resources"] = {"requests": wishes, "limits": wishes}
    told: dict[str, Any] = {"name": task, "container": container}
    if options.timeout is not None:
        told["activeDeadlineSeconds"] = int(options.timeout) + _GRACE
    if options.retries:
        # A check that said no, and what is not sound, is not tried again.
        final = "asInt(lastRetry.exitCode) not in [2, 3, 7, 8]"
        told["retryStrategy"] = {"limit": str(options.retries), "retryPolicy": "Always", "expression": final}
    return told


def _container(deployment: Deployment, image: str, secret: str, what: str) -> dict[str, Any]:
    given = [f"{param.name}={{{{workflow.parameters.{param.name}}}}}" for param in deployment.params]
    command = [
        "python",
        "-m",
        "nbpipe.stage",
        "/nbpipe",
        what,
        "--run",
        "{{workflow.uid}}",
        "--store",
        deployment.store,
    ]
    held = [*deployment.secrets, "NBPIPE_STORE_KEY"]
    return {
        "image": image,
        "command": command,
        "args": [word for text in given for word in ("--param", text)],
        "env": [{"name": each, "valueFrom": {"secretKeyRef": {"name": secret, "key": each}}} for each in held],
    }


def _refuse_templates(deployment: Deployment) -> None:
    """Raise UnsupportedError for a text with braces in it: Argo replaces `{{…}}` wherever it stands, and has no escape."""
    for what, text in _texts(deployment):
        if "{{" in text or "}}" in text:
            raise UnsupportedError(
                f"Argo Workflows would take '{{{{' in {what} for a template of its own",
                name=what,
                fix="Write it without two braces in a row.",
            )


def _texts(deployment: Deployment) -> Iterator[tuple[str, str]]:
    for param in deployment.params:
        for told in _argument(param).values():
            for text in told if isinstance(told, list) else [told]:
                yield f"parameter '{param.name}'", text
    yield "the image", deployment.image or ""
    yield "the store", deployment.store
    for stage in deployment.stages:
        yield f"the image of stage '{stage.name}'", stage.options.image or ""


EXPORTER = ArgoExporter()
