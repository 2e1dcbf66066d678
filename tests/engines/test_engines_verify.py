"""`nbpipe export --verify`, as a user calls it, on every engine that it knows."""

from __future__ import annotations

import json
import re
import sys
import tempfile
from pathlib import Path

import engines
import pytest
from engines import written
from slurmd import install, running_slurm

from nbpipe.errors import EXIT_CODES
from nbpipe.export.registry import exporters
from nbpipe.export.verification import of

pytestmark = [pytest.mark.engines, pytest.mark.timeout(3600)]

#: Plain Python is verified beside its other tests.
NAMES = [name for name, each in exporters().items() if of(each) is not None and name not in ("script", "slurm")]


def verified(site: engines.Site, to: str, **more: str) -> dict[str, object]:
    remote = ("--store", "s3://bucket/x", "--image", "python:3") if exporters()[to].remote else ()
    words = ("export", "quickstart.ipynb", "--to", to, "--verify", "--json", *remote)
    done = site.call(sys.executable, "-m", "nbpipe", *words, more=more)
    assert done.returncode == 0, done.stdout
    found: dict[str, object] = json.loads(done.stdout[done.stdout.index("{") :])["verified"]
    return found


@pytest.mark.parametrize("to", NAMES)
def test_an_export_is_verified_on_its_own_engine(to: str, tmp_path: Path) -> None:
    found = verified(engines.made(tmp_path, "quickstart.ipynb"), to)
    assert found["equal"], found
    assert found["engine"]


@pytest.mark.parametrize("to", [name for name in NAMES if "--logical-date-param" in exporters()[name].carries])
def test_both_runs_of_a_verified_export_are_for_one_date_which_is_said(to: str, tmp_path: Path) -> None:
    cells = ("%%params\nday: str = ''", "%%stage one\nseen = day", "%%check dated\nassert seen == '2001-02-03'")
    site = written(tmp_path, *cells)
    words = (sys.executable, "-m", "nbpipe", "export", "n.ipynb", "--to", to, "--logical-date-param", "day", "--verify")
    done = site.call(*words, "-p", "day=2001-02-03")
    assert done.returncode == 0, done.stdout
    assert ", both with day=2001-02-03:" in done.stdout
    assert re.search(r"^  dated +succeeded +equal", done.stdout, re.MULTILINE), done.stdout


def test_an_export_for_slurm_is_verified_on_the_cluster_that_sbatch_leads_to(tmp_path: Path) -> None:
    install()
    site = engines.made(tmp_path, "quickstart.ipynb")
    (tmp_path / "shared").mkdir()
    # Sockets have short names.
    with tempfile.TemporaryDirectory(prefix="slurm-") as short, running_slurm(Path(short) / "s") as cluster:
        more = {name: cluster.environment[name] for name in ("SLURM_CONF", "PATH")}
        found = verified(site, "slurm", TMPDIR=str(tmp_path / "shared"), **more)
    assert found["equal"], found
    words = (sys.executable, "-m", "nbpipe", "export", "quickstart.ipynb", "--to", "slurm", "--verify")
    nowhere = site.call(*words, more={"PATH": str(tmp_path / "shared")})
    assert (nowhere.returncode, "there is none here" in nowhere.stdout) == (3, True), nowhere.stdout


def test_a_value_that_differs_is_named_and_a_check_that_says_no_on_both_sides_is_equal(tmp_path: Path) -> None:
    random = written(tmp_path / "random", "%%stage one\nimport uuid\nx = uuid.uuid4().hex", "%%stage two\ny = len(x)")
    done = random.call(sys.executable, "-m", "nbpipe", "export", "n.ipynb", "--to", "dvc", "--verify")
    assert done.returncode == EXIT_CODES["rejected"], done.stdout
    one, two = (line.split() for line in done.stdout.splitlines() if line.startswith(("  one ", "  two ")))
    assert one[:3] == ["one", "succeeded", "differs"], done.stdout
    assert "value x" in done.stdout
    assert two[:2] == ["two", "succeeded"]
    checked = written(tmp_path / "checked", "%%stage one\nx = 1", "%%check good\nassert x > 1", "%%stage two\ny = x")
    done = checked.call(sys.executable, "-m", "nbpipe", "export", "n.ipynb", "--to", "dvc", "--verify")
    assert done.returncode == 0, done.stdout
    assert re.search(r"^  good +rejected +equal", done.stdout, re.MULTILINE), done.stdout
