"""When each target was tested last, and what came of it; `.nbpipe/targets.json`. Nothing depends on it: people look at it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from nbpipe.job.folder import write_durably
from nbpipe.targets.settings import Target

_FILE = "targets.json"


class Tested(msgspec.Struct, frozen=True, kw_only=True):
    """The last test. `of` are the settings it was made with: other settings are another target."""

    state: Literal["ready", "unreachable"]
    detail: str
    when: float
    of: str
    #: Distribution -> version there; "" for one that was asked for and is not there.
    packages: Mapping[str, str] = {}


def noted(state: Path, target: Target) -> Tested | None:
    """The last test of a target as it is described now; None for one that was never tested so."""
    found = _all(state).get(target.name)
    return found if found is not None and found.of == _settings(target) else None


def note(state: Path, target: Target, *, ready: bool, detail: str, packages: Mapping[str, str] | None = None) -> None:
    """Note a test. What it did not ask for is known from earlier ones. Raises OSError where nothing can be written."""
    before = noted(state, target)
    known = {**(before.packages if before is not None else {}), **(packages or {})}
    found = _all(state)
    found[target.name] = Tested(
        state="ready" if ready else "unreachable",
        detail=detail,
        when=time.time(),
        of=_settings(target),
        packages=known,
    )
    state.mkdir(parents=True, exist_ok=True)
    (state / ".gitignore").write_text("*\n")
    write_durably(state / _FILE, msgspec.json.encode(found))


def packages_of(machines: Iterable[Mapping[str, Any]], asked: Iterable[str]) -> dict[str, str]:
    """What the machines of a target said of the distributions that they were asked for: one that lacks it is enough."""
    said = [facts["packages"] for facts in machines]
    return {name: min(packages.get(name) or "" for packages in said) for name in asked}


def _settings(target: Target) -> str:
    return msgspec.json.encode(target).decode()


def _all(state: Path) -> dict[str, Tested]:
    try:
        return msgspec.json.decode((state / _FILE).read_bytes(), type=dict[str, Tested])
    except (OSError, msgspec.MsgspecError):
        return {}
