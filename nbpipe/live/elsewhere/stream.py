"""The output of a job, shown in the cell that waits for it, as it comes."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_PIECE = 1 << 20
_WIDGET = "application/vnd.jupyter.widget-view+json"


class Stream:
    """Follows the log of an attempt, and shows what one cell of it printed and displayed.

    Responsibilities: text, rich outputs, updates of them, `clear_output`; keeps the error for whoever raises it. Must not
    run, nor trust, anything that it shows: outputs go to the front-end as those of any cell do.
    """

    def __init__(self, shell: Any, cell: int) -> None:
        self._shell = shell
        self._cell = cell
        self._path: Path | None = None
        self._at = 0
        self._rest = b""
        self.error: Mapping[str, Any] | None = None

    def follow(self, path: Path) -> None:
        """From now on this log."""
        self.pump()
        self._path, self._at, self._rest, self.error = path, 0, b"", None

    def pump(self) -> bool:
        """Show what is new; whether there was anything."""
        if self._path is None:
            return False
        try:
            with self._path.open("rb") as file:
                file.seek(self._at)
                data = file.read(_PIECE)
        except FileNotFoundError:
            return False
        self._at += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if (said := _read(line)) is not None:
                self._show(said)
        return bool(lines)

    def replay(self, outputs: list[dict[str, Any]]) -> None:
        """Show outputs that were kept, as nbformat has them."""
        for output in outputs:
            if output["output_type"] in ("stream", "display_data", "execute_result"):
                self._show({**output, "type": output["output_type"], "cell": self._cell})

    def _show(self, line: Mapping[str, Any]) -> None:
        kind = line["type"]
        if kind == "note":
            say(line["text"])
        if line["cell"] == self._cell and kind == "error":
            self.error = line
        elif line["cell"] == self._cell and kind == "stream":
            target = sys.stderr if line["name"] == "stderr" else sys.stdout
            target.write(line["text"])
            target.flush()
        elif line["cell"] == self._cell and kind in ("display_data", "execute_result", "update"):
            self._display(line, update=kind == "update")
        elif line["cell"] == self._cell and kind == "clear":
            from IPython.display import clear_output

            clear_output(wait=bool(line["wait"]))

    def _display(self, line: Mapping[str, Any], *, update: bool) -> None:
        named = {"display_id": line["display"]} if "display" in line else {}
        # A widget lives in the kernel that made it: of one that is elsewhere only the text can be shown.
        data = {kind: value for kind, value in line["data"].items() if kind != _WIDGET}
        self._shell.display_pub.publish(
            data=data, metadata=line["metadata"], transient=named, update=update and bool(named)
        )


def _read(line: bytes) -> Mapping[str, Any] | None:
    """What stands in a line of a log; None for one that no job would write: it comes from elsewhere."""
    try:
        said = json.loads(line)
    except ValueError:
        return None
    return said if isinstance(said, dict) and {"type", "cell"} <= said.keys() else None


def say(text: str) -> None:
    """A remark of nbpipe's own in the cell."""
    sys.stderr.write(f"nbpipe: {text}\n")
    sys.stderr.flush()
