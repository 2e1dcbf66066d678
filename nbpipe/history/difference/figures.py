"""The distribution of a column in a few figures, and how far two lie apart."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from nbpipe.history.difference.shape_values import Change, FieldDiff, Figures

if TYPE_CHECKING:
    from nbpipe.history.difference.columns import Column

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
#: Values that quantiles and histograms are made of, taken evenly; least, greatest and mean are of all.
SAMPLE = 50_000
_TOP = 10
_BINS = 20


def field_diff(name: str, a: Column | None, b: Column | None) -> FieldDiff:
    """One column of both sides."""
    if a is None or b is None:
        change: Change = "added" if a is None else "removed"
    else:
        change = "same" if a.equals(b) else "changed"
    edges, bins = _histograms(a, b)
    return FieldDiff(
        name=name,
        change=change,
        a=figures(a) if a is not None else None,
        b=figures(b) if b is not None else None,
        edges=edges,
        a_bins=bins[0],
        b_bins=bins[1],
        shift=_shift(a, b, bins),
    )


def figures(column: Column) -> Figures:
    """What is known of one column."""
    sample = _sample(column.numbers) if column.numbers is not None else None
    known: dict[str, Any] = {}
    if column.numbers is not None and len(column.numbers):
        known = _numeric(column, sample)
    return Figures(
        dtype=column.dtype,
        count=column.count,
        missing=column.missing,
        distinct=column.distinct,
        top=tuple(list(column.labels.items())[:_TOP]),
        sampled=len(sample) if sample is not None and len(sample) < column.count - column.missing else 0,
        **known,
    )


def _numeric(column: Column, sample: Any) -> dict[str, Any]:
    import numpy as np

    numbers = column.numbers
    assert numbers is not None  # noqa: S101 - the caller has looked
    # Of ticks, a mean of floats would lose nanoseconds and more: they are counted from the first.
    base = int(numbers.min()) if column.kind == "time" else 0
    floats = (numbers - base).astype(np.float64) if base else numbers.astype(np.float64, copy=False)
    cuts: list[float] = []
    with np.errstate(all="ignore"):
        mean, std = float(floats.mean()), float(floats.std())
        cuts = [float(cut) for cut in np.quantile((sample - base if base else sample).astype(np.float64), _QUANTILES)]

    def show(value: float) -> float | str | None:
        return _moment(value, column.unit) if column.kind == "time" else _number(value)

    return {
        "min": show(numbers.min().item()),
        "max": show(numbers.max().item()),
        "mean": show(base + int(mean) if base else mean),
        "std": _number(std) if column.kind == "number" else None,
        "quantiles": {
            f"{q:g}": show(base + int(cut) if base else cut) for q, cut in zip(_QUANTILES, cuts, strict=True)
        },
    }


def _sample(numbers: Any) -> Any:
    step = math.ceil(len(numbers) / SAMPLE) if len(numbers) > SAMPLE else 1
    return numbers[::step]


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


def _histograms(
    a: Column | None, b: Column | None
) -> tuple[tuple[float, ...], tuple[tuple[int, ...], tuple[int, ...]]]:
    """Shared edges, and how many of the sampled values of each side lie between them; what lies beyond is in the outermost."""
    import numpy as np

    sides = [
        _sample(column.numbers) if column is not None and column.numbers is not None else None for column in (a, b)
    ]
    kinds = {column.kind for column in (a, b) if column is not None}
    floats = [side.astype(np.float64) if side is not None else np.empty(0) for side in sides]
    floats = [side[np.isfinite(side)] for side in floats]
    both = np.concatenate(floats)
    if not len(both) or kinds != {"number"}:
        return (), ((), ())
    low, high = (float(cut) for cut in np.quantile(both, (0.01, 0.99)))
    least, most = float(both.min()), float(both.max())
    if most - least <= 2 * (high - low) or low == high:
        low, high = least, most
    if not math.isfinite(high - low) or low == high:
        return (), ((), ())
    counts = [np.histogram(np.clip(side, low, high), bins=_BINS, range=(low, high)) for side in floats]
    edges = tuple(float(edge) for edge in counts[0][1])
    return edges, (tuple(int(n) for n in counts[0][0]), tuple(int(n) for n in counts[1][0]))


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
