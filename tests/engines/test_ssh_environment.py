"""The packages of a run are installed on the other machine with uv, once."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from executing import Job
from jobs import Bench
from notebooks import kernel
from runs import Site
from sshd import PYTHONPATH, Sshd, install, running_sshd

from nbpipe.executors.base import JobState
from nbpipe.executors.ssh.executor import SshExecutor
from nbpipe.executors.ssh.packages import packages_of
from nbpipe.store import open_store

pytestmark = pytest.mark.engines


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    install()
    uv = str(Path(sys.executable).parent)
    # Neither this project nor its packages are to be found there; uv is, and the index that is configured here.
    index = [f'"{name}={text}"' for name, text in os.environ.items() if name.startswith(("UV_", "SSL_CERT", "PIP_"))]
    there = ["PYTHONPATH=/nowhere", f"PATH={uv}:/usr/bin:/bin", *index]
    with running_sshd(tmp_path_factory.mktemp("sshd"), *there) as running:
        yield running


def test_a_bare_python_gets_the_packages_of_here_once_and_runs_the_stage(
    site: Site, sshd: Sshd, tmp_path: Path
) -> None:
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "uv", "venv", "-q", "--python", sys.executable, bare], check=True)
    (site.folder / "nbpipe.toml").write_text(
        f'[targets.box]\nkind = "ssh"\nhost = "127.0.0.1"\nport = {sshd.port}\npython = "{bare}/bin/python"\n'
        f'config = "{sshd.root}/client"\nfolder = "{site.root}/worker"\nenvironment = "build"\n'
    )
    code = "%%stage train --on box --metrics n\nimport numpy, nbpipe\nprint(nbpipe.__file__)\nn = float(numpy.arange(4).sum())"
    site.write(code)
    done = site.run()
    assert done.code == 0, done.err
    assert done.json["metrics"] == {"n": 6.0}
    (built,) = (path for path in (site.root / "worker" / "environments").iterdir() if path.is_dir())
    assert site.printed(done.json["run"]).startswith(f"{built}/")
    assert not done.json.get("warnings")
    kept = (built / "pyvenv.cfg").stat().st_mtime_ns
    site.write(code.replace("4", "5"))
    again = site.run()
    assert again.code == 0, again.err
    assert again.json["metrics"] == {"n": 10.0}
    assert (built / "pyvenv.cfg").stat().st_mtime_ns == kept
    site.write(code.replace(" --on box", "").replace("4", "5"))
    assert set(site.run().stages.values()) == {"cached"}
    # Whoever builds it holds the lock; a cell says meanwhile what it waits for.
    with kernel(site.folder, site.environment()) as live, built.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        live.send(code.replace("4", "6"))
        live.until("nbpipe: waits for the packages, which uv installs on box")
        assert "site-packages" not in live.shown()
        fcntl.flock(lock, fcntl.LOCK_UN)
        assert live.end() == "", live.shown()
        assert f"{built}/" in live.shown()


def test_a_job_whose_packages_cannot_be_installed_fails_by_what_uv_said(sshd: Sshd, tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    executor = SshExecutor(sshd.target(sys.executable, folder=f"{tmp_path}/worker"), here=lambda _: "")
    executor.build({"a-package-that-nobody-wrote": "0.0.1"})
    inputs = open_store(tmp_path / "store").save_values({"a": b"x" * 3_000_000}, stage="s")
    for number in (1, 2):
        folder, spec = bench.write("print('ran')", inputs=inputs, attempt=number)
        job = Job(executor, folder, spec, executor.submit(folder, spec))
        assert job.wait().returncode == 4
        assert job.outcome.status == "lost"
        assert job.outcome.failure is not None
        assert "uv cannot build" in job.outcome.failure.message
        assert "a-package-that-nobody-wrote" in job.outcome.failure.message
    assert [path for path in (tmp_path / "worker" / "environments").iterdir() if path.is_dir()] == []
    assert not list((tmp_path / "worker" / "work").iterdir())
    executor.close()


def test_inputs_travel_while_uv_installs_and_the_first_job_starts_warm(sshd: Sshd, tmp_path: Path) -> None:
    """The environment is held up by its lock until the inputs are there."""
    bench, worker = Bench(tmp_path), tmp_path / "worker"
    executor = SshExecutor(sshd.target(sys.executable, folder=str(worker)), here=lambda _: "", keep_warm=5.0)
    packages = packages_of({"cowsay": "6.1"})
    (worker / "environments").mkdir(parents=True)
    with (worker / "environments" / f"{packages.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        executor.build({"cowsay": "6.1"})
        inputs = open_store(tmp_path / "store").save_values({"a": b"x" * 3_000_000}, stage="s")
        code = "import cowsay, os\nprint(len(a), cowsay.__file__)\n"
        code += "runner = open(f'/proc/{os.getppid()}/stat').read().split()\nprint(open(f'/proc/{runner[3]}/cmdline').read())"
        folder, spec = bench.write(code, inputs=inputs)
        job = Job(executor, folder, spec, executor.submit(folder, spec))
        job.await_log("waits for the packages")
        assert "sent" in job.log
        assert executor.poll(job.handle) == JobState("running", begun=False)
    assert job.wait(200) == JobState("exited", 0)
    assert "from nbpipe.job.parent" in bench.printed(), "it started cold"
    assert bench.printed().startswith(f"3000000 {worker}/environments/{packages.name}/")
    executor.close()


def test_a_package_that_is_replaced_there_between_two_cells_is_noticed(site: Site, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    _provide(here, "1.0")
    _provide(there, "1.0")
    with running_sshd(tmp_path / "sshd", f"PYTHONPATH={PYTHONPATH}:{there}") as sshd:
        (site.folder / "nbpipe.toml").write_text(
            f'[targets.box]\nkind = "ssh"\nhost = "127.0.0.1"\nport = {sshd.port}\npython = "{sys.executable}"\n'
            f'config = "{sshd.root}/client"\nfolder = "{site.root}/worker"\n'
        )
        cell = "%%stage train --on box --metrics x\nimport pretended\nx = pretended.number + 0\nprint(x)"
        with kernel(site.folder, site.environment(PYTHONPATH=f"{PYTHONPATH}:{here}")) as live:
            assert live.run(cell) == "", live.shown()
            assert live.value("x") == "1.0"
            _provide(there, "2.0")
            assert live.run(cell.replace("+ 0", "+ 1")) == "TargetError"
            assert "pretended 2.0 (here 1.0)" in str(live.messages)
            _provide(there, "1.0")
            assert live.run(cell.replace("+ 0", "+ 1")) == ""
            assert live.value("x") == "2.0"


def _provide(folder: Path, version: str) -> None:
    """Install a package that knows its version, in place of another one of it."""
    shutil.rmtree(folder, ignore_errors=True)
    info = folder / f"pretended-{version}.dist-info"
    info.mkdir(parents=True)
    (folder / "pretended.py").write_text(f"number = {version}\n")
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: pretended\nVersion: {version}\n")
    (info / "top_level.txt").write_text("pretended\n")
