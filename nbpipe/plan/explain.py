"""Why a stage runs: its key's labelled parts against those of an earlier result, as people would say it. Pure."""

from __future__ import annotations

from collections.abc import Mapping

_MOST = 4


def changes(before: Mapping[str, str], now: Mapping[str, str], cells: Mapping[str, str]) -> tuple[str, ...]:
    """What differs between two sets of parts, one line each; `cells` maps part labels to places such as `cell 7`."""
    found: list[str] = []
    for label in sorted(set(before) | set(now), key=_rank):
        old, new = before.get(label), now.get(label)
        if old != new and (text := _say(label, old, new, cells)) not in found:
            found.append(text)
    return tuple(found[:_MOST])


_ORDER = (
    "param",
    "param-code",
    "code",
    "setup",
    "def",
    "module",
    "input",
    "metric",
    "dist",
    "option",
    "seed",
    "python",
)


def _rank(label: str) -> tuple[int, str]:
    kind = label.partition(":")[0]
    return (_ORDER.index(kind) if kind in _ORDER else len(_ORDER), label)


def _say(label: str, old: str | None, new: str | None, cells: Mapping[str, str]) -> str:
    kind, _, name = label.partition(":")
    if kind == "param":
        return f"`{name}` {_value(old)} → {_value(new)}"
    if kind == "code":
        return f"code changed{_at(cells, label)}"
    if kind == "setup":
        return f"%%setup changed{_at(cells, label)}"
    if kind in {"def", "param-code"}:
        return f"definition of `{name.rpartition(':')[2]}` changed"
    if kind == "module":
        return f"{name} changed"
    if kind == "input":
        return f"`{name}` changed" if old and new else f"`{name}` is {'new' if new else 'no longer read'}"
    if kind == "metric":
        return f"{name} {old or '–'} → {new or '–'}"
    if kind == "dist":
        return f"{name} {old or 'none'} → {new or 'none'}"
    if kind == "option":
        return f"--{name} changed"
    return f"{kind} {old} → {new}"


def _at(cells: Mapping[str, str], label: str) -> str:
    return f", {cells[label]}" if label in cells else ""


def _value(text: str | None) -> str:
    return "none" if text is None else text[:40]
