"""Jobs that a scheduler starts on whichever node it likes: the nodes and this agent see the same folder.

Each start has a folder of its own in that of the job: `0`, and `1` where the scheduler starts it again. A node that was
given up for dead may live, and finish; what it writes lies in its own folder, and only the newest one counts.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import time
from typing import Any

#: Seconds that a file written on a node may take to be seen here, after the scheduler says that the job has ended.
_LATE = 5.0
#: Seconds that a job has to stop by itself.
_GRACE = 3.0


class Batch:
    """Hands jobs in, and says how they are: what lies in the folder first, what the scheduler says second.

    `keeper` is the module that runs on the node, `scheduler` has `submit`, `find`, `state` and `kill`.
    """

    def __init__(self, keeper: Any, scheduler: Any) -> None:
        self._keeper = keeper
        self._scheduler = scheduler
        #: Folder -> when the scheduler first said that its job had ended.
        self._ended: dict[str, float] = {}
        #: Folder -> when its job is killed if it has not stopped.
        self._stopping: dict[str, float] = {}

    @property
    def python(self) -> str:
        """That of the jobs: the agent's own, unless they see another."""
        return str(getattr(self._scheduler, "python", sys.executable))

    @property
    def elsewhere(self) -> bool:
        """Whether jobs see other packages than this machine."""
        return hasattr(self._scheduler, "probe")

    def facts(self, *look: Any) -> dict[str, Any]:
        """What jobs can have, in place of what this machine has. Raises RuntimeError for what the scheduler refuses.

        Where jobs do not see what this machine has, one of them looks around: `look` are the arguments of `probe`.
        """
        found: dict[str, Any] = self._scheduler.facts()
        if self.elsewhere:
            seen = self._scheduler.probe(*look)
            found = {**seen, **found, "rsync": shutil.which("rsync") or ""}
        return found

    def begin(self, work: str, order: dict[str, Any], asked: dict[str, Any]) -> None:
        """Hand the job in, unless that was done. `order` is `keep`'s; nobody else may read it, secrets are in it."""
        if os.path.exists(work + "/batch.json"):
            return
        name = "nbpipe-" + os.path.basename(work)
        tried = os.path.exists(work + "/order.json")
        with open(work + "/keeper.py", "w") as file:
            file.write(self._keeper.source)
        descriptor = os.open(work + "/order.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(order, file)
        number = self._scheduler.find(name) if tried else ""
        if not number:
            command = [self.python, work + "/keeper.py", work]
            number = self._scheduler.submit(name, work, command, asked, set(order["environment"]))
        self._keeper.note(work + "/batch.json", {"id": number})

    def start_of(self, work: str) -> tuple[int, str]:
        """The newest start of a job, and its folder; that of the job itself, and -1, where it has not begun."""
        try:
            numbers = [int(name) for name in os.listdir(work) if name.isdecimal()]
        except FileNotFoundError:
            numbers = []
        return (max(numbers), f"{work}/{max(numbers)}") if numbers else (-1, work)

    def state(self, work: str) -> dict[str, Any]:
        """As the agent says it."""
        number, folder = self.start_of(work)
        done = _read(work + "/rc.json") or _read(folder + "/rc.json")
        if done:
            self._ended.pop(work, None)
            self._stopping.pop(work, None)
            return {"state": "exited", "code": done["code"]}
        handed = _read(work + "/batch.json")
        if not handed:
            return {"state": "absent"}
        state, why = self._scheduler.state(handed["id"])
        with contextlib.suppress(OSError), open(work + "/said") as file:
            # What was started there for it knows better.
            why = file.read() or why
        if work in self._stopping and time.time() > self._stopping[work]:
            self._kill(work)
        if state == "ended":
            if time.time() - self._ended.setdefault(work, time.time()) < _LATE:
                return {"state": "running", "begun": number >= 0}
            return {"state": "lost", "why": why}
        self._ended.pop(work, None)
        begun = os.path.exists(folder + "/runner.json")
        return {"state": "running", "begun": begun, "start": number, "why": "" if begun else why}

    def cancel(self, work: str, *, force: bool) -> None:
        """Stop it; one that waits, or is to be killed, at once."""
        if force or self.start_of(work)[0] < 0:
            self._kill(work)
        else:
            self._stopping.setdefault(work, time.time() + _GRACE)

    def _kill(self, work: str) -> None:
        number = self._number(work)
        if number:
            self._scheduler.kill(number)
        begun = self.start_of(work)[0] >= 0
        self._keeper.note(work + "/rc.json", {"code": -9 if begun else 130})

    def _number(self, work: str) -> str:
        """What the scheduler calls it, also where its answer was lost; empty where it does not know it, or does not answer."""
        handed = _read(work + "/batch.json")
        if handed or not os.path.exists(work + "/order.json"):
            return str(handed.get("id", ""))
        with contextlib.suppress(RuntimeError):
            return str(self._scheduler.find("nbpipe-" + os.path.basename(work)))
        return ""

    def forget(self, work: str) -> None:
        """Its results are home: the scheduler need not keep anything of it, either."""
        handed = _read(work + "/batch.json")
        if handed and hasattr(self._scheduler, "forget"):
            self._scheduler.forget(handed["id"])

    def gone(self, work: str) -> bool:
        """Whether nothing of it runs any more, as far as can be told without asking the scheduler."""
        return os.path.exists(work + "/rc.json") or os.path.exists(self.start_of(work)[1] + "/rc.json")


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path) as file:
            found: dict[str, Any] = json.load(file)
            return found
    except (OSError, ValueError):
        return {}
