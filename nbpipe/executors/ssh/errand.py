"""One job on another machine, from what it needs to what came of it, in a thread of its own."""

from __future__ import annotations

import base64
import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from nbpipe.credentials import values_of
from nbpipe.errors import NbpipeError, TargetError
from nbpipe.executors.base import JobState
from nbpipe.executors.ssh.cargo import Cargo
from nbpipe.executors.ssh.homecoming import SCRATCH, Homecoming
from nbpipe.executors.ssh.link import Link, LinkDown
from nbpipe.executors.ssh.logs import CopiedLog
from nbpipe.executors.ssh.packages import Environment
from nbpipe.executors.ssh.passing import Passing
from nbpipe.executors.ssh.patience import Patience
from nbpipe.executors.ssh.transfer import fetch_job, fetch_objects, send_objects
from nbpipe.job.elsewhere import NEEDY
from nbpipe.job.folder import GIVEN, KEPT, LOG, LOOKED, NEEDS, SHIPMENT, SPEC, VERDICT, write_durably
from nbpipe.job.kept import Kept
from nbpipe.job.launch import HASH_SEED
from nbpipe.job.leftovers import held_folder
from nbpipe.job.shared import Given
from nbpipe.model import Artifact, Failure, JobSpec, Outcome, Status
from nbpipe.store import Store
from nbpipe.store.manifest import objects_of
from nbpipe.store.trust import Signer

#: How often a job is started again because something it reads had not been sent.
_ROUNDS = 6
#: Seconds between two questions whether an environment is built.
_BUILDING = 0.2
#: Seconds between two connections that break at once, at most.
_PAUSE = 5.0
#: Seconds that a target may take to start a job: its scheduler answers late, and may have others to answer first.
_HANDED_IN = 300.0
_LEFT_THERE = ("job.json", "shipment.json", "wanted.json", "verdict.json", "outcome.json", "log.jsonl",
               "needs.json", "given.json", "kernel.pid", "kept.json", "continue.json", "undo", ".part")  # fmt: skip


@dataclass(frozen=True)
class Errands:
    """What the jobs of one target share."""

    link: Link
    store: Store
    #: The key the worker signs with: it may sign for what it made, and for nothing else.
    key: str
    here: Callable[[str], str]
    unlike: str = ""
    #: The store that the target shares with this machine.
    passing: Passing | None = None
    #: Bytes above which outputs stay there for now; None where all come home.
    leave: int | None = None


