"""Packages that come with others: numpy with pandas. No notebook names them, and yet a result may depend on their version."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib import metadata

import msgspec

from nbpipe.pipeline.providers import canonical

_REQUIRES = re.compile(r"^Requires-Dist: *(.*)$", re.MULTILINE)
_VERSION = re.compile(r"^Version: *(.*)$", re.MULTILINE)


class Closure(msgspec.Struct, frozen=True, kw_only=True):
    """What some distributions require here, directly or not, and that is installed; without themselves."""

    #: Distribution -> version.
    versions: dict[str, str]
    #: Distribution whose version here is not one that another of them asks for -> that requirement.
    disputed: dict[str, str]


def closure_of(distributions: Iterable[str]) -> Closure:
    """Follows the metadata of what is installed: markers count as they are here, extras where they are asked for."""
    from packaging.requirements import InvalidRequirement, Requirement

    asked = {canonical(name) for name in distributions}
    todo: list[tuple[str, frozenset[str]]] = [(name, frozenset()) for name in sorted(asked)]
    known: dict[str, tuple[str, list[str]]] = {}
    seen, versions, disputed = set(todo), dict[str, str](), dict[str, str]()
    while todo:
        name, extras = todo.pop()
        for line in _installed(name, known)[1]:
            if not extras and "extra" in line.partition(";")[2]:
                continue  # most lines of some packages, and reading one takes its time
            try:
                wanted = Requirement(line)
            except InvalidRequirement:
                continue  # pip does not read it either
            if wanted.marker is not None and not any(wanted.marker.evaluate({"extra": e}) for e in extras or {""}):
                continue
            found = canonical(wanted.name)
            version = _installed(found, known)[0]
            if not version:
                continue
            if not wanted.specifier.contains(version, prereleases=True):
                disputed.setdefault(found, f"{name} requires {found}{wanted.specifier}")
            if found not in asked:
                versions[found] = version
            step = (found, frozenset(wanted.extras))
            if step not in seen:
                seen.add(step)
                todo.append(step)
    return Closure(versions=dict(sorted(versions.items())), disputed=dict(sorted(disputed.items())))


def required_by(distributions: Iterable[str]) -> dict[str, str]:
    """Distribution -> version, of all that these require here, directly or not, and that is installed; without them."""
    return closure_of(distributions).versions


def _installed(name: str, known: dict[str, tuple[str, list[str]]]) -> tuple[str, list[str]]:
    """Version and requirements; "" and none where it is not installed."""
    if name not in known:
        known[name] = _look_up(name)
    return known[name]


def _look_up(name: str) -> tuple[str, list[str]]:
    try:
        found = metadata.distribution(name)
    except (metadata.PackageNotFoundError, ValueError):
        return "", []
    text = found.read_text("METADATA")
    if text is None:  # an egg's
        return found.version, list(found.requires or ())
    head = text.partition("\n\n")[0]
    version = _VERSION.search(head)
    return (version[1].strip() if version else found.version), [line.strip() for line in _REQUIRES.findall(head)]
