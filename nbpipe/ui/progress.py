"""A run that is on, shown in the cell that started it."""

from __future__ import annotations

from typing import Any

import msgspec
import traitlets

from nbpipe.run.project import Project
from nbpipe.ui import fallback
from nbpipe.ui.answers import Answers
from nbpipe.ui.fallback_run import progress
from nbpipe.ui.views import ProgressView
from nbpipe.ui.widget import View


class Progress(View):
    """Shows what it is told: its state is a trait, so that it comes while the kernel waits for the run.

    Below the live view stands a static copy, which goes on as well where no script runs, and stays in the notebook.
    """

    state = traitlets.Dict().tag(sync=True)

    def __init__(self, project: Project, first: ProgressView) -> None:
        self._last = first
        self._copy: Any = None
        super().__init__(Answers(project), view="progress", state=msgspec.to_builtins(first))

    def show(self, view: ProgressView) -> None:
        """Show this state of the run."""
        self._last = view
        self.state = msgspec.to_builtins(view)
        if self._copy is not None:
            self._copy.update(self._fallback().bundle(self.static_id), raw=True)

    def _fallback(self) -> fallback.Static:
        return progress(self._last)

    def _show_static(self) -> None:
        from IPython.display import display

        self._copy = display(self._fallback().bundle(self.static_id), raw=True, display_id=True)
