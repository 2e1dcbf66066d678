"""From one run to the other, a difference at a time. Every swap is kept, so the parts add up to the whole movement."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nbpipe.explain.attribution import Part
from nbpipe.explain.deadline import OutOfTimeError
from nbpipe.explain.differences import Difference
from nbpipe.explain.side import Side
from nbpipe.explain.trial import Measured

#: Called with the swaps made so far and the name of the last one.
Measure = Callable[[frozenset[str], str], Measured]
_NO_TIME = "there was no time for it"


class Walk:
    """Collects the parts.

    Responsibilities: contributions and remainder add up to the movement, whatever fails on the way. A pipeline that
    does not run tells nothing: its difference is attributed together with the next. Must not know how values are found.
    """

    def __init__(
        self,
        a: Side,
        b: Side,
        swaps: Sequence[Difference],
        *,
        lost: tuple[Sequence[Difference], Sequence[Difference]] = ((), ()),
    ) -> None:
        self._a = a
        self._b = b
        self._swaps = swaps
        #: Differences of which the first run's side is gone, and the second's: no pipeline between can have it.
        self._lost, self._lost_after = lost
        self.parts: list[Part] = []
        #: What may be behind the remainder.
        self.reasons: list[str] = []
        #: The metric where the walk stands, and how much of the way to there is no part's.
        self._value = a.value
        self._unexplained = 0.0

    @property
    def remainder(self) -> float:
        """What no part explains."""
        return self._unexplained + (self._b.value - self._value)

    def go(self, measure: Measure) -> None:
        """Walk to the end, or until `measure` raises OutOfTimeError."""
        try:
            self._start(measure(frozenset(), f"{self._a.run} as it was"))
            self._swap(measure)
            self._end()
        except OutOfTimeError:
            self.stop()

    def stop(self) -> None:
        """There is no time for the rest."""
        done = {item.ident for part in self.parts for item in part.differences}
        self.parts += [
            Part(differences=(item,), status="unmeasured", reason=_NO_TIME)
            for item in (*self._lost, *self._swaps, *self._lost_after)
            if item.ident not in done
        ]
        self.reasons.append("the budget is used up")

    def _start(self, first: Measured) -> None:
        if first.value is None:
            self.reasons.append(_does_not_run(self._a, first))
            self.reasons += [f"{item.label}: what {self._a.run} read is gone" for item in self._lost]
        elif self._lost:
            self.parts.append(_part(self._lost, first, first.value - self._value, _gone(self._a)))
            self._value = first.value
        else:
            self.reasons += _drift(self._a, first)
            self._unexplained = first.value - self._value
            self._value = first.value

    def _swap(self, measure: Measure) -> None:
        swapped: frozenset[str] = frozenset()
        pending: list[Difference] = []
        tried: list[Measured] = []
        for item in self._swaps:
            swapped |= {item.ident}
            pending.append(item)
            found = measure(swapped, item.label)
            tried.append(found)
            value = found.value
            if item is self._swaps[-1]:
                if value is None or not self._lost_after:
                    self.reasons += _drift(self._b, found)
                if value is None:
                    value = self._b.value
                    pending, self._lost_after = [*pending, *self._lost_after], ()
            if value is None:
                continue
            failed = next((one.reason for one in tried if one.value is None), "")
            said = f"not told apart: {failed}" if failed and len(pending) > 1 else failed
            whole = Measured(
                value=value,
                ran=tuple(dict.fromkeys(stage for one in tried for stage in one.ran)),
                seconds=sum(one.seconds for one in tried),
            )
            self.parts.append(_part(pending, whole, value - self._value, said))
            self._value, pending, tried = value, [], []

    def _end(self) -> None:
        if self._lost_after:
            last = Measured(value=self._b.value)
            self.parts.append(_part(self._lost_after, last, self._b.value - self._value, _gone(self._b)))
            self._value = self._b.value


def _gone(side: Side) -> str:
    return f"what {side.run} read is gone: its pipeline on what can be had, against the value it recorded"


def _part(items: Sequence[Difference], found: Measured, contribution: float, reason: str) -> Part:
    return Part(
        differences=tuple(items),
        status="measured",
        contribution=contribution,
        value=found.value,
        ran=found.ran,
        seconds=found.seconds,
        reason=reason,
    )


def _drift(side: Side, found: Measured) -> list[str]:
    if found.value is None:
        return [_does_not_run(side, found)]
    if found.value != side.value:
        return [f"{side.run} gives {found.value:g} when it is run again, not {side.value:g}"]
    return []


def _does_not_run(side: Side, found: Measured) -> str:
    return f"{side.run} does not run again, the value it recorded counts: {found.reason}"
