"""DVC: a stage of `dvc.yaml` per stage, its receipt as the output, parameters in `params.json`.

Each stage is asked every time (`always_changed`): nbpipe sees changes that DVC is not told of, and decides what runs.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from nbpipe.export.base import Definition, Deployment
from nbpipe.export.engines_here import DVC
from nbpipe.export.lines import words, yaml_text
from nbpipe.export.names import mapped, worded
from nbpipe.model import Stage

_RECORD = "record_run"
_CARRIES = {
    "after": "`deps` on receipts",
    "retries": "the job's own",
    "timeout": "the job's own",
    "cpus": "one stage runs at a time",
    "memory": "one stage runs at a time",
    "gpus": "one stage runs at a time",
    "model": "recorded by the last stage",
    "register": "registered by the last stage",
    "--param": "`params.json`",
    "secrets": "environment",
}


class DvcExporter:
    """Writes `dvc.yaml` and `params.json`."""

    name = "dvc"
    title = "DVC"
    proof: Literal["executed"] = "executed"
    remote = False
    verification = DVC
    carries = _CARRIES
    instead = {"--schedule": "DVC has no clock: export without it, and call dvc repro from cron."}  # noqa: RUF012 - read only

    def definition(self, deployment: Deployment) -> Definition:
        """`dvc.yaml` and `params.json`."""
        stages = mapped((stage.name for stage in deployment.stages), worded, taken=[_RECORD])
        params = [param.name for param in deployment.params]
        told: dict[str, Any] = {}
        for stage in deployment.stages:
            told[stages[stage.name]] = _stage(stage, deployment.order[stage.name], params)
        told[_RECORD] = {
            "cmd": _command("--finish"),
            "deps": [_receipt(stage.name) for stage in deployment.stages],
            "always_changed": True,
        }
        given = {param.name: param.default for param in deployment.params if not param.required}
        files = {
            "dvc.yaml": yaml_text({"stages": told}, head="Written by nbpipe export: export again instead of editing."),
            "params.json": json.dumps(given, indent=1, ensure_ascii=False) + "\n",
        }
        return Definition(
            main="dvc.yaml",
            files=files,
            steps=(
                (
                    "Install what the stages need in the environment whose `python` DVC calls:",
                    "pip install -r requirements.txt",
                ),
                ("Once per repository, if it has no DVC yet:", '(cd "$(git rev-parse --show-toplevel)" && dvc init)'),
                (
                    "Run it; parameters stand in `params.json`, or are set for an experiment with `dvc exp run -S`:",
                    "dvc repro",
                ),
            ),
            notes=(f"the environment has to hold {', '.join(deployment.secrets)}",) if deployment.secrets else (),
        )


def _stage(stage: Stage, above: tuple[str, ...], params: list[str]) -> dict[str, Any]:
    retries = ["--retries", str(stage.options.retries)] if stage.options.retries else []
    told: dict[str, Any] = {
        "cmd": _command(stage.name, *retries, "--record-failure"),
        "deps": ["bundle/pipeline.json", *(_receipt(name) for name in above)],
    }
    if params:
        told["params"] = [{"params.json": params}]
    return {**told, "outs": [{_receipt(stage.name): {"cache": False}}], "always_changed": True}


def _command(*what: str) -> str:
    return words(["python", "-m", "nbpipe.stage", ".", *what, "--receipts", "receipts", "--params", "@params.json"])


def _receipt(stage: str) -> str:
    return f"receipts/{stage}.json"


EXPORTER = DvcExporter()
