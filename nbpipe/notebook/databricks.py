"""Notebooks that Databricks exports as source: Python, with comments between cells and before lines that are none."""

from __future__ import annotations

import re
from typing import Any

_FIRST = "# Databricks notebook source"
_BETWEEN = re.compile(r"^# COMMAND -{10,}[ \t]*$", re.MULTILINE)
_TITLE = re.compile(r"# DBTITLE \d+,.*")
_MAGIC = re.compile(r"# MAGIC ?")
#: What a cell is that begins with this word; `%pip`, `%run` and their like are magics of IPython's kind.
_LANGUAGE = re.compile(r"%(md|md-sandbox|python|sql|scala|r|sh|fs)(?!\S)[ \t]*")


def is_databricks(text: str) -> bool:
    """Whether the text is such a notebook."""
    return text.partition("\n")[0].rstrip() == _FIRST


def document(text: str) -> dict[str, Any]:
    """The notebook as nbformat's JSON. A cell in another language has its cell magic, such as `%%sql`."""
    parts = _BETWEEN.split(text.replace("\r\n", "\n").partition("\n")[2])
    cells = [_cell(part, number) for number, part in enumerate(parts, 1) if part.strip()]
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}


def _cell(part: str, number: int) -> dict[str, Any]:
    lines = [line for line in part.strip("\n").split("\n") if not _TITLE.fullmatch(line)]
    source = "\n".join(_MAGIC.sub("", line, count=1) if _MAGIC.match(line) else line for line in lines).strip("\n")
    said = _LANGUAGE.match(source)
    common = {"id": f"cell-{number}", "metadata": {}}
    if said is not None and said[1].startswith("md"):
        return {"cell_type": "markdown", **common, "source": source[said.end() :].lstrip("\n")}
    if said is not None:
        rest = source[said.end() :].lstrip("\n")
        source = rest if said[1] == "python" else f"%%{said[1]}\n{rest}"
    return {"cell_type": "code", **common, "source": source, "outputs": [], "execution_count": None}
