"""Which point to try next, and which trial is too weak to go on: optuna's samplers and pruners, in memory.

The journal of the sweep is the truth; this is rebuilt from it. What is drawn for a trial depends on the seed, the trial's
number and the trials known by then, so that a sweep that is taken up again does not draw the same points anew.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import threading
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nbpipe.errors import UsageError
from nbpipe.sweep.space import Dimension
from nbpipe.sweep.study import Spec, Trial

if TYPE_CHECKING:
    import optuna

_STARTUP = {"tpe": 10, "median": 5}
_DIRECTIONS = {"max": "maximize", "min": "minimize"}


class Searcher:
    """Proposes points and judges running trials. Safe to use from several threads.

    Responsibilities: translates between trials of a sweep and optuna's. Must not keep what the journal does not have.
    """

    def __init__(self, spec: Spec, trials: Sequence[Trial] = ()) -> None:
        """`trials` are those that are over. Raises UsageError where optuna is not installed."""
        self._optuna = _import()
        self._spec = spec
        self._lock = threading.Lock()
        self._live: dict[int, optuna.Trial] = {}
        #: Steps of a running trial that optuna knows.
        self._reported: dict[int, set[int]] = {}
        self._distributions = {dimension.name: self._distribution(dimension) for dimension in spec.space}
        with _quiet():
            self._study = self._optuna.create_study(
                directions=[_DIRECTIONS[goal.direction] for goal in spec.goals], pruner=self._pruner()
            )
            for trial in trials:
                self._study.add_trial(self._frozen(trial))

    def ask(self, number: int, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Parameters of the trial `number`; `given` is a point that is decided already."""
        with self._lock, _quiet():
            if number in self._live:
                # It is begun again.
                self._study.tell(self._live.pop(number), state=self._optuna.trial.TrialState.FAIL)
                self._reported.pop(number, None)
            self._study.sampler = self._sampler(number)
            point = given if given is not None else grid_point(self._spec, number)
            if point is not None:
                self._study.enqueue_trial({d.name: _encoded(d, point[d.name]) for d in self._spec.space})
            live = self._study.ask(self._distributions)
            self._live[number] = live
            return {d.name: _decoded(d, live.params[d.name]) for d in self._spec.space}

    def weak_at(self, number: int, points: Mapping[int, float]) -> int | None:
        """The step at which a running trial that has logged these new values (by step) should be stopped; None: go on.

        Each step is judged by itself: how many come at once, and when somebody looks, makes no difference.
        """
        with self._lock, _quiet():
            live = self._live[number]
            for step, value in sorted(points.items()):
                self._report(number, step, value)
                if live.should_prune():
                    return step
            return None

    def _report(self, number: int, step: int, value: float) -> None:
        known = self._reported.setdefault(number, set())
        if step not in known:
            known.add(step)
            self._live[number].report(value, step)

    def tell(self, trial: Trial) -> None:
        """Take in how a trial that was asked for ended."""
        states = self._optuna.trial.TrialState
        with self._lock, _quiet():
            # What it logged last was seen when it had ended, and others are compared with that, too.
            for step, value in sorted(trial.steps.items()):
                self._report(trial.number, step, value)
            self._reported.pop(trial.number, None)
            live = self._live.pop(trial.number)
            if trial.status == "pruned":
                self._study.tell(live, state=states.PRUNED)
            elif not trial.values:
                self._study.tell(live, state=states.FAIL)
            else:
                for name, off in _constraints(trial).items():
                    live.set_constraint(name, off)
                self._study.tell(live, list(trial.values))

    # -- optuna's side

    def _distribution(self, dimension: Dimension) -> Any:
        distributions = self._optuna.distributions
        if dimension.kind == "choice":
            return distributions.CategoricalDistribution([json.dumps(choice) for choice in dimension.choices])
        if dimension.kind == "int":
            step = int(dimension.step or 1)
            return distributions.IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log, step=step)
        return distributions.FloatDistribution(dimension.low, dimension.high, log=dimension.log, step=dimension.step)

    def _sampler(self, number: int) -> Any:
        """A sampler of its own per trial: what it draws does not depend on how many it drew before."""
        samplers, spec = self._optuna.samplers, self._spec
        text = f"{spec.sampler_seed}:{number}".encode()
        seed = int.from_bytes(hashlib.blake2b(text, digest_size=4).digest(), "big")
        if spec.sampler == "tpe":
            startup = spec.startup if spec.startup is not None else _STARTUP["tpe"]
            return samplers.TPESampler(seed=seed, n_startup_trials=startup, constant_liar=True)
        return samplers.RandomSampler(seed=seed)

    def _pruner(self) -> Any:
        pruners, spec = self._optuna.pruners, self._spec
        if spec.pruner == "none" or len(spec.goals) > 1:
            return pruners.NopPruner()
        if spec.pruner == "halving":
            return pruners.SuccessiveHalvingPruner()
        if spec.pruner == "hyperband":
            return pruners.HyperbandPruner()
        startup = spec.startup if spec.startup is not None else _STARTUP["median"]
        return pruners.MedianPruner(n_startup_trials=startup)

    def _frozen(self, trial: Trial) -> Any:
        states = self._optuna.trial.TrialState
        state = states.PRUNED if trial.status == "pruned" else states.COMPLETE if trial.values else states.FAIL
        return self._optuna.trial.create_trial(
            state=state,
            values=list(trial.values) if trial.values and state == states.COMPLETE else None,
            params={d.name: _encoded(d, trial.params[d.name]) for d in self._spec.space},
            distributions=self._distributions,
            intermediate_values=dict(trial.steps),
            constraints=_constraints(trial) if trial.values else None,
        )


def grid_size(space: Sequence[Dimension]) -> int | None:
    """How many points there are, where every one can be counted; else None."""
    counts = [len(dimension.points) if dimension.points is not None else None for dimension in space]
    return math.prod(count for count in counts if count is not None) if None not in counts else None


def grid_point(spec: Spec, number: int) -> dict[str, Any] | None:
    """The point of the trial `number` (from 1) of a grid; None where the sweep is none."""
    if spec.sampler != "grid":
        return None
    values = [dimension.points or () for dimension in spec.space]
    point = next(itertools.islice(itertools.product(*values), number - 1, None))
    return {dimension.name: value for dimension, value in zip(spec.space, point, strict=True)}


def _encoded(dimension: Dimension, value: Any) -> Any:
    """Choices travel as JSON: for optuna True is 1, and a list is nothing."""
    return json.dumps(value) if dimension.kind == "choice" else value


def _decoded(dimension: Dimension, value: Any) -> Any:
    return json.loads(value) if dimension.kind == "choice" else value


def _constraints(trial: Trial) -> dict[str, float]:
    return {str(position): off for position, off in enumerate(trial.violations)}


class _quiet(warnings.catch_warnings):  # noqa: N801 - a context manager reads like a function
    """What optuna calls experimental is chosen on purpose."""

    def __enter__(self) -> Any:
        entered = super().__enter__()
        warnings.simplefilter("ignore")
        return entered


def _import() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise UsageError(
            "a sweep needs optuna, which is not installed", name="optuna", fix='Install it: pip install "nbpipe[sweep]"'
        ) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna
