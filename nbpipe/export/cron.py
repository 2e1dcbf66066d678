"""Cron expressions: five fields, checked before a scheduler finds out at midnight."""

from __future__ import annotations

import re

from nbpipe.errors import UsageError

_NAMED = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of the month", 1, 31), ("month", 1, 12), ("day of the week", 0, 7))
_PART = re.compile(r"(\*|\d{1,2}(?:-\d{1,2})?)(?:/(\d{1,2}))?")
_WORDS = {
    name: str(n)
    for names in (
        ("sun", "mon", "tue", "wed", "thu", "fri", "sat"),
        ("", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
    )
    for n, name in enumerate(names)
    if name
}


def read_cron(text: str) -> str:
    """The expression in five numeric fields; `@daily` and its like, names of days and months are understood.

    Raises UsageError, with the field that is wrong.
    """
    fields = _NAMED.get(text.strip().lower(), text).split()
    if len(fields) != len(_FIELDS):
        raise _wrong(text, f"it has {len(fields)} fields, not 5")
    plain = []
    for field, (said, low, high) in zip(fields, _FIELDS, strict=True):
        words = re.sub(r"[a-z]{3}", lambda found: _WORDS.get(found[0], found[0]), field.lower())
        for part in words.split(","):
            match = _PART.fullmatch(part)
            bounds = [int(n) for n in re.findall(r"\d+", match[1])] if match else []
            if (
                match is None
                or match[2] == "0"
                or not all(low <= n <= high for n in bounds)
                or bounds != sorted(bounds)
            ):
                raise _wrong(text, f"{field!r} is no {said}")
        plain.append(words)
    return " ".join(plain)


def _wrong(text: str, why: str) -> UsageError:
    return UsageError(
        f"{text[:60]!r} is not a cron expression: {why}", name="schedule", fix="Every day at 6: --schedule '0 6 * * *'"
    )
