"""Text that programs printed, made comparable: as a person would read it, without what a terminal does with it."""

from __future__ import annotations

import re

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
#: C0 and C1 controls and direction marks; line ends and tabs stay.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
#: Lines that are written over, as progress bars do it.
_OVERWRITTEN = re.compile(r"[^\n]*\r(?!\n)")
#: Where objects lie in memory differs from run to run and says nothing.
_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]{6,16}\b")


def readable(text: str) -> str:
    """The text without escape sequences, control characters, overwritten lines and the last line end."""
    if "\x1b" in text:
        text = _ESCAPES.sub("", text)
    if "\r" in text:
        text = _OVERWRITTEN.sub("", re.sub(r"\r+(?=\n|\Z)", "", text))
    if " 0x" in text:
        text = _ADDRESS.sub("at 0x…", text)
    return _CONTROLS.sub("", text).removesuffix("\n")
