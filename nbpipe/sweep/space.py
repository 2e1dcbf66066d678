"""What a parameter is varied over: `lr=log:1e-5:1e-1`, `n=1:10`, `model=cnn,mlp`, read by the parameter's type."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from nbpipe.errors import ParameterError
from nbpipe.model import Param, Value
from nbpipe.notebook.quantities import did_you_mean
from nbpipe.pipeline.values import check_value, coerce_text

LOG = "log:"
#: Points of one parameter that a grid may have.
_MOST = 10_000
_FIX = "Write, say, lr=log:1e-5:1e-1, n=1:10, dropout=0:0.5:0.1 or model=cnn,mlp."
_UNTYPED = ("any", "computed", "none")


class Dimension(Value, frozen=True, kw_only=True, omit_defaults=True):
    """One parameter and its values: a range of numbers, both ends included, or choices."""

    name: str
    kind: Literal["float", "int", "choice"]
    low: float = 0.0
    high: float = 0.0
    step: float | None = None
    log: bool = False
    choices: tuple[Any, ...] = ()

    @property
    def points(self) -> tuple[Any, ...] | None:
        """Every value, where they can be counted; else None."""
        if self.kind == "choice":
            return self.choices
        step = self.step or (1.0 if self.kind == "int" and not self.log else None)
        if step is None:
            return None
        count = math.floor((self.high - self.low) / step + 1e-9) + 1
        if count > _MOST:
            return None
        values = [self.low + n * step for n in range(count)]
        return (
            tuple(int(value) for value in values) if self.kind == "int" else tuple(float(f"{v:.12g}") for v in values)
        )


def read_space(params: Sequence[Param], texts: Mapping[str, str]) -> tuple[tuple[Dimension, ...], dict[str, Any]]:
    """What varies, in the order of `texts`, and what has one value. Raises ParameterError that says which is wrong."""
    known = {param.name: param for param in params}
    dimensions: list[Dimension] = []
    fixed: dict[str, Any] = {}
    for name, text in texts.items():
        if name not in known:
            names = ", ".join(known) or "none; declare them in a %%params cell"
            fix = did_you_mean(name, known) or f"The notebook's parameters: {names}."
            raise ParameterError(f"there is no parameter '{name[:80]}'", name=name, fix=fix)
        try:
            found = read_dimension(known[name], text)
        except ValueError as error:
            raise ParameterError(f"parameter '{name}': {error}", name=name, fix=_FIX) from None
        if found.kind == "choice" and len(found.choices) == 1:
            fixed[name] = found.choices[0]
        else:
            dimensions.append(found)
    return tuple(dimensions), fixed


def read_dimension(param: Param, text: str) -> Dimension:
    """What one text says for a parameter. Raises ValueError."""
    word = text.strip()
    if not word:
        raise ValueError("no value is given")
    numeric = _number_type(param, word)
    if word.startswith(LOG) or (numeric is not None and ":" in word):
        if numeric is None:
            raise ValueError(f"it is declared as {param.type}, and only numbers have ranges")
        return _range(param, numeric, word)
    choices = _choices(param, word)
    texts = [msgspec.json.encode(choice) for choice in choices]
    if len(set(texts)) < len(texts):
        raise ValueError("a value is given twice")
    return Dimension(name=param.name, kind="choice", choices=choices)


def _number_type(param: Param, word: str) -> Literal["int", "float"] | None:
    """Of a parameter without a declared type, what the text looks like."""
    if param.type in ("int", "float"):
        return "int" if param.type == "int" else "float"
    if param.type not in _UNTYPED:
        return None
    parts = word.removeprefix(LOG).split(":")
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        return None
    whole = all(part.strip().lstrip("+-").isdecimal() for part in parts)
    return ("int" if whole else "float") if len(numbers) > 1 else None


def _range(param: Param, kind: Literal["int", "float"], word: str) -> Dimension:
    log = word.startswith(LOG)
    parts = word.removeprefix(LOG).split(":")
    if len(parts) not in ((2,) if log else (2, 3)):
        raise ValueError(f"{ascii(word)[:80]} is not LOW:HIGH, LOW:HIGH:STEP or log:LOW:HIGH")
    typed = Param(name=param.name, type=kind)
    low, high, *rest = (check_value(typed, coerce_text(typed, part)) for part in parts)
    step = rest[0] if rest else None
    if low >= high:
        raise ValueError(f"{low:g} is not below {high:g}")
    if log and low <= 0:
        raise ValueError(f"a logarithmic range begins above 0, not at {low:g}")
    if step is not None and not 0 < step <= high - low:
        raise ValueError(f"a step of {step:g} does not fit between {low:g} and {high:g}")
    if kind == "float" and not math.isfinite(high - low):
        raise ValueError("the range is too large")
    if step is not None:
        # Both ends count only where the steps lead from one to the other: samplers would move the upper end silently.
        high = low + math.floor((high - low) / step + 1e-9) * step
    return Dimension(name=param.name, kind=kind, low=low, high=high, step=step, log=log)


def _choices(param: Param, word: str) -> tuple[Any, ...]:
    if word == "*":
        if param.type == "bool":
            return (False, True)
        if param.choices is None:
            raise ValueError("* stands for all values of a Literal or a bool, which it is not declared as")
        return param.choices
    if word.startswith("["):
        try:
            listed = msgspec.json.decode(word)
        except (msgspec.MsgspecError, ValueError):
            raise ValueError(f"{ascii(word)[:80]} is not a JSON list of values") from None
        values = listed if isinstance(listed, list) else []
        if not values:
            raise ValueError("the list of values is empty")
        return tuple(check_value(param, value) for value in values)
    if param.type in ("list", "dict"):
        raise ValueError(f"the values of a {param.type} are written as a JSON list of them: [[1, 2], [3]]")
    return tuple(check_value(param, coerce_text(param, part.strip())) for part in word.split(","))
