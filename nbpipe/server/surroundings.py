"""What this server is, where runs can be, and what pipelines can be exported for. Runs are on this machine, today."""

from __future__ import annotations

import os
from typing import Any

from nbpipe import __version__
from nbpipe.ui.pipelines import SCHEMA


def info(_asked: object) -> dict[str, Any]:
    """Version of nbpipe, and of what is answered here."""
    return {"version": __version__, "schema": SCHEMA}


def targets(_asked: object) -> dict[str, Any]:
    """Targets with their state."""
    count = os.cpu_count() or 1
    detail = f"this machine, {count} CPU{'' if count == 1 else 's'}"
    return {"targets": [{"name": "local", "kind": "local", "state": "ready", "detail": detail}]}


def exporters(_asked: object) -> dict[str, Any]:
    """Exporters that are installed."""
    from nbpipe.export.registry import exporters as installed

    found = installed().values()
    return {"exporters": [{"name": each.name, "title": each.title, "proof": each.proof} for each in found]}
