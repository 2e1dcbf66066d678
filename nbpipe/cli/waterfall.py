"""An attribution as lines for people and as JSON for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbpipe.cli.render import BOLD, DIM, PLAIN, Part, paint, table
from nbpipe.cli.shapes import SCHEMA
from nbpipe.cli.text import cut, line, metric, width

if TYPE_CHECKING:
    from nbpipe.explain.attribution import Attribution
    from nbpipe.explain.attribution import Part as Share

_BAR = 10
#: Columns that a label keeps in the narrowest terminal.
_LEAST = 12
_REST = "not attributed"


def waterfall(found: Attribution, columns: int | None) -> list[str]:
    """A line per part, the largest movement as the longest bar, then what there is to say; cut to `columns`."""
    shares = [share for share in found.parts if share.status != "no-effect"]
    widest = max([abs(share.contribution) for share in shares] + [abs(found.remainder)])
    lines = [paint(_head(found), columns)]
    labels = [*(line(share.label) for share in shares), _REST]
    numbers = [*(_signed(s.contribution) if s.status == "measured" else "?" for s in shares), _signed(found.remainder)]
    if columns is not None:
        room = columns - max(width(number) for number in numbers) - _BAR - 6
        labels = [cut(label, max(room, _LEAST)) for label in labels]
    amounts = [*(share.contribution for share in shares), found.remainder]
    rows: list[list[list[Part]]] = [
        [[(label, PLAIN)], [(number, PLAIN)], [(_bar(amount, widest), _style(amount))]]
        for label, number, amount in zip(labels, numbers, amounts, strict=True)
    ]
    lines += table(rows, columns)
    return lines + [f"  {paint([(line(note), DIM)])}" for note in _notes(found)]


def attribution_shape(found: Attribution) -> dict[str, Any]:
    """The same for programs; see `docs/formats/cli-json.md`."""
    return {
        "schema": SCHEMA,
        "metric": found.metric,
        "before": {"run": found.before, "value": found.start},
        "after": {"run": found.after, "value": found.end},
        "movement": found.movement,
        "parts": [_part_shape(share) for share in found.parts],
        "remainder": found.remainder,
        "reasons": list(found.reasons),
        "complete": found.complete,
        "seconds": round(found.seconds, 3),
    }


def _part_shape(share: Share) -> dict[str, Any]:
    return {
        "label": share.label,
        "status": share.status,
        "contribution": share.contribution,
        "value": share.value,
        "ran": list(share.ran),
        "seconds": round(share.seconds, 3),
        "reason": share.reason,
        "differences": [
            {"kind": item.kind, "label": item.label, "stage": item.stage or None, "cell": item.cell}
            for item in share.differences
        ],
    }


def _head(found: Attribution) -> list[Part]:
    start, end = f"{metric(found.start)} ({found.before})", f"{metric(found.end)} ({found.after})"
    return [(f"{line(found.metric)} ", BOLD), (f"{start} → {end}", PLAIN)]


def _notes(found: Attribution) -> list[str]:
    """One per part that has a reason, one for all without effect, one per thing behind the rest."""
    quiet = [share.label for share in found.parts if share.status == "no-effect"]
    late = [share.label for share in found.parts if share.status == "unmeasured"]
    notes = [f"{share.label}: {share.reason}" for share in found.parts if share.status == "measured" and share.reason]
    notes += [f"no effect: {', '.join(quiet)}"] if quiet else []
    notes += [f"no time for: {', '.join(late)}"] if late else []
    return notes + [f"{_REST}: {reason}" for reason in found.reasons]


def _signed(number: float) -> str:
    rounded = float(f"{number:.4g}")
    sign = "+" if rounded > 0 else "−" if rounded < 0 else " "
    return f"{sign}{metric(abs(rounded))}"


def _bar(number: float, widest: float) -> str:
    return "▓" * max(round(abs(number) / widest * _BAR), 1) if number else ""


def _style(number: float) -> dict[str, Any]:
    """Up and down, not good and bad: whether more of a metric is better is not known here."""
    return {"fg": "cyan" if number > 0 else "magenta"} if number else {}
