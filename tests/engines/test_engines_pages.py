"""What a new user does: the commands of an export's README and of its page, word for word, where they need no server."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path

import nbformat
import pytest
from engines import ROOT, Site, environment_of
from slurmd import install, running_slurm

from nbpipe.export.registry import exporter
from nbpipe.export.verification import of

pytestmark = [pytest.mark.engines, pytest.mark.timeout(3600)]

#: They ask a server, a cluster or a registry, or go on until somebody stops them.
_ELSEWHERE = (
    *("docker ", "kubectl ", "kfp run ", "kfp recurring-run ", "pyflyte run --remote ", "gh ", "dagster dev "),
    "python flow.py argo-workflows ",
)
_NAMES = (
    "snakemake",
    "dvc",
    "kfp",
    "flyte",
    "metaflow",
    "dagster",
    "slurm",
    "cron",
    "systemd",
    "script",
    "github-actions",
)
#: What stands in for what would change this machine: it takes what it is given.
_STANDINS = {
    "pip": "",
    "crontab": '[ "$1" = -l ] || cat > "$HOME/crontab"',
    "systemctl": 'echo "$@"',
    "systemd-escape": 'printf %s "$2" | tr / -',
}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A repository whose notebook is called as the one of the pages, with the parameters that they set."""
    made = Site(tmp_path, "digits.ipynb")
    made.project.mkdir(parents=True)
    (made.project / "nbpipe.toml").touch()
    cells = ["%%params\nlr: float = 0.1", "%%stage train\nx = lr", "%%check good\nassert x > 0"]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell, id=f"c{n}") for n, cell in enumerate(cells)])
    nbformat.write(book, made.project / "digits.ipynb")
    made.call("git", "init", "-q")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, script in _STANDINS.items():
        (tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (tools / name).chmod(0o755)
    return made


def commands(name: str, folder: Path) -> list[str]:
    """Those of the README, then those of the page; a value stands where they say NAME=VALUE."""
    readme = re.findall(r"^ *```+sh\n(.*?)^ *```", (folder / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    page = (ROOT / "docs" / "reference" / f"export-{name}.md").read_text()
    shown = re.findall(r"^```console\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    found = [line.strip() for block in readme for line in block.splitlines()]
    found += [line.removeprefix("$ ") for block in shown for line in block.splitlines() if line.startswith("$ ")]
    served = {"prefect": ("python flow.py",)}.get(name, ())
    kept = [each for each in found if not each.startswith((*_ELSEWHERE, "nbpipe ")) and each not in served]
    return [each.replace("NAME=VALUE", "lr=0.2") for each in kept]


def path_of(name: str, site: Site) -> str:
    """The engine's own commands come first; DVC calls the Python of the stages."""
    how = of(exporter(name))
    own = [str(environment_of(name, *how.packages))] if how is not None and how.packages else []
    stages = [str(Path(sys.executable).parent)]
    return ":".join([str(site.root / "tools"), *(stages + own if name == "dvc" else own + stages), os.environ["PATH"]])


def follow(name: str, site: Site, folder: Path, more: dict[str, str]) -> None:
    followed = commands(name, folder)
    assert followed
    for command in followed:
        done = site.call("bash", "-e", "-c", command, cwd=folder, more=more)
        assert done.returncode == 0, f"$ {command}\n{done.stdout}"


@pytest.mark.parametrize("name", _NAMES)
def test_the_commands_of_the_readme_and_of_the_page_work_as_they_stand(name: str, site: Site) -> None:
    clock = ("--schedule", "@daily") if name in ("cron", "systemd") else ()
    folder = site.export(name, *clock) if name != "script" else site.project / "exports" / "digits-script"
    if name == "script":
        site.nbpipe("export", "digits.ipynb", "--to", "script")
    more = {"PATH": path_of(name, site), "HOME": str(site.root), "METAFLOW_USER": "me"}
    more |= {"DAGSTER_HOME": str(site.root), "DAGSTER_DISABLE_TELEMETRY": "1", "PYTHONPATH": str(ROOT)}
    if exporter(name).remote:  # where the image, the project and the store are here
        more |= {"NBPIPE_PROJECT": str(site.project), "NBPIPE_STORE": str(site.store)}
    (site.root / "dagster.yaml").touch()
    if name == "slurm":
        install()
        # Sockets have short names.
        with tempfile.TemporaryDirectory(prefix="slurm-") as short, running_slurm(Path(short) / "s") as cluster:
            more |= {"SLURM_CONF": cluster.environment["SLURM_CONF"], "PATH": f"{more['PATH']}:/usr/sbin:/sbin"}
            # The page's own example names a partition of its own.
            cluster.call("scontrol", "create", "PartitionName=gpu", "Nodes=n1,n2", "State=UP")
            follow(name, site, folder, more)
    else:
        follow(name, site, folder, more)
    if name == "flyte":  # what is left for a cluster is at least packaged for one
        words = ("--pkgs", "workflow", "package", "--image", "python:3", "--output", "digits.tgz")
        done = site.call("pyflyte", *words, cwd=folder, more=more)
        assert (done.returncode, (folder / "digits.tgz").exists()) == (0, True), done.stdout
    if name in ("kfp", "github-actions", "script"):
        made = {"kfp": folder / "pipeline.yaml", "github-actions": site.project / ".github/workflows/nbpipe-digits.yml"}
        assert made.get(name, folder).exists()
        return
    assert site.latest().status == "succeeded"
