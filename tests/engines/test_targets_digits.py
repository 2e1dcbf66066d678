"""The example of handwritten digits runs on every kind of target with one changed word."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from engines import ROOT, Site, made

pytestmark = [pytest.mark.engines, pytest.mark.timeout(900)]


def _ssh(root: Path, stack: ExitStack) -> dict[str, object]:
    from sshd import install, running_sshd

    install()
    sshd = stack.enter_context(running_sshd(root / "sshd"))
    return {"kind": "ssh", "host": "127.0.0.1", "port": sshd.port, "config": f"{sshd.root}/client"}


def _slurm(root: Path, stack: ExitStack) -> dict[str, object]:
    from slurmd import install, running_slurm

    install()
    slurm = stack.enter_context(running_slurm(root / "slurm"))
    os.environ.update({name: slurm.environment[name] for name in ("SLURM_CONF", "PATH")})
    return {"kind": "slurm", "partition": "short"}


def _ray(root: Path, stack: ExitStack) -> dict[str, object]:
    from raylets import running_ray

    return {"kind": "ray", "address": stack.enter_context(running_ray()).address}


@pytest.fixture(params=[_ssh, _slurm, _ray], ids=["ssh", "slurm", "ray"])
def there(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A copy of the examples whose project has a target `there`."""
    start: Callable[[Path, ExitStack], dict[str, object]] = request.param
    monkeypatch.setenv("PATH", os.environ["PATH"])
    monkeypatch.setenv("SLURM_CONF", "")
    with ExitStack() as stack:
        settings = start(tmp_path, stack) | {"python": sys.executable, "folder": str(tmp_path / "worker")}
        site = made(tmp_path / "site", "digits.ipynb")
        lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())
        (site.project / "nbpipe.toml").write_text(f"[targets.there]\n{lines}")
        yield site


def test_digits_runs_there_and_what_it_gives_is_used_here(there: Site) -> None:
    assert (ROOT / "example_notebooks" / there.notebook).is_file()
    tested = there.nbpipe("target", "test", "there")
    assert "answers in" in tested
    done = _run(there, "--on", "there")
    ran = {stage["name"]: (stage["status"], stage["on"]) for stage in done["stages"]}
    assert set(ran.values()) == {("succeeded", "there")}
    assert {stage["status"] for stage in _run(there)["stages"]} == {"cached"}


def _run(there: Site, *words: str) -> Any:
    """The document that a run prints, behind its progress."""
    return json.loads(there.nbpipe("run", there.notebook, "--profile", "smoke", *words, "--json").splitlines()[-1])
