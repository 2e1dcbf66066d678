"""What badges cost while people type, in a notebook of 500 cells half of which are stages."""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks.labs import Lab, Processor, laboratory, milliseconds, switched, with_extension
from benchmarks.measure import Figure

CELLS = 500
_LETTERS = 25

#: Of the page's own thread: what else the machine does counts little.
_OWN = "processor time of a key in an editor"
# The time that a key takes until the page has done all it does for it and could paint, without waiting for the screen.
_LISTEN = """() => {
  window.taken = [];
  window.addEventListener('keydown', () => {
    const started = performance.now();
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => window.taken.push(performance.now() - started);
    setTimeout(() => port2.postMessage(0));
  }, true);
}"""
# A letter in the shared model, with everything that listens to it: no browser, no editor's drawing.
_INSERT = """() => {
  const { model } = window.jupyterapp.shell.currentWidget.content;
  const cell = model.cells.get(251).sharedModel;
  const times = [];
  for (let n = 0; n < 200; n += 1) {
    const at = cell.getSource().length;
    const started = performance.now();
    cell.updateSource(at, at, 'x');
    times.push(performance.now() - started);
  }
  return times;
}"""


def lab_typing(repeats: int) -> tuple[str, str, list[Figure]]:
    """Two pages, one with the extension; keys in turn, a line at a time."""
    keys: dict[bool, list[float]] = {False: [], True: []}
    letters: dict[bool, list[float]] = {False: [], True: []}
    worked: dict[bool, list[float]] = {False: [], True: []}
    with laboratory() as (lab, browser):
        pages = {}
        for on in keys:
            switched(lab, on=on)
            pages[on] = _shown(lab, browser, on=on)
        processors = {on: Processor(page) for on, page in pages.items()}
        for _ in range(repeats * 2):
            for on, page in pages.items():
                page.bring_to_front()
                processors[on].since()
                keys[on] += _typed(page)
                worked[on].append(processors[on].since() / _LETTERS)
                letters[on] += page.evaluate(_INSERT)
    figures = []
    for what, times in (("a key in an editor", keys), (_OWN, worked), ("a letter in the document", letters)):
        without = milliseconds(f"{what}, without the extension", times[False])
        there = milliseconds(f"{what}, with it", times[True])
        there.extra += f"; {(statistics.median(times[True]) - statistics.median(times[False])):+.2f} ms"
        figures += [without, there]
    note = f"A notebook of {CELLS} code cells, half of them stages; in turn, {_LETTERS} keys at a time."
    return "JupyterLab: typing", note, figures


def _shown(lab: Lab, browser: Any, *, on: bool) -> Any:
    name = f"long-{on}.ipynb"
    lab.write(name, *(f"%%stage s{n}\nx{n} = {n}" if n % 2 else f"y{n} = {n}" for n in range(CELLS)))
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    lab.open(page, name)
    if with_extension(page) != on:
        raise RuntimeError("the extension was not switched")
    if on:
        page.wait_for_selector(".nbp-CellBadge")
    page.wait_for_timeout(3000)
    page.locator(".jp-Notebook .jp-Cell").nth(1).locator(".cm-content").click()
    page.evaluate(_LISTEN)
    return page


def _typed(page: Any) -> list[float]:
    page.evaluate("window.taken = []")
    page.keyboard.press("End")
    page.keyboard.type("abcdefghijklmnopqrstuvwxyz"[:_LETTERS], delay=40)
    page.wait_for_function("most => window.taken.length >= most", arg=_LETTERS)
    found: list[float] = page.evaluate("window.taken")
    return found[-_LETTERS:]
