"""Jobs that a scheduler starts on whichever node it likes: the nodes and this agent see the same folder.

Each start has a folder of its own in that of the job: `0`, and `1` where the scheduler starts it again. A node that was
given up for dead may live, and finish; what it writes lies in its own folder, and only the newest one counts.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Job = tuple[str, dict[str, Any], dict[str, Any]]

#: Seconds that a file written on a node may take to be seen here, after the scheduler says that the job has ended.
_LATE = 5.0
#: Seconds that a job has to stop by itself.
_GRACE = 3.0
#: Seconds that a scheduler may take to answer, and between two questions whether it has a job by its name.
_ANSWER = 90.0
_AGAIN = 2.0
#: Elements of an array: by default Slurm takes one more.
_MOST = 1000
#: What a scheduler that answers says first. One that does not may have taken it.
_NO = " says: "


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
        #: Folder -> when the scheduler was asked for a job whose number is not known.
        self._looked: dict[str, float] = {}
        #: Jobs to hand in, each with who is told when that is done. None ends the thread that does it.
        self._taken: queue.SimpleQueue[tuple[Job, Callable[[str], None]] | None] = queue.SimpleQueue()
        self._hands: threading.Thread | None = None

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

    def take(self, work: str, order: dict[str, Any], asked: dict[str, Any], tell: Callable[[str], None]) -> None:
        """Hand the job in soon, as `begin` does; `tell` is called, in another thread, with why that could not be, or nothing."""
        if self._hands is None:
            self._hands = threading.Thread(target=self._hand_in_all, daemon=True)
            self._hands.start()
        self._taken.put(((work, order, asked), tell))

    def settle(self) -> None:
        """Return once what was taken is handed in and noted."""
        if self._hands is not None:
            self._taken.put(None)
            self._hands.join()
            self._hands = None

    def _hand_in_all(self) -> None:
        """What comes while the scheduler takes something is given to it together afterwards: the first never waits."""
        last = False
        while not last:
            taken = [self._taken.get()]
            with contextlib.suppress(queue.Empty):
                while True:
                    taken.append(self._taken.get_nowait())
            last = None in taken
            jobs = [one for one in taken if one is not None]
            waiting = {index: tell for index, (_, tell) in enumerate(jobs)}
            try:
                for index, wrong in self.begin([job for job, _ in jobs]):
                    with contextlib.suppress(OSError):  # nobody listens any more; the job was asked for all the same
                        waiting.pop(index)(wrong)
            except Exception as error:  # noqa: BLE001 - those who asked hear of it
                for tell in waiting.values():
                    with contextlib.suppress(OSError):
                        tell(f"{type(error).__name__}: {error}")

    def begin(self, jobs: list[Job]) -> Iterator[tuple[int, str]]:
        """Hand these jobs in that were not yet, those that are alike together; says of each when that is done, or why not.

        A job is its folder, its order and what that stage asks for. An order is `keep`'s; nobody else may read it, secrets are in it.
        """
        groups: dict[Any, list[int]] = {}
        for index, (work, order, asked) in enumerate(jobs):
            try:
                if self._prepared(work, order):
                    alike = self._scheduler.alike(asked) if hasattr(self._scheduler, "alike") else ""
                    groups.setdefault(alike or index, []).append(index)
                else:
                    yield index, ""
            except (OSError, RuntimeError) as error:
                yield index, str(error)
        for group in (part[at : at + _MOST] for part in groups.values() for at in range(0, len(part), _MOST)):
            together, said = False, ""
            if len(group) > 1:
                try:
                    together = self._hand_in_together([jobs[index] for index in group])
                except (OSError, RuntimeError) as error:
                    together, said = True, str(error)
            for index in group:
                try:
                    if not together:
                        self._hand_in(*jobs[index])
                    yield index, said
                except (OSError, RuntimeError) as error:
                    yield index, str(error)

    def _prepared(self, work: str, order: dict[str, Any]) -> bool:
        """Whether the job has to be handed in: it was not, as far as the scheduler knows. What its node reads is written."""
        if os.path.exists(work + "/batch.json"):
            return False
        tried = os.path.exists(work + "/order.json")
        with open(work + "/keeper.py", "w") as file:
            file.write(self._keeper.source)
        descriptor = os.open(work + "/order.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(order, file)
        number = self._found(work) if tried else ""
        if number:
            self._keeper.note(work + "/batch.json", {"id": number})
        return not number

    def ordered(self, work: str) -> bool:
        """Whether a scheduler may have heard of the job: one whose agent died before that has to be handed in."""
        return os.path.exists(work + "/order.json")

    def _hand_in(self, work: str, order: dict[str, Any], asked: dict[str, Any]) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(work + "/array.json")
        command = [self.python, work + "/keeper.py", work]
        hidden = set(order["environment"])
        number = self._scheduler.submit("nbpipe-" + os.path.basename(work), work, command, asked, hidden)
        self._keeper.note(work + "/batch.json", {"id": number})

    def _hand_in_together(self, jobs: list[Job]) -> bool:
        """Hand jobs in that are alike, as one array; False where the scheduler does not take it, and has to get each for itself."""
        works = [work for work, _, _ in jobs]
        name = f"nbpipe-{os.path.basename(works[0])}-and-{len(works) - 1}-more"
        place = f"{os.path.dirname(os.path.dirname(works[0]))}/arrays/{name}"
        hidden = {variable for _, order, _ in jobs for variable in order["environment"]}
        os.makedirs(place, exist_ok=True)
        for index, work in enumerate(works):
            # Before anybody is told: where the answer is lost, each is found by this.
            self._keeper.note(work + "/array.json", {"name": name, "index": index, "place": place})
        try:
            number = self._scheduler.submit_array(name, place, works, jobs[0][2], hidden)
        except RuntimeError as error:
            number = self._scheduler.find(name)
            if not number and _NO not in str(error):
                raise
            if not number:
                shutil.rmtree(place, ignore_errors=True)
                return False
        for index, work in enumerate(works):
            self._keeper.note(work + "/batch.json", {"id": f"{number}_{index}"})
        return True

    def _found(self, work: str) -> str:
        """What the scheduler calls it, by the name that it was handed in by; empty where it knows none. Raises RuntimeError."""
        array = _read(work + "/array.json")
        number = str(self._scheduler.find(array.get("name") or "nbpipe-" + os.path.basename(work)))
        return f"{number}_{array['index']}" if number and array else number

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
        handed = _read(work + "/batch.json") or self._sought(work)
        if not handed:
            return {"state": "absent"}
        if not handed["id"]:
            return {"state": "running", "begun": False}
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

    def gone_by(self, work: str, *, fresh: bool) -> str:
        """What the scheduler says where nothing of a job that was handed in runs; "" while it runs, or where there is none.

        Without `fresh`, what it said a moment ago will do. Raises RuntimeError where it does not answer.
        """
        handed = _read(work + "/batch.json")
        state, why = self._scheduler.state(handed["id"], fresh=fresh) if handed else ("running", "")
        if state == "unknown":
            raise RuntimeError(f"nobody says whether the kernel still runs: {why}")
        return "" if state == "running" else why or "it runs no more"

    def anew(self, work: str, spec: dict[str, Any]) -> None:
        """Where the scheduler starts it again from now on, it begins as this attempt, and at its first cell."""
        self._keeper.note(work + "/job/job.json", {**spec, "continues": "", "first": 0})

    def _sought(self, work: str) -> dict[str, Any]:
        """As in `batch.json`, of a job that another agent was about to hand in; no id while that may still be so, or it died."""
        try:
            since = time.time() - os.stat(work + "/order.json").st_mtime
        except FileNotFoundError:
            return {}
        if time.time() - self._looked.get(work, 0.0) < _AGAIN:
            return {"id": ""}
        self._looked[work] = time.time()
        with contextlib.suppress(RuntimeError):
            number = self._found(work)
            if number:
                self._keeper.note(work + "/batch.json", {"id": number})
                return {"id": number}
        return {"id": ""} if since < _ANSWER else {}

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
            return self._found(work)
        return ""

    def forget(self, work: str) -> None:
        """Its results are home: the scheduler need not keep anything of it, either."""
        handed = _read(work + "/batch.json")
        if handed and hasattr(self._scheduler, "forget"):
            self._scheduler.forget(handed["id"])
        place = _read(work + "/array.json").get("place", "")
        with contextlib.suppress(OSError), open(place + "/works") as file:
            if not any(other != work and os.path.exists(other) for other in file.read().splitlines()):
                shutil.rmtree(place, ignore_errors=True)

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
