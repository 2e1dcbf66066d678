"""From one run to the other, a difference at a time. Every swap is kept, so the parts add up to the whole movement."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nbpipe.explain.attribution import Part
from nbpipe.explain.differences import Difference
from nbpipe.explain.side import Side
from nbpipe.explain.trial import Measured, OutOfTimeError

Measure = Callable[[frozenset[str], str], Measured]


def walk(a: Side, b: Side, swaps: Sequence[Difference], measure: Measure) -> tuple[list[Part], float, list[str]]:
    """The parts, in order; what they leave; and what that may be.

    A pipeline that does not run tells nothing: its difference is attributed together with the next. At the end the
    second run's own value stands in where its pipeline does not run again.
    """
    reasons: list[str] = []
    parts: list[Part] = []
    pending: list[Difference] = []
    why = ""
    swapped: frozenset[str] = frozenset()
    ran: tuple[str, ...] = ()
    seconds = 0.0
    left = 0.0
    try:
        first = measure(swapped, f"{a.run} as it was")
        current = a.value if first.value is None else first.value
        reasons += _drift(a, first)
        left = current - a.value
        for number, item in enumerate(swaps):
            pending.append(item)
            swapped |= {item.ident}
            found = measure(swapped, item.label)
            ran, seconds = (*ran, *found.ran), seconds + found.seconds
            last = number == len(swaps) - 1
            if found.value is None and not last:
                why = why or found.reason
                continue
            value = found.value
            if value is None:
                value = b.value
                reasons.append(f"{b.run} does not run again, its recorded value counts: {found.reason}")
            joint = f"not told apart: {why}" if len(pending) > 1 else ""
            part = Part(
                differences=tuple(pending),
                status="measured",
                contribution=value - current,
                value=value,
                ran=tuple(dict.fromkeys(ran)),
                seconds=seconds,
                reason=joint,
            )
            parts.append(part)
            pending, ran, seconds, why, current = [], (), 0.0, "", value
            if last and found.value is not None:
                reasons += _drift(b, found)
    except OutOfTimeError:
        current = parts[-1].value if parts and parts[-1].value is not None else a.value + left
        done = {item.ident for part in parts for item in part.differences}
        parts += [
            Part(differences=(item,), status="unmeasured", reason="there was no time for it")
            for item in swaps
            if item.ident not in done
        ]
        reasons.append("the budget is used up")
    return parts, left + (b.value - current), reasons


def _drift(side: Side, found: Measured) -> list[str]:
    if found.value is None:
        return [f"{side.run} does not run again, its recorded value counts: {found.reason}"]
    if found.value != side.value:
        return [f"{side.run} gives {found.value:g} when it is run again, not {side.value:g}"]
    return []
