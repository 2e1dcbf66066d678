"""Jobs that a scheduler starts on whichever node it likes: the nodes and this agent see the same folder.

Each start has a folder of its own in that of the job: `0`, and `1` where the scheduler starts it again. A node that was
given up for dead may live, and finish; what it writes lies in its own folder, and only the newest one counts.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
import uuid
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
#: What Slurm says that has not taken an array; whatever else it says, it may have.
_REFUSALS = (
    "Invalid ", "invalid ", "violates ", "exceeds ", "configuration is not available", "configuration not available",
    "can not be satisfied", "not permitted", "denied",
    "unrecognized option", "More processors requested", "Too many", "too large",
)  # fmt: skip
#: Why a job that had begun waits.
_LOST = "what it ran on was lost or taken away, and its job was started again"
#: Seconds for which a scheduler may say nothing of a job that has begun, before that is said.
_SILENT = 60.0


class Unsaid(RuntimeError):
    """Nobody can say how a job is just now."""


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
        #: Folder -> since when that is so.
        self._sought_since: dict[str, float] = {}
        #: Folder -> since when the scheduler says nothing of its job.
        self._silent: dict[str, float] = {}
        #: Jobs to hand in, each with who is told when that is done. None ends the thread that does it.
        self._taken: queue.SimpleQueue[tuple[Job, Callable[[str], None]] | None] = queue.SimpleQueue()
        self._hands: threading.Thread | None = None
        self._closing = False

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
        """Return once what is just being handed in is noted; what waits for its turn is not: nobody listens any more."""
        self._closing = True
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
            if self._closing:
                return
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
        with self._alone(jobs):
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
                together = self._together([jobs[index] for index in group]) if len(group) > 1 else None
                for at, index in enumerate(group):
                    yield index, self._alone_in(*jobs[index]) if together is None else together[at]

    @contextlib.contextmanager
    def _alone(self, jobs: list[Job]) -> Iterator[None]:
        """No other agent hands in anything of this root meanwhile: it would not know yet what this one does.

        A folder without locks does without.
        """
        if not jobs:
            yield
            return
        root = os.path.dirname(os.path.dirname(jobs[0][0]))
        descriptor = os.open(root + "/batch.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            with contextlib.suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _prepared(self, work: str, order: dict[str, Any]) -> bool:
        """Whether the job has to be handed in: it was not, as far as the scheduler knows. What its node reads is written."""
        if os.path.exists(work + "/batch.json") or self._cancelled(work):
            return False
        number = self._found(work) if os.path.exists(work + "/order.json") else ""
        if number:
            self._keeper.note(work + "/batch.json", {"id": number})
            return False
        # By renaming: what was handed in before reads it whole.
        _write(work + "/keeper.py", self._keeper.source)
        _write(work + "/order.json", json.dumps(order))
        return True

    def _cancelled(self, work: str) -> bool:
        """Whether nobody wants it any more; then it has ended, unless it was handed in."""
        if not os.path.exists(work + "/cancel"):
            return False
        self._keeper.note(work + "/rc.json", {"code": 130}, once=True)
        return True

    def ordered(self, work: str) -> bool:
        """Whether a scheduler may have heard of the job: one whose agent died before that has to be handed in."""
        return os.path.exists(work + "/order.json")

    def _alone_in(self, work: str, order: dict[str, Any], asked: dict[str, Any]) -> str:
        """Hand in a job for itself; why that could not be, or nothing."""
        try:
            if self._dropped(work) or self._cancelled(work):
                return ""
            with contextlib.suppress(FileNotFoundError):
                os.unlink(work + "/array.json")
            command, hidden = [self.python, work + "/keeper.py", work], set(order["environment"])
            name = "nbpipe-" + os.path.basename(work)
            number = self._given(name, lambda: self._scheduler.submit(name, work, command, asked, hidden))
        except (OSError, RuntimeError) as error:
            return str(error)
        return self._noted(work, number)

    def _together(self, jobs: list[Job]) -> list[str] | None:
        """Hand jobs in that are alike, as one array; of each why that could not be, or nothing.

        None where the scheduler does not take it, and has to get each for itself.
        """
        # Of no other array, whatever jobs are in that one.
        name = f"nbpipe-{os.path.basename(jobs[0][0])}-and-{len(jobs) - 1}-more-{uuid.uuid4().hex[:12]}"
        place = f"{os.path.dirname(os.path.dirname(jobs[0][0]))}/arrays/{name}"
        hidden = {variable for _, order, _ in jobs for variable in order["environment"]}
        works: list[str] = []
        wrong: dict[str, str] = {}
        for work, _, _ in jobs:
            try:
                if not self._dropped(work) and not self._cancelled(work):
                    # Before anybody is told: where the answer is lost, each is found by this.
                    self._keeper.note(work + "/array.json", {"name": name, "index": len(works), "place": place})
                    works.append(work)
            except OSError as error:
                wrong[work] = str(error)
        if not works:
            return [wrong.get(work, "") for work, _, _ in jobs]
        try:
            os.makedirs(place, exist_ok=True)
            number = self._given(name, lambda: self._scheduler.submit_array(name, place, works, jobs[0][2], hidden))
        except (OSError, RuntimeError) as error:
            if any(said in str(error) for said in _REFUSALS):
                shutil.rmtree(place, ignore_errors=True)
                return None
            return [wrong.get(work, str(error)) for work, _, _ in jobs]
        with contextlib.suppress(OSError):
            # All are known by this, should the agent end before it notes each.
            self._keeper.note(place + "/number.json", {"id": number})
        wrong |= {work: self._noted(work, f"{number}_{index}") for index, work in enumerate(works)}
        return [wrong.get(work, "") for work, _, _ in jobs]

    def _dropped(self, work: str) -> bool:
        """Whether the one who asked has gone before it was handed in; then it never was."""
        if self._closing:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(work + "/order.json")
        return self._closing

    def _given(self, name: str, hand_in: Callable[[], str]) -> str:
        """What the scheduler calls what it was handed, also where its answer was lost. Raises RuntimeError."""
        try:
            return hand_in()
        except RuntimeError:
            with contextlib.suppress(RuntimeError):
                number = str(self._scheduler.find(name))
                if number:
                    return number
            raise

    def _noted(self, work: str, number: str) -> str:
        """Note what the scheduler calls it; where that cannot be, it is taken back, and why is said."""
        try:
            self._keeper.note(work + "/batch.json", {"id": number})
        except OSError as error:
            wrong = str(error) if self._keeper.read(work + "/batch.json").get("id") != number else ""
        else:
            wrong = ""
        if wrong or os.path.exists(work + "/cancel"):
            with contextlib.suppress(subprocess.TimeoutExpired):  # it begins, sees that, and ends
                self._scheduler.kill(number)
        return wrong

    def _found(self, work: str) -> str:
        """What the scheduler calls it, by the name that it was handed in by; empty where it knows none. Raises RuntimeError."""
        array = self._keeper.read(work + "/array.json")
        if not array:
            return str(self._scheduler.find("nbpipe-" + os.path.basename(work)))
        with contextlib.suppress(OSError), open(array["place"] + "/works") as file:
            if [*file.read().splitlines(), *[""] * (array["index"] + 1)][array["index"]] != work:
                return ""
        number = self._keeper.read(array["place"] + "/number.json").get("id") or self._scheduler.find(array["name"])
        return f"{number}_{array['index']}" if number else ""

    def _numbers(self, work: str) -> list[str]:
        """What the scheduler calls it, as noted: first what the newest start said of itself, should it know it twice."""
        folder = self.start_of(work)[1]
        noted = [self._keeper.read(path).get("id", "") for path in (folder + "/number.json", work + "/batch.json")]
        return list(dict.fromkeys(filter(None, noted)))

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
        done = self._keeper.read(work + "/rc.json") or self._keeper.read(folder + "/rc.json")
        if done:
            self._unlearn(work)
            return {"state": "exited", "code": done["code"]}
        known = next(iter(self._numbers(work)), None)
        known = self._sought(work) if known is None else known
        if known is None:
            return {"state": "absent"}
        if not known:
            return {"state": "running", "begun": False}
        state, why = self._scheduler.state(known)
        if state != "unknown":
            self._silent.pop(work, None)
        with contextlib.suppress(OSError), open(work + "/said") as file:
            # What was started there for it knows better.
            why = file.read() or why
        if work in self._stopping and time.monotonic() > self._stopping[work]:
            self._kill(work)
        if state == "ended":
            if time.monotonic() - self._ended.setdefault(work, time.monotonic()) < _LATE:
                return {"state": "running", "begun": number >= 0}
            return {"state": "lost", "why": why}
        self._ended.pop(work, None)
        begun = os.path.exists(folder + "/runner.json")
        if state == "unknown" and time.monotonic() - self._silent.setdefault(work, time.monotonic()) >= _SILENT:
            why = f"nobody says how the job is, it may be running: {why}"
            return {"state": "running", "begun": begun, "start": number, "why": why}
        return {"state": "running", "begun": begun, "start": number, "why": "" if begun else why}

    def _unlearn(self, work: str) -> None:
        for known in (self._ended, self._stopping, self._looked, self._sought_since, self._silent):
            known.pop(work, None)

    def gone_by(self, work: str, *, fresh: bool) -> str:
        """What the scheduler says where nothing of a job that was handed in runs; "" while it runs, or where there is none.

        Without `fresh`, what it said a moment ago will do. Raises Unsaid where it does not answer.
        """
        numbers = self._numbers(work)
        state, why = self._scheduler.state(numbers[0], fresh=fresh) if numbers else ("running", "")
        again = os.path.exists(work + "/again.json")
        if state == "unknown" and not again:
            raise Unsaid(f"nobody says whether the kernel still runs: {why}")
        if state == "waiting" or again:
            return f"{_LOST}: {why}" if why else _LOST
        return "" if state == "running" else why or "it runs no more"

    def anew(self, work: str, spec: dict[str, Any]) -> None:
        """Where the scheduler starts it again from now on, it begins as this attempt, and at its first cell."""
        self._keeper.note(work + "/job/job.json", {**spec, "continues": "", "first": 0})

    def _sought(self, work: str) -> str | None:
        """As in `batch.json`, of a job that another agent was about to hand in; "" while that may still be so, None if it died."""
        try:
            written = os.stat(work + "/order.json").st_mtime
        except FileNotFoundError:
            return None
        first = self._sought_since.setdefault(work, time.monotonic())
        # The clock of who wrote it may be ahead of ours.
        since = max(time.time() - written, time.monotonic() - first)
        if time.monotonic() - self._looked.get(work, 0.0) < _AGAIN:
            return ""
        self._looked[work] = time.monotonic()
        try:
            number = self._found(work)
        except RuntimeError:
            return ""
        if number:
            self._keeper.note(work + "/batch.json", {"id": number})
        return number or ("" if since < _ANSWER else None)

    def cancel(self, work: str, *, force: bool) -> None:
        """Stop it; one that waits, or is to be killed, at once."""
        if force or self.start_of(work)[0] < 0:
            self._kill(work)
        else:
            self._stopping.setdefault(work, time.monotonic() + _GRACE)

    def _kill(self, work: str) -> None:
        numbers = self._numbers(work)
        if not numbers and os.path.exists(work + "/order.json"):
            with contextlib.suppress(RuntimeError):
                numbers = [self._found(work)]
        for number in filter(None, numbers):
            self._scheduler.kill(number)
        begun = self.start_of(work)[0] >= 0
        self._keeper.note(work + "/rc.json", {"code": -9 if begun else 130})

    def forget(self, work: str) -> None:
        """Its results are home: the scheduler need not keep anything of it, either."""
        self._unlearn(work)
        for number in self._numbers(work) if hasattr(self._scheduler, "forget") else []:
            self._scheduler.forget(number)
        place = self._keeper.read(work + "/array.json").get("place", "")
        with contextlib.suppress(OSError), open(place + "/works") as file:
            if not any(other != work and os.path.exists(other) for other in file.read().splitlines()):
                shutil.rmtree(place, ignore_errors=True)

    def gone(self, work: str) -> bool:
        """Whether nothing of it runs any more, as far as can be told without asking the scheduler."""
        return os.path.exists(work + "/rc.json") or os.path.exists(self.start_of(work)[1] + "/rc.json")


def _write(path: str, text: str) -> None:
    """Whole, and for this user's eyes alone."""
    temporary = f"{path}.{os.getpid()}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    os.replace(temporary, path)
