"""JSON, for plain values that it keeps exactly: text, whole and finite numbers, lists, dicts with text keys."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbpipe.model import Artifact
    from nbpipe.store.base import ObjectStore

_ATOMS: frozenset[type] = frozenset({type(None), bool, str})
#: Python refuses to print whole numbers of more than 4300 digits, and to parse them.
_INT_BITS = 14_000
_DEPTH = 200


class Plain:
    """JSON text in UTF-8, sorted as the value is."""

    name = "json"

    def accepts(self, value: Any) -> bool:
        """Whether JSON keeps it: no tuples, no NaN, no object in two places, no other key than text."""
        return _exact(value, set(), 0)

    def save(self, value: Any, objects: ObjectStore) -> tuple[tuple[str, ...], str | None]:
        """One object."""
        return (objects.put_bytes(json.dumps(value, separators=(",", ":")).encode()),), None

    def load(self, artifact: Artifact, objects: ObjectStore) -> Any:
        """Parse it."""
        return json.loads(objects.get_bytes(artifact.objects[0]))


def _exact(value: Any, seen: set[int], depth: int) -> bool:
    kind = type(value)
    if kind in _ATOMS:
        return True
    if kind is int:
        return bool(value.bit_length() < _INT_BITS)
    if kind is float:
        return math.isfinite(value)
    if kind not in (list, dict) or id(value) in seen or depth > _DEPTH:
        return False
    seen.add(id(value))
    if kind is dict:
        if not set(map(type, value)) <= {str}:
            return False
        items = list(value.values())
    else:
        items = value
    kinds = set(map(type, items))
    if kinds <= _ATOMS:
        return True
    if kinds == {float}:
        return all(map(math.isfinite, items))
    return all(_exact(item, seen, depth + 1) for item in items)


FORMAT = Plain()
