"""Makes the desk when somebody asks for the first time: until then the server has imported next to nothing of nbpipe."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbpipe.server.desk import Desk


class Front:
    """Gives every handler the one desk. `emit` sends an event, in the server's loop."""

    def __init__(self, emit: Callable[[dict[str, Any]], object]) -> None:
        self._emit = emit
        self._making: asyncio.Task[Desk] | None = None

    async def desk(self) -> Desk:
        """The desk; what it needs is imported in a thread, so that nobody else waits."""
        if self._making is None:
            self._making = asyncio.create_task(asyncio.to_thread(self._make))
        return await asyncio.shield(self._making)

    def _make(self) -> Desk:
        from nbpipe.server import actions, answering, history, notebooks, surroundings  # noqa: F401 - for the first answers
        from nbpipe.server.desk import Desk

        return Desk(self._emit)
