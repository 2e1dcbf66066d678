"""Whether a stage ran with the packages that its key names: they may be changed on a machine while a run is planned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


class Installed:
    """Looks when it is made and when `differing` is asked, for a package may be replaced while its code runs.

    `expected` is distribution -> version, as in the key; what stands behind a `+` names a build, and is the machine's.
    """

    def __init__(self, expected: Mapping[str, str]) -> None:
        self._expected = {name: version for name, version in expected.items() if version}
        self._first = versions(self._expected)

    def differing(self) -> tuple[str, ...]:
        """Why the result is not that of its key, a reason per distribution of another version."""
        last = versions(self._expected)
        found = []
        for name, version in self._expected.items():
            seen = {_public(at[name]) for at in (self._first, last)} - {_public(version)}
            if seen:
                said = " and ".join(f"{name} {text}" if text else f"no {name}" for text in sorted(seen))
                found.append(f"it ran with {said}, where the plan has {version}")
        return tuple(found)


def versions(names: Iterable[str]) -> dict[str, str]:
    """Version of each distribution; "" for one that is not installed."""
    from importlib import metadata

    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = ""
    return found


def _public(version: str) -> str:
    return version.partition("+")[0]
