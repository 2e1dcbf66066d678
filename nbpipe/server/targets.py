"""Where runs can be, and what pipelines can be exported for. Today: this machine, and nothing."""

from __future__ import annotations

import os
from typing import Any


def targets(_asked: object) -> dict[str, Any]:
    """Targets with their state."""
    count = os.cpu_count() or 1
    detail = f"this machine, {count} CPU{'' if count == 1 else 's'}"
    return {"targets": [{"name": "local", "kind": "local", "state": "ready", "detail": detail}]}


def exporters(_asked: object) -> dict[str, Any]:
    """Exporters that are installed."""
    return {"exporters": []}
