"""What matplotlib keeps for the whole process: `rcParams`, interactive mode, and how IPython shows figures.

IPython switches inline figures on when pyplot first asks for its backend, and with them interactive mode. That is no
deed of the user's, so interactive mode is looked at relative to it.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

#: Its import switches inline figures on.
INLINE = "matplotlib_inline.backend_inline"
#: Set by the machinery, or not data.
_LEFT_OUT = frozenset({"backend", "backend_fallback", "interactive", "figure.hooks", "path.effects"})
_CYCLE = "axes.prop_cycle"
_COLORS = "the colors of image.cmap"
#: Settings of the inline backend.
_SETTINGS = ("figure_formats", "print_figure_kwargs", "close_figures", "rc")


def inline_is_on() -> bool:
    """Whether figures are shown below the cells that draw them."""
    module = sys.modules.get(INLINE)
    return module is not None and hasattr(module.configure_inline_support, "current_backend")


def switch_on() -> None:
    """Show figures below the cells, as the first use of pyplot does where this is how figures are shown."""
    importlib.import_module(INLINE)


def rc_get() -> dict[str, Any]:
    """Every setting that is data, and whether interactive mode is other than what IPython makes it."""
    import matplotlib as mpl

    # `dict.items`: reading some settings through rcParams warns, reading the backend starts it.
    found = {name: value for name, value in dict.items(mpl.rcParams) if name not in _LEFT_OUT}
    found[_CYCLE] = [dict(item) for item in mpl.rcParams[_CYCLE]]
    found[_COLORS] = _colors(mpl.rcParams["image.cmap"])
    now = mpl.is_interactive()
    found["interactive"] = None if now == inline_is_on() else now
    return found


def _colors(name: Any) -> list[list[float]] | None:
    """The colors of the default colormap, where a library has registered it: another process may not have that."""
    import matplotlib as mpl

    if not isinstance(name, str) or name in getattr(mpl.colormaps, "_builtin_cmaps", ()) or name not in mpl.colormaps:
        return None
    found = mpl.colormaps[name]
    return [[float(part) for part in found(place)] for place in range(found.N)]


def rc_pack(first: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """Only what differs from the process's first state."""
    return {name: value for name, value in now.items() if name not in first or first[name] != value}


def rc_set(data: Any) -> None:
    """Apply what `rc_pack` gave."""
    import matplotlib as mpl
    from cycler import cycler

    plain = {name: value for name, value in data.items() if name not in {_CYCLE, _COLORS, "interactive"}}
    mpl.rcParams.update(plain)
    if data.get(_COLORS) and mpl.rcParams["image.cmap"] not in mpl.colormaps:
        from matplotlib.colors import ListedColormap

        mpl.colormaps.register(ListedColormap(data[_COLORS], name=mpl.rcParams["image.cmap"]))
    if _CYCLE in data:
        keys = sorted({key for item in data[_CYCLE] for key in item})
        mpl.rcParams[_CYCLE] = cycler(**{key: [item[key] for item in data[_CYCLE]] for key in keys})
    if data.get("interactive") is not None:
        switch_on()
        mpl.interactive(data["interactive"])


def inline_get() -> dict[str, Any]:
    """How figures are shown: settings of the inline backend, and the formats that are in force (a call may set them)."""
    from IPython.core.getipython import get_ipython
    from matplotlib.figure import Figure
    from matplotlib_inline.config import InlineBackend

    config = InlineBackend.instance()
    found: dict[str, Any] = {name: getattr(config, name) for name in _SETTINGS}
    found["figure_formats"] = sorted(config.figure_formats)
    shown, arguments = [], {}
    for formatter in get_ipython().display_formatter.formatters.values():
        draw = formatter.type_printers.get(Figure)
        if hasattr(draw, "keywords"):
            given = dict(draw.keywords)
            given.pop("base64", None)
            shown.append(given.pop("fmt", "retina"))
            arguments = given
    return found | {"shown": sorted(shown), "arguments": arguments}


def inline_set(data: Any) -> None:
    """Apply what `inline_get` gave."""
    from IPython.core.getipython import get_ipython
    from IPython.core.pylabtools import select_figure_formats
    from matplotlib_inline.config import InlineBackend

    config = InlineBackend.instance()
    for name in _SETTINGS:
        setattr(config, name, set(data[name]) if name == "figure_formats" else data[name])
    select_figure_formats(get_ipython(), data["shown"], **data["arguments"])
