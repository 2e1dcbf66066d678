"""The server ends, however it ends; the run goes on, and the next server finds it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lab import wait_for
from runs import Site

_KEY = "tests"


class Server:
    """A Jupyter server of its own process, on the project of a site."""

    def __init__(self, site: Site) -> None:
        self._site = site
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        root = site.root / "server"
        given = {f"JUPYTER_{name}_DIR": str(root / name) for name in ("CONFIG", "DATA", "RUNTIME")}
        words = ["--no-browser", "--ip=127.0.0.1", f"--port={self._url.rpartition(':')[2]}", "--allow-root"]
        words += [f"--IdentityProvider.token={_KEY}", f"--ServerApp.root_dir={site.folder}"]
        words += ["--ServerApp.jpserver_extensions={'nbpipe': True}", "--ServerApp.port_retries=0"]
        with (site.root / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jupyter_server", *words],
                cwd=site.folder,
                env={**site.environment(), **given},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_for(self._answers, "the server starts", 60.0)

    def ask(self, method: str, resource: str, **body: Any) -> dict[str, Any]:
        data = json.dumps(body).encode() if body else None
        headers = {"Authorization": f"token {_KEY}"}
        request = urllib.request.Request(f"{self._url}/nbpipe/api/{resource}", data, headers, method=method)  # noqa: S310 - http on 127.0.0.1
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - likewise
            found: dict[str, Any] = json.loads(answer.read())
            return found

    def end(self, number: int) -> None:
        """Signal everything that belongs to the server's own session."""
        os.killpg(self.process.pid, number)
        self.process.wait(30)

    def _answers(self) -> bool:
        try:
            return bool(self.ask("GET", "info")["version"])
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.end_all()


def test_a_run_outlives_its_server_and_is_found_by_the_next_one(site: Site) -> None:
    (site.folder / "nbpipe.toml").touch()
    go = site.root / "go"
    waiting = f"import pathlib, time\nwhile not pathlib.Path({str(go)!r}).exists():\n    time.sleep(0.05)"
    site.write(
        f"%%stage wait\nprint('begun', flush=True)\n{waiting}\nprint('over')\nx = 1", "%%stage hold\ntime.sleep(x * 60)"
    )
    first = Server(site)
    run = first.ask("POST", "runs", path="n.ipynb")["run"]
    first.end(signal.SIGKILL)
    second = Server(site)

    def stages() -> list[str]:
        return [stage["status"] for stage in second.ask("GET", f"runs/{run}?path=n.ipynb")["stages"]]

    try:
        row = second.ask("GET", "runs?path=n.ipynb")["rows"][0]
        assert (row["run"], row["status"]) == (run, "running")
        log = f"runs/{run}/log?path=n.ipynb&stage=wait"
        wait_for(lambda: "begun" in second.ask("GET", log)["text"], "the stage begins")
        go.touch()
        wait_for(lambda: stages() == ["succeeded", "running"], "the run goes on")
        part = second.ask("GET", log)
        assert (part["text"], part["eof"]) == ("begun\nover\n", True)
        # What the first server started the second one stops.
        assert second.ask("POST", f"runs/{run}/stop", path="n.ipynb")["run"] == run
        wait_for(lambda: stages() == ["succeeded", "cancelled"], "the run is stopped")
    finally:
        second.end(signal.SIGTERM)
