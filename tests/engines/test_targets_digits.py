"""The example of handwritten digits runs on every kind of target with one changed word, as the target's page says."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from engines import ROOT, Site, made

pytestmark = [pytest.mark.engines, pytest.mark.timeout(900)]

_TOML = re.compile(r"^```toml\n(.*?)^```", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"^\$ nbpipe (.*)$", re.MULTILINE)


class There(NamedTuple):
    """A project with the target of a page, and the page's commands."""

    site: Site
    commands: list[list[str]]


def _ssh(root: Path, stack: ExitStack) -> dict[str, object]:
    from sshd import install, running_sshd

    install()
    sshd = stack.enter_context(running_sshd(root / "sshd"))
    client = sshd.root / "client"
    client.write_text(f"Host gpu01\n  HostName 127.0.0.1\n  Port {sshd.port}\n{client.read_text()}")
    # In place of ~/.ssh/config.
    return {"config": str(client)}


def _slurm(root: Path, stack: ExitStack) -> dict[str, object]:
    from slurmd import install, running_slurm

    install()
    slurm = stack.enter_context(running_slurm(root / "slurm"))
    os.environ.update({name: slurm.environment[name] for name in ("SLURM_CONF", "PATH")})
    return {}


def _ray(root: Path, stack: ExitStack) -> dict[str, object]:
    from raylets import running_ray

    return {"address": stack.enter_context(running_ray()).address}


def _kubernetes(root: Path, stack: ExitStack) -> dict[str, object]:
    from kubes import IMAGES, running_kubernetes

    cluster = stack.enter_context(running_kubernetes(root / "kubernetes"))
    os.environ.update(cluster.environment)
    return {"folder": str(cluster.root / "shared"), "claim": "data", "image": f"{IMAGES}digits:1"}


@pytest.fixture(params=[_ssh, _slurm, _ray, _kubernetes], ids=["ssh", "slurm", "ray", "kubernetes"])
def there(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[There]:
    """The configuration of the page, with the paths and ports of this machine in it."""
    start: Callable[[Path, ExitStack], dict[str, object]] = request.param
    monkeypatch.setenv("PATH", os.environ["PATH"])
    monkeypatch.setenv("SLURM_CONF", "")
    monkeypatch.setenv("KUBECONFIG", "")
    page = (ROOT / "docs" / "reference" / f"target-{start.__name__.removeprefix('_')}.md").read_text()
    found = _TOML.search(page)
    assert found is not None
    settings = found.group(1)
    with ExitStack() as stack:
        own = {"python": sys.executable, "folder": str(tmp_path / "worker")} | start(tmp_path, stack)
        for name, value in own.items():
            line = f"{name} = {json.dumps(value)}"
            settings, replaced = re.subn(rf"^{name} = .*$", line, settings, flags=re.MULTILINE)
            settings += "" if replaced else f"{line}\n"
        site = made(tmp_path / "site", "digits.ipynb")
        (site.project / "nbpipe.toml").write_text(settings)
        yield There(site, [line.split() for line in _COMMAND.findall(page)])


def test_what_the_page_says_works_and_what_it_gives_is_used_here(there: There) -> None:
    test, doctor, run = there.commands
    assert "answers in" in there.site.nbpipe(*test)
    assert "✗" not in there.site.nbpipe(*doctor)
    target = run[-1]
    ran = {stage["name"]: (stage["status"], stage["on"]) for stage in _run(there.site, *run)["stages"]}
    assert set(ran.values()) == {("succeeded", target)}
    run[-1] = "local"
    assert {stage["status"] for stage in _run(there.site, *run)["stages"]} == {"cached"}


def _run(site: Site, *words: str) -> Any:
    """The document that a run prints, behind its progress."""
    return json.loads(site.nbpipe(*words, "--json").splitlines()[-1])
