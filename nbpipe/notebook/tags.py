"""Cell tags and `metadata.nbpipe`: what the magic lines mean, for people who keep magics out of their cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from nbpipe.errors import GrammarError
from nbpipe.model import Value
from nbpipe.notebook.kale import read_kale
from nbpipe.notebook.line import Role, check_name, parse_options
from nbpipe.notebook.options import OPTIONS, Given, add_option, join
from nbpipe.notebook.quantities import shown

if TYPE_CHECKING:
    from nbpipe.model import Cell

_PLAIN: dict[str, Role] = {
    "params": "params",
    "parameters": "params",
    "injected-parameters": "params",
    "setup": "setup",
    "nbpipe:skip": "skip",
}
_NAMED: dict[str, Role] = {"stage": "stage", "check": "check", "profile": "profile"}


class Tagged(Value, frozen=True, kw_only=True):
    """What a cell's tags, or else its metadata, say."""

    #: None where they say nothing.
    role: Role | None = None
    name: str = ""
    given: dict[str, Any] = msgspec.field(default_factory=dict)
    source: Literal["tags", "metadata"] = "tags"
    warnings: tuple[str, ...] = ()


def read_tags(cell: Cell, *, kale: bool) -> Tagged:
    """What the cell's tags say; where they say nothing, what `metadata.nbpipe` says. Raises `GrammarError`."""
    roles = {(role, name): tag for tag in cell.tags for role, name in _roles(tag)}
    if kale:
        found, options, warnings = read_kale(cell)
        roles |= found
    else:
        options, warnings = {}, ()
    if len(roles) > 1:
        raise GrammarError(
            f"the cell's tags {' and '.join(map(shown, roles.values()))} contradict each other", fix="Keep one."
        )
    role, name = next(iter(roles), (None, ""))
    if role is None:
        meta = _metadata(cell)
        if meta.role is not None:
            return meta
    kind = role or "stage"
    given = join(options, _options(cell, kind if kind in ("stage", "check") else "stage"))
    if given and role not in (None, "stage", "check"):
        raise GrammarError(f"a {role} cell has no options, but its tags give some", fix="Take those tags off.")
    return Tagged(role=role, name=name, given=given, warnings=warnings)


def _roles(tag: str) -> list[tuple[Role, str]]:
    if tag in _PLAIN:
        return [(_PLAIN[tag], "")]
    kind, colon, name = tag.partition(":")
    return [(_NAMED[kind], check_name(name.strip()))] if colon and kind in _NAMED else []


def _options(cell: Cell, kind: str) -> Given:
    """Options written as tags, such as `after:load`, `gpus:1` or `no-cache`."""
    given: Given = {}
    for tag in cell.tags:
        name, colon, value = tag.partition(":")
        option = OPTIONS.get(name)
        if option is not None and bool(colon) == (option.shape != "flag"):
            add_option(given, name, value.strip() if colon else None, kind=kind)
    return given


def _metadata(cell: Cell) -> Tagged:
    """What `metadata.nbpipe` says, such as `{"stage": "train", "options": "--gpus 1"}`."""
    meta = cell.metadata.get("nbpipe")
    if not meta:
        return Tagged(source="metadata")
    if not isinstance(meta, dict):
        raise GrammarError("metadata.nbpipe is not an object", name="nbpipe", fix='Write {"stage": "NAME"}.')
    said: list[tuple[Role, str]] = []
    for key, value in meta.items():
        if key in _NAMED and isinstance(value, str):
            said.append((_NAMED[key], check_name(value)))
        elif key in ("params", "setup", "skip") and value is True:
            said.append((key, ""))
        elif key != "options":
            raise GrammarError(f"metadata.nbpipe: {shown(str(key))} is not understood", name=str(key))
    if len(said) != 1:
        raise GrammarError(
            "metadata.nbpipe must say one of stage, check, profile, params, setup and skip", name="nbpipe"
        )
    role, name = said[0]
    text = meta.get("options", "")
    if not isinstance(text, str) or (text and role not in ("stage", "check")):
        raise GrammarError("metadata.nbpipe.options is a text of options, on a stage or a check", name="options")
    return Tagged(role=role, name=name, given=parse_options(text, role), source="metadata")
