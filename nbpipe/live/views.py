"""Verbs that a front-end shows: `%nbpipe history` and `diff` as views, `%nbpipe run` with live progress."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbpipe.live.command import is_notebook, run_command

if TYPE_CHECKING:
    from nbpipe.ui.views import ProgressView

#: With these `nbpipe run` prints what was asked for, and nothing is drawn.
_PLAIN = ("--json", "--quiet", "--detach", "--help")
_SIDES = 2


def has_front_end(shell: Any) -> bool:
    """Whether a notebook may be looking: a kernel, and not a terminal; and there is something to show."""
    if getattr(shell, "kernel", None) is None:
        return False
    from nbpipe.ui.bundle import is_built

    return is_built()


def show(words: list[str]) -> None:
    """What the words ask for: as a view where there is one, else as text. Raises `NbpipeError`."""
    if words[:1] == ["run"]:
        _run(words)
    elif (view := _view(words)) is not None:
        from IPython.display import display

        display(view)
    else:
        run_command(words)


def _view(words: list[str]) -> Any:
    """None where the command line answers, as it does for any option."""
    verb, rest = words[0] if words else "", words[1:]
    if verb not in ("history", "diff") or any(word.startswith("-") for word in rest):
        return None
    from nbpipe.ui import api

    if verb == "history" and len(rest) <= 1:
        notebook = rest[0] if rest else ""
        return api.history(notebook=notebook, project=notebook if is_notebook(notebook) else ".")
    if verb == "diff" and len(rest) == _SIDES:
        return api.diff(*rest)
    return None


def _run(words: list[str]) -> None:
    """`nbpipe run`, its stages drawn while it runs, its last words printed below."""
    notebook = next((word for word in words[1:] if is_notebook(word)), None)
    if notebook is None or any(word in _PLAIN for word in words):
        run_command(words)
        return
    from IPython.display import display

    from nbpipe.run.project import find_project
    from nbpipe.ui.follow import Follow
    from nbpipe.ui.progress import Progress

    project = find_project(Path(notebook))
    shown: list[Progress] = []

    def draw(view: ProgressView) -> None:
        if shown:
            shown[0].show(view)
        else:
            shown.append(Progress(project, view))
            display(shown[0])

    run_command([*words, "--quiet"], beat=Follow(project, draw).beat)
