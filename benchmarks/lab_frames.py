"""Frames while the sidebar scrolls through 10,000 runs, and while a graph of 200 stages is moved and zoomed."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any
from unittest import mock

from benchmarks.history import past
from benchmarks.labs import Lab, Processor, flow, laboratory, milliseconds
from benchmarks.measure import Figure
from nbpipe.run.project import Project

RUNS = 10_000
STAGES = 200
#: Frames measured at once.
_BLOCK = 60
#: A frame at 60 a second, with the tolerance of the browser's clock.
_FRAME = 16.7 + 1

# Moves something in each frame: gives the time between frames, and the time that the page itself worked for each, from the
# start of a frame to the first task after it, style and layout included.
_FRAMES = """async ([step, first, frames]) => {
  const move = eval(step);
  const gaps = [], work = [];
  let last = 0;
  for (let n = first; n < first + frames; n += 1) {
    const at = await new Promise(requestAnimationFrame);
    const started = performance.now();
    move(n);
    await new Promise((done) => { const c = new MessageChannel(); c.port1.onmessage = done; c.port2.postMessage(0); });
    work.push(performance.now() - started);
    if (last) gaps.push(at - last);
    last = at;
  }
  return [gaps, work];
}"""
_SCROLL = "n => { const box = document.querySelector('BOX'); box.scrollTop += (n % 120 < 100 ? 140 : -400); }"
_PAN = """n => {
  const view = document.querySelector('.nbp-View .nbp-view');
  const { left, top, width, height } = view.getBoundingClientRect();
  view.dispatchEvent(new WheelEvent('wheel', { bubbles: true, cancelable: true, clientX: left + width / 2,
    clientY: top + height / 2, deltaX: 30 * Math.sin(n / 20), deltaY: 24 * Math.cos(n / 15), ctrlKey: n % 90 < 45 }));
}"""
#: What the lab itself takes: the notebook that is open beside the sidebar.
_NOTEBOOK = "n => { const box = document.querySelector('.jp-WindowedPanel-outer'); box.scrollTop += (n % 120 < 100 ? 140 : -400); }"
_EMPTY = "<div id='box' style='height: 600px; overflow: auto'><div style='height: 400000px'>text</div></div>"


def lab_frames(repeats: int) -> tuple[str, str, list[Figure]]:
    """The empty page is what the same browser gives without us: it paints in software, without a graphics card."""
    with laboratory() as (lab, browser):
        with mock.patch.object(os, "fsync"):
            past(Project(lab.folder), RUNS, name="flow", notebook="flow.ipynb")
        flow(lab, "flow.ipynb", STAGES)
        empty = browser.new_page(viewport={"width": 1280, "height": 900})
        empty.set_content(_EMPTY)
        figures = [*_measured("an empty page scrolls", empty, _SCROLL.replace("BOX", "#box"), repeats)]
        empty.close()
        page = _shown(lab, browser)
        figures += _measured("the lab's own notebook scrolls", page, _NOTEBOOK, repeats)
        scroll = _SCROLL.replace("BOX", "#nbpipe-panel .nbp-scroll")
        figures += _measured(f"the sidebar scrolls through {RUNS:,} runs", page, scroll, repeats)
        page.evaluate("void window.jupyterapp.commands.execute('nbpipe:open-pipeline')")
        page.locator(f".nbp-View [data-stage=s{STAGES - 1}]").wait_for(timeout=60_000)
        figures += _measured(f"a graph of {STAGES} stages is moved and zoomed", page, _PAN, repeats)
    note = (
        "Time between two frames; work is what the page does for one, style and layout included; processor time is that of "
        "the page's own thread, painting included. Painted in software."
    )
    return "JupyterLab: frames", note, figures


def _shown(lab: Lab, browser: Any) -> Any:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    lab.open(page, "flow.ipynb")
    page.evaluate("window.jupyterapp.commands.execute('nbpipe:open-panel')")
    page.locator("#nbpipe-panel tr[data-run]").first.wait_for(timeout=180_000)
    page.locator("#nbpipe-panel .nbp-graph [data-stage=s1]").first.wait_for(timeout=60_000)
    page.wait_for_timeout(3000)
    return page


def _measured(what: str, page: Any, step: str, repeats: int) -> list[Figure]:
    gaps: list[float] = []
    work: list[float] = []
    worked = []
    processor = Processor(page)
    for number in range(repeats):
        processor.since()
        block = page.evaluate(_FRAMES, [step, number * _BLOCK, _BLOCK])
        worked.append(processor.since() / _BLOCK)
        gaps += block[0]
        work += block[1]
    late: Callable[[list[float]], float] = lambda times: sum(time > _FRAME for time in times) / len(times)  # noqa: E731
    between, own = milliseconds(what, gaps), milliseconds(f"{what}: work", work)
    between.extra += f"; {late(gaps):.1%} later than 60 a second"
    own.extra += f"; {late(work):.1%} longer than a frame"
    return [between, own, milliseconds(f"{what}: processor time of a frame", worked)]
