"""nbpipe: turn the notebook you have into a production pipeline.

Everything here is imported on use, so that `import nbpipe` costs nothing in a kernel.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbpipe.checkpoints import checkpoint_dir
    from nbpipe.credentials import secret
    from nbpipe.history.api import search
    from nbpipe.history.search import Page, Query
    from nbpipe.live.elsewhere.remote import RemoteValue
    from nbpipe.live.looking import trial
    from nbpipe.live.status import status
    from nbpipe.magics import load_ipython_extension, unload_ipython_extension
    from nbpipe.metrics import log_metric
    from nbpipe.model import Pipeline
    from nbpipe.pipeline.extract import extract
    from nbpipe.run.api import RunResult
    from nbpipe.run.api import run_notebook as run
    from nbpipe.sweep.api import sweep_notebook as sweep
    from nbpipe.sweep.api import sweeps
    from nbpipe.ui.api import diff, history

__version__ = "0.1.0"

__all__ = [
    "Page",
    "Pipeline",
    "Query",
    "RemoteValue",
    "RunResult",
    "checkpoint_dir",
    "diff",
    "extract",
    "history",
    "load_ipython_extension",
    "log_metric",
    "run",
    "search",
    "secret",
    "status",
    "sweep",
    "sweeps",
    "trial",
    "unload_ipython_extension",
]

_PLACES = {
    "Page": ("nbpipe.history.search", "Page"),
    "Pipeline": ("nbpipe.model", "Pipeline"),
    "Query": ("nbpipe.history.search", "Query"),
    "RemoteValue": ("nbpipe.live.elsewhere.remote", "RemoteValue"),
    "RunResult": ("nbpipe.run.api", "RunResult"),
    "checkpoint_dir": ("nbpipe.checkpoints", "checkpoint_dir"),
    "diff": ("nbpipe.ui.api", "diff"),
    "extract": ("nbpipe.pipeline.extract", "extract"),
    "load_ipython_extension": ("nbpipe.magics", "load_ipython_extension"),
    "log_metric": ("nbpipe.metrics", "log_metric"),
    "search": ("nbpipe.history.api", "search"),
    "secret": ("nbpipe.credentials", "secret"),
    "status": ("nbpipe.live.status", "status"),
    "sweeps": ("nbpipe.sweep.api", "sweeps"),
    "trial": ("nbpipe.live.looking", "trial"),
    "unload_ipython_extension": ("nbpipe.magics", "unload_ipython_extension"),
}


#: Packages that can be called, see `nbpipe.callable`.
_CALLABLE = ("history", "run", "sweep")


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    """Where the extension for JupyterLab lies, for a development install."""
    return [{"src": "_labextension", "dest": "@nbpipe/labextension"}]


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    """Which module answers the lab; Jupyter Server asks the package that its configuration names."""
    return [{"module": "nbpipe.server"}]


def __getattr__(name: str) -> Any:
    if name in _CALLABLE:
        return import_module(f"nbpipe.{name}")
    if name not in _PLACES:
        raise AttributeError(f"module 'nbpipe' has no attribute {name!r}")
    module, attribute = _PLACES[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