class Errand:
    """Ships, starts, watches, starts again where something was missing, brings home.

    Responsibilities: whatever happens, `state` ends; a verdict is written here only after all it speaks of is. Must not
    judge success: the verdict is the worker's, a failure to get one is ours.
    """

    def __init__(self, shared: Errands, folder: Path, spec: JobSpec, environment: Environment | None = None) -> None:
        self._shared = shared
        self._environment = environment
        self._link = shared.link
        self._folder = folder
        self._spec = spec
        self._worker = Signer(shared.key.encode())
        self._log = CopiedLog(folder / LOG)
        self._reach = Patience(shared.link, self._log, lambda: bool(self._stop))
        self._changed = threading.Event()
        self._told: Mapping[str, Any] = {}
        #: Which start by a scheduler the log is of; -1 before any, and where there is none.
        self._started = -1
        self._reason = ""
        self._deaf: OSError | None = None
        self._stop = ""
        #: Objects that have to go over the connection: the worker does not get them otherwise.
        self._direct: set[str] = set()
        #: Whether it is just being started there.
        self._beginning = False
        #: Whether it ended as its packages could not be installed.
        self.unbuilt = False
        #: Name of the job there: its token and how often it was started.
        self.job = ""
        self.state = JobState("running", begun=False)
        self._thread = threading.Thread(target=self._run, name=f"nbpipe-{spec.stage}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def hear(self, message: Mapping[str, Any]) -> None:
        """What the agent says of this job."""
        if "log" not in message:
            self._told = message
            self._changed.set()
            return
        try:
            if message.get("start", -1) != self._started:
                self._begun_by_scheduler(message["start"])
            self._log.feed(message["at"], base64.b64decode(message["log"]))
        except OSError as error:
            # Said by the thread that can end the job; the one that hears has others to hear.
            self._deaf = error
            self._changed.set()

    def _begun_by_scheduler(self, start: int) -> None:
        """Its log is that of this start from now on."""
        if self._started >= 0:
            self._log.note(f"{self._link.target.name} started the job again: the output begins anew")
        self._log.restart()
        self._started = start

    def cancel(self, *, force: bool) -> None:
        """Ask it to stop, or kill it; returns at once."""
        if self._stop == "kill" or (self._stop and not force):
            return
        self._stop = "kill" if force else "ask"
        self._changed.set()
        if self._beginning:
            # A scheduler may take long to answer, and whoever cancels may not be here any more then.
            threading.Thread(target=self._leave, kwargs={"force": force}, daemon=True).start()

    def join(self, seconds: float) -> None:
        """Wait for its end."""
        self._thread.join(seconds)

    # -- the whole story

    def _run(self) -> None:
        try:
            with held_folder(f"{SCRATCH}cargo-") as scratch:
                self.state = self._go(scratch)
        except LinkDown as error:
            self._fail("lost", TargetError(f"{self._link.target.name} does not answer: {error}"))
        except NbpipeError as error:
            self._fail("lost" if isinstance(error, TargetError) else "failed", error)
        except OSError as error:
            self._leave()
            self._fail("failed", NbpipeError(f"the job's folder or store failed: {error}"))
        except Exception as error:
            # A thread that dies unheard would leave its stage running for ever.
            self._fail("failed", NbpipeError(f"{type(error).__name__}: {error}"))
            raise

    def _leave(self, *, force: bool = True) -> None:
        """Nobody will ask for the job any more: it must not go on until it is forgotten."""
        with contextlib.suppress(LinkDown, TargetError):
            self._link.call("cancel", job=self.job, force=force)

    def _fail(self, status: Status, error: NbpipeError) -> None:
        if self._stop:
            if isinstance(error, TargetError):
                hours = self._link.target.keep / 3600
                self._log.note(f"{error.message}; the job there could not be told to stop, and ends within {hours:g} h")
            self.state = JobState("exited", -9 if self._stop == "kill" else 130)
            return
        self.unbuilt = self._environment is not None and error is self._environment.failure
        failure = Failure(code=error.code, message=error.message, name=error.name, fix=error.fix or "")
        spec = self._spec
        outcome = Outcome(stage=spec.stage, attempt=spec.attempt, token=spec.token, status=status, failure=failure)
        try:
            write_durably(self._folder / VERDICT, msgspec.json.encode(outcome))
            self.state = JobState("exited", error.exit_code)
        except OSError:
            self.state = JobState("lost")

    def _go(self, scratch: Path) -> JobState:
        spec, target = self._spec, self._link.target
        cargo = Cargo(Path(spec.project), self._shared.store, self._worker, scratch, target.name)
        inputs, ambient = cargo.load_values(spec.inputs), cargo.load_values(spec.ambient)
        cargo.load_files(spec.ships)
        if self._environment is None:
            self._reach(lambda: self._link.call("warm", environment={**HASH_SEED, **target.env}))
        found = self._reach(lambda: self._link.call("find", token=spec.token))
        number = int(found[-1].rpartition("-")[2]) if found else 0
        if found:
            self._log.note(f"attached to the job that runs on {target.name} since before")
        elif spec.continues:
            found = self._resumed(inputs, ambient)
        for attempt in range(_ROUNDS):
            self.job = self.job if attempt == 0 and found == [spec.continues] else f"{spec.token}-{number}"
            if self._stop and not found:
                return JobState("exited", 130)
            if not found and not self._started_there(cargo, inputs, ambient):
                return JobState("exited", 130)
            code = self._watch()
            if (
                code is None
                and self._told.get("state") == "absent"
                and self.job.startswith(spec.token + "-")
                and not self._stop
            ):
                # It was begun and nobody there knows it: asked again it is started, or found, once.
                self._told = {}
                code = self._watch() if self._started_there(cargo, inputs, ambient) else 130
            if code is None:
                return JobState("lost")
            again = attempt < _ROUNDS - 1 and not self._stop and self._needs(cargo, code)
            if not again:
                return self._bring_home(code)
            old, found, number = self.job, [], number + 1
            self._log.restart()
            self._started = -1
            self._reach(lambda old=old: self._link.call("drop", job=old))  # type: ignore[misc]
        raise TargetError("what the stage reads never came together", stage=spec.stage, name=target.name)

    def _started_there(self, cargo: Cargo, inputs: dict[str, Artifact], ambient: dict[str, Artifact]) -> bool:
        """Send what the job lacks, and start it; False where it was cancelled before. Raises TargetError."""
        there = msgspec.structs.replace(self._placed(), inputs=inputs, ambient=ambient)
        self._reach(lambda: self._send(cargo))
        python = self._built()
        if self._stop:
            return False
        try:
            self._beginning = True
            self._reach(lambda: self._begin(cargo, there, python))
        except TargetError:
            # A scheduler may have it nevertheless, where its answer was lost.
            self._leave()
            raise
        finally:
            self._beginning = False
        return True

    # -- there

    def _resumed(self, inputs: Mapping[str, Artifact], ambient: Mapping[str, Artifact]) -> list[str]:
        """The job whose kernel goes on, in a list; nothing where that has ended meanwhile, which the log says."""
        self.job, name = self._spec.continues, there_name(self._link)
        spec = msgspec.structs.replace(
            self._placed(), inputs=dict(inputs), ambient=dict(ambient), continues=self.job, first=self._spec.first
        )
        given = msgspec.to_builtins(spec)
        why = self._reach.known(lambda: self._link.call("resume", job=self.job, spec=given))
        if why:
            self._log.note(f"begins at its first cell: {why}")
            return []
        self._log.note(f"goes on at cell {spec.cells[spec.first].cell}, in the kernel that {name} has kept")
        return [self.job]

    def _home(self) -> str:
        return f"{self._link.root}/work/{self.job}"

    def _placed(self) -> JobSpec:
        """The specification as it reads there."""
        spec = self._spec
        project = f"{self._home()}/project"
        cwd = Path(spec.cwd).relative_to(spec.project).as_posix()
        source = Path(spec.source or f"{spec.project}/-")
        inside = source.is_relative_to(spec.project)
        return msgspec.structs.replace(
            spec,
            project=project,
            cwd=project if cwd == "." else f"{project}/{cwd}",
            source=f"{project}/{source.relative_to(spec.project)}" if spec.source and inside else "",
            store=f"{self._link.root}/store",
            checkpoints=f"{self._link.root}/checkpoints/{Path(spec.checkpoints).name}" if spec.checkpoints else "",
            ships=(),
            keep_failed=self._link.target.keep_failed,
            keep_memory=self._link.target.keep_failed_memory,
            continues="",
            first=0,
        )

    def _send(self, cargo: Cargo) -> None:
        missing = self._link.call("missing", objects=sorted({*cargo.objects, *cargo.lies}))
        for name in cargo.lies.keys() & set(missing):
            raise gone(cargo.lies[name], self._link.target.name)
        passing = self._shared.passing
        through = [name for name in missing if name not in self._direct] if passing is not None else []
        if passing is not None and through:
            # A connection that breaks meanwhile asks again: what lies there is not put there twice.
            missing = [name for name in missing if name in self._direct] + passing.send(cargo, through, self._log.note)
        if missing:
            started = time.monotonic()
            size = send_objects(self._link, {name: cargo.path(name) for name in missing})
            took = time.monotonic() - started
            self._log.note(f"sent {len(missing)} objects, {size:,} bytes, to {there_name(self._link)} in {took:.2f} s")

    def _built(self) -> str:
        """The interpreter of the environment that was built meanwhile; "" where none is. Raises TargetError."""
        told, built = "", self._environment
        while built is not None and not self._stop:
            python: str = self._reach(built.ask)
            if python:
                self._reach(lambda: built.warm({**HASH_SEED, **self._link.target.env}))
                return python
            if (said := self._reach(built.said)) != told:
                told = said
                self._log.note(said)
            self._changed.wait(_BUILDING)
        return ""

    def _begin(self, cargo: Cargo, there: JobSpec, python: str) -> None:
        target = self._link.target
        passing = self._shared.passing
        shared = passing.location if passing is not None and passing.used else ""
        # Where large results stay, those that come home at once are not worth the way.
        gives = self._shared.leave is None
        # Those that the target names are there already.
        secrets = values_of([name for name in self._spec.secrets if name not in target.secrets], os.environ)
        self._link.call(
            "start",
            timeout=_HANDED_IN,
            job=self.job,
            files={
                SPEC: msgspec.json.encode(there).decode(),
                SHIPMENT: msgspec.json.encode(cargo.shipment(shared, gives=gives)).decode(),
            },
            environment={**HASH_SEED, **target.env, **secrets, "NBPIPE_STORE_KEY": self._shared.key},
            gpus=self._spec.gpus or 0.0,
            devices=target.gpus,
            patience=target.keep,
            python=python,
            asked={
                **{name: getattr(self._spec, name) for name in ("cpus", "gpus", "memory", "timeout", "image", "nodes")},
                "keep": 0 if self._spec.nproc or len(self._spec.cells) == 1 else target.keep_failed,
            },
        )

    def _watch(self) -> int | None:
        """Its exit code, once it has ended; None where it is lost. The log comes meanwhile."""
        told, asked = -1, ""
        since: float | None = None
        #: Since when connections break before anything is heard of the job.
        breaks: float | None = None
        while True:
            if told != self._link.generation or not self._link.up:
                lasts = time.monotonic() - breaks if breaks else 0.0
                breaks = breaks or time.monotonic()
                if lasts > self._link.target.patience:
                    raise LinkDown("the connection breaks as soon as it is made")
                time.sleep(min(lasts, _PAUSE))
                at = {"offset": self._log.offset, "start": self._started}
                self._reach(lambda at=at: self._link.call("watch", job=self.job, **at))  # type: ignore[misc]
                told = self._link.generation
                asked = ""
            if self._stop != asked:
                asked = self._stop
                since = since or time.monotonic()
                self._reach(lambda: self._link.call("cancel", job=self.job, force=self._stop == "kill"))
            if self._changed.wait(0.2):
                breaks = None
            else:
                self._reach(self._link.check)
            self._changed.clear()
            if self._deaf is not None:
                raise self._deaf
            state, code = self._told.get("state"), self._told.get("code")
            if self._told.get("job") != self.job:
                continue
            if state == "exited":
                return int(code) if code is not None else -1
            why = str(self._told.get("why", ""))
            if state in ("lost", "absent") and self._link.target.kind == "ssh":
                # What it has filled the disk with would be there for every job after it. A scheduler's words are kept.
                self._drop()
            if state == "lost" and why and not self._stop:
                raise TargetError(f"the job was lost: {why}", stage=self._spec.stage, name=self._link.target.name)
            if state in ("lost", "absent"):
                return None
            if state == "running" and why != self._reason:
                self._reason = why
                self._log.note(why) if why else None
            if state == "running":
                self.state = JobState("running", begun=bool(self._told.get("begun")))

    # -- home

    def _needs(self, cargo: Cargo, code: int) -> bool:
        """Whether it has to be started again, with what it lacked; that is taken on."""
        if code == NEEDY:
            spoilt = self._reach.read(self.job, NEEDS, list[str]) or []
            self._direct |= set(spoilt)
            given = self._reach.read(self.job, GIVEN, Given)
            if given is not None and self._shared.passing is not None:
                self._shared.passing.refused(cargo, given, self._log.note)
            else:
                self._log.note(f"{len(spoilt)} objects were damaged on {there_name(self._link)}; sent again")
            self._reach(lambda: self._link.call("spoilt", objects=spoilt))
            return True
        told = self._reach.read(self.job, VERDICT, Outcome)
        if told is not None and told.status in ("succeeded", "rejected"):
            seen = {state.path: state.digest for state in told.files_read}
        else:
            seen = self._reach.read(self.job, LOOKED, dict[str, str]) or {}
        added = cargo.add_what_differed(seen, {name: self._shared.here(name) for name in seen}, self._spec)
        if added:
            shown = ", ".join(added[:3]) + (" …" if len(added) > 3 else "")  # noqa: PLR2004
            self._log.note(f"starts again: it reads {shown}, which had not been sent (--reads names it beforehand)")
        return bool(added)

    def _bring_home(self, code: int) -> JobState:
        # Whoever is killed has no last word: a scheduler may let a runner begin one before it dies.
        killed = self._stop == "kill" and code < 0
        told = None if killed else self._reach.read(self.job, VERDICT, Outcome)
        self._reach(lambda: fetch_job(self._link, self.job, self._folder, without=_LEFT_THERE))
        if told is not None:
            given, passing, damaged = self._reach.read(self.job, GIVEN, Given), self._shared.passing, []
            home = Homecoming(
                self._spec,
                self._shared.store,
                self._worker,
                there_name(self._link),
                f"{self._home()}/project",
                self._shared.here,
                self._shared.unlike,
                self._shared.leave,
                given.objects if given is not None else {},
            )
            if given is not None and passing is not None:
                damaged = passing.bring_home(objects_of(home.placed(told)), given, self._log.note)
            outcome = home.outcome(told, self._fetch)
            if passing is not None:
                passing.mend({name: self._shared.store.objects.local_path(name) for name in damaged}, self._log.note)
            kept = self._kept(told)
            write_durably(self._folder / VERDICT, msgspec.json.encode(outcome))
            if kept:
                return JobState("exited", code)
        self._drop()
        return JobState("exited", code)

    def _drop(self) -> None:
        """Nobody asks for its folder any more."""
        try:
            self._link.call("drop", job=self.job)
        except (LinkDown, TargetError):
            # It lies there until somebody cleans up.
            self._log.note(f"the job's folder was left on {there_name(self._link)}")

    def _kept(self, told: Outcome) -> bool:
        """Whether its kernel waits there for the mended cell: that is noted here, for the next run."""
        found = self._reach.read(self.job, KEPT, Kept) if told.status == "failed" and not self._stop else None
        if found is None or found.token != self._spec.token or not 0 < found.index < len(self._spec.cells):
            return False
        looked = self._reach.read(self.job, LOOKED, dict[str, str]) or {}
        target = self._link.target
        note = msgspec.structs.replace(found, job=self.job, host=target.host, target=target.fingerprint, looked=looked)
        write_durably(self._folder / KEPT, msgspec.json.encode(note))
        name, minutes = there_name(self._link), max(found.until - time.time(), 0) / 60
        self._log.note(
            f"{name} keeps the kernel for {minutes:.0f} min: mend cell {found.cell}, then run with --continue"
        )
        return True

    def _fetch(self, names: Iterable[str], into: Path) -> None:
        wanted = list(names)
        self._reach(lambda: fetch_objects(self._link, wanted, into))


def gone(name: str, target: str) -> TargetError:
    """The error of a value that was left on a target and is not there any more."""
    fix = f"Run the cell again that gave '{name}'."
    return TargetError(f"'{name}' was left on {target}, and is no longer there", name=name, fix=fix)


def there_name(link: Link) -> str:
    """What people call the machine at the other end."""
    return link.target.name
