"""How busy the GPUs of a job are while it runs, under MLflow's names; nothing where there is no `nvidia-smi`."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import threading
from collections.abc import Callable

#: Seconds between two readings.
_EVERY = 5
_QUERY = "index,utilization.gpu,memory.used,memory.total,power.draw"
_MEBIBYTE = 1.048576


class Gauges:
    """Readings until `close`. `tell` gets them as they come: names, and values.

    Where this process dies, the tool does so too: it writes to a pipe that nobody reads any more.
    """

    def __init__(self, tell: Callable[[dict[str, float]], None], *, visible: str | None) -> None:
        self._tell = tell
        self._process: subprocess.Popen[str] | None = None
        tool = shutil.which("nvidia-smi")
        if tool is None or visible == "":
            return
        words = [tool, f"--query-gpu={_QUERY}", "--format=csv,noheader,nounits", f"--loop={_EVERY}"]
        words += [f"--id={visible}"] if visible else []
        with contextlib.suppress(OSError):
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                errors="replace",
            )
            self._thread = threading.Thread(target=self._read, name="nbpipe-gauges", daemon=True)
            self._thread.start()

    def _read(self) -> None:
        if self._process is None or self._process.stdout is None:
            return
        for line in self._process.stdout:
            found = readings(line)
            if found:
                try:
                    self._tell(found)
                except OSError:  # a full disk: the job itself says so, where it matters
                    return

    def close(self) -> None:
        """No more readings. Safe to repeat."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            self._thread.join(2)
            if process.stdout is not None:
                process.stdout.close()


def readings(line: str) -> dict[str, float]:
    """What one line of the tool says of one GPU; what it does not know, such as the power of a slice, is left out."""
    words = [word.strip() for word in line.split(",")]
    if len(words) != len(_QUERY.split(",")) or not words[0].isdigit():
        return {}
    busy, used, total, power = (_number(word) for word in words[1:])
    found = {
        "utilization_percentage": busy,
        "memory_usage_megabytes": used * _MEBIBYTE if used is not None else None,
        "memory_usage_percentage": 100 * used / total if used is not None and total else None,
        "power_usage_watts": power,
    }
    return {f"system/gpu_{words[0]}_{name}": value for name, value in found.items() if value is not None}


def _number(word: str) -> float | None:
    try:
        value = float(word)
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None
