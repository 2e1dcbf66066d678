"""Valohai: a step that runs the whole pipeline in one execution, as with `nbpipe run`."""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import Any, Literal

from nbpipe.errors import UnsupportedError
from nbpipe.export.base import Definition, Deployment
from nbpipe.export.cron_tab import NATIVE
from nbpipe.export.lines import words, yaml_text
from nbpipe.export.names import dashed
from nbpipe.model import Param

_WISHES = ("cpus", "memory", "gpus", "image")
_CARRIES = {
    **{name: said for name, said in NATIVE.items() if name not in _WISHES},
    "--param": "`parameters` of the step, typed",
    "--image": "image of the step",
    "secrets": "`environment-variables`",
}
_TYPES = {"int": "integer", "float": "float", "bool": "flag"}


class ValohaiExporter:
    """Writes `valohai.yaml`."""

    name = "valohai"
    title = "Valohai"
    proof: Literal["validated"] = "validated"
    remote = True
    carries = _CARRIES
    instead = {  # noqa: RUF012 - read only
        **dict.fromkeys(_WISHES, "All stages share one execution here: choose its environment in Valohai."),
        "--schedule": "Valohai keeps its triggers with the project: export without it, and make a scheduled trigger there.",
    }

    def definition(self, deployment: Deployment) -> Definition:
        """`valohai.yaml`. Raises UnsupportedError for a folder that Valohai does not see, or would read otherwise."""
        folder = deployment.folder
        if PurePosixPath(folder).is_absolute() or ".." in PurePosixPath(folder).parts or "{" in folder:
            raise UnsupportedError(
                "Valohai sees the repository only, and takes braces for parameters",
                name="folder",
                fix="Export into a folder of the project, without braces in its path.",
            )
        name = dashed(deployment.pipeline.name)
        run = '"${VH_JOB_ID:-$(date -u +%Y%m%dT%H%M%SZ)}"'
        step: dict[str, Any] = {
            "name": name,
            "image": deployment.image or f"python:{deployment.pipeline.python}",
            "command": [
                words(["pip", "install", "-r", f"{folder}/requirements.txt"]),
                f"{words(['python', '-m', 'nbpipe.stage', folder, '--all'])} --run {run} {{parameters}}",
            ],
        }
        if deployment.params:
            step["parameters"] = [_parameter(param) for param in deployment.params]
        held = (*deployment.secrets, "NBPIPE_STORE_KEY")
        step["environment-variables"] = [{"name": each, "optional": each == "NBPIPE_STORE_KEY"} for each in held]
        head = "Written by nbpipe export: export again instead of editing."
        return Definition(
            main="valohai.yaml",
            files={"valohai.yaml": yaml_text([{"step": step}], head=head)},
            steps=(
                ("Check it:", "pip install valohai-yaml && valohai-yaml valohai.yaml"),
                (
                    "Commit this folder, name its valohai.yaml in the settings of the project, and run the step:",
                    f"vh execution run {name}",
                ),
            ),
            notes=(f"set {', '.join(held)} as environment variables of the project: results are signed with the key",),
        )


def _parameter(param: Param) -> dict[str, Any]:
    """What is no plain value is a text, read by the type of the parameter."""
    plain = not param.optional and param.choices is None
    kind = _TYPES.get(param.type, "string") if plain else "string"
    told: dict[str, Any] = {"name": param.name, "type": kind}
    if kind == "flag":
        told |= {"pass-true-as": f"--param={param.name}=true", "pass-false-as": f"--param={param.name}=false"}
    else:
        told["pass-as"] = f"--param={param.name}={{v}}"
    if not param.required:
        told["default"] = param.default if kind != "string" else _text(param, param.default)
    if param.choices is not None and not param.optional:
        told["choices"] = [_text(param, choice) for choice in param.choices]
    if param.help:
        told["description"] = param.help
    return told


def _text(param: Param, given: Any) -> str:
    return given if isinstance(given, str) and param.type in ("str", "choice") else json.dumps(given)


EXPORTER = ValohaiExporter()
