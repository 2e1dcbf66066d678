"""Where runs are started from, and where they run: `make lab`, the launcher, the file browser, and targets."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lab import Lab, running_lab
from sshd import Sshd, install, missing, running_sshd

from nbpipe.export.manifest import read as read_manifest

pytestmark = pytest.mark.timeout(300)

ROOT = Path(__file__).parents[2]
FLOW = (
    "%%stage load\nimport msgspec\nx = msgspec.json.encode([1, 2])",
    "%%stage where\nimport os\nprint('seen from', os.environ.get('SSH_CONNECTION', 'here'), len(x))",
)
PANEL = "#nbpipe-panel"
LONG = 120_000


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """Another machine, as far as anybody can tell."""
    required = os.environ.get("NBPIPE_BROWSER_TESTS") == "required"
    if required:
        install()
    if missing():
        # CI says that it has everything: there, a test that cannot run has failed.
        (pytest.fail if required else pytest.skip)(missing())
    with running_sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


def project(lab: Lab, name: str, targets: str = "") -> Path:
    """A project of its own with the notebook."""
    folder = lab.folder / name
    folder.mkdir()
    (folder / "nbpipe.toml").write_text(targets)
    lab.write(f"{name}/flow.ipynb", *FLOW)
    return folder


def opened(lab: Lab, page: Any, path: str) -> Any:
    lab.open(page, path)
    page.evaluate("window.jupyterapp.commands.execute('nbpipe:open-panel')")
    panel = page.locator(PANEL)
    panel.locator(".nbp-graph [data-stage=where]").first.wait_for(timeout=LONG)
    return panel


def nbpipe(lab: Lab, folder: Path, *words: str) -> str:
    command = [sys.executable, "-m", "nbpipe", *words]
    environment = {**os.environ, **lab.environment}
    return subprocess.run(command, cwd=folder, env=environment, check=False, capture_output=True, text=True).stdout


def test_targets_are_listed_with_their_state_and_one_that_is_there_runs_the_pipeline(lab: Lab, page: Any) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        far = f'[targets.far]\nkind = "ssh"\nhost = "127.0.0.1"\nport = {closed.getsockname()[1]}\npatience = 1\n'
        folder = project(lab, "places", f'[targets.little]\nkind = "local"\ncpus = 1\n{far}')
        nbpipe(lab, folder, "target", "test", "far")
        panel = opened(lab, page, "places/flow.ipynb")
        panel.get_by_role("button", name="Ways to run").click()
        page.locator(".lm-Menu-item", has_text="On target").click()
        there = page.get_by_role("menuitem", name="far · ssh · unreachable")
        there.wait_for()
        assert there.get_attribute("aria-disabled") == "true"
        page.get_by_role("menuitem", name="little · local").click()
        panel.locator("tr[data-run=r1] .nbp-status-succeeded").wait_for(timeout=LONG)
    assert '"little"' in nbpipe(lab, folder, "show", "r1", "--json")
    # One stage, from the badge of its cell.
    page.locator(".nbp-CellBadge", has_text="where").click()
    page.get_by_role("menuitem", name="Run on Target…").click()
    page.get_by_role("menuitem", name="little · local").click()
    panel.locator("tr[data-run=r2] .nbp-status-succeeded").wait_for(timeout=LONG)
    shown = nbpipe(lab, folder, "show", "r2", "--json")
    assert '"little"' in shown
    assert '"load"' not in shown or '"cached"' in shown


def test_a_stage_runs_over_ssh_and_a_package_that_is_missing_at_its_target_is_marked(
    lab: Lab, page: Any, sshd: Sshd
) -> None:
    way = f'kind = "ssh"\nhost = "127.0.0.1"\nport = {sshd.port}\nconfig = "{sshd.root}/client"\nfolder = "{sshd.root}/worker"\n'
    bare = Path(sys.base_prefix, "bin", "python3")
    targets = f'[targets.box]\npython = "{sys.executable}"\n{way}[targets.bare]\npython = "{bare}"\n{way}'
    folder = project(lab, "afar", targets)
    panel = opened(lab, page, "afar/flow.ipynb")
    panel.get_by_role("button", name="Ways to run").click()
    page.locator(".lm-Menu-item", has_text="On target").click()
    page.get_by_role("menuitem", name="box · ssh · not asked yet").click()
    panel.locator("tr[data-run=r1] .nbp-status-succeeded").wait_for(timeout=LONG)
    panel.get_by_role("tab", name="Log").click()
    panel.get_by_text("seen from 127.0.0.1").wait_for()

    lab.write("afar/flow.ipynb", FLOW[0].replace("load", "load --on bare"), FLOW[1])
    nbpipe(lab, folder, "target", "doctor", "bare", "--notebook", "flow.ipynb")
    opened(lab, page, "afar/flow.ipynb")
    page.evaluate("void window.jupyterapp.commands.execute('nbpipe:check')")
    mark = page.locator(".nbp-CellMark", has_text="target 'bare' did not have")
    mark.wait_for()
    assert "msgspec==" in mark.inner_text()


def test_a_failed_stage_goes_on_at_its_cell_or_its_kernel_is_ended_from_the_details(
    lab: Lab, page: Any, sshd: Sshd
) -> None:
    way = f'host = "127.0.0.1"\nport = {sshd.port}\nconfig = "{sshd.root}/client"\nfolder = "{sshd.root}/keeps"\n'
    folder = project(
        lab, "kept", f'[targets.box]\nkind = "ssh"\npython = "{sys.executable}"\n{way}keep_failed = "10m"\n'
    )
    cells = ("%%stage where --on box\nx = [1]", "%%stage where\nx.append(2)\nassert len(x) > 2\nprint('has', x)")
    lab.write("kept/flow.ipynb", *cells)
    panel = opened(lab, page, "kept/flow.ipynb")

    def failed(run: str) -> Any:
        panel.locator(f"tr[data-run={run}] .nbp-status-failed").wait_for(timeout=LONG)
        return panel.locator(".nbp-details li[data-stage=where]")

    panel.get_by_role("button", name="Run", exact=True).click()
    stage = failed("r1")
    stage.get_by_text("box: kept until").wait_for()
    go = stage.get_by_role("button", name="Continue at the failed cell")
    go.focus()
    page.keyboard.press("Enter")
    # It fails no more: what the cell had left behind before it failed is there.
    panel.locator("tr[data-run=r2] .nbp-status-succeeded").wait_for(timeout=LONG)
    assert "has [1, 2, 2]" in nbpipe(lab, folder, "logs", "r2")

    lab.write("kept/flow.ipynb", cells[0], f"{cells[1]}\n1 / 0")
    panel = opened(lab, page, "kept/flow.ipynb")
    panel.get_by_role("button", name="Run", exact=True).click()
    failed("r3").get_by_role("button", name="Release the kernel of where").click()
    page.get_by_text("The kernel of where has ended").wait_for()
    failed("r3").get_by_text("box: kept until").wait_for(state="detached")
    assert not list((sshd.root / "keeps" / "work").iterdir())


def test_a_pipeline_is_made_with_the_launcher_and_run_from_the_file_browser(lab: Lab, page: Any) -> None:
    (lab.folder / "launched").mkdir()
    (lab.folder / "launched" / "nbpipe.toml").touch()
    page.goto(f"{lab.url}/lab/tree/launched?token=tests&reset")
    page.locator(".jp-LauncherCard", has_text="Pipeline").click()
    page.locator(".jp-Notebook .nbp-CellBadge", has_text="train").wait_for(timeout=LONG)
    file = page.locator(".jp-DirListing-item", has_text="Untitled.ipynb")
    file.click(button="right")
    page.get_by_role("menuitem", name="Run as Pipeline").click()
    page.locator(".nbp-StatusItem").get_by_text("nbpipe ✓").wait_for(timeout=LONG)
    file.click(button="right")
    page.get_by_role("menuitem", name="Show Runs").click()
    page.locator(f"{PANEL} tr[data-run=r1] .nbp-status-succeeded").wait_for()
    # What starts it elsewhere is typed a line each: there, Enter ends a line, not the form.
    page.evaluate("void window.jupyterapp.commands.execute('nbpipe:export', { to: 'airflow' })")
    page.get_by_role("form", name="export").get_by_role("textbox", name="Files").click()
    page.keyboard.type("data/*.csv")
    page.keyboard.press("Enter")
    page.keyboard.type("more.csv")
    page.get_by_role("form", name="export").get_by_label("Each run computes everything again").check()
    page.get_by_role("form", name="export").get_by_role("button", name="Export").click()
    page.get_by_role("button", name="Show folder").wait_for()
    written = (lab.folder / "launched/exports/Untitled-airflow/dag.py").read_text()
    assert "data/*.csv" in written
    assert "more.csv" in written
    manifest = read_manifest(lab.folder / "launched/exports/Untitled-airflow")
    assert manifest is not None
    assert manifest.fresh


def test_make_demo_ends_with_the_way_to_the_lab() -> None:
    said = subprocess.run(
        ["make", "-n", "-B", "--no-print-directory", "demo"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    *_, last = said.stdout.splitlines()
    told = subprocess.run(["sh", "-c", last], capture_output=True, text=True, check=True).stdout
    assert told.split()[:2] == ["make", "lab"]


def test_make_lab_shows_the_example_with_the_panel_beside_it(page: Any, tmp_path: Path) -> None:
    said = subprocess.run(
        ["make", "-n", "--no-print-directory", "lab", f"BIN={Path(sys.executable).parent}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    recipe = said.stdout.splitlines()[-1].split()
    assert recipe[1:3] == ["-m", "jupyterlab"]
    shutil.copytree(
        ROOT / "example_notebooks", tmp_path / "project/example_notebooks", ignore=shutil.ignore_patterns(".nbpipe")
    )
    own = {"XDG_CONFIG_HOME": str(tmp_path / "own"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    with running_lab(tmp_path, own, recipe=recipe) as lab:
        page.goto(f"{lab.url}/?token=tests")
        page.locator(".jp-Notebook .nbp-CellBadge", has_text="train_cnn").first.wait_for(state="attached", timeout=LONG)
        page.locator(".jp-SideBar [data-id=nbpipe-panel]").click()
        page.locator(f"{PANEL} .nbp-graph [data-stage=train_cnn]").first.wait_for(timeout=LONG)
