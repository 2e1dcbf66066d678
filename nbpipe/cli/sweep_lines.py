"""A sweep as it goes: a head, a line per trial that ends, what is best at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

import click

from nbpipe.cli.render import BOLD, DIM, PLAIN, STATUS, Part, paint, params_text
from nbpipe.cli.text import count, duration, line, metric, pad
from nbpipe.sweep.study import Study, Trial, best_of

if TYPE_CHECKING:
    from nbpipe.sweep.api import SweepResult

_STYLES = {"complete": "succeeded", "rejected": "rejected", "pruned": "cancelled", "failed": "failed"}


class Lines:
    """Hears of a sweep and prints it on `out`. Must not decide anything."""

    def __init__(self, out: TextIO, *, quiet: bool) -> None:
        self._out = out
        self._quiet = quiet
        self._study: Study | None = None
        self._trials: dict[int, Trial] = {}
        self._best = 0

    def begin(self, study: Study, total: int) -> None:
        """The head: what is tried, how often, for what."""
        self._study = study
        self._trials = {trial.number: trial for trial in study.trials}
        self._best = next((trial.number for trial in study.best), 0)
        spec = study.spec
        goals = ", ".join(f"{line(goal.metric)} {goal.direction}" for goal in spec.goals)
        bounds = " and ".join(f"{line(bound.metric)} {bound.sign} {metric(bound.limit)}" for bound in spec.bounds)
        over = sum(trial.is_over for trial in study.trials)
        words = [f"{count(total, 'trial')}, {spec.sampler}", goals, bounds and f"where {bounds}"]
        words.append(f"goes on after {over}" if over else "")
        head: list[Part] = [(f"{line(spec.name)} {spec.version[:7]}", BOLD), (f"   sweep {study.name}   ", PLAIN)]
        self._say([*head, ("   ".join(word for word in words if word), DIM)])

    def hear(self, trial: Trial) -> None:
        """A trial began or ended; one that ended gets its line."""
        if not trial.is_over or self._study is None:
            return
        spec = self._study.spec
        self._trials[trial.number] = trial
        best = best_of(self._trials.values(), spec.goals)
        leads = trial.number in {found.number for found in best} and (len(spec.goals) > 1 or trial.number != self._best)
        self._best = best[0].number if best else 0
        symbol, style = STATUS[_STYLES[trial.status]]
        values = "  ".join(_value(goal.metric, trial) for goal in spec.goals if goal.metric in trial.metrics)
        off = "misses the condition" if trial.status == "complete" and not trial.is_feasible else ""
        words = [values, _params(trial), off, line(trial.reason)]
        self._say(
            [
                (f"{trial.number:>5}  ", PLAIN),
                (pad(f"{symbol} {trial.status}", 11), style),
                (pad(trial.run, 6), BOLD),
                (f"{duration(trial.seconds):>7}   ", PLAIN),
                ("   ".join(word for word in words if word), PLAIN),
                ("   ★ best so far" if leads and len(spec.goals) == 1 else "   ★" if leads else "", {"fg": "yellow"}),
            ]
        )

    def end(self, result: SweepResult) -> None:
        """The summary, in one line; with several goals a line per trial of the front above it."""
        study = result.study
        if result.writers and not self._quiet:
            names = ", ".join(result.writers)
            self._say([("warning: ", {"fg": "yellow"}), (f"{names} writes files: trials ran one at a time", PLAIN)])
        if result.stopped_for:
            click.echo(f"nbpipe: the sweep was stopped: {line(result.stopped_for)}", err=True)
        front = study.best
        if len(study.spec.goals) > 1 and not self._quiet:
            for trial in front:
                values = "  ".join(_value(goal.metric, trial) for goal in study.spec.goals)
                self._say([("  ★ ", {"fg": "yellow"}), (pad(trial.run, 6), BOLD), (f"{values}   ", PLAIN)], trial)
        click.echo(paint(summary(study)), file=self._out, color=_color())
        if result.promoted is not None:
            self._say([(f"{line(result.promoted[0])} version {result.promoted[1]} is promoted", PLAIN)])
        if study.status == "interrupted" and not self._quiet:
            self._say([(f"go on: nbpipe sweep {line(study.spec.notebook)} --study {study.name}", DIM)])

    def _say(self, parts: list[Part], trial: Trial | None = None) -> None:
        if not self._quiet:
            more: list[Part] = [(_params(trial), PLAIN)] if trial is not None else []
            click.echo(paint([*parts, *more]), file=self._out, color=_color())


def summary(study: Study) -> list[Part]:
    """`s1 best of 50: r59  acc 0.941   lr=0.0031   (44 complete, 5 pruned, 1 failed)`."""
    words = {status: study.count(status) for status in ("complete", "rejected", "pruned", "failed")}
    told = ", ".join(f"{number} {word}" for word, number in words.items() if number) or "none ended"
    over = sum(words.values())
    best = study.best
    if not best:
        return [(f"{study.name} ", BOLD), (f"no best of {count(over, 'trial')}", PLAIN), (f"   ({told})", DIM)]
    first = best[0]
    if len(study.spec.goals) > 1:
        what = f"{count(len(best), 'trial')} of {over} {'is' if len(best) == 1 else 'are'} beaten by no other"
        return [(f"{study.name} ", BOLD), (what, PLAIN), (f"   ({told})", DIM)]
    return [
        (f"{study.name} ", BOLD),
        (f"best of {over}: ", PLAIN),
        (f"{first.run}  {_value(study.spec.goals[0].metric, first)}", {"fg": "green"}),
        (f"   {_params(first)}", PLAIN),
        (f"   ({told})", DIM),
    ]


def _value(name: str, trial: Trial) -> str:
    return f"{line(name)} {metric(trial.metrics[name])}"


def _params(trial: Trial) -> str:
    """Numbers in the digits that tell them apart; the run has them in full."""
    shown = {name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in trial.params.items()}
    return params_text(shown)


def _color() -> bool | None:
    from nbpipe.cli.main import wants_color

    return wants_color()
