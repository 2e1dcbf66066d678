"""Puts nbpipe's routes and events into a Jupyter server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nbpipe.server.changes import SCHEMA_ID
from nbpipe.server.desk import Desk
from nbpipe.server.handler import handlers
from nbpipe.server.routes import ROUTES

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp

_SCHEMA = Path(__file__).parent / "run-event.yaml"


def load(app: ServerApp) -> None:
    """Register the schema of the events, and answer below `BASE/nbpipe/api/`."""
    if SCHEMA_ID not in app.event_logger.schemas:
        app.event_logger.register_event_schema(_SCHEMA)
    desk = Desk(lambda event: app.event_logger.emit(schema_id=SCHEMA_ID, data=event))
    app.web_app.settings["nbpipe_desk"] = desk
    app.web_app.add_handlers(".*$", handlers(ROUTES, app.base_url, desk))  # type: ignore[no-untyped-call]
    app.log.info("nbpipe answers below %snbpipe/api/", app.base_url)
