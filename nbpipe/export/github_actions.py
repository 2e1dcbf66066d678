"""GitHub Actions: a workflow with one job, which runs the whole pipeline as `nbpipe run` does and keeps the store between runs."""

from __future__ import annotations

import json
import re
from typing import Any, Literal

from nbpipe.errors import UnsupportedError
from nbpipe.export.base import Definition, Deployment
from nbpipe.export.cron_tab import NATIVE
from nbpipe.export.github_ci import workflow as pull_requests
from nbpipe.export.lines import yaml_text
from nbpipe.export.names import dashed
from nbpipe.model import Param

#: GitHub's own limit of inputs of a workflow.
_MOST_INPUTS = 25
_CARRIES = {
    **{name: said for name, said in NATIVE.items() if name not in ("gpus", "memory", "cpus")},
    "--param": "inputs, typed",
    "--schedule": "`schedule`",
    "--trigger-file": "`push` with `paths`",
    "--image": "`container`",
    "secrets": "`secrets.NAME`",
}


class GithubActionsExporter:
    """Writes a workflow."""

    name = "github-actions"
    title = "GitHub Actions"
    proof: Literal["validated"] = "validated"
    remote = False
    #: Knows of pull requests.
    ci = True
    #: Names of inputs that it takes.
    parameters = "[A-Za-z0-9_]+"
    carries = _CARRIES
    instead = dict.fromkeys(
        ("cpus", "memory", "gpus"), "GitHub's runners have one size: take it off, or export to argo."
    ) | {"image": "One job has one image: give it with --image."}

    def definition(self, deployment: Deployment) -> Definition:
        """The workflow. Raises UnsupportedError for more parameters than GitHub knows."""
        if len(deployment.params) > _MOST_INPUTS:
            raise UnsupportedError(
                f"GitHub Actions has at most {_MOST_INPUTS} inputs, and the notebook {len(deployment.params)} parameters",
                name=deployment.params[_MOST_INPUTS].name,
                fix="Join some of them into one dictionary.",
            )
        if deployment.folder.startswith("/"):
            raise UnsupportedError(
                "GitHub Actions runs what is in the repository, and the exported folder is outside the project",
                name="out",
                fix="Export to a folder of the project.",
            )
        told = (("out", deployment.folder), ("image", deployment.image or ""), ("notebook", deployment.notebook))
        for what, text in told:
            if "${{" in text:
                raise UnsupportedError(
                    f"GitHub Actions would take '${{{{' in {text!r} for an expression of its own",
                    name=what,
                    fix="Write it without: -o FOLDER, --image NAME, or rename the notebook.",
                )
        name = f"nbpipe-{dashed(deployment.pipeline.name, longest=50)}"
        starts: dict[str, Any] = {"workflow_dispatch": _dispatch(deployment.params)}
        if deployment.schedule is not None:
            starts["schedule"] = [{"cron": deployment.schedule}]
        if deployment.trigger_files:
            starts["push"] = {"paths": [_literal(path) for path in deployment.trigger_files]}
        workflow = {
            "name": name,
            "on": starts,
            "permissions": {"contents": "read"},
            # Runs share the store that is kept between them.
            "concurrency": {"group": name, "cancel-in-progress": False},
            "jobs": {"run": _job(deployment, name)},
        }
        file = f"{name}.yml"
        files = {file: yaml_text(workflow, head="Written by nbpipe export: export again instead of editing.")}
        if deployment.ci:
            files[f"{name}-ci.yml"] = pull_requests(deployment, name)
        return Definition(
            main=file,
            files=files,
            steps=(
                (
                    "Put the workflow where GitHub looks for it, and commit it together with this folder:",
                    f'to="$(git rev-parse --show-toplevel)/.github/workflows" && mkdir -p "$to" && cp {" ".join(files)} "$to/"',
                ),
                ("Start it:", f"gh workflow run {file}"),
            ),
            notes=(
                "the project has to be the repository's own folder: the workflow names this folder by its path in there",
                *(f"add {each} to the repository's secrets" for each in deployment.secrets),
                "add NBPIPE_STORE_KEY, a long random text, to the repository's secrets: without it no run reuses another's",
            ),
        )


def _literal(path: str) -> str:
    """A path in which nothing but `*` and `**` is a pattern of GitHub's."""
    return re.sub(r"([?+\[\]!])", r"\\\1", path)


def _dispatch(params: tuple[Param, ...]) -> dict[str, Any] | None:
    inputs = {param.name: _input(param) for param in params}
    return {"inputs": inputs} if inputs else None


def _input(param: Param) -> dict[str, Any]:
    told: dict[str, Any] = {"description": param.help or param.name, "required": param.required}
    if param.choices is not None and all(isinstance(choice, str) for choice in param.choices) and not param.optional:
        told |= {"type": "choice", "options": list(param.choices)}
    elif param.type == "bool" and not param.optional:
        told["type"] = "boolean"
    else:
        # Every other value is typed in as on the command line, and read by the parameter's type.
        told["type"] = "string"
    if not param.required:
        plain = told["type"] != "string" or (param.type == "str" and param.default is not None)
        told["default"] = param.default if plain else json.dumps(param.default)
    return told


def _job(deployment: Deployment, name: str) -> dict[str, Any]:
    job: dict[str, Any] = {"runs-on": "ubuntu-latest"}
    if deployment.trigger_files:
        # A branch that brings other data is looked at in its pull request.
        job["if"] = "github.event_name != 'push' || github.ref_name == github.event.repository.default_branch"
    if deployment.image is not None:
        job["container"] = {"image": deployment.image}
    env = {
        each: f"${{{{ secrets.{each} }}}}" for each in (*deployment.secrets, "NBPIPE_STORE_KEY", "MLFLOW_TRACKING_URI")
    }
    steps: list[dict[str, Any]] = [{"uses": "actions/checkout@v4"}]
    if deployment.image is None:
        steps.append({"uses": "actions/setup-python@v5", "with": {"python-version": deployment.pipeline.python}})
    steps.append({"name": "Install", "run": 'python -m pip install -r "$FOLDER/requirements.txt"'})
    if not deployment.store:
        cache = {"path": ".nbpipe/store", "key": f"{name}-${{{{ github.run_id }}}}", "restore-keys": f"{name}-"}
        steps.append({"uses": "actions/cache@v4", "with": cache})
    command = 'printf %s "$INPUTS" | python -m nbpipe.stage "$FOLDER" --all --run "$GITHUB_RUN_ID" --texts -\n'
    steps.append({"name": "Run", "run": command, "env": {**env, "INPUTS": "${{ toJSON(inputs) }}"}})
    shown = {
        "name": name,
        "path": ".nbpipe/runs/*/*.ipynb",
        "include-hidden-files": True,
        "if-no-files-found": "ignore",
    }
    steps.append({"uses": "actions/upload-artifact@v4", "if": "always()", "with": shown})
    return {**job, "env": {"FOLDER": deployment.folder}, "steps": steps}


EXPORTER = GithubActionsExporter()
