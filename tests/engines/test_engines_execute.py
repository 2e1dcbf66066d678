"""Exports, executed by the schedulers they are for: the artifacts are those of `nbpipe run`, digest by digest.

`make test-engines` runs these. Each scheduler is installed in an environment of its own.
"""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import engines
import launches
import pytest
from conformance_page import hold, row
from engines import PROFILES, Site, conformance, environment_of, written
from services import airflow_home
from slurmd import install, running_slurm

from nbpipe.export.registry import exporters

pytestmark = [pytest.mark.engines, pytest.mark.timeout(3600)]

Done = subprocess.CompletedProcess[str]


@dataclass
class Engine:
    """How a scheduler is installed, and how it runs an exported folder with other values for some parameters."""

    packages: tuple[str, ...]
    run: Callable[[Site, Path, Path, Mapping[str, object]], Done]


def _airflow(site: Site, bin_: Path, folder: Path, params: Mapping[str, object]) -> Done:
    more = airflow_home(site, bin_, folder)
    conf = ["--conf", json.dumps(params)] if params else []
    name = Path(site.notebook).stem
    return site.call(bin_ / "airflow", "dags", "test", name, *conf, more=more)


def _snakemake(site: Site, bin_: Path, folder: Path, params: Mapping[str, object]) -> Done:
    config = ["--config", *(f"{name}={value}" for name, value in params.items())] if params else []
    return site.call(bin_ / "snakemake", "--cores", "2", *config, cwd=folder)


def _dvc(site: Site, bin_: Path, folder: Path, params: Mapping[str, object]) -> Done:
    more = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    if not (folder / ".dvc").exists():
        site.call(bin_ / "dvc", "init", "--no-scm", "-q", cwd=folder, more=more)
    file = folder / "params.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | params))
    return site.call(bin_ / "dvc", "repro", cwd=folder, more=more)


def _prefect(site: Site, bin_: Path, folder: Path, params: Mapping[str, object]) -> Done:
    name = Path(site.notebook).stem
    given = ", ".join(f"{key}={value!r}" for key, value in params.items())
    more = {
        "PREFECT_HOME": str(site.root / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "300",
    }
    return site.call(bin_ / "python", "-c", f"import flow; flow.{name}({given})", cwd=folder, more=more)


ENGINES = {
    "airflow": Engine(("apache-airflow==3.3.2", "apache-airflow-providers-standard"), _airflow),
    "snakemake": Engine(("snakemake==9.27.1",), _snakemake),
    "prefect": Engine(("prefect==3.8.8", "fastapi<0.142", "sqlalchemy<2.1"), _prefect),
    "dvc": Engine(("dvc==3.67.1",), _dvc),
    "dagster": Engine(("dagster==1.13.27",), launches.dagster),
    "metaflow": Engine(("metaflow==2.19.39",), launches.metaflow),
    "kfp": Engine(("kfp==2.17.0", "kfp-kubernetes==2.17.0"), launches.kfp),
    "flyte": Engine(("flytekit==1.16.31",), launches.flyte),
    "slurm": Engine((), launches.slurm),
}


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[tuple[str, Engine, Path]]:
    """Name, how it is called, and `bin` of its environment; of Slurm the configuration of a cluster that runs."""
    name: str = request.param
    found = ENGINES[name]
    if name != "slurm":
        yield name, found, environment_of(name, *found.packages)
        return
    install()
    # Sockets have short names.
    with tempfile.TemporaryDirectory(prefix="slurm-") as short, running_slurm(Path(short) / "s") as cluster:
        yield name, found, Path(cluster.environment["SLURM_CONF"])


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[int, str]]:
    """Exit code and output of a native run of the pipeline with a stage that does not succeed."""

    @functools.cache
    def ran(stage: str) -> tuple[int, str]:
        site = written(tmp_path_factory.mktemp("ended"), *failing(stage))
        done = site.call(sys.executable, "-m", "nbpipe", "run", "n.ipynb")
        return done.returncode, done.stdout

    return ran


def test_those_that_are_called_executed_are_executed_here() -> None:
    assert {name for name, each in exporters().items() if each.proof == "executed"} == {*ENGINES, "script"}


