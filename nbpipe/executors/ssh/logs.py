"""A log that is copied while it grows, with remarks of ours between its lines."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path


class CopiedLog:
    """Appends whole lines only: what was begun waits for its end. `offset` counts bytes of the original."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rest = b""
        self._lock = threading.Lock()
        self.offset = 0

    def restart(self) -> None:
        """The original begins anew."""
        with self._lock:
            self.offset, self._rest = 0, b""

    def feed(self, at: int, data: bytes) -> None:
        """Bytes of the original from `at` on; what is known already is left out."""
        with self._lock:
            if at > self.offset or at + len(data) <= self.offset:
                return
            new = data[self.offset - at :]
            self.offset += len(new)
            lines, end, self._rest = (self._rest + new).rpartition(b"\n")
            if end:
                self._append(lines + end)

    def note(self, text: str) -> None:
        """A remark."""
        line = {"t": round(time.time(), 3), "cell": None, "type": "note", "text": text}
        with self._lock:
            self._append(json.dumps(line).encode() + b"\n")

    def _append(self, data: bytes) -> None:
        with self._path.open("ab") as file:
            file.write(data)
