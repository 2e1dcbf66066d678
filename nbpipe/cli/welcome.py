"""What `nbpipe` alone says: the next thing to type, for the folder one is in."""

from __future__ import annotations

import re
from pathlib import Path

from nbpipe.cli.text import line

_SUFFIXES = (".ipynb", ".py", ".md")
_TAGGED = re.compile(rb"%%(?:stage|check)\s|\"(?:stage|step|check|block):[a-z]")
#: What text notebooks hold.
_TEXT = (b"jupytext", b"# %%", b"# Databricks notebook source")
_LARGEST = 20_000_000
_SHOWN = 3


def welcome(folder: Path | None = None) -> str:
    """One screen at most: what to type first where there is nothing yet, what to type next where there is."""
    folder = Path() if folder is None else folder
    tagged, untagged = notebooks(folder)
    lines = ["nbpipe turns the notebook you have into a pipeline.", ""]
    if tagged:
        lines += [f"  nbpipe run {_word(path)}" for path in tagged[:_SHOWN]]
        first = _word(tagged[0])
        lines += [f"  nbpipe plan {first}", "  nbpipe history"]
    elif untagged:
        path = untagged[0]
        copy = path.with_name(f"{path.stem}-stages.ipynb")
        lines += [
            f"{line(path.name)} has no stages yet. Let nbpipe propose some, in a copy:",
            "",
            f"  nbpipe suggest {_word(path)} -o {_word(copy)}",
            f"  nbpipe run {_word(copy)}",
            "",
            "or write  %%stage NAME  on top of each cell that belongs to the pipeline, then:",
            "",
            f"  nbpipe run {_word(path)}",
        ]
    else:
        lines += [
            "There is no notebook in this folder. Go to one of yours and type:",
            "",
            "  nbpipe suggest NOTEBOOK.ipynb -o STAGES.ipynb",
            "  nbpipe run STAGES.ipynb",
        ]
    return "\n".join([*lines, "", "All commands: nbpipe --help"])


def notebooks(folder: Path) -> tuple[list[Path], list[Path]]:
    """Notebooks of the folder with stages, and .ipynb files without, each by name."""
    tagged: list[Path] = []
    untagged: list[Path] = []
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix in _SUFFIXES and path.is_file())
    except OSError:
        return [], []
    for path in paths:
        if is_tagged(path):
            tagged.append(path)
        elif path.suffix == ".ipynb":
            untagged.append(path)
    return tagged, untagged


def is_tagged(path: Path) -> bool:
    """Whether the file looks like a notebook with stages; a guess from its bytes, never more."""
    try:
        if path.stat().st_size > _LARGEST:
            return False
        data = path.read_bytes()
    except OSError:
        return False
    return bool(_TAGGED.search(data)) and (path.suffix == ".ipynb" or any(mark in data for mark in _TEXT))


def _word(path: Path) -> str:
    """The path as a shell takes it."""
    import shlex

    return shlex.quote(line(str(path)))