@pytest.mark.parametrize("notebook", ["weather.ipynb", "digits.ipynb"])
def test_a_run_of_the_scheduler_gives_what_a_native_run_gives(
    engine: tuple[str, Engine, Path],
    notebook: str,
    natives: Callable[[str], Site],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    name, found, bin_ = engine
    native = natives(notebook)
    site = engines.made(tmp_path, notebook)
    folder = site.export(name, *PROFILES.get(notebook, ()))
    done = found.run(site, bin_, folder, {})
    assert done.returncode == 0, done.stdout
    record = site.latest()
    assert record.status == "succeeded", done.stdout
    compared = conformance(native.native, site.results(record.id, site.store))
    made = row(name, next(iter(found.packages), name), notebook, compared)
    record_property("conformance", made)
    assert compared
    assert all(equal for equal, _ in compared.values()), compared
    hold(made)


def test_failures_and_parameters_are_those_of_a_native_run(engine: tuple[str, Engine, Path], tmp_path: Path) -> None:
    """A check that says no stops what is below it; with another value it says yes; a retry that succeeds is a success."""
    name, found, bin_ = engine
    site = written(
        tmp_path,
        '%%params\nlimit: int = 1\nname: str = "it\'s {{ 1 }} ${HOME} $(id) %s"  # {{ 2 }} ${x}',
        # Outside the project: what a failed attempt writes in there is taken back.
        f"%%stage fit-model --retries 1\nimport pathlib\nmark = pathlib.Path({str(tmp_path / 'mark')!r})\n"
        "if not mark.exists():\n    mark.write_text('x')\n    raise OSError('once')\nvalue = limit",
        "%%stage fit_model\nother = name",
        "%%check enough\nassert value > 1, 'too small'",
        "%%stage publish\nopen('published.txt', 'w').write(other + str(value))",
    )
    folder = site.export(name)
    done = found.run(site, bin_, folder, {})
    # `airflow dags test` says so in words only.
    assert done.returncode != 0 or "DagRun failed" in done.stdout, done.stdout
    assert "too small" in done.stdout, done.stdout
    assert not (site.project / "published.txt").exists()
    assert (site.latest().status, site.latest().exit_code) == ("rejected", 8)
    done = found.run(site, bin_, folder, {"limit": 2})
    assert done.returncode == 0, done.stdout
    assert site.latest().status == "succeeded"
    assert (site.project / "published.txt").read_text() == "it's {{ 1 }} ${HOME} $(id) %s2"


#: Cell -> how the run and the stage end.
ENDS = {
    "raise ValueError('no')": ("failed", 1, "no"),
    "import sys\nsys.exit(0)": ("failed", 1, "exit"),
    "import time\ntime.sleep(600)": ("failed", 5, "longer than"),
}


def failing(stage: str) -> tuple[str, ...]:
    """The cells of a pipeline whose first stage is this."""
    return "%%params\nn: int = 1", f"%%stage one{stage}", "%%stage two\nopen('two.txt', 'w').write(str(x))"


@pytest.mark.parametrize("cell", ENDS, ids=["a cell that raises", "a cell that exits", "a cell that takes too long"])
def test_a_stage_that_does_not_succeed_ends_the_run_as_it_ends_a_native_one(
    engine: tuple[str, Engine, Path], ended: Callable[[str], tuple[int, str]], tmp_path: Path, cell: str
) -> None:
    """Nothing below it runs, and the history says why; the scheduler calls it a failure."""
    name, found, bin_ = engine
    limit = " --timeout 2s" if "sleep" in cell and "timeout" in exporters()[name].carries else ""
    if "sleep" in cell and not limit:
        pytest.skip("--timeout is refused")
    status, exit_code, said = ENDS[cell]
    stage = f"{limit}\nx = n\n{cell}"
    code, output = ended(stage)
    assert (code, said in output) == (exit_code, True), output
    site = written(tmp_path, *failing(stage))
    folder = site.export(name)
    done = found.run(site, bin_, folder, {})
    assert done.returncode != 0 or "DagRun failed" in done.stdout, done.stdout
    assert said in done.stdout, done.stdout
    assert not (site.project / "two.txt").exists()
    assert (site.latest().status, site.latest().exit_code) == (status, exit_code), done.stdout


def test_a_run_that_goes_on_after_a_failure_is_in_the_history_as_it_ends(tmp_path: Path) -> None:
    site = written(
        tmp_path,
        "%%stage one\nx = 1",
        f"%%stage two\nimport pathlib\nassert pathlib.Path({str(tmp_path / 'mended')!r}).exists(), 'broken'\ny = x",
    )
    folder = site.export("snakemake")
    snakemake = environment_of("snakemake", *ENGINES["snakemake"].packages) / "snakemake"
    words = (snakemake, "--cores", "2")
    done = site.call(*words, cwd=folder, more={"NBPIPE_RUN": "nightly"})
    assert done.returncode != 0, done.stdout
    assert (site.latest().id, site.latest().status) == ("r1", "failed")
    (tmp_path / "mended").touch()
    done = site.call(*words, cwd=folder, more={"NBPIPE_RUN": "nightly"})
    assert done.returncode == 0, done.stdout
    assert (site.latest().id, site.latest().status) == ("r2", "succeeded")
    assert "'one' runs" not in done.stdout


@pytest.mark.parametrize(
    ("name", "default"), [("airflow", " = ''"), ("dagster", " = ''"), ("dagster", ""), ("prefect", "")]
)
def test_a_run_is_given_the_date_that_it_is_for(name: str, default: str, tmp_path: Path) -> None:
    site = written(tmp_path, f"%%params\nday: str{default}", "%%stage one\nopen('day.txt', 'w').write(day)")
    folder = site.export(name, "--logical-date-param", "day")
    found = ENGINES[name]
    bin_ = environment_of(name, *found.packages)
    done = found.run(site, bin_, folder, {})
    assert done.returncode == 0, done.stdout
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", (site.project / "day.txt").read_text()), done.stdout
    done = found.run(site, bin_, folder, {"day": "2001-02-03"})
    assert (site.project / "day.txt").read_text() == "2001-02-03", done.stdout
