"""The part `params`: values, defaults and declarations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from nbpipe.history.difference.shape import Change, ParamDiff, ParamValue
from nbpipe.history.difference.view import View
from nbpipe.model import Param, Pipeline

#: Bytes of a value's JSON that travel in a diff.
_LONGEST = 4_000


def param_values(pipeline: Pipeline, values: Mapping[str, Any], given: Iterable[str]) -> dict[str, ParamValue]:
    """Every parameter of a run: what the pipeline declares, and what the run took."""
    told = set(given)
    code = {name: item.source for item in pipeline.snippets if item.kind == "param" for name in item.names}
    declared = {param.name: param for param in pipeline.params}
    return {
        name: _value(declared.get(name), values.get(name), code.get(name, ""), given=name in told)
        for name in [*declared, *(name for name in values if name not in declared)]
    }


def plain_values(values: Mapping[str, Any]) -> dict[str, ParamValue]:
    """Values without a declaration."""
    return {name: _value(None, value, "", given=False) for name, value in values.items()}


def param_diffs(a: View, b: View, names: Mapping[str, str], *, everything: bool) -> list[ParamDiff]:
    """In the order of B. `names` maps stages of A to their names in B."""
    before, after = a.params(), b.params()
    readers = _readers(b, {})
    readers_before = _readers(a, names)
    found = []
    for name in [*after, *(name for name in before if name not in after)]:
        old, new = before.get(name), after.get(name)
        change: Change = "added" if old is None else "removed" if new is None else "same" if old == new else "changed"
        if change == "same" and not everything:
            continue
        found.append(
            ParamDiff(
                name=name,
                change=change,
                a=old,
                b=new,
                value_changed=old is None or new is None or (old.value, old.cut) != (new.value, new.cut),
                stages=readers.get(name) or readers_before.get(name, ()),
                reason=_reason(old, new, a.about.label, b.about.label) if change != "same" else "",
            )
        )
    return found


def _value(param: Param | None, value: Any, source: str, *, given: bool) -> ParamValue:
    if param is None:
        kept, cut = _kept(value)
        return ParamValue(value=kept, given=given, cut=cut)
    kept, cut = _kept(value)
    return ParamValue(
        value=kept,
        default=_kept(param.default)[0],
        given=given,
        type=param.type,
        help=param.help,
        source=source[:_LONGEST] if param.type == "computed" else "",
        cut=cut,
    )


def _kept(value: Any) -> tuple[Any, bool]:
    """The value, or the beginning of its JSON where that is long."""
    data = msgspec.json.encode(value)
    if len(data) <= _LONGEST:
        return value, False
    return f"{data[:200].decode('utf-8', 'replace')}… ({len(data)} bytes)", True


def _readers(view: View, names: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for unit in view.sources().stages:
        for name in unit.params:
            found.setdefault(name, []).append(names.get(unit.text.name, unit.text.name))
    return {name: tuple(stages) for name, stages in found.items()}


def _reason(old: ParamValue | None, new: ParamValue | None, a: str, b: str) -> str:
    if old is None:
        return f"new in {b}"
    if new is None:
        return f"not in {b}"
    words = [f"given to {label}" for value, label in ((old, a), (new, b)) if value.given]
    if old.default != new.default or old.source != new.source:
        words.append("the notebook's default changed")
    if old.type != new.type:
        words.append(f"declared {new.type or 'without a type'} instead of {old.type or 'no type'}")
    if not words and old.help != new.help:
        words.append("its description changed")
    return "; ".join(words)
