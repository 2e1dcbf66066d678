"""Builds the front-end into the wheel. An editable install leaves that to `make widget`."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_BUILT = ("nbpipe/ui/static/widget.js", "nbpipe/ui/static/widget.css")


class WidgetHook(BuildHookInterface[Any]):
    """Runs npm where the bundle is not there yet; an sdist carries it, so that installing one needs no node."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's signature
        """Called before a build."""
        root = Path(self.root)
        if version == "editable" or all((root / path).is_file() for path in _BUILT):
            return
        npm = shutil.which("npm")
        if npm is None:
            raise RuntimeError("building the widget needs node 20 or newer and npm; https://nodejs.org")
        for words in (["ci", "--no-audit", "--no-fund"], ["run", "build:prod"]):
            subprocess.run([npm, *words], cwd=root / "labextension", check=True)
