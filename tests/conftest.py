"""What tests of several folders ask for by name."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from compared import compared_runs
from histories import past_runs
from lab import CHROMIUM, Lab, running_browser, running_lab
from runs import Site

from nbpipe.store import Store, open_store
from nbpipe.ui.bundle import is_built

if TYPE_CHECKING:
    import engines
    from kernels import Live

#: Shells and kernels of tests that are not about trials leave none behind.
os.environ.setdefault("NBPIPE_TRIALS", "0")
#: Runs of tests are forked from one process that is kept for all of them; `NBPIPE_KEEP_WARM=off` has each start its own.
os.environ.setdefault("NBPIPE_KEEP_WARM", "60s")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What tests have compared on an engine, as the documentation's table has it."""
    reports = [report for each in terminalreporter.stats.values() for report in each]
    found = {text for each in reports for name, text in getattr(each, "user_properties", ()) if name == "conformance"}
    if found:
        terminalreporter.section("compared with nbpipe run: stages, things")
        for row in sorted(found):
            terminalreporter.write_line(row)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A project of its own, of which no process outlives the test."""
    made = Site(tmp_path)
    yield made
    made.end_all()


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """An empty store with a key of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NBPIPE_STORE_KEY", "a key for the tests only")
    return open_store(tmp_path / "store")


@pytest.fixture(scope="session")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Three runs to compare, made once: see `compared_runs`. Whoever changes a file puts it back."""
    made = compared_runs(tmp_path_factory.mktemp("compared"))
    yield made
    made.end_all()


@pytest.fixture(scope="session")
def natives(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], engines.Site]:
    """A project whose notebook ran natively: once, whatever number of schedulers it is compared with."""
    import engines

    @functools.cache
    def ran(notebook: str) -> engines.Site:
        site = engines.made(tmp_path_factory.mktemp("native"), notebook)
        site.run_natively(*engines.PROFILES.get(notebook, ()))
        return site

    return ran


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Live]:
    """A shell in a project of its own, whose trials are recorded."""
    from IPython.core.interactiveshell import InteractiveShell
    from kernels import Live

    from nbpipe.magics import load_ipython_extension, unload_ipython_extension

    (tmp_path / "nbpipe.toml").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NBPIPE_TRIALS", "1")
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance()
    shell.history_manager.enabled = False
    # IPython shares them between all shells of a process.
    shell.history_manager.outputs.clear()
    shell.history_manager.exceptions.clear()
    shell.colors = "nocolor"
    load_ipython_extension(shell)
    yield Live(shell, tmp_path)
    unload_ipython_extension(shell)
    shell.history_manager.end_session()
    InteractiveShell.clear_instance()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """One headless Chromium."""
    missing = "Chromium is not installed" if CHROMIUM is None else "" if is_built() else "run `make widget` first"
    if missing:
        # CI says that it has everything: there, a test that cannot run has failed.
        (pytest.fail if os.environ.get("NBPIPE_BROWSER_TESTS") == "required" else pytest.skip)(missing)
    with running_browser() as running:
        yield running


@pytest.fixture(scope="session")
def lab(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One JupyterLab for all tests that need one, on a project of 43 runs."""
    assert browser
    root = tmp_path_factory.mktemp("lab")
    (root / "project").mkdir()
    past_runs(root / "project", 43)
    given = {"NBPIPE_TRACKING": "off", "XDG_CONFIG_HOME": str(root / "own"), "XDG_CACHE_HOME": str(root / "cache")}
    with running_lab(root, given) as running:
        yield running


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """An empty page that forgets everything; an error that no code caught fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    made = context.new_page()
    made.set_default_timeout(30_000)
    errors: list[str] = []
    made.on("pageerror", lambda error: errors.append(str(error)))
    yield made
    context.close()
    assert errors == []
