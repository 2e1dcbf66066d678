"""`%%stage NAME --on TARGET` in a notebook, from the cell that was pressed to the variables that are back."""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from nbpipe.credentials import values_of
from nbpipe.errors import CheckRejected, NbpipeError, StageError, StoreError
from nbpipe.executors.fleet import Fleet
from nbpipe.live.command import notebook_path
from nbpipe.live.elsewhere.drive import CellDrive, Driven
from nbpipe.live.elsewhere.ground import Ground, ground
from nbpipe.live.elsewhere.inputs import ChangedSince, given_by_kernel, params_of
from nbpipe.live.elsewhere.raised import raised
from nbpipe.live.elsewhere.results import bring
from nbpipe.live.elsewhere.stream import Stream, say
from nbpipe.notebook.options import check_supported
from nbpipe.pipeline.secrets import secret_names
from nbpipe.run.abandoned import abandoned
from nbpipe.run.api import refuse_secrets
from nbpipe.run.attempt import job_folder
from nbpipe.run.fleets import targets_of
from nbpipe.run.project import find_project
from nbpipe.run.settings import Settings
from nbpipe.store import open_store
from nbpipe.targets.settings import target_named
from nbpipe.tracking import outbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from nbpipe.live.elsewhere.handles import Handles
    from nbpipe.live.elsewhere.places import Places
    from nbpipe.live.executions import Execution
    from nbpipe.model import Artifact, Event, Outcome, Trace
    from nbpipe.plan.resolve import Wanted
    from nbpipe.run.outcome import RunResult
    from nbpipe.store import Store

#: Seconds between two looks at what the job has printed: while it prints, and while it is silent.
_SHORTEST, _LONGEST = 0.01, 0.05


def run_cell(shell: Any, places: Places, before: tuple[Execution, ...], cell: Execution, on: str) -> None:
    """Run the cell on the target `on`, show its output, bind its results. Raises what the cell raised there."""
    told = notebook_path(shell.user_ns)
    path = Path(told) if told else Path.cwd() / "notebook.ipynb"
    project = find_project(path)
    place = target_named(targets_of(project), on, stage=cell.name)
    store = open_store(project.store)
    if abandoned(project):
        from nbpipe.run.recovery import recover

        recover(project, store)
    stands, params, traces, wanted = _prepared(before, cell, path, shell.user_ns, store, on)
    check_supported(stands.stage.options, cell.name, None, kind=place.kind)
    secrets = secret_names(stands.pipeline, path.parent)
    refuse_secrets(params, values_of(secrets, os.environ))
    executor, machine = places.executor(project, store, place, stands.pipeline, stands.stage)
    settings = Settings(params=params, secrets=secrets, selected=frozenset({cell.name}))
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    drive = CellDrive(project, store, stands.notebook, listener=events.put)
    drive.given, drive.spare = traces, stands.gives
    drive.machines = {place.name: machine} if machine else {}
    drive.is_there = partial(places.has_kept, executor, on)
    try:
        driven = Driven(drive, stands.pipeline, settings, Fleet({on: executor}, default=on))
        watch = _Watch(shell, stands, drive, driven, events, on)
        watch.to_the_end()
    finally:
        drive.close()
    outbox.flush(project.root)
    leave = partial(places.handles.bind, project)
    _settle(shell, store, stands, wanted.inputs, driven, watch, count=cell.count, leave=leave)


def _prepared(
    before: tuple[Execution, ...], cell: Execution, path: Path, names: Mapping[str, Any], store: Store, on: str
) -> tuple[Ground, dict[str, Any], dict[str, Trace], Wanted]:
    """The ground of the cell, its parameters, what the kernel gives, and what the stage should run with."""
    given: list[str] = []
    while True:
        stands = ground(before, cell, path, names, store.hints.observed, given=given)
        params = params_of(stands.pipeline, stands.stage, names)
        try:
            return stands, params, *given_by_kernel(stands, store, names, params, on)
        except ChangedSince as error:
            if error.name is None or error.name in given:
                raise
            given.append(error.name)


