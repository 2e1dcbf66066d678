"""The loop that drives a run: look up, launch, watch, commit; and again when a commit changes what a later stage sees."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import msgspec

from nbpipe.errors import PipelineError
from nbpipe.executors.fleet import Fleet
from nbpipe.job.undo import undo
from nbpipe.model import Failure, Outcome, Pipeline, Stage, Trace
from nbpipe.plan.champion import compared_model
from nbpipe.plan.planner import decide
from nbpipe.plan.resolve import Wanted, providers, wanted
from nbpipe.run.agenda import Agenda
from nbpipe.run.ahead import Saw, astray, clash, due, starts_programs, touched, used
from nbpipe.run.attempt import Attempt, Place
from nbpipe.run.committed import Committed
from nbpipe.run.faults import fault
from nbpipe.run.files import Disk
from nbpipe.run.inflight import InFlight
from nbpipe.run.journal import Journal
from nbpipe.run.publish import not_reused, publish
from nbpipe.run.results import Results
from nbpipe.run.settings import Settings
from nbpipe.store import Lease
from nbpipe.targets.settings import LOCAL

_SHORTEST, _LONGEST, _WAITING = 0.002, 0.05, 0.25


class MergeNeeded(Exception):
    """A value cannot be stored, and stages may be merged: `names` are those from its giver to its last reader."""

    def __init__(self, names: tuple[str, ...], failure: Failure) -> None:
        super().__init__(failure.message)
        self.names = names
        self.failure = failure


class Engine:
    """Drives one run to its end.

    Responsibilities: decides which stage is looked up or launched next, and what the end of an attempt means. Must not
    know what a job does inside, nor keep state that the journal and the store do not have.
    """

    def __init__(  # noqa: PLR0913 - what it works with, handed in so that tests can hand in others
        self,
        pipeline: Pipeline,
        place: Place,
        fleet: Fleet,
        journal: Journal,
        disk: Disk,
        settings: Settings,
        *,
        champion: Callable[[str], Mapping[str, float]] = lambda _: {},
        expected: Mapping[str, float] | None = None,
        attempts: Mapping[str, int] | None = None,
        clock: Callable[[], float] = time.monotonic,
        halt: Callable[[], str] = lambda: "",
    ) -> None:
        self.pipeline = pipeline
        self.place = place
        self.failures: dict[str, Outcome] = {}
        #: "": go on; "ask": stop the jobs; "kill": kill them.
        self.stopping = ""
        self._journal = journal
        self._disk = disk
        self._settings = settings
        self._champion = champion
        self._clock = clock
        self._halt = halt
        self._retries: dict[str, int] = {}
        #: Stages whose key somebody else computes right now.
        self._blocked: set[str] = set()
        self._told: set[str] = set()
        #: Stages that went on in the kernel of a failed attempt; in the order of their commits.
        self._continued: dict[str, None] = {}
        #: Stage -> key that was looked up in vain, and how much had ended by then.
        self._missed: dict[str, tuple[str, int]] = {}
        #: Stages that saw what others below have written too early -> what that was. Nothing below starts before them.
        self._held: dict[str, Saw] = {}
        #: Those of them that were started again.
        self._first: set[str] = set()
        #: Stage -> whether its code starts programs.
        self._programs: dict[str, bool] = {}
        self._ended = 0
        self._results = Results(place.store, pipeline.name)
        self._flight = InFlight(
            pipeline,
            place,
            fleet,
            journal,
            disk,
            jobs=settings.jobs,
            attempts=attempts or {},
            expected=expected or {},
            clock=clock,
        )
        self._agenda = Agenda(pipeline.stages, self._selected, self._flight.room_for)
        self._committed = Committed(pipeline, disk, journal, self._agenda)
        self._stages = [stage for stage in pipeline.stages if self._selected(stage.name)]

    @property
    def committed(self) -> Mapping[str, Outcome]:
        """Stage -> the outcome that stands."""
        return self._committed.outcomes

    @property
    def traces(self) -> Mapping[str, Trace]:
        """Stage -> the result that stands."""
        return self._committed.traces

    def adopt(self, trace: Trace) -> None:
        """Let the result of a stage stand that takes no part: another process of the same run has made it."""
        self._committed.add(trace)

    # -- the loop

    def run(self) -> str:
        """Run to the end; the status: succeeded, failed, rejected or cancelled."""
        pause = _SHORTEST
        while True:
            moved = self._collect()
            self.stopping = self.stopping if self.stopping == "kill" else self._halt() or self.stopping
            if self.stopping:
                self._flight.cancel(force=self.stopping == "kill")
            moved |= self._advance()
            if not self._flight.running and not self._blocked and not moved:
                break
            pause = _SHORTEST if moved else min(pause * 1.5, _LONGEST if self._flight.running else _WAITING)
            if not moved:
                self._flight.wait(pause)
        return self._status()

    def abandon(self) -> None:
        """Kill what runs, undo its writes, give its leases back. For a run that cannot go on."""
        self._flight.abandon()

    def take_all_back(self) -> None:
        """Leave the files as if nothing had run: what is committed is found again in the store."""
        self._flight.abandon()
        self._committed.undo_all()

    @property
    def failure(self) -> Failure | None:
        """The failure of the first stage, in notebook order, that did not succeed."""
        first = min(self.failures, key=self._committed.position.__getitem__, default=None)
        return self.failures[first].failure if first is not None else None

    def _status(self) -> str:
        left = [stage.name for stage in self._stages if stage.name not in self.committed]
        if self.stopping and left:
            return "cancelled"
        if self.failures:
            statuses = {outcome.status for outcome in self.failures.values()}
            return "rejected" if statuses == {"rejected"} else "failed"
        if left:
            raise PipelineError("cannot start: what it waits for never came", stage=left[0], fix="Please report this.")
        self._restore(len(self.pipeline.stages))
        return "succeeded"

    def _advance(self) -> bool:
        """Settle or launch what can be, in notebook order; whether anything moved."""
        moved = False
        self._blocked.clear()
        due = self._committed.due(busy=bool(self._flight.running))
        for stage in self._agenda.look(*due, self._flight.fits):
            if self._committed.settled(stage.name, busy=bool(self._flight.running)):
                continue
            if self._stopped_above(stage):
                return moved
            if not self._ready(stage):
                continue
            if stage.name not in self.committed and not self._may_start(stage):
                return moved
            target = self._wanted(stage)
            if target is None:
                continue
            if stage.name in self.committed:
                reason = self._committed.unsettled(stage, target, busy=bool(self._flight.running))
                if reason is None:
                    continue
                self._committed.supersede(stage, reason)
                return True
            moved |= self._start(stage, target)
        self._committed.all_looked_at()
        return moved

    def _stopped_above(self, stage: Stage) -> bool:
        """Something above it in the notebook failed, or the run is being stopped: it is not started any more."""
        if self.stopping:
            return True
        here = self._committed.position[stage.name]
        return any(self._committed.position[name] <= here for name in self.failures)

    def _ready(self, stage: Stage) -> bool:
        above = {name for name in providers(self.pipeline, stage, self.committed) if self._selected(name)}
        above |= self._committed.waits.get(stage.name, set())
        if stage.name not in self._programs:
            self._programs[stage.name] = starts_programs(stage)
        if self._programs[stage.name]:
            # Nobody would see what it reads too early, and what it changes cannot always be put back.
            above |= self._agenda.above(stage.name)
        awaited = next((name for name in above if name not in self.committed), None)
        if awaited is not None and stage.name not in self.committed:
            self._agenda.sleep(stage.name, awaited)
        return awaited is None

    def _selected(self, name: str) -> bool:
        return self._settings.selected is None or name in self._settings.selected

    def _wanted(self, stage: Stage) -> Wanted | None:
        return wanted(
            self.pipeline,
            stage.name,
            self.committed,
            self._settings.params,
            seed=self._settings.seed,
            champion=self._champion_of(stage),
        )

    def _champion_of(self, stage: Stage) -> Mapping[str, float]:
        model = compared_model(self.pipeline, stage)
        return self._champion(model) if model is not None else {}

    # -- starting

    def _start(self, stage: Stage, target: Wanted) -> bool:
        """Reuse a result, or launch a job if there is room; whether anything moved."""
        if self._missed.get(stage.name) == (target.key, self._ended) and not self._flight.fits(stage):
            self._agenda.crowd(stage.name)
            return False
        # Looked up before anybody is asked for room: another machine need not even be there for what is known.
        trace, reasons = self._look_up(stage, target)
        if trace is not None:
            return self._reuse(stage, trace)
        if stage.name in self._settings.cached_only:
            raise PipelineError(
                "has no result to reuse, and only stages below it were asked for",
                stage=stage.name,
                fix=f"Run it first: nbpipe run NOTEBOOK --until {stage.name}",
            )
        if not self._flight.fits(stage):
            self._missed[stage.name] = (target.key, self._ended)
            self._agenda.crowd(stage.name)
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
        try:
            self._launch(stage, target, lease, self._committed.why.pop(stage.name, reasons))
        except BaseException:
            if lease is not None:
                lease.release()
            raise
        return True

    def _look_up(self, stage: Stage, target: Wanted) -> tuple[Trace | None, tuple[str, ...]]:
        if stage.name in self._settings.forced and stage.name not in self._flight.launched:
            return None, ("asked for",)
        return decide(stage, target, self._results, self._disk.as_of(target), self._results.unkept)

    def _wait_for_other(self, stage: Stage, target: Wanted) -> None:
        self._blocked.add(stage.name)
        if target.key not in self._told:
            self._told.add(target.key)
            holder = self.place.store.leases.holder(target.key) or "another process"
            self._journal.append("stage-waiting", stage=stage.name, reasons=[f"{holder} computes the same"])

    def _reuse(self, stage: Stage, trace: Trace) -> bool:
        self._committed.add(trace)
        self._ended += 1
        metrics = trace.outcome.metrics
        self._journal.append("stage-cached", stage=stage.name, source=trace.run, metrics=metrics, key=trace.key)
        return True

    def _launch(self, stage: Stage, target: Wanted, lease: Lease | None, reasons: tuple[str, ...]) -> None:
        here = self._committed.position[stage.name]
        left = len(self._stages) - len(self.committed) - len(self._flight.running)
        self._flight.expect(stage, left)
        self._restore(here)
        self._flight.launch(
            stage,
            target,
            lease=lease,
            reasons=reasons,
            champion=self._champion_of(stage),
            early=self._agenda.above(stage.name),
        )
        self._agenda.start(stage.name)
        self._flight.expect(stage, left - 1)

    def _restore(self, below: int) -> None:
        """Put the files of the stages above that place on the disk as they left them."""
        for text in self._disk.restore(self._committed.last_written(below)):
            self._journal.append("warning", text=text)

    # -- collecting

    def _collect(self) -> bool:
        moved = False
        for attempt, outcome in self._flight.ended():
            self._ended += 1
            try:
                self._end(attempt, self._unmixed(attempt, outcome))
            except BaseException:
                if attempt.stage.name not in self.committed:
                    undo(attempt.folder)
                raise
            finally:
                self._disk.over(attempt.folder, outcome)
                if attempt.stage.name not in self.committed:
                    self._agenda.back(attempt.stage.name)
                if attempt.lease is not None:
                    attempt.lease.release()
            moved = True
        return moved

    def _unmixed(self, attempt: Attempt, outcome: Outcome) -> Outcome:
        """The outcome; cancelled where another run wrote what the job used: nobody knows what it saw."""
        path = self._disk.mixed(outcome, attempt.folder)
        if path is None:
            return outcome
        failure = Failure(
            code="interrupted",
            message=f"another run wrote {path.name} while it ran",
            name=str(path),
            fix="Run again once that one has ended; runs at once need files of their own.",
        )
        return msgspec.structs.replace(outcome, status="cancelled", failure=failure)

    def _end(self, attempt: Attempt, outcome: Outcome) -> None:
        again = self._astray(attempt, outcome) or self._blind(attempt, outcome)
        if outcome.status == "succeeded" and not again:
            self._commit(attempt, outcome)
            self._committed.doubt(attempt.stage, attempt.early if outcome.unseen else set())
            return
        for text in undo(attempt.folder, seen=self._disk.lane.mixed is not None):
            self._journal.append("warning", text=text)
        self._committed.settle(attempt.folder)
        name, options = attempt.stage.name, attempt.stage.options
        if again:
            return
        too_early = None if self.stopping else self._too_early(attempt)
        if too_early is not None:
            self._committed.again(name, too_early)
            return
        failure = outcome.failure or Failure(code="stage", message=f"ended as {outcome.status}")
        if failure.code == "unserializable" and self.pipeline.mergeable:
            span = self._span(name, failure.name or "")
            if len(span) > 1:
                raise MergeNeeded(span, failure)
        retry = outcome.status in {"failed", "lost", "timeout"} and failure.code != "unserializable"
        if retry and not self.stopping and self._retries.get(name, 0) < options.retries:
            self._retries[name] = self._retries.get(name, 0) + 1
            self._committed.why[name] = (f"retry {self._retries[name]} of {options.retries}: {failure.message}",)
            self._journal.append("stage-retry", stage=name, attempt=attempt.number, reasons=[failure.message])
            return
        status = "cancelled" if attempt.cancelled else outcome.status
        self.failures[name] = msgspec.structs.replace(outcome, status=status, failure=failure)
        self._journal.append(
            "stage-ended",
            stage=name,
            attempt=attempt.number,
            status=status,
            failure=msgspec.to_builtins(failure),
            metrics=outcome.metrics,
            seconds=self._clock() - attempt.started,
        )

    def _astray(self, attempt: Attempt, outcome: Outcome) -> bool:
        """Whether it used, or may have used, what stages below have changed too early: then it runs again, before them.

        They are taken back when it starts, and none starts before it has ended.
        """
        stage = attempt.stage
        if self.stopping or outcome.status not in ("succeeded", "failed", "rejected"):
            return False
        changed = (
            {**self._committed.changed_below(stage), **self._flight.changed_below(stage)} if touched(outcome) else {}
        )
        target = self._wanted(stage) if any(changed.values()) else None
        if target is None:
            return False
        digest = self._disk.as_of(target)
        wrote = self._disk.files_of(attempt.folder)
        seen, blind = used(outcome, attempt.folder, wrote, lambda path: due(target, path, digest))
        seen |= astray(outcome, target, digest)
        # On another machine programs find what was sent.
        everything = blind and attempt.on == LOCAL
        found = Saw(frozenset(clash(seen, {path for paths in changed.values() for path in paths})), everything)
        below = [name for name, paths in changed.items() if found.of(paths)]
        if not below:
            return False
        self._held[stage.name] = found
        self._committed.again(stage.name, f"{', '.join(sorted(below))} ran before it had finished")
        return True

    def _blind(self, attempt: Attempt, outcome: Outcome) -> bool:
        """Whether nobody knows what it saw of files that stages above have left since it began: then it runs again."""
        name = attempt.stage.name
        above = sorted(each for each in attempt.early if self._committed.has_written(each)) if outcome.unseen else []
        if self.stopping or not above:
            return False
        self._committed.waits.setdefault(name, set()).update(above)
        self._committed.again(name, f"ran before {', '.join(above)} had finished")
        return True

    def _may_start(self, stage: Stage) -> bool:
        """Whether nothing below it is in its way any more, nor it in the way of one above it that has to come first."""
        position = self._committed.position
        if any(position[name] < position[stage.name] for name in self._first & self._flight.running.keys()):
            return False
        found = self._held.get(stage.name)
        if found is None:
            return True
        if any(position[name] > position[stage.name] for name in self._flight.running):
            return False
        self._committed.make_way(stage, found)
        del self._held[stage.name]
        self._first.add(stage.name)
        return True

    def _too_early(self, attempt: Attempt) -> str | None:
        """Why a failure may be one only because the attempt did not see what the stages above it leave in the end."""
        name = attempt.stage.name
        if attempt.early:
            self._committed.waits.setdefault(name, set()).update(attempt.early)
            return f"ran before {', '.join(sorted(attempt.early))} had finished"
        target = self._wanted(attempt.stage)
        return "what it read has changed" if target is None or target.key != attempt.wanted.key else None

    def _span(self, giver: str, name: str) -> tuple[str, ...]:
        """Stages from the giver of a value to its last reader; to the next stage if no reader is known."""
        first = self._committed.position[giver]
        readers = [n for n, s in enumerate(self.pipeline.stages) if n > first and s.flow.inputs.get(name) == giver]
        last = max(readers, default=min(first + 1, len(self.pipeline.stages) - 1))
        return tuple(stage.name for stage in self.pipeline.stages[first : last + 1])

    def _commit(self, attempt: Attempt, outcome: Outcome) -> None:
        """Objects are durable; now the trace, then the event."""
        name = attempt.stage.name
        outcome = self._resting(attempt.stage, outcome)
        trace = publish(self.place, self.pipeline, attempt, outcome)
        self._disk.wrote(trace.outcome, attempt.folder)
        self._committed.add(trace, attempt.folder)
        for text in (*trace.outcome.warnings, *not_reused(trace.outcome)):
            self._journal.append("warning", text=f"stage '{name}': {text}")
        self._journal.append(
            "stage-succeeded",
            stage=name,
            attempt=attempt.number,
            key=trace.key,
            metrics=outcome.metrics,
            seconds=self._clock() - attempt.started,
            **({"continued": list(outcome.continued)} if outcome.continued else {}),
        )
        fault("commit.after_event")

    def _resting(self, stage: Stage, outcome: Outcome) -> Outcome:
        """The outcome, which is not reused where a stage above was continued: by the order of the notebook, for safety."""
        position = self._committed.position
        found = tuple(name for name in self._continued if position[name] < position[stage.name])
        self._continued |= dict.fromkeys(outcome.continued)
        if not found:
            return outcome
        reason = f"stage '{found[0]}' above it was continued in a kernel in which it had failed"
        return msgspec.structs.replace(
            outcome, continued=(*outcome.continued, *found), uncacheable=(*outcome.uncacheable, reason)
        )
