"""The loop that drives a run: look up, launch, watch, commit; and again when a commit changes what a later stage sees."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec

from nbpipe.errors import PipelineError
from nbpipe.executors.base import Executor
from nbpipe.job.files import undo
from nbpipe.model import Failure, FileState, Outcome, Pipeline, Stage, Trace
from nbpipe.plan.champion import compared_model
from nbpipe.plan.planner import decide
from nbpipe.plan.resolve import Wanted, holds, providers, wanted
from nbpipe.run.attempt import Attempt, Place, job_folder, prepare, result
from nbpipe.run.faults import fault
from nbpipe.run.files import Disk
from nbpipe.run.journal import Journal
from nbpipe.run.resources import Slots
from nbpipe.run.results import Results
from nbpipe.run.seen import remember
from nbpipe.run.settings import Settings
from nbpipe.store import Lease

#: A stage is not run more often than this because others changed what it saw: then the notebook does not settle.
_MOST_ROUNDS = 8
#: Seconds after a stage's timeout at which the engine stops waiting for the job to notice by itself.
_HARD_STOP = 20.0
_HEARTBEAT = 5.0
_SHORTEST, _LONGEST, _WAITING = 0.002, 0.05, 0.25


class MergeNeeded(Exception):
    """A value cannot be stored, and stages may be merged: `names` are those from its giver to its last reader."""

    def __init__(self, names: tuple[str, ...], failure: Failure) -> None:
        super().__init__(failure.message)
        self.names = names
        self.failure = failure


class Engine:
    """Drives one run to its end.

    Responsibilities: decides when a stage is settled; commits in the order objects, trace, event. Must not know what
    a job does inside, nor keep state that the journal and the store do not have.
    """

    def __init__(  # noqa: PLR0913 - what it works with, handed in so that tests can hand in others
        self,
        pipeline: Pipeline,
        place: Place,
        executor: Executor,
        journal: Journal,
        disk: Disk,
        settings: Settings,
        *,
        champion: Callable[[str], Mapping[str, float]] = lambda _: {},
        expected: Mapping[str, float] | None = None,
        attempts: Mapping[str, int] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.pipeline = pipeline
        self.place = place
        self.executor = executor
        self.journal = journal
        self.disk = disk
        self.settings = settings
        self.committed: dict[str, Outcome] = {}
        self.traces: dict[str, Trace] = {}
        self.failures: dict[str, Outcome] = {}
        self.running: dict[str, Attempt] = {}
        #: "": go on; "ask": stop the jobs; "kill": kill them.
        self.stopping = ""
        self._champion = champion
        self._clock = clock
        self._expected = dict(expected or {})
        self._numbers = dict(attempts or {})
        self._launched: set[str] = set()
        self._folders: dict[str, Path] = {}
        self._rounds: dict[str, int] = {}
        self._retries: dict[str, int] = {}
        #: Stages above that a stage waits for, whatever the graph says.
        self._waits: dict[str, set[str]] = {}
        #: Stages whose committed outcome comes from a job of this run.
        self._ran: list[str] = []
        self._why: dict[str, tuple[str, ...]] = {}
        #: Stages whose key somebody else computes right now.
        self._blocked: set[str] = set()
        self._told: set[str] = set()
        #: Stage -> key that was looked up in vain, and how much had ended by then.
        self._missed: dict[str, tuple[str, int]] = {}
        self._ended = 0
        self._results = Results(place.store)
        self._slots = Slots(executor.capacity, settings.jobs)
        selected = settings.selected
        self.stages = [s for s in pipeline.stages if selected is None or s.name in selected]
        self._position = {stage.name: n for n, stage in enumerate(pipeline.stages)}

    # -- the loop

    def run(self) -> str:
        """Run to the end; the status: succeeded, failed, rejected or cancelled."""
        pause = _SHORTEST
        while True:
            moved = self._collect()
            if self.stopping:
                self._cancel_all()
            moved |= self._advance()
            if not self.running and not self._blocked and not moved:
                break
            pause = _SHORTEST if moved else min(pause * 1.5, _LONGEST if self.running else _WAITING)
            time.sleep(pause)
        return self._status()

    def abandon(self) -> None:
        """Stop what runs, undo its writes, give its leases back. For a run that cannot go on."""
        for attempt in self.running.values():
            self.executor.cancel(attempt.handle, force=True)
        for attempt in reversed(self.running.values()):
            self.disk.ended(attempt.folder)
            undo(attempt.folder)
            if attempt.lease is not None:
                attempt.lease.release()
        self.running.clear()

    def take_all_back(self) -> None:
        """Leave the files as if nothing had run: what is committed is found again in the store."""
        self.abandon()
        for name in reversed(self._ran):
            undo(self._folders[name])
        self._ran.clear()

    @property
    def failure(self) -> Failure | None:
        """The failure of the first stage, in notebook order, that did not succeed."""
        first = min(self.failures, key=self._position.__getitem__, default=None)
        return self.failures[first].failure if first is not None else None

    def _status(self) -> str:
        left = [stage.name for stage in self.stages if stage.name not in self.committed]
        if self.stopping and left:
            return "cancelled"
        if self.failures:
            statuses = {outcome.status for outcome in self.failures.values()}
            return "rejected" if statuses == {"rejected"} else "failed"
        if left:
            raise PipelineError("cannot start: what it waits for never came", stage=left[0], fix="Please report this.")
        self.disk.restore(self._last_written(len(self.pipeline.stages)))
        return "succeeded"

    def _advance(self) -> bool:
        """Settle or launch what can be, in notebook order; whether anything moved."""
        moved = False
        self._blocked.clear()
        for stage in self.stages:
            if stage.name in self.running:
                continue
            if self._stopped_above(stage):
                break
            if not self._ready(stage):
                continue
            target = self._wanted(stage)
            if target is None:
                continue
            if stage.name in self.committed:
                reason = self._unsettled(stage, target)
                if reason is None:
                    continue
                self._supersede(stage, reason)
                return True
            moved |= self._start(stage, target)
        return moved

    def _stopped_above(self, stage: Stage) -> bool:
        """Something above it in the notebook failed, or the run is being stopped: it is not started any more."""
        if self.stopping:
            return True
        here = self._position[stage.name]
        return any(self._position[name] <= here for name in self.failures)

    def _ready(self, stage: Stage) -> bool:
        above = {name for name in providers(self.pipeline, stage, self.committed) if self._selected(name)}
        above |= self._waits.get(stage.name, set())
        return all(name in self.committed and name not in self.running for name in above)

    def _selected(self, name: str) -> bool:
        return self.settings.selected is None or name in self.settings.selected

    def _wanted(self, stage: Stage) -> Wanted | None:
        return wanted(
            self.pipeline,
            stage.name,
            self.committed,
            self.settings.params,
            seed=self.settings.seed,
            champion=self._champion_of(stage),
        )

    def _champion_of(self, stage: Stage) -> Mapping[str, float]:
        model = compared_model(self.pipeline, stage)
        return self._champion(model) if model is not None else {}

    # -- settled?

    def _unsettled(self, stage: Stage, target: Wanted) -> str | None:
        """Why a committed outcome is not what the stage should have given by now; None if it is, or cannot be told yet."""
        trace = self.traces[stage.name]
        if trace.key != target.key:
            return "what it read has changed"
        if stage.name in self._ran and trace.outcome.uncacheable:
            trace = _reusable(trace)
        reason = holds(trace, target, self.disk.as_of(target))
        if reason is not None and self.running:
            # Native code writes where nobody sees it until its stage ends: files on disk speak only when all is quiet.
            seen = {state.path: state.digest for state in trace.outcome.files_read}
            if holds(trace, target, lambda path: seen.get(path, "")) is None:
                return None
        return reason

    def _supersede(self, stage: Stage, reason: str) -> None:
        """Take a committed outcome back: undo its writes, and those of later stages that wrote what it reads."""
        paths = {state.path for state in self.committed[stage.name].files_read}
        here = self._position[stage.name]
        later = [s for s in reversed(self.stages) if self._position[s.name] > here and s.name in self.committed]
        for other in later:
            if paths & {state.path for state in self.committed[other.name].files_written}:
                self._waits.setdefault(other.name, set()).add(stage.name)
                self._take_back(other, "a stage above it reads what it writes")
        self._take_back(stage, reason)
        self._rounds[stage.name] = self._rounds.get(stage.name, 0) + 1
        if self._rounds[stage.name] > _MOST_ROUNDS:
            raise PipelineError(
                f"does not settle: {reason}",
                stage=stage.name,
                fix="Declare the order with --after, or the files with --reads and --writes.",
            )

    def _take_back(self, stage: Stage, reason: str) -> None:
        outcome = self.committed.pop(stage.name)
        del self.traces[stage.name]
        if stage.name in self._ran:
            undo(self._folders[stage.name])
            self._ran.remove(stage.name)
        else:
            self.disk.revert(outcome.files_written)
        self._again(stage.name, reason)

    def _again(self, name: str, reason: str) -> None:
        self._why[name] = (reason,)
        self.journal.append("stage-superseded", stage=name, reasons=[reason])

    # -- starting

    def _start(self, stage: Stage, target: Wanted) -> bool:
        """Reuse a result, or launch a job if there is room; whether anything moved."""
        fits = self._slots.fits(stage.options)
        if not fits and self._missed.get(stage.name) == (target.key, self._ended):
            return False
        trace, reasons = self._look_up(stage, target)
        if trace is not None:
            return self._reuse(stage, trace)
        if stage.name in self.settings.cached_only:
            raise PipelineError(
                "has no result to reuse, and only stages below it were asked for",
                stage=stage.name,
                fix=f"Run it first: nbpipe run NOTEBOOK --until {stage.name}",
            )
        if not fits:
            self._missed[stage.name] = (target.key, self._ended)
            return False
        lease = None
        if stage.options.cache != "never":
            lease = self.place.store.leases.claim(target.key, self.place.run)
            if lease is None:
                self._wait_for_other(stage, target)
                return False
            # Whoever held it may have committed between the look and the claim.
            trace, reasons = self._look_up(stage, target)
            if trace is not None:
                lease.release()
                return self._reuse(stage, trace)
        self._launch(stage, target, lease, self._why.pop(stage.name, reasons))
        return True

    def _look_up(self, stage: Stage, target: Wanted) -> tuple[Trace | None, tuple[str, ...]]:
        if stage.name in self.settings.forced and stage.name not in self._launched:
            return None, ("asked for",)
        return decide(stage, target, self._results, self.disk.as_of(target))

    def _wait_for_other(self, stage: Stage, target: Wanted) -> None:
        self._blocked.add(stage.name)
        if target.key not in self._told:
            self._told.add(target.key)
            holder = self.place.store.leases.holder(target.key) or "another process"
            self.journal.append("stage-waiting", stage=stage.name, reasons=[f"{holder} computes the same"])

    def _reuse(self, stage: Stage, trace: Trace) -> bool:
        self.committed[stage.name] = trace.outcome
        self.traces[stage.name] = trace
        self._ended += 1
        metrics = trace.outcome.metrics
        self.journal.append("stage-cached", stage=stage.name, source=trace.run, metrics=metrics, key=trace.key)
        return True

    def _launch(self, stage: Stage, target: Wanted, lease: Lease | None, reasons: tuple[str, ...]) -> None:
        self.disk.restore(self._last_written(self._position[stage.name]))
        number = self._numbers[stage.name] = self._numbers.get(stage.name, 0) + 1
        spec = prepare(self.place, self.pipeline, stage, number, target, self._champion_of(stage))
        folder = job_folder(self.place, stage.name, number)
        now = self._clock()
        deadline = now + spec.timeout + _HARD_STOP if spec.timeout else None
        attempt = Attempt(stage, number, folder, spec, target, lease, now, deadline=deadline, renewed=now)
        attempt.early = {s.name for s in self.stages[: self.stages.index(stage)] if s.name not in self.committed}
        self.journal.append(
            "stage-started",
            stage=stage.name,
            attempt=number,
            reasons=list(reasons),
            token=spec.token,
            expected=self._expected.get(stage.name),
        )
        self.disk.started(folder)
        self._slots.take(stage.name, stage.options)
        self._launched.add(stage.name)
        self._folders[stage.name] = folder
        attempt.handle = self.executor.submit(folder, spec)
        self.running[stage.name] = attempt
        fault("attempt.after_submit")

    def _last_written(self, below: int) -> Iterable[FileState]:
        """The latest state of every file that committed stages above position `below` wrote."""
        return {
            state.path: state
            for stage in self.pipeline.stages[:below]
            if stage.name in self.committed
            for state in self.committed[stage.name].files_written
        }.values()

    # -- collecting

    def _collect(self) -> bool:
        moved = False
        for name, attempt in list(self.running.items()):
            state = self.executor.poll(attempt.handle)
            if state.state == "running":
                self._watch(attempt)
                continue
            outcome = result(attempt, self.place.store, returncode=state.returncode)
            del self.running[name]
            self._slots.give_back(name)
            self.disk.ended(attempt.folder)
            self._ended += 1
            try:
                self._end(attempt, outcome)
            finally:
                if attempt.lease is not None:
                    attempt.lease.release()
            moved = True
        return moved

    def _watch(self, attempt: Attempt) -> None:
        now = self._clock()
        if attempt.lease is not None and now - attempt.renewed > _HEARTBEAT:
            attempt.renewed = now
            self.place.store.leases.renew(attempt.lease)
        if attempt.deadline is not None and now > attempt.deadline:
            attempt.overdue = True
            self.executor.cancel(attempt.handle, force=True)

    def _cancel_all(self) -> None:
        force = self.stopping == "kill"
        for attempt in self.running.values():
            if not attempt.cancelled or force:
                attempt.cancelled = True
                self.executor.cancel(attempt.handle, force=force)

    def _end(self, attempt: Attempt, outcome: Outcome) -> None:
        if outcome.status == "succeeded":
            self._commit(attempt, outcome)
            return
        undo(attempt.folder)
        name, options = attempt.stage.name, attempt.stage.options
        too_early = None if self.stopping else self._too_early(attempt)
        if too_early is not None:
            self._again(name, too_early)
            return
        failure = outcome.failure or Failure(code="stage", message=f"ended as {outcome.status}")
        if failure.code == "unserializable" and self.pipeline.mergeable:
            raise MergeNeeded(self._span(name, failure.name or ""), failure)
        retry = outcome.status in {"failed", "lost", "timeout"} and failure.code != "unserializable"
        if retry and not self.stopping and self._retries.get(name, 0) < options.retries:
            self._retries[name] = self._retries.get(name, 0) + 1
            self._why[name] = (f"retry {self._retries[name]} of {options.retries}: {failure.message}",)
            self.journal.append("stage-retry", stage=name, attempt=attempt.number, reasons=[failure.message])
            return
        status = "cancelled" if attempt.cancelled else outcome.status
        self.failures[name] = msgspec.structs.replace(outcome, status=status, failure=failure)
        self.journal.append(
            "stage-ended",
            stage=name,
            attempt=attempt.number,
            status=status,
            failure=msgspec.to_builtins(failure),
            metrics=outcome.metrics,
            seconds=self._clock() - attempt.started,
        )

    def _too_early(self, attempt: Attempt) -> str | None:
        """Why a failure may be one only because the attempt did not see what the stages above it leave in the end."""
        name = attempt.stage.name
        if attempt.early:
            self._waits.setdefault(name, set()).update(attempt.early)
            return f"ran before {', '.join(sorted(attempt.early))} had finished"
        target = self._wanted(attempt.stage)
        return "what it read has changed" if target is None or target.key != attempt.wanted.key else None

    def _span(self, giver: str, name: str) -> tuple[str, ...]:
        """Stages from the giver of a value to its last reader; to the next stage if no reader is known."""
        first = self._position[giver]
        readers = [n for n, s in enumerate(self.pipeline.stages) if n > first and s.flow.inputs.get(name) == giver]
        last = max(readers, default=min(first + 1, len(self.pipeline.stages) - 1))
        return tuple(stage.name for stage in self.pipeline.stages[first : last + 1])

    def _commit(self, attempt: Attempt, outcome: Outcome) -> None:
        """Objects are durable; now the trace, then the event."""
        name, known = attempt.stage.name, attempt.wanted.modules
        edited = [path for module, (path, digest) in outcome.modules.items() if known.get(module) != digest]
        if edited:
            reason = f"{edited[0]} was edited while it ran, or is imported in a way that cannot be seen"
            outcome = msgspec.structs.replace(outcome, uncacheable=(*outcome.uncacheable, reason))
        trace = Trace(
            key=attempt.wanted.key,
            stage=name,
            parts=attempt.wanted.parts,
            outcome=outcome,
            run=self.place.run,
            created=time.time(),
        )
        fault("commit.before_trace")
        if not outcome.uncacheable and attempt.lease is not None and attempt.lease.holds():
            self.place.store.traces.commit(trace)
        remember(self.place.store, self.pipeline, attempt.stage, outcome)
        fault("commit.after_trace")
        self.disk.wrote(outcome, attempt.folder)
        self.committed[name] = outcome
        self.traces[name] = trace
        self._ran.append(name)
        for text in (*outcome.warnings, *outcome.uncacheable):
            self.journal.append("warning", text=f"stage '{name}': {text}")
        self.journal.append(
            "stage-succeeded",
            stage=name,
            attempt=attempt.number,
            key=trace.key,
            metrics=outcome.metrics,
            seconds=self._clock() - attempt.started,
        )
        fault("commit.after_event")


def _reusable(trace: Trace) -> Trace:
    """The trace as if it could be reused: within its own run it stands, and modules it saw are what they are."""
    outcome = msgspec.structs.replace(trace.outcome, uncacheable=(), modules={})
    return msgspec.structs.replace(trace, outcome=outcome)
