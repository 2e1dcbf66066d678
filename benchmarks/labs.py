"""A real JupyterLab and a real Chromium for the cases that measure pages, and what they have in common."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.measure import Figure

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from lab import CHROMIUM, Lab, running_browser, running_lab

__all__ = ["HAS_BROWSER", "Lab", "Processor", "flow", "laboratory", "milliseconds", "switched", "with_extension"]

HAS_BROWSER = CHROMIUM is not None


@contextmanager
def laboratory() -> Iterator[tuple[Lab, Any]]:
    """A server on an empty project, and a browser; both end with the block."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        given = {"NBPIPE_TRACKING": "off", "XDG_CONFIG_HOME": str(root / "own"), "XDG_CACHE_HOME": str(root / "cache")}
        with running_lab(root, given) as lab, running_browser() as browser:
            (lab.folder / "nbpipe.toml").touch()
            yield lab, browser


def switched(lab: Lab, *, on: bool) -> None:
    """Pages that are opened from now on have the extension, or do not: the server looks for it each time."""
    here = lab.folder.parent / "data" / "labextensions" / "@nbpipe" / "labextension"
    away = lab.folder.parent / "labextension"
    if on and not here.is_symlink():
        away.rename(here)
    elif not on and here.is_symlink():
        here.rename(away)


def with_extension(page: Any) -> bool:
    """Whether this page has it."""
    found: bool = page.evaluate("window.jupyterapp.commands.hasCommand('nbpipe:open-panel')")
    return found


def flow(lab: Lab, name: str, stages: int) -> None:
    """A notebook of this many stages, most of which need several others."""
    cells = ["%%stage s0\nv0 = 1"]
    for n in range(1, stages):
        needed = sorted({n - 1, n // 2, max(n - 7, 0)})
        cells.append(f"%%stage s{n}\nv{n} = " + " + ".join(f"v{m}" for m in needed))
    lab.write(name, *cells)


class Processor:
    """Time that the processor worked for a page's own thread; what runs beside it on the machine counts little."""

    def __init__(self, page: Any) -> None:
        self._session = page.context.new_cdp_session(page)
        self._session.send("Performance.enable", {"timeDomain": "threadTicks"})
        self._last = self._now()

    def since(self) -> float:
        """Milliseconds since it was asked last."""
        before, self._last = self._last, self._now()
        return self._last - before

    def _now(self) -> float:
        metrics = self._session.send("Performance.getMetrics")["metrics"]
        seconds: float = next(each["value"] for each in metrics if each["name"] == "TaskDuration")
        return seconds * 1000


def milliseconds(what: str, measured: list[float]) -> Figure:
    """A figure from milliseconds, with the time that nineteen of twenty stay below."""
    ordered = sorted(measured)
    high = ordered[min(round(0.95 * len(ordered)), len(ordered) - 1)]
    return Figure(what, [value / 1000 for value in measured], f"95 %: {high / 1000:.4f}; {len(measured)} times")
