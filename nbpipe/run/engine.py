"""The loop that drives a run: look up, launch, watch, commit; and again whenever a commit changes what a later stage sees."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from nbpipe.errors import PipelineError
from nbpipe.executors.base import Executor
from nbpipe.job.files import undo
from nbpipe.model import Failure, Outcome, Pipeline, Stage, Trace
from nbpipe.plan.key import code_hash
from nbpipe.plan.planner import decide
from nbpipe.plan.resolve import Wanted, holds, providers, wanted
from nbpipe.run.attempt import Attempt, Place, job_folder, prepare, result
from nbpipe.run.faults import fault
from nbpipe.run.files import Disk
from nbpipe.run.journal import Journal
from nbpipe.run.resources import Slots

#: A stage is not run more often than this because others changed what it saw: then the notebook does not settle.
_MOST_ROUNDS = 8
_HARD_STOP = 20.0


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a run was asked for."""

    params: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    jobs: int | None = None
    #: Stages that are run even if a result is there.
    forced: frozenset[str] = frozenset()
    #: Stages that take part; None for all.
    selected: frozenset[str] | None = None
    #: Stages that must come from the cache.
    cached_only: frozenset[str] = frozenset()


class MergeNeeded(Exception):
    """A value cannot be stored and the pipeline's stages may be merged: `names` are the stages from giver to last reader."""

    def __init__(self, names: tuple[str, ...], failure: Failure) -> None:
        super().__init__(failure.message)
        self.names = names
        self.failure = failure


