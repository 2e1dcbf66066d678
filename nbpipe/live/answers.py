"""The comm `nbpipe.status`: a front-end asks a kernel which stages are stale. Nothing is computed until it asks."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from nbpipe.errors import NbpipeError
from nbpipe.live.status import status_of

if TYPE_CHECKING:
    from nbpipe.live.session import Session

TARGET = "nbpipe.status"
#: Seconds that an answer waits for the recorder: the next cell may be waiting behind it.
_WAIT = 0.2


class Answers:
    """Answers front-ends about one kernel; `docs/formats/status.md` has the messages.

    Must not: run code of the user's, raise into the kernel, or look while a cell runs.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def register(self) -> None:
        """Start listening; where there is no kernel, nobody asks."""
        manager = self._manager()
        if manager is not None:
            manager.register_target(TARGET, self._opened)

    def unregister(self) -> None:
        """Stop listening; open comms get no more answers."""
        manager = self._manager()
        if manager is not None and TARGET in manager.targets:
            manager.unregister_target(TARGET, self._opened)

    def answer(self, asked: Any) -> dict[str, Any]:
        """What to send back for the data of one message."""
        if not isinstance(asked, dict) or asked.get("kind") != "status":
            return {
                "kind": "error",
                "code": "usage",
                "message": "this comm answers {'kind': 'status'} alone",
                "fix": "",
            }
        if self._session.recording.recorder.busy:
            # Where comms have a thread of their own the cell's variables change while they would be looked at.
            return {"kind": "busy"}
        try:
            content = msgspec.json.encode(asked["content"]) if asked.get("content") is not None else None
            found = status_of(self._session, content=content, wait=_WAIT)
            return {"kind": "status", "status": msgspec.to_builtins(found)}
        except NbpipeError as error:
            return {"kind": "error", "code": error.code, "message": error.message, "fix": error.fix or ""}
        except Exception as error:  # noqa: BLE001 - the front-end is told; the kernel's own log is no place for it
            return {"kind": "error", "code": "internal", "message": f"{type(error).__name__}: {error}", "fix": ""}

    def _opened(self, comm: Any, _: Any) -> None:
        comm.on_msg(partial(self._asked, comm))

    def _asked(self, comm: Any, message: Any) -> None:
        comm.send(self.answer(message["content"]["data"]))

    def _manager(self) -> Any:
        return getattr(getattr(self._session.shell, "kernel", None), "comm_manager", None)
