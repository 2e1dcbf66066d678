"""A real JupyterLab in a folder of its own, and a page of a real Chromium in it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

_AXE = Path(__file__).parents[2] / "labextension" / "node_modules" / "axe-core" / "axe.min.js"
_EXTENSION = Path(__file__).parents[2] / "nbpipe" / "_labextension"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
_FLAGS += ["--disable-background-networking", "--disable-component-update"]
_QUIET = '{"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": false}}'
_KEY = "tests"
#: Cells that are run earlier are lost.
_READY = """async () => {
  const context = window.jupyterapp.shell.currentWidget.context.sessionContext;
  await context.ready;
  await context.session.kernel.info;
}"""


@dataclass
class Lab:
    """A running server. Notebooks lie in `folder`."""

    folder: Path
    url: str
    #: What it and its kernels were started with.
    environment: dict[str, str]

    def write(self, name: str, *sources: str) -> Path:
        """A notebook of code cells."""
        book = nbformat.v4.new_notebook()
        book.cells = [nbformat.v4.new_code_cell(source, id=f"c{n}") for n, source in enumerate(sources)]
        book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        path = self.folder / name
        nbformat.write(book, path)
        return path

    def open(self, page: Any, name: str) -> None:
        """Show this notebook alone, its kernel ready."""
        page.goto(f"{self.url}/lab/tree/{name}?token={_KEY}&reset")
        page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
        page.evaluate(_READY)

    def run_all(self, page: Any) -> None:
        """Run every cell, and do not wait for them."""
        page.evaluate("void window.jupyterapp.commands.execute('notebook:run-all-cells')")

    def show(self, page: Any, name: str, *sources: str) -> None:
        """Write a notebook, open it and run it."""
        self.write(name, *sources)
        self.open(page, name)
        self.run_all(page)


@contextmanager
def running_lab(
    root: Path,
    environment: dict[str, str],
    app: str = "jupyterlab",
    *,
    port: int = 0,
    recipe: list[str] | None = None,
) -> Iterator[Lab]:
    """Start JupyterLab, or "notebook", on 127.0.0.1; it and its kernels end with the block.

    `port` is that of a server which has ended, where this one is to take its place. `recipe` is a command line that says
    for itself which notebooks it shows, relative to the project, and with what.
    """
    folder = root / "project"
    folder.mkdir(parents=True, exist_ok=True)
    settings = root / "config" / "labconfig"
    settings.mkdir(parents=True, exist_ok=True)
    (settings / "default_setting_overrides.json").write_text(_QUIET)
    # That of this checkout, whatever is installed.
    extensions = root / "data" / "labextensions" / "@nbpipe"
    extensions.mkdir(parents=True, exist_ok=True)
    if not (extensions / "labextension").is_symlink():
        (extensions / "labextension").symlink_to(_EXTENSION)
    port = port or _free_port()
    given = {"JUPYTER_CONFIG_DIR": root / "config", "JUPYTER_DATA_DIR": root / "data"}
    given |= {"JUPYTERLAB_SETTINGS_DIR": root / "user", "JUPYTERLAB_WORKSPACES_DIR": root / "spaces"}
    given |= {"JUPYTER_RUNTIME_DIR": root / "runtime", "IPYTHONDIR": root / "ipython"}
    own = [sys.executable, "-m", app, "--ip=127.0.0.1", "--allow-root", f"--ServerApp.root_dir={folder}"]
    command = [*(recipe or own), "--no-browser", f"--port={port}", f"--IdentityProvider.token={_KEY}"]
    command += ["--ServerApp.port_retries=0", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    command += ["--ServerApp.jpserver_extensions={'nbpipe': True}", "--LabApp.expose_app_in_browser=True"]
    command += ["--JupyterNotebookApp.expose_app_in_browser=True"] if app == "notebook" else []
    with (root / "lab.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            # In a virtual environment, what is installed there would come first.
            env={
                **os.environ,
                "JUPYTER_PREFER_ENV_PATH": "0",
                **environment,
                **{name: str(path) for name, path in given.items()},
            },
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        lab = Lab(folder, f"http://127.0.0.1:{port}", environment)
        wait_for(lambda: _answers(f"{lab.url}/api/status?token={_KEY}"), "JupyterLab starts", 60.0)
        yield lab
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def running_browser() -> Iterator[Any]:
    """A headless Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
        try:
            yield browser
        finally:
            browser.close()


def violations(page: Any, within: str) -> list[str]:
    """What axe finds in our own elements."""
    if not page.evaluate("typeof window.axe === 'object'"):
        page.add_script_tag(content=_AXE.read_text())
    found = page.evaluate("async within => (await axe.run(within)).violations", within)
    return [f"{item['id']}: {[node['html'][:200] for node in item['nodes'][:3]]}" for item in found]


def wait_for(what: Callable[[], object], said: str, seconds: float = 120.0) -> None:
    """Wait until `what()` is true."""
    until = time.monotonic() + seconds
    while not what():
        if time.monotonic() > until:
            raise TimeoutError(said)
        time.sleep(0.05)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - http on 127.0.0.1
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
