"""What this server is, where runs can be, and what pipelines can be exported for."""

from __future__ import annotations

from typing import Any

from nbpipe import __version__
from nbpipe.server.notebooks import Asked
from nbpipe.ui.pipelines import SCHEMA


def info(_asked: object) -> dict[str, Any]:
    """Version of nbpipe, and of what is answered here."""
    return {"version": __version__, "schema": SCHEMA}


def targets(asked: Asked[Any]) -> dict[str, Any]:
    """Targets with their state, as the last test found it: nothing is connected to."""
    from nbpipe.run.fleets import states, targets_of

    project = asked.place.project
    return {"targets": states(project, targets_of(project).values())}


def exporters(_asked: object) -> dict[str, Any]:
    """Exporters that are installed."""
    from nbpipe.export.registry import exporters as installed

    return {
        "exporters": [
            {
                "name": each.name,
                "title": each.title,
                "proof": each.proof,
                "triggers": [kind for kind in ("file", "dataset") if f"--trigger-{kind}" in each.carries],
                "logical_date": "--logical-date-param" in each.carries,
            }
            for each in installed().values()
        ]
    }
