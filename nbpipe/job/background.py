"""What a stage's cells leave going when they are done: threads, tasks of asyncio, open figures. It ends with the stage."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import Any


class Background:
    """Looks before the cells and after them. What libraries keep going for themselves is none of the cells'."""

    def __init__(self) -> None:
        self._threads: set[threading.Thread] = set()

    def start(self) -> None:
        """Note what is going on already."""
        self._threads = set(threading.enumerate())

    def warnings(self) -> list[str]:
        """What would go on in the notebook, and stops here."""
        after = (
            "ends with the stage: later stages do not see what it would still have done. Wait for it in the same stage"
        )
        threads = [t.name for t in threading.enumerate() if t not in self._threads and _theirs(t)]
        found = [f"the thread {name} {after}" for name in threads]
        found += [f"the asyncio task {name} {after}" for name in _tasks()]
        pyplot = sys.modules.get("matplotlib.pyplot")
        for number in pyplot.get_fignums() if pyplot is not None else ():
            found.append(f"figure {number} of pyplot is still open: later stages do not see it. Draw it in one stage")
        return found


def _theirs(thread: threading.Thread) -> bool:
    """Whether it runs what the notebook defines."""
    runs = getattr(thread, "_target", None) or getattr(thread, "function", None)
    return "__main__" in {getattr(runs, "__module__", ""), type(thread).__module__}


def _tasks() -> list[str]:
    """Names of functions of the notebook that asyncio is in the middle of."""
    try:
        tasks = asyncio.all_tasks()
    except RuntimeError:
        return []
    frames = [(task, getattr(task.get_coro(), "cr_frame", None)) for task in tasks]
    return sorted(_name(task) for task, frame in frames if frame and frame.f_globals.get("__name__") == "__main__")


def _name(task: Any) -> str:
    return str(getattr(task.get_coro(), "__name__", "") or task.get_name())
