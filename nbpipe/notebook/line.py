r"""A magic line: its words, and what they say. A line is data: it is split and checked, never evaluated.

Words are separated by blanks. Single quotes keep everything. In double quotes a backslash escapes `"` and `\`, outside
quotes also `'` and a blank; anywhere else it is itself. A word that starts with an unquoted `#` begins a comment.
`docs/formats/grammar.json` holds the examples that every implementation must satisfy.
"""

from __future__ import annotations

import re
from itertools import takewhile
from typing import Any, Literal

import msgspec

from nbpipe.errors import GrammarError
from nbpipe.model import Options, Value
from nbpipe.notebook.options import OPTIONS, Given, add_option, build
from nbpipe.notebook.quantities import did_you_mean, read_stage_name, shown

Role = Literal["params", "profile", "setup", "stage", "check", "exploration", "skip", "continue"]

MAGICS = ("params", "setup", "stage", "check")

_HEAD = re.compile(r"%%([A-Za-z_]\w*)(?!\S)")
_EXPANSION = re.compile(r"[{}]|\$[A-Za-z_]")
_LONGEST = 10_000


class MagicLine(Value, frozen=True, kw_only=True, omit_defaults=True):
    """What one magic line says."""

    role: Role
    #: Of the stage, check or profile; "" for %%params and %%setup.
    name: str = ""
    options: Options = Options()
    #: Option values that were written, by field of `options`.
    given: dict[str, Any] = msgspec.field(default_factory=dict)


def magic_word(line: str) -> str | None:
    """The word after `%%` when the line starts a cell magic, ours or not."""
    head = _HEAD.match(line)
    return head[1] if head else None


def parse_line(line: str) -> MagicLine:
    """What a line such as `%%stage train --gpus 1` says. Raises `GrammarError`; its `line` is 1."""
    try:
        return _parse(line.rstrip("\r\n\t "))
    except GrammarError as error:
        error.line = 1
        raise


def parse_options(text: str, kind: str) -> Given:
    """Options alone, as `metadata.nbpipe.options` holds them. Raises `GrammarError`."""
    positional, given = _sort(_words(text), kind)
    if positional:
        raise _unexpected(positional[0])
    return given


def _parse(line: str) -> MagicLine:
    magic = magic_word(line)
    if magic not in MAGICS:
        word = next(iter(line.split(maxsplit=1)), "")
        raise GrammarError(
            f"{shown(word)} is not one of nbpipe's cell magics",
            name=word,
            fix=did_you_mean(word.lstrip("%"), MAGICS) or "They are %%params, %%setup, %%stage and %%check.",
        )
    words = _words(line[len(magic) + 2 :])
    _one_name(words, magic)
    positional, given = _sort(words, magic)
    limit = 0 if magic == "setup" else 1
    if len(positional) > limit:
        raise _unexpected(positional[limit])
    if magic in ("stage", "check") and not positional:
        raise GrammarError(f"%%{magic} needs a name", fix=f"Write %%{magic} NAME, such as %%{magic} train.")
    name = check_name(positional[0]) if positional else ""
    role: Role = "profile" if magic == "params" and name else magic  # type: ignore[assignment]  # one of MAGICS
    return MagicLine(role=role, name=name, options=build(given), given=given)


def check_name(text: str) -> str:
    """The name itself. Raises `GrammarError` that suggests one where it is not valid."""
    try:
        return read_stage_name(text)
    except ValueError as error:
        better = _better(text)
        raise GrammarError(str(error), name=text, fix=f"Write {better}." if better else None) from None


def _better(text: str) -> str:
    """A name that is close to the text and valid; "" where there is none."""
    return re.sub(r"[^a-z0-9_-]+", "_", text.lower()).lstrip("_-0123456789").rstrip("_-")[:63]


