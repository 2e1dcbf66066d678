"""A kernel as a notebook's front-end has it: a process of its own, cells, what they show, interrupt and kill."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jupyter_client.manager import KernelManager


class Kernel:
    """One kernel with nbpipe loaded."""

    def __init__(self, manager: Any, client: Any) -> None:
        self.manager = manager
        self._client = client
        self._request = ""
        self.messages: list[dict[str, Any]] = []

    def send(self, source: str) -> None:
        """Execute a cell; returns at once."""
        self.messages = []
        self._request = self._client.execute(source)

    def shown(self) -> str:
        """Everything that was printed so far."""
        return "".join(m["content"]["text"] for m in self.messages if m["msg_type"] == "stream")

    def until(self, text: str, seconds: float = 60) -> float:
        """Wait until this was printed; seconds that it took."""
        started = time.monotonic()
        while text not in self.shown():
            assert time.monotonic() - started < seconds, self.shown()
            self._take(0.5)
        return time.monotonic() - started

    def _take(self, seconds: float) -> dict[str, Any] | None:
        import queue

        try:
            message: dict[str, Any] = self._client.get_iopub_msg(timeout=seconds)
        except queue.Empty:
            return None
        if message["parent_header"].get("msg_id") == self._request:
            self.messages.append(message)
        return message

    def end(self, seconds: float = 60) -> str:
        """Wait for the end of the cell; the name of its error, or nothing."""
        started = time.monotonic()
        while not any(m["msg_type"] == "status" and m["content"]["execution_state"] == "idle" for m in self.messages):
            assert time.monotonic() - started < seconds, self.shown()
            self._take(0.5)
        return next((m["content"]["ename"] for m in self.messages if m["msg_type"] == "error"), "")

    def run(self, source: str) -> str:
        """A cell to its end; its error, or nothing."""
        self.send(source)
        return self.end()

    def value(self, expression: str) -> str:
        """What `print` says of it."""
        assert self.run(f"print({expression})") == "", self.messages
        return self.shown().strip()

    def interrupt(self) -> None:
        """The stop button."""
        self.manager.interrupt_kernel()

    def kill(self) -> None:
        """The laptop is gone."""
        os.kill(self.manager.provisioner.process.pid, signal.SIGKILL)
        self.manager.provisioner.process.wait()


@contextmanager
def kernel(folder: Path, environment: dict[str, str]) -> Iterator[Kernel]:
    """A kernel in this folder, until the block ends."""
    manager = KernelManager()
    manager.start_kernel(cwd=str(folder), env=environment)
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        found = Kernel(manager, client)
        assert found.run("%load_ext nbpipe") == ""
        yield found
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
