"""What an alias of a registered model meant, and since when: who moved it, when and why. Pure.

Each move is a tag of the registered model, so that it is there for everybody who uses the same MLflow.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

import msgspec

CHAMPION = "champion"
_ALIAS = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,60}")
#: MLflow keeps these for itself: `latest`, and versions such as `v3`.
_RESERVED = re.compile(r"latest|v[0-9]+", re.IGNORECASE)
_PREFIX = "nbpipe.alias."
_LONGEST = 1000


class Change(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One move of an alias; `at` is seconds since the epoch."""

    alias: str
    version: str
    at: float
    how: Literal["promote", "rollback"] = "promote"
    #: The version it named before; "" for none.
    before: str = ""
    by: str = ""
    why: str = ""
    run: str = ""


class ModelVersion(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One version of a registered model."""

    version: str
    #: As nbpipe names it, where nbpipe registered it.
    run: str = ""
    stage: str = ""
    #: Of the value that is the model.
    digest: str = ""
    #: Id of the MLflow run it comes from.
    mlflow: str = ""
    created: float = 0.0


class Model(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A registered model: its versions, oldest first, what its aliases name, and how they came to it, oldest first."""

    name: str
    versions: tuple[ModelVersion, ...] = ()
    aliases: dict[str, str] = {}
    changes: tuple[Change, ...] = ()

    def version(self, number: str) -> ModelVersion | None:
        """The version with this number."""
        return next((item for item in self.versions if item.version == number), None)


def read_alias(text: str) -> str:
    """A name for an alias. Raises ValueError."""
    if not _ALIAS.fullmatch(text) or _RESERVED.fullmatch(text):
        raise ValueError(f"{text[:40]!r} cannot be an alias: letters, digits, _ and -, neither 'latest' nor 'v3'")
    return text


def change_tag(change: Change) -> tuple[str, str]:
    """Key and text of the tag that records a move. No two moves share a key unless they share a millisecond."""
    short = msgspec.structs.replace(change, why=change.why[:_LONGEST])
    return f"{_PREFIX}{change.alias}.{int(change.at * 1000):013d}", msgspec.json.encode(short).decode()


def changes_of(tags: Mapping[str, str]) -> tuple[Change, ...]:
    """The moves that a model's tags record, oldest first. What somebody else wrote there is passed over."""
    found = []
    for key, text in tags.items():
        if key.startswith(_PREFIX):
            try:
                found.append(msgspec.json.decode(text, type=Change))
            except msgspec.MsgspecError:
                continue
    return tuple(sorted(found, key=lambda change: change.at))


def trail(model: Model, alias: str) -> list[str]:
    """Versions to roll back through: the present one last. A roll-back takes away what it left behind."""
    stack: list[str] = []
    for change in model.changes:
        if change.alias != alias:
            continue
        if change.before and (not stack or stack[-1] != change.before):
            stack.append(change.before)
        if change.version in stack and change.how == "rollback":
            del stack[len(stack) - stack[::-1].index(change.version) :]
        else:
            stack.append(change.version)
    now = model.aliases.get(alias, "")
    if now and (not stack or stack[-1] != now):
        # Somebody moved it by other means.
        stack.append(now)
    return stack


def earlier(model: Model, alias: str) -> str | None:
    """The version before the present one that is still there."""
    stack = trail(model, alias)
    now = model.aliases.get(alias)
    return next((item for item in reversed(stack[:-1]) if item != now and model.version(item)), None)
