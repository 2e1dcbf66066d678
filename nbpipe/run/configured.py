"""What a project's own files say how nbpipe shall behave: `nbpipe.toml`, else `[tool.nbpipe]` of `pyproject.toml`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from nbpipe.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from nbpipe.run.project import Project


def configured(project: Project, name: str) -> Any:
    """The value of a setting; None where nothing sets it. Raises UsageError for a file that is no TOML."""
    found = _table(project.root / "nbpipe.toml")
    if name not in found:
        tool = _table(project.root / "pyproject.toml").get("tool")
        found = tool.get("nbpipe", {}) if isinstance(tool, dict) else {}
    return found.get(name) if isinstance(found, dict) else None


def _table(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}", name=str(path)) from error
