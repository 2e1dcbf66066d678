"""The distribution of a column in a few figures, and how far two lie apart."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from nbpipe.history.difference.shape_values import Change, FieldDiff, Figures

if TYPE_CHECKING:
    from nbpipe.history.difference.columns import Column

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
#: Values that quantiles and histograms are made of, taken evenly; least, greatest and mean are of all.
SAMPLE = 10_000
_TOP = 10
_BINS = 20


def field_diff(name: str, a: Column | None, b: Column | None) -> FieldDiff:
    """One column of both sides."""
    if a is None or b is None:
        change: Change = "added" if a is None else "removed"
    else:
        change = "same" if a.equals(b) else "changed"
    ordered = _ordered(a), _ordered(b)
    kinds = {column.kind for column in (a, b) if column is not None}
    edges, bins = _histograms(*ordered) if kinds == {"number"} else ((), ((), ()))
    return FieldDiff(
        name=name,
        change=change,
        a=_figures(a, ordered[0]) if a is not None else None,
        b=_figures(b, ordered[1]) if b is not None else None,
        edges=edges,
        a_bins=bins[0],
        b_bins=bins[1],
        differing=a.differing(b) if a is not None and b is not None else None,
        shift=_shift(a, b, bins),
    )


def figures(column: Column) -> Figures:
    """What is known of one column."""
    return _figures(column, _ordered(column))


def _figures(column: Column, ordered: Any) -> Figures:
    known = _numeric(column, ordered) if ordered is not None and len(ordered) else {}
    return Figures(
        dtype=column.dtype,
        count=column.count,
        missing=column.missing,
        distinct=column.distinct,
        top=tuple(list(column.labels.items())[:_TOP]),
        sampled=len(ordered) if ordered is not None and len(ordered) < column.count - column.missing else 0,
        **known,
    )


def _ordered(column: Column | None) -> Any:
    """A sample of the numbers in their order; None where there are none."""
    import numpy as np

    if column is None or column.numbers is None:
        return None
    numbers = column.numbers
    step = math.ceil(len(numbers) / SAMPLE) if len(numbers) > SAMPLE else 1
    return np.sort(numbers[::step])


def _numeric(column: Column, ordered: Any) -> dict[str, Any]:
    import numpy as np

    numbers = column.numbers
    assert numbers is not None  # noqa: S101 - the caller has looked
    # Of ticks, a mean of floats would lose nanoseconds and more: they are counted from the first.
    base = int(numbers.min()) if column.kind == "time" else 0
    floats = (numbers - base).astype(np.float64) if base else numbers.astype(np.float64, copy=False)
    places = np.array(_QUANTILES) * (len(ordered) - 1)
    with np.errstate(all="ignore"):
        mean = float(floats.mean())
        std = float(floats.std()) if column.kind == "number" else 0.0
        cuts = np.interp(places, np.arange(len(ordered)), (ordered - base if base else ordered).astype(np.float64))

    def show(value: float) -> float | str | None:
        return _moment(value, column.unit) if column.kind == "time" else _number(value)

    return {
        "min": show(numbers.min().item()),
        "max": show(numbers.max().item()),
        "mean": show(base + int(mean) if base else mean),
        "std": _number(std) if column.kind == "number" else None,
        "quantiles": {
            f"{q:g}": show(base + int(cut) if base else float(cut)) for q, cut in zip(_QUANTILES, cuts, strict=True)
        },
    }


def _number(value: float) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def _moment(ticks: float, unit: str) -> str | None:
    import numpy as np

    if not math.isfinite(ticks) or abs(ticks) >= 2**63:
        return None
    text = str(np.array(int(ticks), dtype=f"M8[{unit}]"))
    head, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0")
    return f"{head}.{fraction}" if fraction else head.removesuffix("T00:00:00")


def _histograms(a: Any, b: Any) -> tuple[tuple[float, ...], tuple[tuple[int, ...], tuple[int, ...]]]:
    """Shared edges, and how many of the ordered values of each side lie between them; what lies beyond is in the outermost."""
    import numpy as np

    sides = [side.astype(np.float64) if side is not None else np.empty(0) for side in (a, b)]
    sides = [side[np.isfinite(side)] for side in sides]
    there = [side for side in sides if len(side)]
    if not there:
        return (), ((), ())
    low = min(float(side[int(0.01 * (len(side) - 1))]) for side in there)
    high = max(float(side[math.ceil(0.99 * (len(side) - 1))]) for side in there)
    least, most = min(float(side[0]) for side in there), max(float(side[-1]) for side in there)
    if most - least <= 2 * (high - low) or low == high:
        low, high = least, most
    if not math.isfinite(high - low) or low == high:
        return (), ((), ())
    edges = np.linspace(low, high, _BINS + 1)
    counts = [np.diff(np.searchsorted(side, edges[1:-1]), prepend=0, append=len(side)) for side in sides]
    return tuple(edges.tolist()), (tuple(counts[0].tolist()), tuple(counts[1].tolist()))


def _shift(a: Column | None, b: Column | None, bins: tuple[tuple[int, ...], tuple[int, ...]]) -> float | None:
    """Half the sum of the differences of shares (total variation distance); None where it cannot be said."""
    if a is None or b is None:
        return None
    if bins[0]:
        pairs = list(zip(*bins, strict=True))
    elif a.kind == b.kind == "label":
        pairs = [(a.labels.get(label, 0), b.labels.get(label, 0)) for label in {**a.labels, **b.labels}]
    else:
        return None
    total_a, total_b = sum(pair[0] for pair in pairs), sum(pair[1] for pair in pairs)
    if not total_a or not total_b:
        return None
    return round(sum(abs(left / total_a - right / total_b) for left, right in pairs) / 2, 4)
