"""The Jupyter Server extension: REST resources and events for the lab. Importing it is cheap; `extension` does the work."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp


def _load_jupyter_server_extension(app: ServerApp) -> None:
    """Called once, when the server starts."""
    from nbpipe.server.extension import load

    load(app)
