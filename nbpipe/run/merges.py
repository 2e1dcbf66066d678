"""Stages of a suggested notebook that had to be joined, remembered by the notebook's content."""

from __future__ import annotations

import msgspec

from nbpipe.job.folder import write_durably
from nbpipe.model import Notebook
from nbpipe.run.project import Project


def known(project: Project, notebook: Notebook) -> tuple[tuple[str, ...], ...]:
    """Groups of stages that were joined before."""
    try:
        data = (project.state / "merges" / f"{notebook.sha256}.json").read_bytes()
        return msgspec.json.decode(data, type=tuple[tuple[str, ...], ...])
    except (OSError, msgspec.MsgspecError):
        return ()


def remember(project: Project, notebook: Notebook, groups: tuple[tuple[str, ...], ...]) -> None:
    """Remember them for the next plan."""
    folder = project.state / "merges"
    folder.mkdir(parents=True, exist_ok=True)
    write_durably(folder / f"{notebook.sha256}.json", msgspec.json.encode(groups))
