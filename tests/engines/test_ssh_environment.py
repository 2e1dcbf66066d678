"""The packages of a run are installed on the other machine with uv, once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from runs import Site
from sshd import Sshd, install, running_sshd

from nbpipe.errors import TargetError
from nbpipe.executors.ssh.executor import SshExecutor

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


def test_what_cannot_be_built_is_said_before_anything_runs(site: Site, sshd: Sshd) -> None:
    executor = SshExecutor(sshd.target(sys.executable, folder=f"{site.root}/worker"), here=lambda _: "")
    with pytest.raises(TargetError, match="uv cannot build"):
        executor.build({"a-package-that-nobody-wrote": "0.0.1"})
    assert [path for path in (site.root / "worker" / "environments").iterdir() if path.is_dir()] == []
    executor.close()
