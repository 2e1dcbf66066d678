"""Why a stage runs: its key's labelled parts against those of an earlier result, as people would say it. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from nbpipe.pipeline.marks import changed_place
from nbpipe.plan.key import NOTE

_MOST = 4
_LONGEST = 40
_ORDER = (
    "param",
    "code",
    "setup",
    "def",
    "param-code",
    "module",
    "input",
    "metric",
    "dist",
    "option",
    "seed",
    "python",
    "kernel",
    "kind",
    "schema",
    "order",
)


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """What differs between two sets of parts, one line each, the likeliest cause first; at most four."""
    found: list[str] = []
    for label in sorted({*before, *now}, key=_rank):
        old, new = before.get(label), now.get(label)
        if old == new or label.startswith(NOTE) or (label == "order" and found):
            continue
        place = (
            changed_place(before.get(NOTE + label), now.get(NOTE + label)) if NOTE + label in {*before, *now} else ""
        )
        text = _say(label, old, new, place)
        if text not in found:
            found.append(text)
    return tuple(found[:_MOST])


def _rank(label: str) -> tuple[int, str]:
    kind = label.partition(":")[0]
    return (_ORDER.index(kind) if kind in _ORDER else len(_ORDER), label)


def _say(label: str, old: str | None, new: str | None, place: str) -> str:
    kind, _, name = label.partition(":")
    if kind in {"code", "setup"}:
        what = place or "code"
        said = f"{what} changed" if old and new else f"{what} is {'new' if new else 'no longer part of the stage'}"
        return said if kind == "code" else f"%%setup: {said}"
    if kind in {"def", "param-code"}:
        return _definition(name.partition("#")[0], old, new, place)
    if kind == "module":
        return _module(name, old, new, place)
    if kind == "input" or (kind == "param" and None in {old, new}):
        return f"`{name}` changed" if old and new else f"`{name}` is {'new' if new else 'no longer read'}"
    if kind == "option":
        return f"--{name.replace('thresholds', 'metric')} changed"
    if kind == "order":
        return "definitions stand in another order"
    if kind == "seed":
        return "the seed of the run changed"
    if kind == "schema":
        return "this version of nbpipe makes other keys"
    words = {"param": f"`{name}`", "metric": name, "dist": name, "python": "Python", "kernel": "the kernel"}
    return f"{words.get(kind, label)} {_value(old)} → {_value(new)}"


def _definition(name: str, old: str | None, new: str | None, place: str) -> str:
    is_import = (new or old or "").startswith("import ")
    what = f"import of `{name}`" if is_import else f"`{name}`"
    if old and new:
        return f"{what} changed, {place}" if place else f"{what} changed"
    return f"{what} is {'new' if new else 'no longer used'}"


def _module(name: str, old: str | None, new: str | None, place: str) -> str:
    path, _, line = place.partition(" line ")
    if old and new:
        return f"{path} changed, line {line}" if line else f"{path or name} changed"
    return f"{path or name} is {'new' if new else 'no longer reached'}"


def _value(text: str | None) -> str:
    if text is None:
        return "none"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