class Engine:
    """Drives one run to its end.

    Responsibilities: decides when a stage is settled; commits in the order objects, trace, event. Must not know what
    a job does inside, nor keep state that the journal and the store do not have.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        place: Place,
        executor: Executor,
        journal: Journal,
        disk: Disk,
        settings: Settings,
        *,
        champion: Callable[[str], Mapping[str, float]] = lambda _: {},
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
        self.folders: dict[str, Path] = {}
        self.stopping = ""
        self._champion = champion
        self._clock = clock
        self._attempts: dict[str, int] = {}
        self._rounds: dict[str, int] = {}
        self._retries: dict[str, int] = {}
        self._waits: dict[str, set[str]] = {}
        self._ran: set[str] = set()
        self._why: dict[str, tuple[str, ...]] = {}
        self._slots = Slots(executor.capacity, settings.jobs)
        selected = settings.selected
        self.stages = [s for s in pipeline.stages if selected is None or s.name in selected]
        self._position = {stage.name: n for n, stage in enumerate(pipeline.stages)}

    # -- the loop

    def run(self) -> str:
        """Run to the end; the status: succeeded, failed, rejected or cancelled."""
        pause = 0.002
        while True:
            moved = self._collect()
            if self.stopping:
                self._cancel_all()
            moved |= self._advance()
            if not self.running and not moved:
                break
            pause = 0.002 if moved else min(pause * 1.5, 0.05)
            time.sleep(pause)
        return self._status()

    def _status(self) -> str:
        if self.stopping:
            return "cancelled"
        if self.failures:
            statuses = {outcome.status for outcome in self.failures.values()}
            return "rejected" if statuses == {"rejected"} else "failed"
        left = [stage.name for stage in self.stages if stage.name not in self.committed]
        if left:
            raise PipelineError(
                f"stage '{left[0]}' cannot start: what it waits for never came",
                stage=left[0],
                fix="Please report this.",
            )
        self.disk.restore(self._last_written(len(self.pipeline.stages)).values())
        return "succeeded"

    def _advance(self) -> bool:
        """Settle or launch what can be, in notebook order; whether anything moved."""
        moved = False
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
        if stage.name in self._rounds:
            # It saw too little once: from now on it waits for everything above it.
            above |= {s.name for s in self.stages[: self.stages.index(stage)]}
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
        if not any("champion" in text for text in stage.options.thresholds):
            return {}
        names = [s.options.register for s in self.pipeline.stages if s.options.register]
        return self._champion(names[0]) if names else {}

    # -- settled?

    def _unsettled(self, stage: Stage, target: Wanted) -> str | None:
        """Why a committed outcome is not what the stage should have given by now; None if it is."""
        trace = self.traces[stage.name]
        if trace.key != target.key:
            return "what it read has changed"
        if stage.name in self._ran and trace.outcome.uncacheable:
            trace = _reusable(trace)
        return holds(trace, target, self.disk.as_of(target))

    def _supersede(self, stage: Stage, reason: str) -> None:
        """Take a committed outcome back: undo its writes, and those of later stages that wrote what it reads."""
        outcome = self.committed[stage.name]
        paths = {state.path for state in outcome.files_read}
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
        del self.committed[stage.name], self.traces[stage.name]
        if stage.name in self._ran:
            undo(self.folders[stage.name])
            self._ran.discard(stage.name)
        self._why[stage.name] = (reason,)
        self.journal.append("stage-superseded", stage=stage.name, reasons=[reason])

    # -- starting

    def _start(self, stage: Stage, target: Wanted) -> bool:
        """Reuse a result, or launch a job if there is room; whether anything moved."""
        forced = stage.name in self.settings.forced
        trace, reasons = decide(stage, target, self.place.store.traces, self.disk.as_of(target))
        if trace is not None and not (forced and stage.name not in self._attempts):
            self._reuse(stage, trace)
            return True
        if stage.name in self.settings.cached_only:
            raise PipelineError(
                "has no result to reuse, and only stages below it were asked for",
                stage=stage.name,
                fix=f"Run it first: nbpipe run NOTEBOOK --until {stage.name}",
            )
        if not self._slots.fits(stage.options):
            return False
        lease = self.place.store.leases.claim(target.key, self.place.run)
        if lease is None:
            return False
        why = self._why.pop(stage.name, None) or (("asked for",) if forced else reasons)
        self._launch(stage, target, lease, why)
        return True

    def _reuse(self, stage: Stage, trace: Trace) -> None:
        self.committed[stage.name] = trace.outcome
        self.traces[stage.name] = trace
        self.journal.append(
            "stage-cached", stage=stage.name, source=trace.run, metrics=trace.outcome.metrics, key=trace.key
        )

    def _launch(self, stage: Stage, target: Wanted, lease: Any, reasons: tuple[str, ...]) -> None:
        self.disk.restore(self._last_written(self._position[stage.name]).values())
        number = self._attempts[stage.name] = self._attempts.get(stage.name, 0) + 1
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
            expected=self._expected(stage),
        )
        attempt.handle = self.executor.submit(folder, spec)
        fault("attempt.after_submit")
        self._slots.take(stage.name, stage.options)
        self.running[stage.name] = attempt
        self.folders[stage.name] = folder

    def _expected(self, stage: Stage) -> float | None:
        latest = self.place.store.traces.latest(stage.name)
        return latest.outcome.seconds.get("total") if latest is not None else None

    def _last_written(self, below: int) -> dict[str, Any]:
        """The latest state of every file that committed stages above position `below` wrote."""
        return {
            state.path: state
            for stage in self.pipeline.stages[:below]
            if stage.name in self.committed
            for state in self.committed[stage.name].files_written
        }

    # -- collecting

    def _collect(self) -> bool:
        moved = False
        for name, attempt in list(self.running.items()):
            state = self.executor.poll(attempt.handle)
            if state.state == "running":
                self._watch(attempt)
                continue
            del self.running[name]
            self._slots.give_back(name)
            self._end(attempt, result(attempt, self.place.store, returncode=state.returncode))
            if attempt.lease is not None:
                attempt.lease.release()
            moved = True
        return moved

    def _watch(self, attempt: Attempt) -> None:
        now = self._clock()
        if attempt.lease is not None and now - attempt.renewed > 5:  # noqa: PLR2004  a twelfth of the lease's life
            attempt.renewed = now
            self.place.store.leases.renew(attempt.lease)
        if attempt.deadline is not None and now > attempt.deadline:
            self.executor.cancel(attempt.handle, force=True)

    def _cancel_all(self) -> None:
        force = self.stopping == "kill"
        for attempt in self.running.values():
            if not attempt.cancelled or force:
                attempt.cancelled = True
                self.executor.cancel(attempt.handle, force=force)

    def _end(self, attempt: Attempt, outcome: Outcome) -> None:
        name = attempt.stage.name
        if outcome.status == "succeeded":
            self._commit(attempt, outcome)
            return
        undo(attempt.folder)
        if attempt.early and not self.stopping:
            # It ran while stages above it were still at work: what failed may be that it did not see what they leave.
            self._waits.setdefault(name, set()).update(attempt.early)
            self._why[name] = (f"ran before {', '.join(sorted(attempt.early))} had finished",)
            self.journal.append("stage-superseded", stage=name, reasons=list(self._why[name]))
            return
        retry = outcome.status in {"failed", "lost", "timeout"} and not self.stopping
        failure = outcome.failure or Failure(code="stage", message=f"ended as {outcome.status}")
        if failure.code == "unserializable" and self.pipeline.mergeable:
            raise MergeNeeded(self._span(name, failure.name or ""), failure)
        if retry and failure.code != "unserializable" and self._retries.get(name, 0) < attempt.stage.options.retries:
            self._retries[name] = self._retries.get(name, 0) + 1
            self._why[name] = (f"retry {self._retries[name]} of {attempt.stage.options.retries}: {failure.message}",)
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

    def _span(self, giver: str, name: str) -> tuple[str, ...]:
        """Stages from the giver of a value to its last reader; to the next stage if no reader is known."""
        first = self._position[giver]
        readers = [n for n, s in enumerate(self.pipeline.stages) if n > first and s.flow.inputs.get(name) == giver]
        last = max(readers, default=min(first + 1, len(self.pipeline.stages) - 1))
        return tuple(stage.name for stage in self.pipeline.stages[first : last + 1])

    def _commit(self, attempt: Attempt, outcome: Outcome) -> None:
        """Objects are durable; now the trace, then the event."""
        name = attempt.stage.name
        edited = [
            path for module, (path, digest) in outcome.modules.items() if attempt.wanted.modules.get(module) != digest
        ]
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
        fenced = attempt.lease is not None and not attempt.lease.holds()
        if not outcome.uncacheable and attempt.stage.options.cache != "never" and not fenced:
            self.place.store.traces.commit(trace)
        self._remember(attempt.stage, outcome)
        fault("commit.after_trace")
        self.disk.wrote(outcome, attempt.folder)
        self.committed[name] = outcome
        self.traces[name] = trace
        self._ran.add(name)
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

    def _remember(self, stage: Stage, outcome: Outcome) -> None:
        """What the stage was seen to do, so that the next plan has the edges from the start."""
        facts: dict[str, Any] = {
            "outputs": sorted(outcome.observed),
            "reads_files": sorted(state.path for state in outcome.files_read),
            "writes_files": sorted(state.path for state in outcome.files_written),
            "ambient_out": sorted(state.name for state in outcome.ambient if state.artifact is not None),
            "ambient_read": sorted(state.name for state in outcome.ambient if state.read),
        }
        facts = {name: found for name, found in facts.items() if found}
        code = code_hash(self.pipeline, stage)
        if facts != self.place.store.hints.observed(code):
            self.place.store.hints.remember(code, facts)


def _reusable(trace: Trace) -> Trace:
    """The trace as if it could be reused: within its own run it stands, and modules it saw are what they are."""
    outcome = msgspec.structs.replace(trace.outcome, uncacheable=(), modules={})
    return msgspec.structs.replace(trace, outcome=outcome)
