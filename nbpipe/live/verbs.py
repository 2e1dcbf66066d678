"""The verbs of `%nbpipe` that speak of this kernel; all others are the command line's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbpipe.live.looking import restore_verb, trials_verb
from nbpipe.live.place import on_verb
from nbpipe.live.status import status_verb

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nbpipe.live.session import Session

VERBS: Mapping[str, Callable[[Session, list[str]], str]] = {
    "on": on_verb,
    "status": status_verb,
    "trials": trials_verb,
    "restore": restore_verb,
}
