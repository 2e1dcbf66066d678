"""Which option goes where: done by the job on every scheduler, said in the scheduler's own words, or refused.

An option that a scheduler cannot express is never dropped: `check` raises, with the stage, the option and what to do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from nbpipe.credentials import is_name
from nbpipe.errors import PipelineError, UnsupportedError
from nbpipe.export.base import Deployment, Exporter
from nbpipe.export.verification import of
from nbpipe.model import Stage

#: What names of stages are made of: they become paths and names of tasks.
_STAGE = re.compile(r"[a-z][a-z0-9_-]{0,62}")
#: Options that the job itself sees to, the same on every scheduler.
BY_JOB: Mapping[str, str] = {
    "no-cache": "the stage looks nothing up",
    "cache": "in the live notebook only",
    "in": "the stage is given these",
    "out": "the stage stores these",
    "reads": "part of what is compared before a result is reused",
    "writes": "kept in the store, put in place for later stages",
    "metrics": "recorded with the result",
    "metric": "the check compares, and fails its task",
    "env": "set for the stage's code",
}
#: Options that a definition has to say, or that are refused; of a stage, and of a deployment as a whole.
OF_STAGES = (
    "after",
    "retries",
    "timeout",
    "cpus",
    "memory",
    "gpus",
    "image",
    "on",
    "nodes",
    "nproc",
    "model",
    "register",
)
OF_ALL = (
    "--param",
    "--schedule",
    "--trigger-file",
    "--trigger-dataset",
    "--logical-date-param",
    "--image",
    "secrets",
)
#: What to do where an exporter says nothing of its own.
_INSTEAD = {
    "--trigger-file": "Export to one that sees files: airflow, dagster, systemd, github-actions.",
    "--trigger-dataset": "Export to one that knows datasets: airflow, dagster, prefect, metaflow.",
}


def asked(stage: Stage) -> Iterator[tuple[str, object]]:
    """The options of a stage that a scheduler has to do something for, with their values."""
    options = stage.options
    values: dict[str, object] = {
        "after": options.after,
        "retries": options.retries,
        "timeout": options.timeout,
        "cpus": options.cpus,
        "memory": options.memory,
        "gpus": options.gpus,
        "image": options.image,
        "on": None if options.on == "local" else options.on,
        "nodes": options.nodes,
        "nproc": options.nproc,
        "model": options.model,
        "register": options.register,
    }
    yield from ((name, value) for name, value in values.items() if value)


def check(exporter: Exporter, deployment: Deployment) -> None:
    """Raise UnsupportedError for the first thing asked for that the scheduler cannot express."""
    for stage in deployment.stages:
        if not _STAGE.fullmatch(stage.name):
            raise PipelineError(f"{stage.name[:80]!a} is not the name of a stage", name=stage.name[:80])
        for name, value in asked(stage):
            if name not in exporter.carries:
                said = value if isinstance(value, (str, int, float)) else ""
                raise UnsupportedError(
                    f"{exporter.title} cannot express --{name}{f' {said:g}' if isinstance(said, float) else f' {said}'}".rstrip(),
                    stage=stage.name,
                    cell=stage.cells[0].cell if stage.cells else None,
                    name=name,
                    fix=exporter.instead.get(name, f"Take --{name} off the stage."),
                )
    for secret in deployment.secrets:
        if not is_name(secret):
            raise PipelineError(
                f"{secret[:80]!a} is not the name of a secret", name=secret[:80], fix="Use the name of a variable."
            )
    whole = {
        "--schedule": deployment.schedule,
        "--trigger-file": ", ".join(deployment.trigger_files),
        "--trigger-dataset": ", ".join(deployment.trigger_datasets),
        "--logical-date-param": deployment.logical_date,
        "--image": deployment.image,
        "secrets": ", ".join(deployment.secrets),
    }
    for name, given in whole.items():
        if given and name not in exporter.carries:
            raise UnsupportedError(
                f"{exporter.title} cannot express {name} {given}",
                name=name.removeprefix("--"),
                fix=exporter.instead.get(name, _INSTEAD.get(name, f"Export without {name}.")),
            )
    allowed = getattr(exporter, "parameters", ".*")
    for param in deployment.params:
        if not re.fullmatch(allowed, param.name):
            raise UnsupportedError(
                f"{exporter.title} cannot express a parameter of the name '{param.name}'",
                name=param.name,
                fix="Give it another one: letters from a to z, digits and underscores, a letter first.",
            )
        if param.required and deployment.starts_itself and param.name != deployment.logical_date:
            raise UnsupportedError(
                f"a run that starts by itself has nobody who gives '{param.name}' a value",
                name=param.name,
                fix=f"Give it one: --param {param.name}=VALUE",
            )


def table(known: Mapping[str, Exporter]) -> str:
    """The table of the documentation, Markdown."""
    names = list(known)
    lines = [f"| option | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for name in (*OF_STAGES, *OF_ALL):
        shown = name if name.startswith("--") or name in OF_ALL else f"--{name}"
        cells = (_cell(known[each], name) for each in names)
        lines.append(f"| `{shown}` | {' | '.join(cells)} |")
    lines.append(f"| `--verify` | {' | '.join(_verified(known[each]) for each in names)} |")
    return "\n".join(lines) + "\n"


def _verified(exporter: Exporter) -> str:
    """On what `--verify` runs an export."""
    found = of(exporter)
    if found is None:
        return "not possible: no engine of it runs on one machine"
    if found.needs:
        return f"the cluster of `{found.needs[0]}`"
    return f"`{found.packages[0]}`" if found.packages else "this Python"


def _cell(exporter: Exporter, name: str) -> str:
    return exporter.carries.get(name, "refused")
