"""Starts runs, and bounds how many of this server's own are on at once."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Sequence

import msgspec

from nbpipe.run.detached import Detached, start_detached
from nbpipe.run.project import Project
from nbpipe.server.refusals import Refused

#: Runs of one server that may be on at once. Those of the command line and of kernels do not count.
MOST_RUNS = 8
#: By the exit code of a run that could not begin.
_STATUS = {2: 400, 3: 422, 4: 503, 6: 503, 7: 403}


class _Error(msgspec.Struct):
    code: str = "error"
    message: str = ""
    fix: str | None = None
    name: str | None = None


class _Said(msgspec.Struct):
    status: str = ""
    run: str | None = None
    error: _Error | None = None


class Starting:
    """Starts detached runs. They go on when the server ends."""

    def __init__(self, most: int = MOST_RUNS) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._beginning = 0
        self._own: list[subprocess.Popen[bytes]] = []

    def start(self, project: Project, words: Sequence[str]) -> tuple[str, str]:
        """Run and status. Raises Refused with 429 where too many are on, else as the run itself would be refused."""
        with self._lock:
            self._own = [process for process in self._own if process.poll() is None]
            if len(self._own) + self._beginning >= self._most:
                fix = "Wait for the end of one, stop one, or start it with nbpipe run."
                raise Refused(429, "busy", f"{self._most} runs that were started here are on", fix=fix)
            self._beginning += 1
        try:
            started = start_detached(project, words)
        finally:
            with self._lock:
                self._beginning -= 1
        if started.code is not None:
            return _answer(started)
        with self._lock:
            self._own.append(started.process)
        # It outlives this process; while this one lives, a thread takes its end so that no zombie stays.
        threading.Thread(target=started.process.wait, name=f"nbpipe-{started.run}", daemon=True).start()
        return started.run, "running"


def _answer(started: Detached) -> tuple[str, str]:
    """What the process said that made no new run: that one has everything already, or why it cannot be."""
    lines = started.said.splitlines()
    try:
        said = msgspec.json.decode(lines[-1] if lines else "{}", type=_Said)
    except msgspec.MsgspecError:
        said = _Said()
    if not started.code and said.run:
        return said.run, said.status
    error = said.error or _Error(message="the run could not begin; the server's log may say more")
    status = _STATUS.get(started.code or 1, 409)
    raise Refused(status, error.code, error.message, fix=error.fix or "", name=error.name)
