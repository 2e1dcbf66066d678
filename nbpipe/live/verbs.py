"""The verbs of `%nbpipe` that speak of this kernel; all others are the command line's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbpipe.live.looking import restore_verb, trials_verb

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nbpipe.live.session import Session

VERBS: Mapping[str, Callable[[Session, list[str]], str]] = {"trials": trials_verb, "restore": restore_verb}
