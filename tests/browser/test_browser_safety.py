"""Names, values and outputs that somebody else wrote run no script, ask for nothing and command nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
from histories import past_run
from lab import Lab

from nbpipe.run.project import Project

pytestmark = pytest.mark.timeout(180)

OUTSIDE = "http://outside.invalid/"
HOSTILE = [
    "<script>window.__pwned = 1</script>",
    f"<img src='{OUTSIDE}a.png' onerror='window.__pwned = 2'>",
    "<svg><animate onbegin='window.__pwned = 3' attributeName=x dur=1s></svg>",
    "\"><iframe srcdoc='<script>parent.__pwned = 4</script>'></iframe>",
    "<button data-commandlinker-command='notebook:cut-cell' class='jp-mod-styled'>run</button>",
    "<style>.jp-Cell { display: none }</style>",
    f"<a href='javascript:window.__pwned = 5'>x</a><link rel=stylesheet href='{OUTSIDE}b.css'>",
    "{{constructor.constructor('window.__pwned = 6')()}}",
    "${window.__pwned = 7}",
    "</td></tr></table><h1>out</h1>",
    "\u202e\u0000\x1b]8;;https://outside.invalid\x1b\\",
]
#: Two runs of it differ in every output.
FLOW = (
    f"%%params\nlr: int = 1\nhostile: list = {HOSTILE!r}",
    """%%stage show
from IPython.display import HTML, SVG, Markdown, display
for text in hostile:
    print(text, lr)
    display(HTML(text + str(lr)), Markdown(text + str(lr)))
display(SVG(f"<svg xmlns='http://www.w3.org/2000/svg'><script>window.__pwned = 8</script><text>{lr}</text></svg>"))""",
)


def test_hostile_runs_parameters_and_outputs_stay_text(lab: Lab, page: Any) -> None:
    folder = lab.folder / "hostile"
    folder.mkdir()
    (folder / "nbpipe.toml").touch()
    project = Project(folder)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: pytest.fail(f"a dialog: {dialog.message}"))
    lab.write("hostile/evil.ipynb", *FLOW)
    for lr in ("1", "2"):
        subprocess.run(
            [sys.executable, "-m", "nbpipe", "run", "evil.ipynb", "--quiet", "-p", f"lr={lr}"],
            cwd=folder,
            env={**os.environ, **lab.environment},
            check=True,
            capture_output=True,
        )
    for n, text in enumerate(HOSTILE, start=100):
        status = "failed" if n % 2 else "succeeded"
        past_run(
            project, n, params={text: text, "lr": text}, metrics={text: n}, name=text, stages=(text,), status=status
        )
    lab.write("hostile/seen.ipynb", "import nbpipe", "nbpipe.history()", "nbpipe.diff('r1', 'r2')")
    lab.open(page, "hostile/seen.ipynb")
    lab.run_all(page)
    page.wait_for_selector(".nbp-history tr[data-run=r110]")
    page.locator(".nbp-diff [role=tab]").first.wait_for()
    page.locator(".nbp-history").get_by_label("check r110").check()
    page.locator(".nbp-history").get_by_label("check r101").check()
    page.get_by_role("button", name="Compare 2").click()
    page.get_by_role("region", name="compared runs").wait_for()
    page.locator(".nbp-history").get_by_role("button", name="r109", exact=True).click()
    page.get_by_role("region", name="run r109").wait_for()
    page.locator(".nbp-history").get_by_role("button", name="Columns").click()
    for part in ("Params", "Metrics", "Code", "Data", "Env", "Outputs"):
        page.locator(".nbp-diff").get_by_role("tab", name=part).click()
    page.locator(".nbp-diff .nbp-part .nbp-plus").first.wait_for()
    assert "<script>window.__pwned = 1</script> 2" in page.locator(".nbp-diff .nbp-part").inner_text()
    # A cell of the table shows so much of it.
    assert f"{HOSTILE[0][:31]}…" in page.locator(".nbp-history").inner_text()
    harmless(page, lab, asked)

    # Without leaving the page, which would ask whether to: it has unsaved outputs.
    page.evaluate("void window.jupyterapp.commands.execute('docmanager:open', { path: 'hostile/evil.ipynb' })")
    page.get_by_role("tab", name="evil.ipynb").wait_for()
    page.evaluate("window.jupyterapp.commands.execute('nbpipe:open-panel', { path: 'hostile/evil.ipynb' })")
    panel = page.locator("#nbpipe-panel")
    panel.get_by_label("check r1").check()
    panel.get_by_label("check r2").check()
    panel.get_by_role("button", name="r2", exact=True).click()
    for part in ("Params", "Metrics", "Log"):
        panel.get_by_role("tab", name=part).click()
    panel.get_by_text(HOSTILE[0]).first.wait_for()
    panel.get_by_role("button", name="Ways to run").click()
    page.get_by_role("menuitem", name="With parameters…").click()
    page.get_by_role("form", name="parameters").wait_for()
    page.keyboard.press("Escape")
    panel.get_by_role("button", name="Compare 2").click()
    view = page.locator(".nbp-View")
    view.get_by_role("tab", name="Outputs").click()
    view.locator(".nbp-part .nbp-plus").first.wait_for()
    harmless(page, lab, asked)


def harmless(page: Any, lab: Lab, asked: list[str]) -> None:
    """No script ran, no element was made of a text, nothing was asked of anybody else."""
    assert page.evaluate("window.__pwned") is None
    made = ".nbp :is(script, iframe, style, link, a, h1, img, [onerror], [onbegin], [data-commandlinker-command])"
    assert page.locator(made).count() == 0
    static = ".nbp-static :is(script, iframe, style, link, a, h1, img, svg, button)"
    assert page.locator(static).count() == 0
    assert [
        url for url in asked if not url.startswith((lab.url, lab.url.replace("http", "ws"), "data:", "blob:"))
    ] == []
    assert page.locator(".jp-Cell").count() >= 3
