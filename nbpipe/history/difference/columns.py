"""Columns of stored values, whatever format they lie in. Read without pandas, polars or torch, and without unpickling."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np

#: Characters of a label.
_LABEL = 80
#: Different labels that are kept.
MOST_LABELS = 1_000
#: Arrow's names of floats -> NumPy's; whole numbers are called alike.
_FLOATS = {"halffloat": "float16", "float": "float32", "double": "float64"}
#: Units that are so and so many seconds: of points in time, and of differences.
_WHOLE = {"M": ("Y", "M", "W", "D", "h", "m", "s"), "m": ("W", "D", "h", "m", "s")}
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


@dataclass(frozen=True, slots=True)
class Column:
    """One column, tensor or array. `raw` is what two columns are compared by."""

    dtype: str
    count: int
    missing: int = 0
    kind: Literal["number", "time", "label", "other"] = "other"
    #: Numbers, or ticks of `unit` since 1970; without what is missing.
    numbers: np.ndarray[Any, Any] | None = None
    unit: str = ""
    #: Label -> how often, the most frequent first.
    labels: dict[str, int] = field(default_factory=dict)
    distinct: int | None = None
    raw: Any = None

    def equals(self, other: Column) -> bool:
        """Equal values in equal places."""
        if (self.dtype, self.count, self.missing) != (other.dtype, other.count, other.missing):
            return False
        if hasattr(self.raw, "equals"):
            return type(self.raw) is type(other.raw) and bool(_bits(self.raw).equals(_bits(other.raw)))
        # Bytes, so that NaN equals NaN.
        return bool(self.raw.shape == other.raw.shape and self.raw.tobytes() == other.raw.tobytes())

    def differing(self, other: Column) -> int | None:
        """In how many places the values differ; None where the two cannot be laid side by side. NaN equals NaN."""
        if (self.dtype, self.count) != (other.dtype, other.count):
            return None
        if hasattr(self.raw, "equals"):
            return _differing_arrow(self.raw, other.raw)
        if self.raw.shape != other.raw.shape:
            return None
        unequal = self.raw != other.raw
        if self.raw.dtype.kind in "fcmM":
            # What is missing is not equal to itself.
            unequal &= (self.raw == self.raw) | (other.raw == other.raw)
        return int(unequal.sum())


def of_array(array: Any, dtype: str = "") -> Column:
    """A NumPy array of any shape."""
    import numpy as np

    name, size = dtype or str(array.dtype), int(array.size)
    kind = array.dtype.kind
    flat = array.reshape(-1) if array.flags.c_contiguous else array.ravel(order="K")
    if kind == "b":
        return Column(name, size, 0, "label", **_booleans(flat), raw=array)
    if kind in "iu":
        return Column(name, size, 0, "number", flat, raw=array)
    if kind == "f":
        there = flat[~np.isnan(flat)]
        return Column(name, size, size - len(there), "number", there, raw=array)
    if kind in "mM":
        return _times(flat, name, array)
    if kind in "SU":
        return Column(name, size, 0, "label", **_counted(flat.tolist()), raw=array)
    return Column(name, size, raw=array)


def of_arrow(array: Any, how: dict[str, Any]) -> Column:
    """An Arrow array; `how` is the store's note on it (`nbpipe.store.formats.arrow_columns`), empty where there is none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind, count, missing = array.type, len(array), array.null_count
    name = _name(kind, how)
    if how.get("as") == "period":
        return Column(name, count, missing, raw=array)
    if pa.types.is_boolean(kind) or str(how.get("dtype", "")).endswith("b1"):
        counts = _tally(array.cast(pa.uint8()).cast(pa.bool_()).cast(pa.string()))
        labels = {label.capitalize(): number for label, number in counts["labels"].items()}
        return Column(name, count, missing, "label", labels=labels, distinct=counts["distinct"], raw=array)
    if pa.types.is_integer(kind):
        return Column(name, count, missing, "number", _numpy(array), raw=array)
    if pa.types.is_floating(kind):
        found = of_array(_numpy(array))
        return Column(name, count, missing + found.missing, "number", found.numbers, raw=array)
    if pa.types.is_decimal(kind):
        return Column(name, count, missing, "number", _numpy(pc.cast(array, pa.float64())), raw=array)
    if pa.types.is_timestamp(kind):
        return Column(name, count, missing, "time", _numpy(array.cast(pa.int64())), kind.unit, raw=array)
    if pa.types.is_date(kind):
        return of_arrow(array.cast(pa.timestamp("s")), {"as": name})
    if pa.types.is_duration(kind):
        return Column(name, count, missing, "number", _numpy(array.cast(pa.int64())) * _SECONDS[kind.unit], raw=array)
    labels = _arrow_labels(array)
    return Column(name, count, missing, "label" if labels else "other", raw=array, **labels)


