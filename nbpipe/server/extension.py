"""Puts nbpipe's routes and events into a Jupyter server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbpipe.server.front import Front
from nbpipe.server.handler import handlers
from nbpipe.server.routes import ROUTES

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp

#: Schema of the events; a change of meaning makes a new one.
SCHEMA_ID = "https://nbpipe.dev/schemas/run/v1"
_SCHEMA = Path(__file__).parent / "run-event.yaml"


def load(app: ServerApp) -> None:
    """Register the schema of the events, and answer below `BASE/nbpipe/api/`."""
    if SCHEMA_ID not in app.event_logger.schemas:
        app.event_logger.register_event_schema(_SCHEMA)
    front = Front(lambda event: app.event_logger.emit(schema_id=SCHEMA_ID, data=event))
    app.web_app.settings["nbpipe_front"] = front
    app.web_app.add_handlers(".*$", handlers(ROUTES, app.base_url, front))  # type: ignore[no-untyped-call]
    app.event_logger.add_listener(schema_id=app.contents_manager.event_schema_id, listener=_follow(app))
    app.log.info("nbpipe answers below %snbpipe/api/", app.base_url)


def _follow(app: ServerApp) -> Any:
    """What hears of files that get another name: the runs of a notebook stay its own."""

    async def hear(*, data: dict[str, Any], **_: object) -> None:
        root = getattr(app.contents_manager, "root_dir", "")
        if data.get("action") != "rename" or not root:
            return
        from nbpipe.run.renames import note_rename

        try:
            # At once: who renamed it asks for its runs next.
            note_rename(*(Path(root) / str(data[name]).strip("/") for name in ("source_path", "path")))
        except OSError as error:
            app.log.warning("nbpipe could not note that %r has another name: %s", data["source_path"], error)

    return hear
