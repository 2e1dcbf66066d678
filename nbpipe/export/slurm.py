"""Slurm: a batch job per stage, chained by dependencies. The machines of the cluster share the project's folder."""

from __future__ import annotations

import math
from typing import Literal

from nbpipe.errors import UnsupportedError
from nbpipe.export.base import Definition, Deployment
from nbpipe.export.cron_tab import notes, params_json
from nbpipe.export.engines_here import SLURM
from nbpipe.export.lines import words
from nbpipe.export.names import dashed, identifier, mapped
from nbpipe.model import Stage

#: Seconds that a job has beyond its stage's timeout, within which the stage ends by itself and says why.
_GRACE = 60
_RECORD = "record-run"
#: Nothing in it is anybody's text.
_JOB = """\
#!/bin/sh
# Written by nbpipe export: one stage of a run, in the exported folder.
set -eu
stage=$1 run=$2 retries=$3
shift 3
for word do
    shift
    set -- "$@" --param "$word"
done
exec "${NBPIPE_PYTHON:-python3}" -m nbpipe.stage . "$stage" --run "$run" --retries "$retries" --params @params.json "$@"
"""
_HEAD = """\
#!/bin/sh
# Written by nbpipe export: export again instead of editing.
#     sh submit.sh [--wait] [NAME=VALUE ...]
# submits a run with other values for some parameters; --wait ends with the exit code of the run.
set -eu
cd "$(dirname "$0")"
mkdir -p logs
wait=
if [ "${1-}" = --wait ]; then
    wait=--wait
    shift
fi
run="${NBPIPE_RUN:-$(date -u +%Y%m%dT%H%M%SZ)-$$}"
jobs=
# A chain that cannot be submitted to its end is taken back.
trap '[ -z "$jobs" ] || scancel $jobs' EXIT

submit() {
    id=$(sbatch --parsable --requeue --kill-on-invalid-dep=yes --output=logs/%x-%j.log "$@")
    id=${id%%;*}
    jobs="$jobs $id"
}

"""
_TAIL = """
# Whatever came of them; a job whose dependency failed has ended, too.
after=$(echo "$jobs" | tr " " ":")
code=0
id=$(
    sbatch --parsable $wait --output=logs/%x-%j.log --job-name="$title" --dependency="afterany$after" \\
        stage.sh --finish "$run" 0 "$@"
) || code=$?
[ -n "$id" ] || exit "$code"
jobs=
echo "run $run: recorded by job ${id%%;*}"
exit "$code"
"""
_CARRIES = {
    "after": "`--dependency=afterok`",
    "retries": "the job's own",
    "timeout": "`--time`, and the job's own",
    "cpus": "`--cpus-per-task`",
    "memory": "`--mem`",
    "gpus": "`--gres=gpu`",
    "model": "recorded by the last job",
    "register": "registered by the last job",
    "--param": "`params.json`, `submit.sh NAME=VALUE`",
    "secrets": "environment of who submits",
}


class SlurmExporter:
    """Writes `submit.sh`, `stage.sh` and `params.json`."""

    name = "slurm"
    title = "Slurm"
    proof: Literal["executed"] = "executed"
    remote = False
    verification = SLURM
    carries = _CARRIES
    instead = {  # noqa: RUF012 - read only
        "--schedule": "Slurm's own clock is off on most clusters: export without it, and call submit.sh from cron.",
        **dict.fromkeys(("image", "--image"), "Slurm runs no images by itself: take it off, or export to argo."),
    }

    def definition(self, deployment: Deployment) -> Definition:
        """The scripts."""
        pipeline = dashed(deployment.pipeline.name, longest=30)
        jobs = mapped((stage.name for stage in deployment.stages), identifier)
        titles = mapped((stage.name for stage in deployment.stages), dashed, taken=[_RECORD])
        lines = []
        for stage in deployment.stages:
            wishes = [f"--job-name={pipeline}-{titles[stage.name]}", *_wishes(stage)]
            above = "".join(f":$job_{jobs[name]}" for name in deployment.order[stage.name])
            after = f' "--dependency=afterok{above}"' if above else ""
            call = [stage.name, '"$run"', str(stage.options.retries), '"$@"']
            lines += [f"submit {words(wishes)}{after} stage.sh {' '.join(call)}", f"job_{jobs[stage.name]}=$id"]
        lines.append(f"title={pipeline}-{_RECORD}")
        return Definition(
            main="submit.sh",
            files={
                "submit.sh": _HEAD + "\n".join(lines) + "\n" + _TAIL,
                "stage.sh": _JOB,
                "params.json": params_json(deployment),
                ".gitignore": "logs/\n",
            },
            steps=(
                (
                    "Install what the stages need where all nodes see it; another Python than `python3` is named in `NBPIPE_PYTHON`:",
                    "pip install -r requirements.txt",
                ),
                (
                    "Submit a run; `SBATCH_PARTITION=NAME` and `SBATCH_ACCOUNT=NAME` before it name a partition and an account:",
                    "sh submit.sh",
                ),
                ("With another parameter, and until it has ended:", "sh submit.sh --wait NAME=VALUE"),
            ),
            notes=notes(deployment, "the environment of who submits has to hold these"),
        )


def _wishes(stage: Stage) -> list[str]:
    options = stage.options
    found = []
    if options.timeout is not None:
        seconds = math.ceil(options.timeout) * (options.retries + 1) + _GRACE
        found.append(f"--time={seconds // 86400}-{seconds // 3600 % 24:02}:{seconds // 60 % 60:02}:{seconds % 60:02}")
    if options.cpus:
        found.append(f"--cpus-per-task={math.ceil(options.cpus)}")
    if options.memory:
        found.append(f"--mem={math.ceil(options.memory / 2**20)}M")
    if options.gpus:
        if options.gpus != int(options.gpus):
            raise UnsupportedError(
                f"Slurm cannot express --gpus {options.gpus:g}: a job gets whole GPUs",
                stage=stage.name,
                name="gpus",
                fix="Write a whole number.",
            )
        found.append(f"--gres=gpu:{int(options.gpus)}")
    return found


EXPORTER = SlurmExporter()
