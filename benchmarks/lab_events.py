"""How long it takes from a line in a run's journal to a row in the sidebar."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.labs import laboratory, milliseconds
from benchmarks.measure import Figure
from nbpipe.run.journal import Journal
from nbpipe.run.project import Project

_WATCH = """() => {
  window.seen = {};
  const look = () => {
    for (const row of document.querySelectorAll('#nbpipe-panel tr[data-run]')) {
      const said = `${row.dataset.run} ${row.querySelector('.nbp-status')?.className.match(/nbp-status-(\\S+)/)?.[1]}`;
      window.seen[said] ??= Date.now();
    }
  };
  new MutationObserver(look).observe(document.querySelector('#nbpipe-panel'), {
    childList: true, subtree: true, attributes: true,
  });
}"""


def lab_events(repeats: int) -> tuple[str, str, list[Figure]]:
    """Runs that start and end, at moments that have nothing to do with the server's looks."""
    begun: list[float] = []
    ended: list[float] = []
    with laboratory() as (lab, browser):
        lab.write("flow.ipynb", "%%stage a\nx = 1", "%%stage b\ny = x")
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        lab.open(page, "flow.ipynb")
        page.evaluate("window.jupyterapp.commands.execute('nbpipe:open-panel')")
        page.locator("#nbpipe-panel").get_by_text("No runs yet").wait_for()
        page.evaluate(_WATCH)
        project = Project(lab.folder)
        for number in range(max(repeats * 4, 20)):
            page.wait_for_timeout(300 + number * 37 % 250)
            run = project.new_run()
            journal = Journal(project.runs / run)
            stages = [{"name": name, "kind": "stage"} for name in "ab"]
            journal.append(
                "run-started",
                id=run,
                notebook="flow.ipynb",
                name="flow",
                version="0" * 64,
                number=1,
                params={},
                given=[],
                stages=stages,
            )
            begun.append(_seen(page, f"{run} running", time.time()))
            page.wait_for_timeout(200 + number * 53 % 250)
            journal.append("run-finished", status="succeeded", exit_code=0, failure=None)
            ended.append(_seen(page, f"{run} succeeded", time.time()))
            journal.close()
    note = "From the journal's write to the row in the sidebar of a real JupyterLab; the server looks every 250 ms."
    figures = [milliseconds("a run begins", begun), milliseconds("a run ends", ended)]
    return "JupyterLab: events", note, figures


def _seen(page: Any, what: str, since: float) -> float:
    page.wait_for_function("what => window.seen[what]", arg=what, timeout=30_000)
    at: float = page.evaluate("what => window.seen[what]", what)
    return at - since * 1000
