"""nbformat, without the second that its import takes where JupyterLab is installed.

There jsonschema has all its extras, and one of them compiles the grammar of RFC 3987 as soon as it is imported. Nothing
in a notebook is checked against that grammar: here it is compiled when it is first asked for.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

_GRAMMAR = "rfc3987_syntax"


def nbformat() -> Any:
    """The module nbformat."""
    load_jsonschema()
    return import_module("nbformat")


def load_jsonschema() -> None:
    """Import jsonschema; its checks of IRIs work as ever, but compile their grammar on use."""
    if "jsonschema" in sys.modules or _GRAMMAR in sys.modules or find_spec(_GRAMMAR) is None:
        return
    late = ModuleType(_GRAMMAR)
    late.is_valid_syntax = _is_valid_syntax  # type: ignore[attr-defined]
    sys.modules[_GRAMMAR] = late
    try:
        import_module("jsonschema")
    finally:
        del sys.modules[_GRAMMAR]


def _is_valid_syntax(term: str, text: str) -> bool:
    return bool(import_module(_GRAMMAR).is_valid_syntax(term, text))
