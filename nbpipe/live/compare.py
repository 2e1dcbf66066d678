"""Whether a name stands for the same value as before, from two facts about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbpipe.live.compose import digest_of
from nbpipe.live.facts import ABSENT, type_name

if TYPE_CHECKING:
    from nbpipe.live.facts import Fact

_SHOWN = 40


def same(then: Fact, now: Fact) -> bool | None:
    """True for an equal value, or the very same object where its content is not known; None where it cannot be told.

    An object that was changed in place is the same object: who may have done that is told from code, not from here.
    """
    if then.kind is not now.kind or then.shape != now.shape:
        return False
    if then.content is not ABSENT and now.content is not ABSENT:
        first, second = digest_of(then), digest_of(now)
        return first == second if first and second else None
    if then.alive is not None:
        # The number of an object is given again when it is gone; the reference says whether it is.
        return then.alive() is not None and then.ident == now.ident
    return None if then.ident == now.ident else False


def shown(fact: Fact) -> str:
    """The value in a few characters, where it is known; else its type."""
    if fact.content is ABSENT or (fact.shape is not None and fact.kind not in (str, list, tuple, dict)):
        return f"a {type_name(fact.kind)}"
    text = repr(fact.content)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
