"""A real IPython shell with nbpipe loaded, and what it recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from IPython.utils.capture import capture_output

from nbpipe.history.trials import Trial, trials
from nbpipe.run.project import Project


class Live:
    """A shell with nbpipe loaded, and what it recorded."""

    def __init__(self, shell: Any, root: Path) -> None:
        self.shell = shell
        self.root = root
        self.project = Project(root)

    @property
    def session(self) -> Any:
        return self.shell.nbpipe_session

    def run(self, *sources: str) -> str:
        """Run cells as a front-end does; what they showed."""
        shown = ""
        for source in sources:
            with capture_output() as captured:
                self.shell.run_cell(source, store_history=True)
            shown += captured.stdout + captured.stderr
        return shown

    def trials(self) -> list[Trial]:
        """All trials, oldest first, once everything is written."""
        assert self.session.recording.recorder.drain(10)
        return trials(self.project)[::-1]

    def last(self) -> Trial:
        return self.trials()[-1]
