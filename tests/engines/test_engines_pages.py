"""What a new user does: the commands of an export's README and of its page, word for word, where they need no server."""

from __future__ import annotations

import os
import re
import shlex
import sys
import tempfile
from pathlib import Path

import pytest
from engines import ROOT, Site, environment_of, written
from services import airflow_home, running
from slurmd import install, running_slurm
from tracked import answers, free_port
from written_exporter import documented

from nbpipe.export.registry import exporter
from nbpipe.export.verification import of
from nbpipe.run.project import Project

pytestmark = [pytest.mark.engines, pytest.mark.timeout(3600)]

#: They ask a server, a cluster or a registry, or go on until somebody stops them.
_ELSEWHERE = (
    *("docker ", "kubectl ", "kfp run ", "kfp recurring-run ", "pyflyte run --remote ", "gh ", "dagster dev "),
    *("python flow.py argo-workflows ", "vh "),
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
    "airflow",
    "prefect",
    "valohai",
)
#: What they have users install beside an engine: `pip` itself does nothing here.
_BESIDE = {"valohai": ("valohai-yaml==0.61.0",)}
#: Prefect's, where a server runs; the first goes on until somebody stops it.
_SERVED = ("python flow.py", "prefect deployment run digits/nbpipe -p lr=0.01")
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
    cells = ("%%params\nlr: float = 0.1", "%%stage train\nx = lr", "%%check good\nassert x > 0")
    made = written(tmp_path, *cells, name="digits.ipynb")
    made.call("git", "init", "-q")
    # An experiment of DVC goes out from a commit, and is one.
    made.call("git", "config", "user.name", "me")
    made.call("git", "config", "user.email", "me@localhost")
    made.call("git", "add", "-A")
    done = made.call("git", "commit", "-q", "-m", "first")
    assert done.returncode == 0, done.stdout
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
    served = {"prefect": _SERVED}.get(name, ())
    kept = [each for each in found if not each.startswith((*_ELSEWHERE, "nbpipe ")) and each not in served]
    return [each.replace("NAME=VALUE", "lr=0.2") for each in kept]


def path_of(name: str, site: Site) -> str:
    """The engine's own commands come first; DVC calls the Python of the stages."""
    how = of(exporter(name))
    packages = how.packages if how is not None else _BESIDE.get(name, ())
    own = [str(environment_of(name, *packages))] if packages else []
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
    if name == "airflow":
        more |= airflow_home(site, Path(more["PATH"].split(":")[1]))
    if name == "prefect":
        more |= {"PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "300", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
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
    if name in ("kfp", "github-actions", "script", "valohai"):
        made = {"kfp": folder / "pipeline.yaml", "github-actions": site.project / ".github/workflows/nbpipe-digits.yml"}
        assert made.get(name, folder).exists()
        return
    assert site.latest().status == "succeeded"


def test_a_flow_of_prefect_that_is_served_runs_when_somebody_asks(site: Site) -> None:
    """The page's own commands, with a server of our own."""
    folder, port = site.export("prefect"), free_port()
    page = (ROOT / "docs" / "reference" / "export-prefect.md").read_text()
    assert all(f"$ {command}\n" in page for command in _SERVED)
    serve, ask = _SERVED
    more = {
        "PATH": path_of("prefect", site),
        "PREFECT_HOME": str(site.root / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
    bin_ = Path(more["PATH"].split(":")[1])
    command = (str(bin_ / "prefect"), "server", "start", "--host", "127.0.0.1", "--port", str(port))
    with running(site, {"server": command}, more) as server:
        server.wait_for(lambda: answers(port))
        with running(site, {"flow": ("bash", "-c", f"cd {shlex.quote(str(folder))}\n{serve}")}, more) as served:
            served.wait_for(lambda: site.call("bash", "-c", ask, cwd=folder, more=more).returncode == 0)
            served.wait_for(lambda: bool(Project(site.project).run_ids()))
            served.wait_for(site.has_succeeded)


def test_the_exporter_of_the_page_is_found_once_it_is_installed_and_its_script_runs(site: Site) -> None:
    installed = documented(site.root / "site")
    more = {"PYTHONPATH": f"{ROOT}:{installed}", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = site.call(sys.executable, "-m", "nbpipe", "export", "digits.ipynb", "--to", "shell", more=more)
    assert done.returncode == 0, done.stdout
    done = site.call("sh", site.project / "exports" / "digits-shell" / "run.sh", "today", more=more)
    assert done.returncode == 0, done.stdout
    assert "'good' succeeded" in done.stdout
