"""What the extension adds to the time until JupyterLab can be used."""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks.labs import Lab, laboratory, milliseconds, switched, with_extension
from benchmarks.measure import Figure

#: When the lab has put its layout together again, counted from the start of the navigation.
_NOTE = """(() => {
  const wait = setInterval(() => {
    if (window.jupyterapp) {
      clearInterval(wait);
      window.jupyterapp.restored.then(() => { window.restoredAt = performance.now(); });
    }
  }, 1);
})()"""


def lab_startup(repeats: int) -> tuple[str, str, list[Figure]]:
    """Pages with and without the extension in turn, on one server, files in the browser's cache."""
    times: dict[bool, list[float]] = {False: [], True: []}
    with laboratory() as (lab, browser):
        lab.write("small.ipynb", "%%stage a\nx = 1", "%%stage b\ny = x")
        contexts = {on: browser.new_context() for on in times}
        for number in range(repeats * 4 + 2):
            on = bool(number % 2)
            switched(lab, on=on)
            taken = _opened(lab, contexts[on], on=on)
            if number >= len(times):  # the first of each fills its cache
                times[on].append(taken)
    without, there = milliseconds("without the extension", times[False]), milliseconds("with it", times[True])
    pairs = [b - a for a, b in zip(times[False], times[True], strict=True)]
    there.extra += f"; {statistics.median(pairs):+.0f} ms, the median of the differences of pairs"
    note = "From the start of the navigation to the lab's layout with a notebook in it, in turn on one server."
    return "JupyterLab: start-up", note, [without, there]


def _opened(lab: Lab, context: Any, *, on: bool) -> float:
    page = context.new_page()
    page.add_init_script(_NOTE)
    page.goto(f"{lab.url}/lab/tree/small.ipynb?token=tests&reset")
    page.wait_for_function("() => window.restoredAt", timeout=90_000)
    taken: float = page.evaluate("window.restoredAt")
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
    if with_extension(page) != on:
        raise RuntimeError("the extension was not switched")
    page.close()
    return taken
