"""Words of a magic line as values: sizes, durations, counts, names. Readers raise `ValueError` with the reason."""

from __future__ import annotations

import keyword
import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Names of stages, checks, profiles and targets.
STAGE_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")

_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_COUNT = re.compile(r"[0-9]{1,9}")
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)([KMGT])(?:iB|i|B)?", re.IGNORECASE)
_DURATION = re.compile(r"(?:([0-9.]+)d)?(?:([0-9.]+)h)?(?:([0-9.]+)m)?(?:([0-9.]+)s)?")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,249}")
_POWERS = {"K": 10, "M": 20, "G": 30, "T": 40}
_LONGEST = 365 * 86400.0
_LARGEST = 1 << 60
#: Characters of a number, size or duration; and of a word that an error prints.
_LONGEST_WORD = 24
_SHOWN = 80


def read_stage_name(text: str) -> str:
    """The name itself, when it is one that stages, checks, profiles and targets may have."""
    if not STAGE_NAME.fullmatch(text):
        raise ValueError(
            f"{shown(text)} is not a valid name: lower-case letters, digits, '_' and '-', a letter first, 63 at most"
        )
    return text


def read_identifier(text: str) -> str:
    """The Python identifier, normalised as Python does."""
    name = unicodedata.normalize("NFKC", text)
    if not name.isidentifier() or keyword.iskeyword(name):
        raise ValueError(f"{shown(text)} is not a Python variable name")
    return name


def read_amount(text: str) -> float:
    """A number of devices, 0 or more, fractions allowed."""
    if not _NUMBER.fullmatch(text) or len(text) > _LONGEST_WORD:
        raise ValueError(f"{shown(text)} is not a number of 0 or more")
    return float(text)


def read_positive_amount(text: str) -> float:
    """A number greater than 0, fractions allowed."""
    amount = read_amount(text)
    if amount <= 0:
        raise ValueError(f"{shown(text)} is not greater than 0")
    return amount


def read_count(text: str) -> int:
    """A whole number of 0 or more."""
    if not _COUNT.fullmatch(text):
        raise ValueError(f"{shown(text)} is not a whole number of 0 or more")
    return int(text)


def read_positive_count(text: str) -> int:
    """A whole number of 1 or more."""
    count = read_count(text)
    if count < 1:
        raise ValueError(f"{shown(text)} is not 1 or more")
    return count


def read_size(text: str) -> int:
    """Bytes. K, M, G and T are powers of 1024, as Slurm and Docker have it; `4G`, `4Gi`, `4GB`, `4GiB` are the same."""
    match = _SIZE.fullmatch(text)
    if not match or len(text) > _LONGEST_WORD:
        raise ValueError(f"{shown(text)} is not a size: write a number and a unit, such as 512M or 4G")
    size = int(float(match[1]) * (1 << _POWERS[match[2].upper()]))
    if not 0 < size <= _LARGEST:
        raise ValueError(f"{shown(text)} is not a size that a machine can have")
    return size


def read_duration(text: str) -> float:
    """Seconds, from `90`, `90s`, `10m`, `2h`, `1d` or `1h30m`."""
    if len(text) <= _LONGEST_WORD and _NUMBER.fullmatch(text):
        seconds = float(text)
    else:
        match = _DURATION.fullmatch(text)
        parts = match.groups() if match and len(text) <= _LONGEST_WORD else ()
        given = [part for part in parts if part is not None]
        if not given or not all(_NUMBER.fullmatch(part) for part in given):
            raise ValueError(f"{shown(text)} is not a duration: write 30s, 10m, 2h, 1d or 1h30m")
        seconds = sum(float(part or 0) * unit for part, unit in zip(parts, (86400, 3600, 60, 1), strict=True))
    if not 0 < seconds <= _LONGEST:
        raise ValueError(f"{shown(text)} is not between 0 and 365 days")
    return seconds


def read_path(text: str) -> str:
    """A path, glob or URI as written."""
    if not text or not text.isprintable():
        raise ValueError(f"{shown(text)} is not a path: it is empty or holds control characters")
    if text.startswith("-"):
        raise ValueError(f"{shown(text)} looks like an option; write ./{text} for a file of that name")
    return text


def read_image(text: str) -> str:
    """A container image reference."""
    if not text or not text.isprintable() or not text.isascii() or " " in text or text.startswith("-"):
        raise ValueError(f"{shown(text)} is not the name of a container image")
    return text


def read_model_name(text: str) -> str:
    """A name for the model registry."""
    if not _MODEL_NAME.fullmatch(text):
        raise ValueError(f"{shown(text)} is not a model name: letters, digits, spaces, '_', '.' and '-'")
    return text


def read_env(text: str) -> tuple[str, str]:
    """`KEY=VALUE` as a pair; the value may be empty."""
    name, equals, value = text.partition("=")
    if not equals or not _ENV_NAME.fullmatch(name):
        raise ValueError(f"{shown(text)} is not of the form NAME=VALUE")
    if "\0" in value:
        raise ValueError(f"the value of {name} holds a NUL character")
    return name, value


def shown(text: str) -> str:
    """The text as an error may print it: quoted, escaped and cut."""
    return ascii(text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "...")


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """A question that names the closest known word, or None."""
    from difflib import get_close_matches

    close = get_close_matches(word, list(known), n=1)
    return f"Did you mean '{close[0]}'?" if close else None
