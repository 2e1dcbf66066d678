"""What the journal of a sweep says: what was asked for, its trials, the best of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec

from nbpipe.model import Event
from nbpipe.sweep.goals import Bound, Goal
from nbpipe.sweep.space import Dimension

TrialStatus = Literal["waiting", "running", "complete", "rejected", "pruned", "failed"]
SweepStatus = Literal["running", "finished", "stopped", "interrupted"]


class Spec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What makes a sweep the sweep it is: one that is taken up again has the same."""

    #: Path of the notebook, as its runs have it.
    notebook: str
    #: Name of the pipeline, its version, and a digest of what the version means: of code and modules.
    name: str = ""
    version: str = ""
    meaning: str = ""
    space: tuple[Dimension, ...] = ()
    #: Parameters that have one value in all trials.
    fixed: dict[str, Any] = {}
    goals: tuple[Goal, ...]
    bounds: tuple[Bound, ...] = ()
    sampler: Literal["tpe", "random", "grid"] = "tpe"
    pruner: Literal["median", "halving", "hyperband", "none"] = "median"
    #: Trials that are drawn at random, and that run to their end, before the sampler and the pruner learn from them.
    startup: int | None = None
    sampler_seed: int = 0
    #: Of the runs, as in `nbpipe run`.
    seed: int = 0
    profile: str | None = None


class Trial(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One point of the space and what came of it. Durations are seconds."""

    number: int
    status: TrialStatus = "waiting"
    #: Values of the parameters that vary.
    params: dict[str, Any] = {}
    #: Its run; of a trial that was taken up again, the latest.
    run: str = ""
    metrics: dict[str, float] = {}
    #: A value per goal; empty unless complete or rejected.
    values: tuple[float, ...] = ()
    #: Per bound: 0 or less where it is met; then 1 for a run that a check rejected.
    violations: tuple[float, ...] = ()
    #: Step -> what it logged of the first goal's metric while it ran.
    steps: dict[int, float] = {}
    seconds: float = 0.0
    #: Why it failed, was rejected or pruned; one line.
    reason: str = ""

    @property
    def is_over(self) -> bool:
        """It has an end and is not begun again."""
        return self.status not in ("waiting", "running")

    @property
    def is_feasible(self) -> bool:
        """It ran to its end, every condition is met and no check said no."""
        return self.status == "complete" and all(off <= 0 for off in self.violations)


class Study(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A sweep as its journal tells it. Times are seconds since the epoch."""

    name: str
    spec: Spec
    status: SweepStatus = "running"
    started: float = 0.0
    ended: float = 0.0
    #: How many trials it shall have in the end.
    total: int = 0
    #: By number.
    trials: tuple[Trial, ...] = ()

    @property
    def best(self) -> tuple[Trial, ...]:
        """The best trial; with several goals all that no other beats in every one, first the best in the first goal."""
        return best_of(self.trials, self.spec.goals)

    def count(self, *statuses: TrialStatus) -> int:
        """How many trials have one of these."""
        return sum(trial.status in statuses for trial in self.trials)

    def dataframe(self) -> Any:
        """A row per trial: number, status, run, seconds, best, reason, `params.NAME` and `metrics.NAME`."""
        from nbpipe.sweep.frame import frame

        return frame(self)


def best_of(trials: Iterable[Trial], goals: Sequence[Goal]) -> tuple[Trial, ...]:
    """See `Study.best`. Of equals with one goal the first counts."""
    feasible = [trial for trial in trials if trial.is_feasible]
    front = [trial for trial in feasible if not any(_beats(other, trial, goals) for other in feasible)]
    sign = -1 if goals[0].direction == "max" else 1
    front.sort(key=lambda trial: (sign * trial.values[0], trial.number))
    return tuple(front[:1] if len(goals) == 1 else front)


def _beats(a: Trial, b: Trial, goals: Sequence[Goal]) -> bool:
    pairs = list(zip(goals, a.values, b.values, strict=True))
    return any(goal.better(x, y) for goal, x, y in pairs) and not any(goal.better(y, x) for goal, x, y in pairs)


def replay(name: str, events: Iterable[Event]) -> Study | None:
    """The study after these events; None where it never began."""
    study: Study | None = None
    trials: dict[int, Trial] = {}
    for event in events:
        if event.kind == "sweep-started":
            spec = msgspec.convert(event.data["spec"], Spec)
            study = Study(name=name, spec=spec, started=event.time, total=event.data["trials"])
        elif study is None:
            return None
        elif event.kind == "sweep-resumed":
            study = msgspec.structs.replace(study, status="running", ended=0.0, total=event.data["trials"])
        elif event.kind == "sweep-finished":
            study = msgspec.structs.replace(study, status=event.data["status"], ended=event.time)
        else:
            trial = advance(trials.get(event.data["number"]), event)
            trials[trial.number] = trial
    return msgspec.structs.replace(study, trials=tuple(trials[n] for n in sorted(trials))) if study else None


def advance(trial: Trial | None, event: Event) -> Trial:
    """The trial that an event speaks of, after it."""
    data = event.data
    if trial is None or event.kind == "trial-asked":
        return Trial(number=data["number"], params=data.get("params", {}))
    if event.kind == "trial-started":
        return msgspec.structs.replace(trial, status="running", run=data["run"])
    if event.kind == "trial-ended":
        return msgspec.convert({**msgspec.to_builtins(trial), **data}, Trial, str_keys=True, strict=False)
    return trial
