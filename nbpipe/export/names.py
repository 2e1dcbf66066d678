"""Names as a scheduler allows them: mapped one to one, the same for the same pipeline."""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Iterable


def mapped(names: Iterable[str], rule: Callable[[str], str], *, taken: Iterable[str] = ()) -> dict[str, str]:
    """Name -> what the rule makes of it; where two would be one, or one is `taken`, the later gets a number."""
    found: dict[str, str] = {}
    used = set(taken)
    for name in names:
        base = rule(name)
        new, number = base, 2
        while new in used:
            new = rule(f"{base}_{number}")
            number += 1
        used.add(new)
        found[name] = new
    return found


def identifier(name: str, *, longest: int = 60) -> str:
    """A Python identifier."""
    text = re.sub(r"[^0-9A-Za-z_]", "_", name)
    text = text if text[:1].isalpha() else f"n_{text}"
    return _clip(f"{text}_" if keyword.iskeyword(text) else text, longest)


def dashed(name: str, *, longest: int = 63) -> str:
    """A DNS label, as Kubernetes wants: lower case, digits and dashes, a letter first, no dash last."""
    text = re.sub(r"[^0-9a-z]+", "-", name.lower()).strip("-")
    return _clip(text if text[:1].isalpha() else f"n-{text}".strip("-"), longest).strip("-")


def worded(name: str, *, longest: int = 200) -> str:
    """Letters, digits, `_` and `-`."""
    text = re.sub(r"[^0-9A-Za-z_-]+", "_", name).strip("-")
    return _clip(text or "pipeline", longest)


def _clip(text: str, longest: int) -> str:
    """At most so long; of a longer one the end is kept as well, where numbers stand."""
    return text if len(text) <= longest else f"{text[: longest - 12]}{text[-12:]}"
