"""One trial as a run, and what came of it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from nbpipe.errors import NbpipeError, UsageError
from nbpipe.executors.base import Executor
from nbpipe.job.folder import write_durably
from nbpipe.run.api import Member, Prepared, run_prepared
from nbpipe.run.beside import Lane
from nbpipe.run.journal import JOURNAL, read
from nbpipe.run.state import RunState, replay
from nbpipe.sweep.goals import Bound, Goal, violations
from nbpipe.sweep.meaning import is_unchanged
from nbpipe.sweep.study import Spec, Trial
from nbpipe.sweep.watch import Watch
from nbpipe.tracking.notes import NOTES, Notes

#: Failures that the next trial would meet as well.
FATAL = ("store", "corrupt", "security")
_REJECTED = 1.0


class Attempt:
    """Runs one trial, from any thread. `trial` is how it stands: over, or, where the sweep is being stopped, not."""

    def __init__(  # noqa: PLR0913 - what it works with
        self,
        prepared: Prepared,
        spec: Spec,
        trial: Trial,
        *,
        study: str,
        executor: Executor,
        on: str | None,
        weak: Callable[[int, Mapping[int, float]], int | None],
        stopping: Callable[[], str],
        began: Callable[[int, str], None],
        lane: Lane,
    ) -> None:
        self.trial = trial
        #: The code of a failure that the next trial would meet as well.
        self.fatal = ""
        self.exit_code = 0
        #: The pipeline is no longer that of the sweep: nothing was run.
        self.edited = False
        self._prepared, self._spec, self._study = prepared, spec, study
        self._executor, self._on = executor, on
        self._weak, self._stopping, self._began = weak, stopping, began
        self._lane = lane
        self._pruned_at: int | None = None
        self._watch = Watch(spec.goals[0].metric)

    def run(self) -> Attempt:
        """Make the run; raises nothing that is the trial's own matter."""
        started = time.time()
        spec = self._spec
        try:
            result = run_prepared(
                self._prepared,
                params={**spec.fixed, **self.trial.params},
                profile=spec.profile,
                seed=spec.seed,
                on=self._on,
                executor=self._executor,
                listener=self._watch.hear,
                member=Member(begun=self._begun, halt=self._halt, lane=self._lane),
            )
        except NbpipeError as error:
            if self.edited or self.disturbed:
                return self
            self.exit_code = error.exit_code
            self.fatal = error.code if error.code in FATAL else ""
            self._end("failed", reason=error.message, seconds=time.time() - started)
            return self
        self.exit_code = result.exit_code
        failure = result.failure
        self.fatal = failure.code if failure is not None and failure.code in FATAL else ""
        if self.disturbed and result.status != "succeeded":
            return self
        state = replay(read(self._prepared.project.runs / result.run / JOURNAL))
        if result.status == "cancelled" and self._pruned_at is None:
            # Stopped by a person, not for what it is: it is begun again when the sweep goes on.
            return self
        if result.status == "cancelled":
            reason = f"weak at step {self._pruned_at}"
            self._end("pruned", state=state, reason=reason, seconds=state.seconds)
        else:
            self.trial = judged(self.trial, state, spec.goals, spec.bounds, steps=self._watch.steps)
        return self

    @property
    def disturbed(self) -> bool:
        """Another trial wrote files meanwhile: one that did not succeed may have failed for that."""
        return self._lane.crossed if self._lane.strict else self._lane.mixed is not None

    def _begun(self, run: str) -> None:
        if not is_unchanged(self._prepared, self._spec):
            self.edited = True
            raise UsageError("a local module was edited", name=self._study)
        folder = self._prepared.project.runs / run
        self._watch.folder = folder
        notes = Notes(tags={"sweep": self._study, "trial": str(self.trial.number)})
        write_durably(folder / NOTES, msgspec.json.format(msgspec.json.encode(notes)))
        self.trial = msgspec.structs.replace(self.trial, status="running", run=run)
        self._began(self.trial.number, run)

    def _halt(self) -> str:
        if asked := self._stopping():
            return asked
        if self._lane.mixed is not None:
            return "ask"
        if self._pruned_at is None:
            news = self._watch.news()
            self._pruned_at = self._weak(self.trial.number, news) if news else None
        return "ask" if self._pruned_at is not None else ""

    def _end(self, status: Any, *, reason: str, seconds: float, state: RunState | None = None) -> None:
        metrics = _finite(state.metrics) if state is not None else {}
        self.trial = msgspec.structs.replace(
            self.trial, status=status, reason=reason, seconds=seconds, metrics=metrics, steps=dict(self._watch.steps)
        )


def judged(
    trial: Trial,
    state: RunState,
    goals: Sequence[Goal],
    bounds: Sequence[Bound],
    *,
    steps: Mapping[int, float] | None = None,
) -> Trial:
    """The trial whose run has ended like this, of itself."""
    metrics = _finite(state.metrics)
    failure = state.failure or next((stage.failure for stage in state.stages if stage.failure is not None), None)
    told = failure.message if failure is not None else f"the run ended as {state.status}"
    fields: dict[str, Any] = {"metrics": metrics, "seconds": state.seconds, "steps": dict(steps or {})}
    wanted = [*(goal.metric for goal in goals), *(bound.metric for bound in bounds)]
    missing = [name for name in wanted if name not in metrics]
    if state.status not in ("succeeded", "rejected") or (state.status == "succeeded" and missing):
        reason = _without(missing[0], state) if state.status == "succeeded" else told
        return msgspec.structs.replace(trial, status="failed", reason=reason, **fields)
    if not missing:
        off = violations(bounds, metrics)
        fields["values"] = tuple(metrics[goal.metric] for goal in goals)
        fields["violations"] = (*off, _REJECTED) if state.status == "rejected" else off
    if state.status == "rejected":
        return msgspec.structs.replace(trial, status="rejected", reason=told, **fields)
    return msgspec.structs.replace(trial, status="complete", reason="", **fields)


def settled(runs: Path, trial: Trial, spec: Spec) -> Trial | None:
    """The end of a trial whose sweep died after its run had ended; None where the run has no end of its own."""
    state = replay(read(runs / trial.run / JOURNAL)) if trial.run else None
    if state is None or state.status not in ("succeeded", "failed", "rejected"):
        return None
    return judged(trial, state, spec.goals, spec.bounds)


def _without(name: str, state: RunState) -> str:
    """Why there is no value of a metric: what the run says of it, if it does."""
    if name in state.metrics:
        return f"its metric '{name}' is {state.metrics[name]}"
    return next((text for text in state.warnings if f"metric '{name}'" in text), f"it gave no metric '{name}'")


def _finite(metrics: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items() if math.isfinite(value)}
