"""Takes the pictures of the documentation again: `make screenshots`. Real runs, a real JupyterLab."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))

from lab import Lab, running_browser, running_lab  # noqa: E402 - the folder of the helpers is no package

IMAGES = ROOT / "docs" / "guide" / "images"
PARAMS = "%%params\nlr: float = 0.01     # step of the optimiser\nepochs: int = 12\nmodel: str = 'cnn'"
LOAD = "%%stage load\nimport math, random\nrandom.seed(0)\nimages = [random.random() for _ in range(1797)]\nlen(images)"
TRAIN = """%%stage train --metrics acc,loss
import mlflow

for epoch in range(epochs):
    loss = 1.9 * math.exp(-epoch * lr * 60) + 0.02 * (model == 'mlp') + 0.03 * random.random()
    mlflow.log_metric("loss", loss, step=epoch)
acc = 0.97 - 0.12 * loss
print(f"{acc:.1%} of the images read")"""
BETTER = TRAIN.replace("-epoch * lr * 60", "-epoch * lr * 75").replace(
    "acc = 0.97", "# the mean of the last epochs is steadier\nacc = 0.975"
)
CHECK = '%%check good_enough --metric "acc > 0.85"\nassert loss < 2'
WRONG = (
    "import math\nscale = math.sqrt(1797)",
    "%%stage prepare\nimages = [n / scale for n in range(1797)]",
    "%%stage batches\nparts = (images[n : n + 64] for n in range(0, 1797, 64))",
    "%%stage train\nlabels = open('digitz.ipynb').read()\nseen = sum(len(part) for part in parts)",
)
RUNS: list[tuple[str, tuple[str, ...]]] = [
    (TRAIN, ()),
    (TRAIN, ("model=mlp",)),
    (TRAIN, ("lr=0.0005",)),
    (TRAIN, ("lr=0.02",)),
    (BETTER, ()),
    (BETTER, ("lr=0.02", "epochs=20")),
    (BETTER, ("lr=0.008", "epochs=20")),
]


def main() -> None:
    """Write docs/guide/images/*.png."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        given = {"XDG_CONFIG_HOME": str(root / "own"), "XDG_CACHE_HOME": str(root / "cache")}
        with running_lab(root, given) as lab, running_browser() as browser:
            (lab.folder / "nbpipe.toml").touch()
            for train, params in RUNS:
                run(lab, train, params)
            page = browser.new_page(viewport={"width": 1240, "height": 1000}, device_scale_factor=1.5)
            picture(lab, page)
            sidebar(lab, browser.new_page(viewport={"width": 1280, "height": 860}, device_scale_factor=1.5))
            check(lab, browser.new_page(viewport={"width": 1000, "height": 560}, device_scale_factor=1.5))


def run(lab: Lab, train: str, params: tuple[str, ...]) -> None:
    """One run; a check may reject it."""
    lab.write("digits.ipynb", PARAMS, LOAD, train, CHECK)
    words = [word for param in params for word in ("-p", param)]
    command = [sys.executable, "-m", "nbpipe", "run", "digits.ipynb", *words]
    done = subprocess.run(command, cwd=lab.folder, env={**os.environ, **lab.environment}, check=False)
    if done.returncode not in (0, 8):
        raise SystemExit(done.returncode)


def picture(lab: Lab, page: Any) -> None:
    """The history with a comparison in light, the diff in dark."""
    page.goto(f"{lab.url}/lab?token=tests")
    lab.show(page, "look.ipynb", "import nbpipe", "nbpipe.history()")
    page.evaluate("window.jupyterapp.commands.execute('application:toggle-left-area')")
    page.wait_for_selector("tr[data-run=r7]")
    for name in ("r7", "r5", "r1"):
        page.get_by_label(f"check {name}").check()
    page.locator("tr[data-run=r1]").hover()
    page.get_by_label("baseline r1").click()
    page.get_by_role("button", name="Compare 3").click()
    page.wait_for_selector(".nbp-chart")
    page.wait_for_selector(".nbp-spark")
    page.mouse.move(0, 0)
    page.locator(".nbp-history").screenshot(path=IMAGES / "history.png")
    page.locator(".nbp-compare").get_by_role("button", name="diff").last.click()
    page.locator(".nbp-diff").get_by_role("tab", name="Code").click()
    page.wait_for_selector(".nbp-hunks")
    page.evaluate("window.jupyterapp.commands.execute('apputils:change-theme', { theme: 'JupyterLab Dark' })")
    page.wait_for_function("() => document.body.dataset.jpThemeLight === 'false'")
    page.mouse.move(0, 0)
    page.locator(".nbp-history").screenshot(path=IMAGES / "diff.png")


def sidebar(lab: Lab, page: Any) -> None:
    """The sidebar beside a notebook in light, a comparison in a tab in dark."""
    lab.open(page, "digits.ipynb")
    page.evaluate("window.jupyterapp.commands.execute('apputils:change-theme', { theme: 'JupyterLab Light' })")
    page.wait_for_function("() => document.body.dataset.jpThemeLight === 'true'")
    page.evaluate("window.jupyterapp.commands.execute('nbpipe:open-panel')")
    panel = page.locator("#nbpipe-panel")
    panel.locator("tr[data-run=r7]").wait_for()
    widen(page, 400)
    panel.locator("tr[data-run=r5] .nbp-run").click(button="right")
    page.get_by_role("menuitem", name="Baseline").click()
    panel.get_by_role("button", name="r7", exact=True).click()
    panel.locator(".nbp-details [role=tab]").first.wait_for()
    panel.get_by_text("up to date").wait_for()
    page.locator(".nbp-CellBadge-name").first.wait_for()
    page.mouse.move(640, 850)
    page.wait_for_timeout(1000)
    page.screenshot(path=IMAGES / "lab.png")
    panel.get_by_label("check r7").check()
    panel.get_by_label("check r4").check()
    page.evaluate("window.jupyterapp.commands.execute('apputils:change-theme', { theme: 'JupyterLab Dark' })")
    page.wait_for_function("() => document.body.dataset.jpThemeLight === 'false'")
    panel.get_by_role("button", name="Compare 2").click()
    view = page.locator(".nbp-View")
    view.locator(".nbp-chart").first.wait_for()
    view.get_by_role("tab", name="Code").click()
    view.locator(".nbp-hunks").first.wait_for()
    page.mouse.move(640, 850)
    page.screenshot(path=IMAGES / "lab-compare.png")


def check(lab: Lab, page: Any) -> None:
    """What the check marks, in light."""
    lab.write("check.ipynb", *WRONG)
    lab.open(page, "check.ipynb")
    page.evaluate("window.jupyterapp.commands.execute('apputils:change-theme', { theme: 'JupyterLab Light' })")
    page.wait_for_function("() => document.body.dataset.jpThemeLight === 'true'")
    page.evaluate("window.jupyterapp.commands.execute('application:toggle-left-area')")
    page.evaluate("void window.jupyterapp.commands.execute('nbpipe:check')")
    page.locator(".nbp-CellMark").nth(2).wait_for()
    page.mouse.move(640, 550)
    page.wait_for_timeout(8000)  # until the notification is gone
    page.screenshot(path=IMAGES / "lab-check.png")


def widen(page: Any, to: int) -> None:
    """Draw the left side to this width."""
    edge = page.locator("#jp-left-stack").bounding_box()
    page.mouse.move(edge["x"] + edge["width"] + 2, 500)
    page.mouse.down()
    page.mouse.move(to, 500)
    page.mouse.up()


if __name__ == "__main__":
    main()
