"""One command of a tool, from start to exit: seconds, peak memory, and an end to those that take too long."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

#: The same for every tool: nothing of what they do leaves the machine, and none asks for news.
KEPT = {
    "NBPIPE_TRACKING": "off",
    "NBPIPE_KEEP_WARM": "5m",
    "METAFLOW_USER": "bench",
    "DVC_NO_ANALYTICS": "1",
    "PLOOMBER_STATS_ENABLED": "false",
    "KEDRO_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
}
_SAID = 2000


class TooLongError(Exception):
    """The command did not end within `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"took longer than {seconds:.0f} s")


class FailedError(Exception):
    """The command failed; the message is the end of what it printed."""


def timed(argv: list[str], folder: Path, limit: float) -> tuple[float, int]:
    """Seconds that a command takes, and the most bytes that it or one of its children has had.

    Raises FailedError, and TooLongError once all that it started is gone.
    """
    home = folder.parent / "home"
    home.mkdir(exist_ok=True)
    own = {} if argv[0] == sys.executable else {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    late = threading.Event()
    with tempfile.TemporaryFile() as said:
        start = time.perf_counter()
        child = subprocess.Popen(
            argv, cwd=folder, env=os.environ | KEPT | own, stdout=said, stderr=said, start_new_session=True
        )

        def end() -> None:
            late.set()
            os.killpg(child.pid, signal.SIGKILL)

        watch = threading.Timer(limit, end)
        watch.start()
        _, status, used = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - start
        watch.cancel()
        child.returncode = os.waitstatus_to_exitcode(status)
        if late.is_set():
            raise TooLongError(limit)
        if child.returncode:
            said.seek(0)
            raise FailedError(f"exit code {child.returncode}: {said.read().decode(errors='replace')[-_SAID:].strip()}")
    return seconds, used.ru_maxrss * 1024


def kernels(folder: Path) -> list[int]:
    """Bytes that nbpipe's kernels have had: they are nobody's children."""
    return [
        int(json.loads(path.read_text()).get("peak_memory", 0))
        for path in folder.glob(".nbpipe/runs/*/jobs/*/verdict.json")
    ]
