"""Snakemake: a rule per stage. What a stage gave stands in the store; its rule leaves an empty file that says it is done.

The files belong to one call of Snakemake: each call asks every stage, and nbpipe decides what is up to date.
"""

from __future__ import annotations

import ast
import json
import math
import re
from typing import Literal

from nbpipe.export.base import Definition, Deployment
from nbpipe.export.engines_here import SNAKEMAKE
from nbpipe.export.names import identifier, mapped
from nbpipe.export.python import value
from nbpipe.model import Stage

_RECORD = "record_run"
_TAKEN = (_RECORD, "nbpipe", "done", "all")
_HEAD = """\
import json
import os
import shutil
import subprocess
import sys
import uuid
from datetime import datetime
from pathlib import Path


configfile: Path(workflow.basedir) / "config.json"


FOLDER = Path(workflow.basedir)
PYTHON = os.environ.get("NBPIPE_PYTHON", sys.executable)
# Every call of Snakemake is a run of its own; the processes of its rules inherit the name.
RUN = os.environ.setdefault("NBPIPE_RUN", f"{datetime.now():%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}")


envvars:
    "NBPIPE_RUN",


def done(stage):
    return f"runs/{RUN}/{stage}.done"


def nbpipe(*what):
    given = json.dumps({name: config[name] for name in PARAMS if name in config}).encode()
    command = [PYTHON, "-m", "nbpipe.stage", str(FOLDER), *what, "--run", RUN, "--params", "-"]
    subprocess.run(command, input=given, check=True)


onsuccess:
    shutil.rmtree(f"runs/{RUN}", ignore_errors=True)


onerror:
    # The history has runs that failed, too; which rule it was is said above.
    try:
        nbpipe("--finish")
    except subprocess.CalledProcessError as error:
        print(f"the run has failed with exit code {error.returncode}", file=sys.stderr)


"""
_CARRIES = {
    "after": "input of the rule",
    "retries": "`retries` of the rule",
    "timeout": "the job's own",
    "cpus": "`threads`",
    "memory": "`mem_mb`",
    "gpus": "resource `gpu`",
    "model": "recorded by the last rule",
    "register": "registered by the last rule",
    "--param": "`config.json`, `--config`",
    "secrets": "environment",
}


class SnakemakeExporter:
    """Writes `Snakefile` and `config.json`."""

    name = "snakemake"
    title = "Snakemake"
    proof: Literal["executed"] = "executed"
    remote = False
    verification = SNAKEMAKE
    carries = _CARRIES
    instead = {"--schedule": "Snakemake has no clock: export without it, and call snakemake from cron."}  # noqa: RUF012 - read only

    def definition(self, deployment: Deployment) -> Definition:
        """`Snakefile` and `config.json`."""
        rules = mapped((stage.name for stage in deployment.stages), identifier, taken=_TAKEN)
        names = [param.name for param in deployment.params]
        version = deployment.pipeline.version[:7]
        about = f"The pipeline {deployment.pipeline.name!r}, version {version}. Written by nbpipe export."
        parts = [
            f"{_literal(about)}\n",
            _HEAD,
            f"PARAMS = {_literal(names)}\n\n\n",
            _record(deployment),
            *(_rule(stage, rules[stage.name], deployment.order[stage.name]) for stage in deployment.stages),
        ]
        given = {param.name: param.default for param in deployment.params if not param.required}
        return Definition(
            main="Snakefile",
            files={"Snakefile": "".join(parts), "config.json": json.dumps(given, indent=1, ensure_ascii=False) + "\n"},
            steps=(
                (
                    "Install what the stages need, beside Snakemake or in an environment that `NBPIPE_PYTHON` names:",
                    "pip install -r requirements.txt",
                ),
                ("Run it, here or on a cluster that a profile of yours names:", "snakemake --cores all"),
                ("With another parameter:", "snakemake --cores all --config NAME=VALUE"),
            ),
            notes=_notes(deployment),
        )


def _rule(stage: Stage, name: str, above: tuple[str, ...]) -> str:
    options = stage.options
    resources = {}
    if options.memory:
        resources["mem_mb"] = math.ceil(options.memory / 2**20)
    if options.gpus:
        resources["gpu"] = math.ceil(options.gpus)
    lines = [f"rule {name}:"]
    if above:
        lines += ["    input:", *(f"        done({_literal(each)})," for each in above)]
    lines += ["    output:", f"        touch(done({_literal(stage.name)})),"]
    if options.cpus:
        lines += ["    threads:", f"        {math.ceil(options.cpus)}"]
    if resources:
        lines += ["    resources:", *(f"        {key}={amount}," for key, amount in resources.items())]
    lines += ["    retries:", f"        {options.retries}"] if options.retries else []
    lines += ["    run:", f"        nbpipe({_literal(stage.name)})", "", ""]
    return "\n".join(lines) + "\n"


def _record(deployment: Deployment) -> str:
    ends = (f"        done({_literal(name)})," for name in deployment.stages_last)
    return "\n".join([f"rule {_RECORD}:", "    input:", *ends, "    run:", '        nbpipe("--finish")', "", "", ""])


def _literal(data: object) -> str:
    return ast.unparse(value(data))


def _notes(deployment: Deployment) -> tuple[str, ...]:
    found = [f"the environment has to hold {', '.join(deployment.secrets)}"] if deployment.secrets else []
    # Snakemake's own rule, by which one letter is no name.
    others = [param.name for param in deployment.params if not re.fullmatch(r"[a-zA-Z_][\w-]*\w", param.name)]
    if others:
        found.append(f"{', '.join(others)}: --config takes no such name; set it in config.json")
    return tuple(found)


EXPORTER = SnakemakeExporter()
