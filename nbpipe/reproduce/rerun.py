"""The run in the scratch project, in a process of its own that sees nothing of the project it comes from."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nbpipe.model import Event
from nbpipe.reproduce.environment import process_environment
from nbpipe.reproduce.scratch import BEFORE
from nbpipe.run.journal import JOURNAL, read
from nbpipe.run.project import Project
from nbpipe.run.warmth import VARIABLE as KEEP_WARM

#: The new run in the scratch project.
AGAIN = "r2"
_PAUSE = 0.1


def run_again(
    notebook: Path,
    *,
    python: Path | None,
    seed: int,
    project: Project,
    scratch: Project,
    listener: Callable[[Event], None] | None,
) -> dict[str, Any]:
    """The last line of `nbpipe run --json` on the scratch notebook, fresh, without tracking.

    `python` is the interpreter of a built environment; None takes this one. `listener` hears the events of the run.
    Ctrl-C and SIGTERM stop the run, then raise KeyboardInterrupt.
    """
    words = ["-m", "nbpipe", "run", str(notebook), "--fresh", "--json", "--params-from", BEFORE, "--seed", str(seed)]
    words += ["--store", str(scratch.state / "store"), "--quiet"]
    # It is run once, and leaves nothing behind.
    given = _surroundings(os.environ, project.root, scratch.root) | {KEEP_WARM: "off"}
    process = subprocess.Popen(
        [str(python or sys.executable), *words],
        cwd=notebook.parent,
        env=given if python is None else process_environment(python, given),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Ctrl-C in a terminal reaches this process alone, which passes it on once: twice would mean another thing.
        start_new_session=True,
    )
    with _stopping(process):
        out, err = _follow(process, scratch.runs / AGAIN / JOURNAL, listener)
    if not out.strip():
        said = err.strip().splitlines()
        return {"run": None, "error": {"message": said[-1] if said else f"it ended with {process.returncode}"}}
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return found


def _follow(process: subprocess.Popen[str], journal: Path, listener: Callable[[Event], None] | None) -> tuple[str, str]:
    """What the process printed, once it has ended; until then its journal is told as it grows."""
    heard = 0
    while True:
        try:
            printed = process.communicate(timeout=_PAUSE)
        except subprocess.TimeoutExpired:
            printed = None
        events = list(read(journal)) if listener is not None else []
        for event in events[heard:]:
            assert listener is not None  # noqa: S101 - there are events only for a listener
            listener(event)
        heard = len(events)
        if printed is not None:
            return printed


@contextmanager
def _stopping(process: subprocess.Popen[str]) -> Iterator[None]:
    """Ask the run to stop when this process is, and see it end."""

    def stop(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not the main thread
        before = None
    try:
        yield
    except BaseException:
        process.send_signal(signal.SIGINT)
        process.communicate()
        raise
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def _surroundings(given: Mapping[str, str], project: Path, scratch: Path) -> dict[str, str]:
    """What the run sees of the environment; where PYTHONPATH names folders of the project, those of the scratch project instead."""
    found = {name: value for name, value in given.items() if name != "NBPIPE_STORE"} | {"NBPIPE_TRACKING": "off"}
    own = Path(__file__).resolve().parents[2]
    if "PYTHONPATH" in found:
        places = [
            _moved(Path(place).absolute(), project, scratch, own) for place in found["PYTHONPATH"].split(os.pathsep)
        ]
        found["PYTHONPATH"] = os.pathsep.join(map(str, places))
    return found


def _moved(place: Path, project: Path, scratch: Path, own: Path) -> Path:
    if place.resolve() == own or not place.resolve().is_relative_to(project):
        return place
    return scratch / place.resolve().relative_to(project)