class _Watch:
    """Waits in the cell: shows the log of the attempt that runs, and passes Ctrl-C on."""

    def __init__(
        self,
        shell: Any,
        stands: Ground,
        drive: CellDrive,
        driven: Driven,
        events: queue.SimpleQueue[Event],
        on: str,
    ) -> None:
        self._drive = drive
        self._driven = driven
        self._events = events
        self._on = on
        self.stage = stands.stage.name
        self.stream = Stream(shell, stands.stage.cells[-1].cell)
        self.source = ""
        self.interrupted = False

    def to_the_end(self) -> None:
        """Until the run has ended and all was shown."""
        started = time.monotonic()
        with self._stoppable():
            self._driven.start()
            alive, pause = True, _SHORTEST
            while alive:
                try:
                    alive = self._driven.alive(pause)
                    pause = _SHORTEST if self._look() else min(pause * 1.1, _LONGEST)
                except KeyboardInterrupt:
                    self._stop()
            self._look()
        took = time.monotonic() - started
        if self._driven.result is not None and self._driven.result.status == "succeeded":
            how = f"kept since {self.source}" if self.source else f"on {self._on} in {took:.1f} s"
            say(f"{self.stage} ✓ {how} ({self._drive.run})")

    def _look(self) -> bool:
        """Show what is new; whether there was anything."""
        seen = False
        while True:
            try:
                event = self._events.get_nowait()
            except queue.Empty:
                break
            if event.stage != self.stage:
                continue
            seen = True
            if event.kind == "stage-started":
                self.stream.follow(job_folder(self._drive_place(), self.stage, event.attempt) / "log.jsonl")
            elif event.kind == "stage-cached":
                self.source = str(event.data.get("source", ""))
            elif event.kind in ("stage-retry", "stage-waiting"):
                say("; ".join(event.data.get("reasons", ())))
        while self.stream.pump():
            seen = True
        return seen

    def _drive_place(self) -> Any:
        engine = self._drive.driven
        if engine is None:
            raise StageError("an attempt began before its run", stage=self.stage)
        return engine.place

    def _stop(self) -> None:
        if not self.interrupted:
            say(f"stopping {self.stage} on {self._on}; interrupt again to kill it")
        self.interrupted = True
        self._driven.stop()

    @contextmanager
    def _stoppable(self) -> Iterator[None]:
        """`nbpipe stop` sends SIGTERM to whoever drives the run: here it must not end the kernel."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGTERM, lambda *_: self._driven.stop())
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)


def _settle(
    shell: Any,
    store: Store,
    stands: Ground,
    sent: Mapping[str, Artifact],
    driven: Driven,
    watch: _Watch,
    *,
    count: int,
    leave: Callable[[Trace, Mapping[str, Artifact]], Handles],
) -> None:
    """Bind the results, or raise."""
    if driven.error is not None:
        raise driven.error
    if watch.interrupted:
        raise KeyboardInterrupt
    result, trace = driven.result, driven.traces.get(watch.stage)
    if trace is not None and result is not None and result.status == "succeeded":
        if watch.source:
            watch.stream.replay(_kept(store, trace.outcome))
        bring(shell, store, stands, sent, trace.outcome, partial(leave, trace))
        return
    raise _error(result, watch, shell, count)


def _kept(store: Store, outcome: Outcome) -> list[dict[str, Any]]:
    """The outputs of the stage's last cell, which is all there is of it here."""
    try:
        cells = msgspec.json.decode(store.objects.get_bytes(outcome.executed), type=list[dict[str, Any]])
    except (StoreError, msgspec.MsgspecError):
        return []
    return cells[-1]["outputs"] if cells else []


def _error(result: RunResult | None, watch: _Watch, shell: Any, count: int) -> Exception:
    failure = result.failure if result is not None else None
    if failure is not None and failure.code in ("user-code", "rejected") and watch.stream.error is not None:
        return raised(watch.stream.error, shell, count)
    kind = CheckRejected if result is not None and result.status == "rejected" else StageError
    said = failure.message if failure is not None else f"ended as {result.status if result else 'unknown'}"
    error: NbpipeError = kind(said, stage=watch.stage, fix=(failure.fix or None) if failure is not None else None)
    from nbpipe.live.session import show_short

    return show_short(error)
