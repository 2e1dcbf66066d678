"""How long stages are expected to take together, and of which nobody knows."""

from __future__ import annotations

from collections.abc import Mapping

from nbpipe.cli.text import count, duration, line

_NAMED = 3


def expected_text(stages: Mapping[str, float | None]) -> str:
    """`about 1:12 one after the other`; of stages that have not run before it says which. Empty where nothing is known."""
    known = [seconds for seconds in stages.values() if seconds is not None]
    if not known:
        return ""
    unknown = [name for name, seconds in stages.items() if seconds is None]
    text = f"about {duration(sum(known))} one after the other"
    if not unknown:
        return text
    names = ", ".join(line(name) for name in unknown)
    who = names if len(unknown) <= _NAMED else count(len(unknown), "other stage")
    return f"{text} without {who}, which {'has' if len(unknown) == 1 else 'have'} not run before"