def _arrow_labels(array: Any) -> dict[str, Any]:
    """Counts of text and categories; nothing for other types."""
    import pyarrow as pa

    kind = array.type
    if pa.types.is_dictionary(kind):
        return _tally(array.cast(kind.value_type))
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return _tally(array) if text else {}


def _differing_arrow(a: Any, b: Any) -> int | None:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(a.type):
        a, b = a.cast(a.type.value_type), b.cast(b.type.value_type)
    if a.type != b.type or pa.types.is_nested(a.type):
        return None
    try:
        unequal = pc.sum(pc.not_equal(_bits(a), _bits(b))).as_py() or 0
        return int(unequal + (pc.sum(pc.xor(pc.is_null(a), pc.is_null(b))).as_py() or 0))
    except pa.ArrowNotImplementedError:
        return None


def _bits(array: Any) -> Any:
    """Floats as whole numbers, so that NaN equals NaN."""
    import pyarrow as pa

    whole = {pa.float64(): pa.int64(), pa.float32(): pa.int32(), pa.float16(): pa.int16()}.get(array.type)
    return array.view(whole) if whole is not None else array


def _name(kind: Any, how: dict[str, Any]) -> str:
    """As people know it: the store's note where it has one, else Arrow's own name."""
    text = str(how.get("dtype", ""))
    if text[:1] in ("<", ">", "|", "="):
        import numpy as np

        return str(np.dtype(text))
    known = {"category": "category", "text": "str", "object": "str", "date32[day]": "date", "date64[ms]": "date"}
    return known.get(str(how.get("as")), text or str(kind))[:_LABEL]


def _numpy(array: Any) -> Any:
    """What is there of an array of fixed width. Arrow's own way would import pandas."""
    import numpy as np

    there = array.drop_null()
    dtype = np.dtype(_FLOATS.get(str(there.type), str(there.type)))
    data = there.buffers()[1]
    return np.frombuffer(data, dtype, len(there), there.offset * dtype.itemsize) if len(there) else np.empty(0, dtype)


def _times(flat: Any, name: str, raw: Any) -> Column:
    import numpy as np

    there = flat[~np.isnat(flat)]
    missing = len(flat) - len(there)
    unit, step = np.datetime_data(flat.dtype)
    if (unit not in _SECONDS or step != 1) and unit in _WHOLE[flat.dtype.kind]:
        unit, there = "s", there.astype(f"{flat.dtype.kind}8[s]")
    if unit not in _SECONDS:
        return Column(name, len(flat), missing, raw=raw)
    if flat.dtype.kind == "m":
        return Column(name, len(flat), missing, "number", there.view("i8") * _SECONDS[unit], raw=raw)
    return Column(name, len(flat), missing, "time", there.view("i8"), unit, raw=raw)


def _booleans(flat: Any) -> dict[str, Any]:
    true = int(flat.sum())
    counts = {"True": true, "False": len(flat) - true}
    labels = {label: number for label, number in sorted(counts.items(), key=lambda item: -item[1]) if number}
    return {"labels": labels, "distinct": len(labels)}


def _counted(items: list[Any]) -> dict[str, Any]:
    counts = Counter(items)
    return {
        "labels": {_label(item): number for item, number in counts.most_common(MOST_LABELS)},
        "distinct": len(counts),
    }


def _tally(array: Any) -> dict[str, Any]:
    """The labels of an Arrow array of anything that has a text."""
    counted = array.drop_null().value_counts().to_pylist()
    counted.sort(key=lambda item: (-item["counts"], str(item["values"])))
    return {
        "labels": {_label(each["values"]): each["counts"] for each in counted[:MOST_LABELS]},
        "distinct": len(counted),
    }


def _label(item: object) -> str:
    text = item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item)
    return text if len(text) <= _LABEL else f"{text[: _LABEL - 1]}…"
