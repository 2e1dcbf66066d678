"""Cron: a line of a crontab, and the script that it calls. The whole pipeline runs on one machine, as with `nbpipe run`."""

from __future__ import annotations

import json
import shlex
from typing import Literal

from nbpipe.errors import UsageError
from nbpipe.export.base import Definition, Deployment

#: Nothing in it is anybody's text.
SCRIPT = """\
#!/bin/sh
# Written by nbpipe export: export again instead of editing. Exit codes are those of nbpipe run.
set -eu
cd "$(dirname "$0")"
mkdir -p logs
if [ "${1-}" = --log ]; then
    shift
    exec >> logs/run.log 2>&1
fi
# A run that is still on is not joined by a second one, which says so: 75 is EX_TEMPFAIL, try again later.
exec 9> logs/lock
if command -v flock > /dev/null && ! flock -n 9; then
    echo "nbpipe: $(date -u +%Y-%m-%dT%H:%M:%SZ): not started, the run before is still on" >&2
    exit 75
fi
run="$(date -u +%Y%m%dT%H%M%SZ)"
exec "${NBPIPE_PYTHON:-python3}" -m nbpipe.stage . --all --run "$run" --params @params.json "$@"
"""
_START = '--params @params.json "$@"'
#: What `nbpipe run` itself does for every stage.
NATIVE = dict.fromkeys(
    ("after", "retries", "timeout", "cpus", "memory", "gpus", "model", "register"), "as with `nbpipe run`"
)
_CARRIES = {
    **NATIVE,
    "--param": "`params.json`",
    "--schedule": "the crontab's fields",
    "--logical-date-param": "date of the start",
    "secrets": "the user's environment",
}


class CronExporter:
    """Writes `crontab`, `run.sh` and `params.json`."""

    name = "cron"
    title = "cron"
    proof: Literal["validated"] = "validated"
    remote = False
    carries = _CARRIES
    instead = dict.fromkeys(("image", "--image"), "cron runs no images: take it off, or export to argo.")

    def definition(self, deployment: Deployment) -> Definition:
        """`crontab`, `run.sh` and `params.json`. Raises UsageError without a schedule."""
        if deployment.schedule is None:
            raise UsageError("cron needs a schedule", name="schedule", fix="Every day at 6: --schedule '0 6 * * *'")
        line = f'{deployment.schedule} sh "$NBPIPE_FOLDER/run.sh" --log\n'
        return Definition(
            main="crontab",
            files={"crontab": line, "run.sh": script(deployment), "params.json": params_json(deployment)},
            steps=(
                (
                    "Install what the stages need, and name its Python in the user's crontab if it is not `python3`:",
                    "pip install -r requirements.txt",
                ),
                ("Try it:", "sh run.sh"),
                (
                    "Add the line to this user's crontab, with the folder that it is about; what is printed goes to `logs/run.log`:",
                    '(crontab -l; echo "NBPIPE_FOLDER=$PWD"; cat crontab) | crontab -',
                ),
            ),
            notes=notes(deployment, "cron gives its jobs few variables: set these in the crontab"),
        )


def script(deployment: Deployment) -> str:
    """`run.sh`. A parameter for the date is given that of the start, unless the command names another."""
    if not deployment.logical_date:
        return SCRIPT
    name = deployment.logical_date
    if not name.isidentifier():
        raise UsageError(f"{name[:80]!a} is no name of a parameter", name=name[:80])
    dated = f'--params @params.json --param {name}="$(date +%Y-%m-%d)" "$@"'
    return SCRIPT.replace(_START, dated)


def params_json(deployment: Deployment) -> str:
    """`params.json`: every parameter that has a value, to be edited by people."""
    given = {param.name: param.default for param in deployment.params if not param.required}
    return json.dumps(given, indent=1, ensure_ascii=False) + "\n"


def notes(deployment: Deployment, said: str) -> tuple[str, ...]:
    """What is to be set by hand."""
    return (f"{said}: {shlex.join(deployment.secrets)}",) if deployment.secrets else ()


EXPORTER = CronExporter()
