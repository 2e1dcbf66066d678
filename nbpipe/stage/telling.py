"""What a stage's process prints: the scheduler's log of the task shows what the cells print, while they print it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TextIO

from nbpipe.history.logs import follow_logs
from nbpipe.model import Event
from nbpipe.stage.book import Entry


class Teller:
    """Prints what happens to a stage. Lines of nbpipe itself begin with `nbpipe:`."""

    def __init__(self, out: TextIO, stage: str) -> None:
        self._out = out
        self._stage = stage
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def hear(self, event: Event, folder: Path) -> None:
        """An event of the journal; `folder` is that of the engine's run."""
        data = event.data
        if event.kind == "stage-started":
            self._say(f"'{self._stage}' runs: {'; '.join(data.get('reasons', ()))}")
            self._stop()
            self._ended = threading.Event()
            self._thread = threading.Thread(target=self._follow, args=(folder, event.attempt, self._ended), daemon=True)
            self._thread.start()
        elif event.kind == "stage-cached":
            self._say(f"'{self._stage}' is reused, from {data.get('source')}")
        elif event.kind in ("stage-succeeded", "stage-ended", "stage-retry", "stage-superseded"):
            self._stop()
            if event.kind in ("stage-retry", "stage-superseded"):
                self._say(f"'{self._stage}' runs again: {'; '.join(data.get('reasons', ()))}")
        elif event.kind == "stage-waiting":
            self._say(f"'{self._stage}' waits: {'; '.join(data.get('reasons', ()))}")
        elif event.kind == "warning":
            self._say(f"warning: {data.get('text')}")

    def end(self, entry: Entry) -> None:
        """How it ended."""
        self._stop()
        failure = entry.failure
        if failure is None:
            self._say(f"'{entry.stage}' succeeded")
            return
        place = f", cell {failure.cell}" if failure.cell is not None else ""
        self._say(f"stage '{entry.stage}'{place} {entry.status}: {failure.message}")
        if failure.fix:
            self._say(failure.fix)

    def _follow(self, folder: Path, attempt: int, ended: threading.Event) -> None:
        for piece in follow_logs(folder, self._stage, alive=lambda: not ended.is_set()):
            if piece.attempt == attempt:
                self._out.write(piece.text)
                self._out.flush()

    def _stop(self) -> None:
        """Print what is left of the log."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _say(self, text: str) -> None:
        self._out.write(f"nbpipe: {text}\n")
        self._out.flush()
