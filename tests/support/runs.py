"""A project with a notebook in a folder of its own, and `nbpipe` on it as a real process."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest

from nbpipe.history.query import RunDetail, detail
from nbpipe.model import Event
from nbpipe.run import record as records
from nbpipe.run.journal import JOURNAL, read
from nbpipe.run.project import Project
from nbpipe.store import Store, open_store

_MARK = "NBPIPE_TEST_SITE"


@dataclass
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """Its last line on standard output."""
        found: dict[str, Any] = json.loads(self.out.splitlines()[-1])
        return found

    @property
    def stages(self) -> dict[str, str]:
        """Stage -> status, of a run asked for with --json."""
        return {stage["name"]: stage["status"] for stage in self.json["stages"]}


class Site:
    """A project below `root`. What a stage notes with `NOTE('word')` counts how often it ran."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "project"
        self.folder.mkdir(parents=True)
        self.notebook = self.folder / "n.ipynb"
        self.noted = root / "noted"
        self.project = Project(self.folder)

    # -- the notebook

    def write(self, *cells: str) -> None:
        """A notebook of these cells; the first one gives `NOTE` to every stage."""
        note = f"%%setup\ndef NOTE(word):\n    with open({str(self.noted)!r}, 'a') as file:\n        file.write(word + '\\n')"
        book = nbformat.v4.new_notebook()
        book.cells = [nbformat.v4.new_code_cell(text, id=f"c{n}") for n, text in enumerate((note, *cells))]
        book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(book, self.notebook)

    # -- commands

    def environment(self, **more: str) -> dict[str, str]:
        """What every process of this project is started with."""
        given = {_MARK: str(self.root), "NBPIPE_TRACKING": "off"}
        given |= {"XDG_CONFIG_HOME": str(self.root / "config"), "XDG_CACHE_HOME": str(self.root / "cache")}
        return {**os.environ, **given, **more}

    def start(self, *words: str, prepare: Callable[[], None] | None = None, **more: str) -> subprocess.Popen[str]:
        """`nbpipe WORDS` in the project's folder, in a process group of its own; `more` is environment."""
        return self.launch("nbpipe.cli.main", *words, cwd=self.folder, given=more, prepare=prepare)

    def launch(
        self,
        module: str,
        *words: str,
        cwd: Path,
        given: Mapping[str, str],
        prepare: Callable[[], None] | None = None,
    ) -> subprocess.Popen[str]:
        """The same of `python -m MODULE WORDS`, started in any folder."""
        return subprocess.Popen(
            [sys.executable, "-m", module, *words],
            cwd=cwd,
            env=self.environment(**given),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
            preexec_fn=prepare,  # noqa: PLW1509 - limits of the child; no threads run here
        )

    def command(self, *words: str, prepare: Callable[[], None] | None = None, **more: str) -> Done:
        """The same, to its end."""
        return finish(self.start(*words, prepare=prepare, **more))

    def run(self, *words: str, prepare: Callable[[], None] | None = None, **more: str) -> Done:
        """`nbpipe run n.ipynb --json WORDS`, to its end."""
        return self.command("run", "n.ipynb", "--json", *words, prepare=prepare, **more)

    # -- what is left

    @property
    def store(self) -> Store:
        """The project's store, with the key that its commands use."""
        before = os.environ.get("XDG_CONFIG_HOME")
        os.environ["XDG_CONFIG_HOME"] = str(self.root / "config")
        try:
            return open_store(self.project.store)
        finally:
            os.environ.pop("XDG_CONFIG_HOME")
            if before is not None:
                os.environ["XDG_CONFIG_HOME"] = before

    def events(self, run: str) -> list[Event]:
        """The journal of a run."""
        return list(read(self.project.runs / run / JOURNAL))

    def detail(self, run: str) -> RunDetail:
        """What history says of a run."""
        return detail(self.project, run)

    def kinds(self, run: str, stage: str) -> list[str]:
        """What happened to a stage, in order."""
        return [event.kind for event in self.events(run) if event.stage == stage]

    def values(self, run: str) -> dict[str, dict[str, str]]:
        """Stage -> name -> digest, of the results a finished run ended with."""
        record = records.read(self.project.runs / run)
        assert record is not None
        found = {}
        for stage, key in record.keys.items():
            trace = next(trace for trace in self.store.traces.lookup(key) if trace.stage == stage)
            found[stage] = {name: artifact.digest for name, artifact in trace.outcome.outputs.items()}
        return found

    def value(self, run: str, stage: str, name: str) -> Any:
        """A value that a stage left."""
        record = records.read(self.project.runs / run)
        assert record is not None
        trace = self.store.traces.lookup(record.keys[stage])[0]
        return self.store.load_values({name: trace.outcome.outputs[name]}, {})[name]

    def printed(self, run: str) -> str:
        """All that the cells of the executed copy printed."""
        executed = self.detail(run).executed
        assert executed is not None
        cells = json.loads(executed.read_text())["cells"]
        return "".join("".join(output.get("text", "")) for cell in cells for output in cell.get("outputs", ()))

    def ran(self, word: str) -> int:
        """How often this word was noted."""
        return self.noted.read_text().split().count(word) if self.noted.exists() else 0

    def processes(self) -> list[psutil.Process]:
        """Every process that stems from a command of this project."""
        return [process for process in psutil.process_iter() if _stems(process, str(self.root))]

    def quiet(self, seconds: float = 60.0) -> list[str]:
        """Wait until none of its processes is left; what still lives after `seconds`."""
        until = time.monotonic() + seconds
        while (left := self.processes()) and time.monotonic() < until:
            time.sleep(0.05)
        return [" ".join(process.cmdline()) for process in left]

    def wait_for(self, what: Callable[[], object], seconds: float = 120.0) -> None:
        """Wait until `what()` is true."""
        until = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < until, "it did not happen in time"
            time.sleep(0.02)

    def end_all(self) -> None:
        """Kill what a failed test left behind."""
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)


def finish(process: subprocess.Popen[str], seconds: float = 200.0) -> Done:
    """Wait for a started command; one that does not end is killed, and the test fails with what it has said."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        pytest.fail(f"it did not end in {seconds:g} s; it had said:\n{out}\n{err}")
    return Done(process.returncode, out, err)


def _stems(process: psutil.Process, mark: str) -> bool:
    """By the environment that it was started with, or, if it was forked from a process that is kept, by where it stands."""
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        if process.environ().get(_MARK) == mark:
            return True
        places = [str(Path(f"/proc/{process.pid}/{name}").readlink()) for name in ("cwd", "fd/1")]
        return any(place.startswith(mark + os.sep) for place in places)
    except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
        return False
