"""Answers on the other machine for as long as the connection lasts: one JSON object a line, in and out.

`{"id", "do", …}` is answered by `{"id", "ok"}` or `{"id", "error"}`. Of jobs that are watched it says by itself what
their logs gain and when they end. It decides nothing; jobs outlive it.
"""

from __future__ import annotations

import base64
import glob
import json
import os
import select
import shutil
import signal
import sys
import threading
import time
from typing import Any

_PIECE = 192 * 1024
_TICK = 0.02
_ASKED = 2.0
_TRIES = 20
#: Bytes that are too few to write anything.
_FULL = 1 << 16
#: Seconds for which the folder of a job may not be readable.
_UNREAD = 60.0
#: Seconds after which what nobody has used is removed.
_FORGOTTEN = 30 * 86400.0
#: Seconds for which what is just being handed in may go on once nobody listens any more.
_LAST = 120.0


class _Gone(BaseException):
    """Nobody is at the other end any more; no answer is to be given of it."""


class Agent:
    """One connection's end; its arguments are the modules that were sent with this one.

    With `batch` and `scheduler` jobs are handed in, to run on other machines that see the same folder.
    """

    def __init__(
        self,
        keeper: Any,
        facts: Any,
        objects: Any,
        environment: Any = None,
        batch: Any = None,
        scheduler: Any = None,
        kept: Any = None,
        spare: Any = None,
    ) -> None:
        self._keeper = keeper
        self._facts = facts
        self._stored = objects
        self._objects: Any = None
        self._environment = environment
        self._builds = environment.Builds() if environment is not None else None
        self._modules = (batch, scheduler, kept)
        self._runners = spare
        self._spare: Any = None
        self._batch: Any = None
        self._root = ""
        #: Seconds without a word after which the other side is gone; 0 for ever.
        self._silence = 0.0
        #: Job -> how many bytes of its log were sent.
        self._watched: dict[str, int] = {}
        #: Job -> which start of it that log is of.
        self._starts: dict[str, int] = {}
        #: Job -> since when nothing can be said of it.
        self._unread: dict[str, float] = {}
        self._asked = 0.0
        #: Job -> what was last said of it.
        self._said: dict[str, dict[str, Any]] = {}
        self._saying = threading.Lock()

    def serve(self) -> None:
        """Until the other side closes the connection, or is gone without having done so."""
        signal.signal(signal.SIGALRM, self._alarmed)
        try:
            self._say({"nbpipe": 1, "pid": os.getpid()})
            self._listen()
        except _Gone:
            # Whoever speaks in another thread may wait for ever to be heard.
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, _LAST)
        if self._batch is not None:
            self._batch.settle()

    def _alarmed(self, *_: object) -> None:
        """Nothing was heard for long: what waits to be heard while an answer takes its time counts as heard."""
        if not select.select([0], [], [], 0)[0]:
            raise _Gone
        signal.setitimer(signal.ITIMER_REAL, self._silence)

    def _listen(self) -> None:
        rest = b""
        while True:
            ready = select.select([0], [], [], _TICK if self._watched else 5.0)[0]
            if ready:
                data = os.read(0, 1 << 16)
                if not data:
                    return
                signal.setitimer(signal.ITIMER_REAL, self._silence)
                rest += data
                lines = rest.split(b"\n")
                rest = lines.pop()
                for line in lines:
                    self._answer(json.loads(line))
            self._tell()

    def _say(self, message: dict[str, Any]) -> None:
        data = json.dumps(message).encode() + b"\n"
        with self._saying:
            while data:
                data = data[os.write(1, data) :]

    def _answer(self, asked: dict[str, Any]) -> None:
        number = asked.pop("id")
        try:
            found = getattr(self, "do_" + asked.pop("do"))(**asked)
        except Exception as error:  # noqa: BLE001 - the one who asked hears of it
            self._say({"id": number, "error": f"{type(error).__name__}: {error}"})
        else:
            if callable(found):
                found(lambda wrong: self._say({"id": number, "error": wrong} if wrong else {"id": number, "ok": {}}))
            else:
                self._say({"id": number, "ok": found})

    # -- what can be asked

    def do_root(
        self, folder: str, settings: dict[str, Any] | None = None, silence: float = 0.0, keep_warm: float = 0.0
    ) -> str:
        """Make the folder for all that lies here, this user's alone; its path. `settings` are for the scheduler.

        Whoever says nothing for `silence` seconds from now on is gone, unless that is 0. For `keep_warm` seconds after the
        last job a process stays from which the next one can be forked.
        """
        self._silence = silence
        if self._modules[0] is not None:
            self._batch = self._modules[0].Batch(self._keeper, self._modules[1].Scheduler(settings or {}))
        root = os.path.realpath(os.path.expanduser(folder))
        for part in ("", "work", "store", "store/objects"):
            os.makedirs(os.path.join(root, part), mode=0o700, exist_ok=True)
        if os.stat(root).st_uid != os.getuid():
            raise PermissionError(f"{root} belongs to somebody else")
        self._root = root
        self._objects = self._stored.Objects(root)
        if self._batch is None and self._runners is not None:
            self._spare = self._runners.Spare(self._keeper, root, keep_warm)
        self._sweep(time.time() - _FORGOTTEN)
        return root

    def _sweep(self, before: float) -> None:
        """Remove what nobody has used for long: objects, environments, folders of jobs that ended and were never collected."""
        used: set[str] = set()
        self._objects.sweep(before)
        for kind in ("checkpoints", "arrays"):
            for place in glob.glob(f"{glob.escape(self._root)}/{kind}/*"):
                if self._stored.changed(place) < before:
                    shutil.rmtree(place, ignore_errors=True)
        for name in os.listdir(self._root + "/work"):
            work = f"{self._root}/work/{name}"
            if self._batch is not None:
                ended = self._batch.gone(work)
            else:
                ended = os.path.exists(work + "/rc.json") or not self._keeper.alive(
                    self._keeper.read(work + "/keeper.json")
                )
            try:
                if os.stat(work).st_mtime < before and ended:
                    shutil.rmtree(work, ignore_errors=True)
                elif not ended:
                    used.add(str(self._keeper.read(work + "/environment.json").get("name", "")))
            except FileNotFoundError:  # another connection collected it meanwhile
                continue
        if self._builds is not None:
            self._builds.sweep(self._root, used)

    def do_facts(
        self, distributions: list[str], gpus: Any = None, environment: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """What this machine is and has; jobs are given this `environment`."""
        found: dict[str, Any] = self._facts.facts(self._root, distributions, gpus)
        found["kept"] = len(self._kernels().names())
        if self._builds is not None:
            found["environments"] = len(self._environment.names(self._root))
        if self._batch is not None:
            found.update(self._batch.facts(self._root, self._facts.source, distributions, environment or {}))
        return found

    def do_stamp(self) -> str:
        """Of the packages that jobs see; "" where they see others than this machine, which nobody looks at."""
        return "" if self._batch is not None and self._batch.elsewhere else str(self._facts.stamp())

    def do_share(self, store: str, digest: str, environment: dict[str, str], seconds: float, *, built: bool) -> Any:
        """What a job's Python says of the store that machines share; None where it cannot be asked before there is a job."""
        python = sys.executable
        if self._batch is not None:
            python = "" if self._batch.elsewhere else self._batch.python
        if built:
            newest = self._environment.names(self._root)[:1]
            python = f"{self._root}/environments/{newest[0]}/bin/python" if newest else ""
        return self._facts.share(python, store, digest, environment, seconds) if python else None

    def do_ping(self) -> str:
        """Nothing; to time it."""
        return ""

    def do_build(self, name: str, minor: str, requirements: list[str], package: str) -> str:
        """The interpreter of an environment with these packages; "" while it is built, beside all else."""
        if not name.isalnum():
            raise ValueError("not the name of an environment")
        if self._builds is None:
            raise RuntimeError("environments are not built here")
        found: str = self._builds.build(self._root, name, minor, requirements, package)
        return found

    def do_building(self, name: str) -> str:
        """What uv printed last while it builds this environment."""
        return str(self._builds.said.get(name, "")) if self._builds is not None else ""

    def do_warm(self, environment: dict[str, str], python: str = "") -> dict[str, Any]:
        """Have a runner of this Python ready from now on, as long as this connection lasts."""
        if self._spare is not None:
            self._spare.have(environment, python)
        return {}

    def do_missing(self, objects: list[str]) -> list[str]:
        """Which of these the store here lacks; the others are in use from now on."""
        found: list[str] = self._objects.missing(objects)
        return found

    def do_put(self, objects: dict[str, str]) -> dict[str, Any]:
        """Keep these objects, each in base64; what is there already stays."""
        self._objects.put(objects)
        return {}

    def do_get(self, objects: list[str], limit: int) -> Any:
        """Those of these objects that are here, in base64; None if they are more than `limit` bytes."""
        return self._objects.get(objects, limit)

    def do_gather(self, job: str, without: list[str], limit: int) -> Any:
        """The regular files of a job's folder but those named, in base64; its path if they are more than `limit` bytes."""
        base = self._ran(job) + "/job"
        found = self._stored.contents(self._stored.files_below(base, without), limit)
        return base if found is None else found

    def do_find(self, token: str) -> list[str]:
        """Rounds of an attempt that lie here, the earliest first."""
        names = [name for name in os.listdir(self._root + "/work") if name.startswith(token + "-")]
        # Others were just being made when an agent died.
        rounds = [name for name in names if name.rsplit("-", 1)[1].isdecimal()]
        rounds = [name for name in rounds if self._batch is None or self._batch.ordered(self._work(name))]
        return sorted(rounds, key=lambda name: int(name.rsplit("-", 1)[1]))

    def do_room(self, token: str, checkpoints: str, devices: Any, gpus: float, mine: Any = ()) -> dict[str, Any]:
        """Whether the attempt is here, or checkpoints of this name; how many GPUs could be had, and the processors.

        Also which of the attempts `mine` have GPUs already, which are not among those that could be had.
        """
        works = {name: self._work(found[-1]) for name in mine if (found := self.do_find(name))}
        free, begun = self._keeper.room(self._facts.devices(devices), works, shared=0 < gpus < 1)
        kept = bool(checkpoints) and os.path.isdir(self._root + "/checkpoints/" + os.path.basename(checkpoints))
        return {
            "found": bool(self.do_find(token)),
            "checkpoints": kept,
            "free": free,
            "begun": begun,
            "cpus": os.cpu_count(),
        }

    def do_start(
        self,
        job: str,
        files: dict[str, str],
        environment: dict[str, str],
        gpus: float,
        devices: Any,
        patience: float,
        asked: dict[str, Any],
        python: str = "",
    ) -> Any:
        """Start a job, once: where it was started already, it is only looked at. `files` lie in its folder.

        With a scheduler: what takes whom to tell, once it is handed in.
        `python` is that of an environment which was built; without, it is the agent's own, or that of the nodes.
        `asked` is what its stage asks for; a scheduler finds room for that.
        """
        work = self._work(job)
        if not os.path.isdir(work):
            scratch = f"{work}.{os.getpid()}"
            shutil.rmtree(scratch, ignore_errors=True)
            try:
                os.makedirs(scratch + "/job")
                paths = {os.path.join("job", os.path.basename(name)): text for name, text in files.items()}
                for path, text in {**paths, "asked": ""}.items():
                    with open(os.path.join(scratch, path), "w") as file:
                        file.write(text)
                if python:
                    name = os.path.basename(os.path.dirname(os.path.dirname(python)))
                    self._keeper.note(scratch + "/environment.json", {"name": name})
                os.rename(scratch, work)
            except OSError:
                shutil.rmtree(scratch, ignore_errors=True)
                if not os.path.isdir(work):
                    raise
        if self._batch is not None:
            runner = self._runners.runner(python or self._batch.python)
            order = {"argv": runner, "environment": environment, "patience": patience}
            return lambda tell: self._batch.take(work, order, asked, tell)
        if not os.path.exists(work + "/keeper.json"):
            # Those that the target's own `env` names are all that there are for it.
            named = environment.get("CUDA_VISIBLE_DEVICES")
            names = named.split(",") if named else self._facts.devices(devices)
            if gpus and len(names) < max(1, int(gpus)):
                shutil.rmtree(work, ignore_errors=True)
                raise RuntimeError(f"it asks for {gpus:g} GPUs, and there are {len(names)}")
            given = dict(os.environ)
            given.update(environment)
            order = {"work": work, "environment": given, "devices": (gpus, names), "patience": patience}
            self._spare.begin(order, python)
            until = time.monotonic() + 10
            while not os.path.exists(work + "/keeper.json") and time.monotonic() < until:
                time.sleep(0.002)
        return self._state(job)

    def do_resume(self, job: str, spec: dict[str, Any]) -> str:
        """Have the kernel that a failed job left go on as this `spec` says, once; why it does not, "" where it does."""
        self._work(job)
        return str(self._kernels().resume(job, spec))

    def do_release(self, job: str = "") -> list[str]:
        """End this job, whose kernel waits or goes on; without a name, all whose kernels wait. Which there were."""
        if job:
            self._work(job)
        found: list[str] = self._kernels().release(job)
        return found

    def _kernels(self) -> Any:
        """The kernels of failed jobs that wait here."""
        return self._modules[2].Kernels(self._root, self._keeper, self._batch, self._end)

    def _end(self, job: str) -> None:
        """End whatever runs of it, and remove its folder."""
        if self._batch is not None:
            self._batch.cancel(self._work(job), force=True)
            self._batch.forget(self._work(job))
        self._drop(job)

    def _drop(self, job: str) -> None:
        """Remove the folder once nothing runs in it."""
        work = self._work(job)
        if self._batch is None:
            self._kill(work)
        for _ in range(_TRIES):
            shutil.rmtree(work, ignore_errors=True)
            if not os.path.exists(work):
                return
            # What is being killed on a node wrote a last file.
            time.sleep(0.1)

    def do_watch(self, job: str, offset: int, start: int = -1) -> dict[str, Any]:
        """From now on say what the log of this `start` has from `offset` on, and when the job ends."""
        self._watched[job] = offset
        self._starts[job] = start
        self._said.pop(job, None)
        self._touch(job)
        return {}

    def do_cancel(self, job: str, *, force: bool) -> dict[str, Any]:
        """Stop it and all that it started; `force` kills at once."""
        work = self._work(job)
        if os.path.isdir(work) and not os.path.exists(work + "/rc.json"):
            with open(work + "/cancel", "w"):
                pass
            if self._batch is not None:
                self._batch.cancel(work, force=force)
            elif force:
                self._kill(work)
                self._keeper.note(work + "/rc.json", {"code": -9})
        return {}

    def _kill(self, work: str) -> None:
        """Kill what there is of a job; frozen processes die of it, too. The keeper first: it has nothing more to say."""
        for name, kill in (("keeper", os.kill), ("runner", os.killpg)):
            who = self._keeper.read(f"{work}/{name}.json")
            if self._keeper.alive(who):
                kill(who["pid"], 9)
        # After another start of the machine its number is somebody else's.
        if self._keeper.read(work + "/keeper.json").get("boot") == self._keeper.boot_id():
            self._keeper.kill_kernel(work)

    def do_read(self, job: str, name: str) -> Any:
        """A file of the job's folder, in base64; None if there is none."""
        try:
            with open(os.path.join(self._ran(job), "job", os.path.basename(name)), "rb") as file:
                return base64.b64encode(file.read()).decode()
        except FileNotFoundError:
            return None

    def do_drop(self, job: str) -> dict[str, Any]:
        """Its results are home: nothing of it has to stay."""
        for known in (self._watched, self._starts, self._said, self._unread):
            known.pop(job, None)
        if self._batch is not None:
            self._batch.forget(self._work(job))
        self._drop(job)
        return {}

    def do_spoilt(self, objects: list[str], *, parts: bool = False) -> dict[str, Any]:
        """Remove objects that do not match their names, or parts of some that will not come whole."""
        self._objects.remove(objects, parts=parts)
        return {}

    # -- what is said unasked

    def _tell(self) -> None:
        now = time.monotonic()
        touch = now - self._asked > _ASKED
        self._asked = now if touch else self._asked
        for job in list(self._watched):
            try:
                if touch:
                    self._touch(job)
                # In this order: what a job printed before its end is sent before its end.
                state = self._state(job)
                while self._send_log(job) and state["state"] != "running":
                    pass
                self._unread.pop(job, None)
            except Exception as error:  # noqa: BLE001 - of one job; the others are told of
                if now - self._unread.setdefault(job, now) < _UNREAD:
                    continue
                state = {"state": "lost", "why": f"its folder cannot be read: {type(error).__name__}: {error}"}
            if state["state"] != "running":
                del self._watched[job]
                if self._spare is not None:
                    self._spare.fill()
            if self._said.get(job) != state:
                self._said[job] = state
                self._say({"job": job, **state})

    def _send_log(self, job: str) -> bool:
        start, folder = self._batch.start_of(self._work(job)) if self._batch is not None else (-1, self._work(job))
        if start != self._starts.get(job, -1):
            self._starts[job], self._watched[job] = start, 0
        try:
            with open(folder + "/job/log.jsonl", "rb") as file:
                file.seek(self._watched[job])
                data = file.read(_PIECE)
        except FileNotFoundError:
            return False
        if data:
            encoded = base64.b64encode(data).decode()
            self._say({"job": job, "start": start, "at": self._watched[job], "log": encoded})
            self._watched[job] += len(data)
        return bool(data)

    def _state(self, job: str) -> dict[str, Any]:
        work = self._work(job)
        if self._batch is not None:
            told: dict[str, Any] = self._batch.state(work)
            return told
        done = self._keeper.read(work + "/rc.json")
        if done:
            return {"state": "exited", "code": done["code"]}
        keeper = self._keeper.read(work + "/keeper.json")
        if not keeper:
            return {"state": "absent"}
        if self._keeper.alive(keeper):
            return {"state": "running", "begun": os.path.exists(work + "/runner.json")}
        # It may have noted the end between the two looks.
        done = self._keeper.read(work + "/rc.json")
        if done:
            return {"state": "exited", "code": done["code"]}
        self._kill(work)
        # Then nothing could be noted of its end.
        full = shutil.disk_usage(self._root).free < _FULL
        return {"state": "lost", **({"why": f"no space is left in {self._root}"} if full else {})}

    def _ran(self, job: str) -> str:
        """Where what came of it lies."""
        work = self._work(job)
        return self._batch.start_of(work)[1] if self._batch is not None else work

    def _touch(self, job: str) -> None:
        """Somebody asks for it."""
        if os.path.isdir(self._work(job)):
            os.utime(self._work(job) + "/asked")

    def _work(self, job: str) -> str:
        if not job.replace("-", "").isalnum():
            raise ValueError("not the name of a job")
        return f"{self._root}/work/{job}"
