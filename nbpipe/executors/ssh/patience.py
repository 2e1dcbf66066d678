"""Questions of one job to its target, asked again for as long as the target's patience lasts."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from typing import Any

import msgspec

from nbpipe.errors import TargetError
from nbpipe.executors.ssh.link import Link, LinkDown
from nbpipe.executors.ssh.logs import CopiedLog

#: Seconds until a target is asked again that could not say whether a kernel waits.
_AGAIN = 2.0
#: What its answer has in it then.
_UNSAID = " says: Unsaid: "
#: Seconds that a cancelled job is waited for when its machine does not answer.
_FAREWELL = 10.0


class Patience:
    """Asks over as many connections as it takes; the job's log says so. `stopped` says whether the job was cancelled meanwhile."""

    def __init__(self, link: Link, log: CopiedLog, stopped: Callable[[], bool]) -> None:
        self._link = link
        self._log = log
        self._stopped = stopped

    def __call__(self, ask: Callable[[], Any]) -> Any:
        """What `ask` gives. Raises LinkDown when patience ends."""
        until, pause, told = time.monotonic() + self._link.target.patience, 0.1, False
        while True:
            try:
                self._link.connect()
                found = ask()
            except LinkDown as error:
                if self._stopped():
                    until = min(until, time.monotonic() + _FAREWELL)
                if time.monotonic() > until or self._link.closed:
                    raise
                if not told:
                    told = True
                    self._log.note(f"{self._link.target.name} does not answer ({error}); trying again")
                time.sleep(pause)
                pause = min(pause * 2, 5.0)
            else:
                if told:
                    self._log.note(f"{self._link.target.name} answers again")
                return found

    def known(self, ask: Callable[[], Any]) -> Any:
        """The same, asked again while the target cannot say. Raises TargetError, too."""
        until, told = time.monotonic() + self._link.target.patience, False
        while True:
            try:
                return self(ask)
            except TargetError as error:
                if _UNSAID not in error.message or self._stopped() or time.monotonic() > until:
                    raise
                if not told:
                    told = True
                    self._log.note(f"{error.message}; trying again")
                time.sleep(_AGAIN)

    def read(self, job: str, name: str, kind: Any) -> Any:
        """A file of the job's folder there, of this type; None where there is none that is one."""
        data = self(lambda: self._link.call("read", job=job, name=name))
        if data is None:
            return None
        try:
            return msgspec.json.decode(base64.b64decode(data), type=kind)
        except msgspec.DecodeError:
            return None
