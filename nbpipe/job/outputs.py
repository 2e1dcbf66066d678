"""Outputs of cells: into the log as they come, into the notebook up to a limit."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from nbpipe.job.redact import Redactor

_FLUSH = 0.2
_LARGEST_PIECE = 65_536


class Log:
    """Append-only `log.jsonl`: one JSON object a line, stream text gathered for at most 0.2 s.

    What comes after a silence is written at once: somebody may watch, and wait for a first line.
    """

    def __init__(self, path: Path, redactor: Redactor) -> None:
        self._file = path.open("a", encoding="utf-8")
        self._redactor = redactor
        self._cell: int | None = None
        self._stream = ""
        self._text: list[str] = []
        self._size = 0
        self._since = 0.0
        self._written = 0.0

    def write(self, kind: str, cell: int | None, **data: Any) -> None:
        """One line, after the stream text that came before it."""
        self.flush()
        self._line(kind, cell, data)
        self._file.flush()

    def stream(self, cell: int, name: str, text: str) -> None:
        """Text printed by a cell."""
        if (cell, name) != (self._cell, self._stream):
            self.flush()
            self._cell, self._stream, self._since = cell, name, time.monotonic()
        if not self._text:
            self._since = time.monotonic()
        self._text.append(text)
        self._size += len(text)
        now = time.monotonic()
        if self._size > _LARGEST_PIECE or now - self._since > _FLUSH or now - self._written > _FLUSH:
            self._drain(final=False)

    def tick(self) -> None:
        """Write what has waited for long enough."""
        if self._text and time.monotonic() - self._since > _FLUSH:
            self._drain(final=False)

    def flush(self) -> None:
        """Write all that waits."""
        self._drain(final=True)

    def _drain(self, *, final: bool) -> None:
        if not self._text:
            return
        text = "".join(self._text)
        held = 0 if final else self._redactor.held_back(text)
        out, rest = text[: len(text) - held], text[len(text) - held :]
        if out:
            self._line("stream", self._cell, {"name": self._stream, "text": out})
            self._file.flush()
        now = time.monotonic()
        self._text, self._size, self._since, self._written = [rest] if rest else [], len(rest), now, now

    def _line(self, kind: str, cell: int | None, data: dict[str, Any]) -> None:
        line = {"t": round(time.time(), 3), "cell": cell, "type": kind, **self._redactor.data(data)}
        self._file.write(json.dumps(line, ensure_ascii=True) + "\n")

    def close(self) -> None:
        """Flush and close. Safe to repeat."""
        if not self._file.closed:
            self.flush()
            self._file.close()


class CellOutputs:
    """The outputs of one cell as nbformat 4 keeps them, at most `limit` bytes; what is cut off is said in a note."""

    def __init__(self, limit: int, redactor: Redactor) -> None:
        self._redactor = redactor
        self._limit = limit
        self._room = limit
        self._cut = 0
        self._clear_next = False
        self.outputs: list[dict[str, Any]] = []
        self._pieces: list[str] = []

    def stream(self, name: str, text: str) -> None:
        """Printed text; joined to the text before it."""
        self._maybe_clear()
        if self._room <= 0:
            self._cut += len(text)
            return
        kept = text[: self._room]
        if len(kept) < len(text):
            # What is cut off may have begun as a secret.
            kept = kept[: len(kept) - self._redactor.held_back(kept)]
        self._cut += len(text) - len(kept)
        self._room -= len(kept)
        last = self.outputs[-1] if self.outputs else None
        if last is None or last["output_type"] != "stream" or last["name"] != name:
            self._settle()
            self.outputs.append({"output_type": "stream", "name": name, "text": ""})
        self._pieces.append(kept)

    def _settle(self) -> None:
        if self._pieces:
            self.outputs[-1]["text"] += self._redactor.text("".join(self._pieces))
            self._pieces = []

    def add(self, output: dict[str, Any]) -> dict[str, Any] | None:
        """Anything else; returns what was kept. Errors are always kept."""
        self._maybe_clear()
        size = len(json.dumps(output))
        if size > self._room and output["output_type"] != "error":
            self._cut += size
            return None
        self._settle()
        self._room -= size
        self.outputs.append(output)
        return output

    def clear(self, *, wait: bool) -> None:
        """`clear_output`."""
        if wait:
            self._clear_next = True
        else:
            self._settle()
            # Emptied in place: displays that are updated later hold their own dicts.
            self.outputs.clear()
            self._room = self._limit

    def _maybe_clear(self) -> None:
        if self._clear_next:
            self._clear_next = False
            self.clear(wait=False)

    def done(self) -> list[dict[str, Any]]:
        """All outputs, and the note where some were cut."""
        self._settle()
        if self._cut:
            note = f"\n[nbpipe] {self._cut:,} bytes of output are not kept here; the log has them all.\n"
            self.outputs.append({"output_type": "stream", "name": "stderr", "text": note})
            self._cut = 0
        return self.outputs