def _one_name(words: list[tuple[str, bool]], magic: str) -> None:
    """Refuse words before the first option that read as a name with blanks."""
    leading = [text for text, _ in takewhile(lambda word: word[1] or not word[0].startswith("-"), words)]
    if magic == "setup" and leading:
        fix = "Write %%setup alone; several setup cells run in the order in which they stand."
        raise GrammarError("%%setup takes no name", name=leading[0], fix=fix)
    if len(leading) > 1:
        text = " ".join(leading)
        fix = f"Write %%{magic} {_better(text) or 'NAME'}."
        raise GrammarError(f"{shown(text)} is not a name: a name has no blanks", name=text, fix=fix)


def _unexpected(word: str) -> GrammarError:
    return GrammarError(
        f"unexpected word {shown(word)}",
        name=word,
        fix="Options start with --, values with blanks are quoted, lists are joined by commas without blanks.",
    )


def _sort(words: list[tuple[str, bool]], magic: str) -> tuple[list[str], Given]:
    """Words with no option before them, and the options."""
    positional: list[str] = []
    given: Given = {}
    rest = iter(range(len(words)))
    for index in rest:
        text, quoted = words[index]
        if quoted or not text.startswith("-"):
            positional.append(text)
            continue
        if not text.startswith("--"):
            raise GrammarError(f"{shown(text)}: options start with two dashes", name=text, fix=_full_name(text))
        if magic not in ("stage", "check"):
            raise GrammarError(f"%%{magic} has no options", name=text, fix="Options belong on %%stage and %%check.")
        name, equals, value = text[2:].partition("=")
        if equals:
            add_option(given, name, value, kind=magic)
            continue
        option = OPTIONS.get(name)
        following = words[index + 1] if index + 1 < len(words) else None
        if option is None or option.shape == "flag" or following is None or _is_option(*following):
            add_option(given, name, None, kind=magic)
        else:
            add_option(given, name, following[0], kind=magic)
            next(rest)
    return positional, given


def _is_option(text: str, quoted: bool) -> bool:  # noqa: FBT001 - a word as `_words` gives it
    return text.startswith("--") and not quoted


def _full_name(text: str) -> str:
    return did_you_mean(text.lstrip("-"), OPTIONS) or "Write --NAME VALUE."


def _words(text: str) -> list[tuple[str, bool]]:
    """The words and whether each begins with a quote."""
    if len(text) > _LONGEST:
        raise GrammarError(
            f"the line has more than {_LONGEST} characters", fix="Repeat an option rather than one long list."
        )
    words: list[tuple[str, bool]] = []
    end = len(text)
    at = 0
    while at < end:
        if text[at] in " \t":
            at += 1
        elif text[at] == "#":
            end = at
        else:
            word, stop = _word(text, at)
            words.append((word, text[at] in "'\""))
            at = stop
    _refuse_strange(text[:end])
    return words


def _word(text: str, at: int) -> tuple[str, int]:
    """The word that starts at `at`, and where it ends."""
    out: list[str] = []
    quote = ""
    while at < len(text) and (quote or text[at] not in " \t"):
        char = text[at]
        escapes = {"": "\\'\" \t", '"': '\\"', "'": ""}[quote]
        if char == "\\" and at + 1 < len(text) and text[at + 1] in escapes:
            out.append(text[at + 1])
            at += 1
        elif char == quote:
            quote = ""
        elif not quote and char in "'\"":
            quote = char
        else:
            out.append(char)
        at += 1
    if quote:
        raise GrammarError(f"a quote {quote} is opened and not closed", fix="Close it, or escape it with a backslash.")
    return "".join(out), at


def _refuse_strange(text: str) -> None:
    """Variables would be expanded in some places and not in others; control characters hide what a line says."""
    found = _EXPANSION.search(text)
    if found:
        raise GrammarError(
            f"{shown(text[found.start() : found.start() + 20])}: variables are not expanded in this line",
            fix="Write the value itself; what changes between runs belongs in a %%params cell.",
        )
    if not text.replace("\t", " ").isprintable():
        raise GrammarError("the line holds a character that does not print", fix="Type the line again.")
