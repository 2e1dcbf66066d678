"""The part `environment`: packages, Python, GPUs, git and the machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from nbpipe.history.difference.hunks import hunks_of
from nbpipe.history.difference.shape import Change, EnvironmentDiff
from nbpipe.history.difference.shape_values import Hunk
from nbpipe.history.difference.view import View

Group = Literal["python", "package", "gpu", "git", "machine"]
#: Facts of the record by their group; what is not named here (the time, this process) says nothing about results.
_FACTS: tuple[tuple[Group, str], ...] = (
    ("python", "python"),
    ("python", "implementation"),
    ("gpu", "cuda"),
    ("gpu", "cudnn"),
    ("machine", "os"),
    ("machine", "machine"),
    ("machine", "cpus"),
    ("machine", "container"),
    ("machine", "image"),
    ("machine", "host"),
    ("machine", "user"),
)
_ORDER: tuple[Group, ...] = ("python", "package", "gpu", "git", "machine")
_UNCOMMITTED = "uncommitted"
#: Characters of a patch that are compared.
_LONGEST = 200_000


def environment_diffs(a: View, b: View, *, everything: bool) -> list[EnvironmentDiff]:
    """Group by group."""
    before, after = a.environment(), b.environment()
    if not before or not after:
        return []
    old, new = dict(_facts(before)), dict(_facts(after))
    patches = _patch(before), _patch(after)
    found = []
    for group, name in sorted({**old, **new}, key=lambda fact: (_ORDER.index(fact[0]), fact[1].lower())):
        left, right = old.get((group, name)), new.get((group, name))
        change = _change(left, right)
        hunks: tuple[Hunk, ...] = ()
        if name == _UNCOMMITTED and left is not None and right is not None and patches[0] != patches[1]:
            change, hunks = "changed", hunks_of(*patches) or ()
        if change != "same" or everything:
            found.append(EnvironmentDiff(group=group, name=name, change=change, a=left, b=right, hunks=hunks))
    return found


def _change(old: str | None, new: str | None) -> Change:
    if old == new:
        return "same"
    return "added" if old is None else "removed" if new is None else "changed"


def _facts(record: Mapping[str, Any]) -> Iterator[tuple[tuple[Group, str], str]]:
    for group, name in _FACTS:
        if record.get(name) is not None:
            yield (group, name), _text(record[name])
    packages = record.get("packages")
    if isinstance(packages, dict):
        for name, version in packages.items():
            yield ("package", str(name)), _text(version)
    yield from _gpus(record.get("gpus"))
    yield from _git(record.get("git"))


def _gpus(rows: object) -> Iterator[tuple[tuple[Group, str], str]]:
    gpus = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    if not gpus:
        return
    names = [_text(row.get("name", "")) for row in gpus]
    yield ("gpu", "gpus"), ", ".join(f"{names.count(name)} × {name}" for name in dict.fromkeys(names))
    for fact in ("driver", "memory"):
        values = dict.fromkeys(_text(row[fact]) for row in gpus if row.get(fact))
        if values:
            yield ("gpu", fact), ", ".join(values)


def _git(git: object) -> Iterator[tuple[tuple[Group, str], str]]:
    if not isinstance(git, dict):
        return
    for fact in ("commit", "branch"):
        if git.get(fact):
            yield ("git", fact), _text(git[fact])
    if "dirty" in git:
        patch = str(git.get("diff", ""))
        files = patch.count("\ndiff --git ") + patch.startswith("diff --git ")
        yield ("git", _UNCOMMITTED), f"{files} file{'' if files == 1 else 's'}" if git["dirty"] else "nothing"


def _patch(record: Mapping[str, Any]) -> str:
    git = record.get("git")
    return str(git.get("diff", ""))[:_LONGEST] if isinstance(git, dict) else ""


def _text(value: object) -> str:
    return str(value)[:500]
