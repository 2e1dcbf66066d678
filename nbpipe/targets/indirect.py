"""Packages that come with others: numpy with pandas. No notebook names them, and yet a result may depend on their version."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import metadata

from nbpipe.pipeline.providers import canonical


def required_by(distributions: Iterable[str]) -> dict[str, str]:
    """Distribution -> version, of all that these require here, directly or not, and that is installed; without them."""
    asked = {canonical(name) for name in distributions}
    todo, found = list(asked), dict[str, str]()
    while todo:
        for name in _requirements(todo.pop()):
            if name in asked or name in found:
                continue
            try:
                found[name] = metadata.version(name)
            except metadata.PackageNotFoundError:
                continue  # for another system, or an extra that nobody wanted
            todo.append(name)
    return dict(sorted(found.items()))


def _requirements(name: str) -> set[str]:
    try:
        lines = metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return set()
    return {canonical(_name(line)) for line in lines if "extra ==" not in line}


def _name(line: str) -> str:
    end = next((n for n, letter in enumerate(line) if not (letter.isalnum() or letter in "-_.")), None)
    return line[:end]
