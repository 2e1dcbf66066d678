"""Where the built front-end lies."""

from __future__ import annotations

from pathlib import Path

from nbpipe.errors import UnsupportedError

_STATIC = Path(__file__).parent / "static"
SCRIPT = _STATIC / "widget.js"
STYLE = _STATIC / "widget.css"


def is_built() -> bool:
    """Whether there is a front-end to show anything with."""
    return SCRIPT.is_file() and STYLE.is_file()


def require_bundle() -> None:
    """Raise `UnsupportedError` where the front-end was not built: a checkout without node."""
    if not is_built():
        raise UnsupportedError("the widget was not built", fix="In a checkout: make widget (it needs node and npm).")
