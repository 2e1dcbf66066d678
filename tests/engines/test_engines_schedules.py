"""Clocks: the schedulers themselves start the runs, or read the schedule out of the definition where only a cluster has a clock."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from engines import Site, environment_of, written
from services import airflow_home, running
from tracked import answers, free_port

from nbpipe.export.registry import exporter
from nbpipe.export.verification import of
from nbpipe.run.project import Project

pytestmark = [pytest.mark.engines, pytest.mark.timeout(3600)]

_EACH_MINUTE = ("--schedule", "* * * * *")
_DAILY = ("--schedule", "30 6 * * *")
_NEXT = """
import json
from airflow.dag_processing.dagbag import DagBag
bag = DagBag()
assert not bag.import_errors, bag.import_errors
print(json.dumps([bag.dags["n"].schedule, bag.dags["n"].catchup]))
"""
_EVENT = """
from prefect.events import emit_event
emit_event(event="prefect.asset.materialization.succeeded", resource={"prefect.resource.id": "s3://bucket/orders"})
from prefect.events.worker import EventsWorker
EventsWorker.drain_all()
"""
_CLOCK = """
import workflow
print(workflow.CLOCK.name, workflow.CLOCK.workflow.name, workflow.CLOCK.schedule.cron_schedule.schedule)
"""
_FLOW = """
import json, flow
made = flow.N(use_cli=False)._flow_decorators
print(json.dumps([made["schedule"][0].attributes["cron"], [each.attributes["event"] for each in made["trigger"]]]))
"""
_WORDS = """
import json, sys
from kfp.cli import recurring_run, run
told = {"recurring-run": recurring_run.create, "run": run.create}
for kind, words in json.loads(sys.argv[1]):
    print(json.dumps([kind, {k: v for k, v in told[kind].make_context("create", words).params.items() if v}]))
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return written(tmp_path, "%%params\nn: int = 1", "%%stage one\nx = n")


def bin_of(name: str) -> Path:
    how = of(exporter(name))
    assert how is not None
    return environment_of(name, *how.packages)


def test_the_daemon_of_dagster_starts_a_run_when_it_is_time(site: Site) -> None:
    folder = site.export("dagster", *_EACH_MINUTE)
    home = site.root / "dagster"
    home.mkdir()
    (home / "dagster.yaml").touch()
    more = {"DAGSTER_HOME": str(home), "DAGSTER_DISABLE_TELEMETRY": "1"}
    words = (str(bin_of("dagster") / "dagster-daemon"), "run", "-f", str(folder / "definitions.py"))
    with running(site, {"daemon": words}, more) as daemon:
        daemon.wait_for(lambda: bool(Project(site.project).run_ids()))
        daemon.wait_for(site.has_succeeded)


@pytest.mark.parametrize(
    "words", [_EACH_MINUTE, ("--trigger-dataset", "s3://bucket/orders")], ids=["schedule", "dataset"]
)
def test_a_flow_of_prefect_that_is_served_runs_when_it_is_time_and_when_an_asset_is_updated(
    words: tuple[str, ...], site: Site
) -> None:
    folder, port, bin_ = site.export("prefect", *words), free_port(), bin_of("prefect")
    more = {
        "PREFECT_HOME": str(site.root / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
    command = (str(bin_ / "prefect"), "server", "start", "--host", "127.0.0.1", "--port", str(port))
    serve = f"cd {shlex.quote(str(folder))}\nexec {shlex.quote(str(bin_ / 'python'))} flow.py"
    with running(site, {"server": command}, more) as server:
        server.wait_for(lambda: answers(port))
        with running(site, {"flow": ("bash", "-c", serve)}, more) as served:
            # It polls for runs once the server knows the deployment.
            served.wait_for(lambda: "n/nbpipe" in (served.logs / "flow").read_text())

            def ran() -> bool:
                if "--trigger-dataset" in words:
                    done = site.call(bin_ / "python", "-c", _EVENT, more=more)
                    assert done.returncode == 0, done.stdout
                return bool(Project(site.project).run_ids())

            served.wait_for(ran)
            served.wait_for(site.has_succeeded)


def test_airflow_reads_the_schedule_and_says_when_it_is_time(site: Site) -> None:
    bin_ = bin_of("airflow")
    more = airflow_home(site, bin_, site.export("airflow", *_DAILY))
    done = site.call(bin_ / "python", "-c", _NEXT, more=more)
    assert json.loads(done.stdout.splitlines()[-1]) == ["30 6 * * *", False], done.stdout
    made = site.call(bin_ / "airflow", "dags", "reserialize", more=more)
    assert made.returncode == 0, made.stdout
    said = site.call(bin_ / "airflow", "dags", "next-execution", "n", more=more)
    assert re.search(r"^\d{4}-\d\d-\d\d[ T]06:30:00\+00:00", said.stdout, re.MULTILINE), said.stdout


def test_metaflow_reads_the_schedule_and_the_event(site: Site) -> None:
    """They count where the flow is deployed; Metaflow itself takes the definition."""
    folder, bin_ = site.export("metaflow", *_DAILY, "--trigger-dataset", "orders"), bin_of("metaflow")
    more = {"METAFLOW_USER": "tests", "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(site.root), "HOME": str(site.root)}
    done = site.call(bin_ / "python", "flow.py", "check", cwd=folder, more=more)
    assert done.returncode == 0, done.stdout
    said = site.call(bin_ / "python", "-c", _FLOW, cwd=folder, more=more)
    assert json.loads(said.stdout.splitlines()[-1]) == ["30 6 * * *", ["orders"]], said.stdout


def test_the_launch_plan_of_flyte_has_the_schedule_and_is_packaged(site: Site) -> None:
    words = (*_DAILY, "--image", "python:3", "--store", "s3://bucket/x")
    site.nbpipe("export", "n.ipynb", "--to", "flyte", *words)
    folder, bin_, more = site.project / "exports" / "n-flyte", bin_of("flyte"), {"HOME": str(site.root)}
    said = site.call(bin_ / "python", "-c", _CLOCK, cwd=folder, more=more)
    assert said.stdout.splitlines()[-1:] == ["n-scheduled workflow.n 30 6 * * *"], said.stdout
    packaged = ("--pkgs", "workflow", "package", "--image", "python:3", "--output", "n.tgz")
    done = site.call(bin_ / "pyflyte", *packaged, cwd=folder, more=more)
    assert (done.returncode, "Packaging n-scheduled" in done.stdout) == (0, True), done.stdout


def test_the_commands_that_start_a_run_and_the_clock_of_kubeflow_are_commands_of_its_program(site: Site) -> None:
    site.nbpipe("export", "n.ipynb", "--to", "kfp", *_DAILY, "--image", "python:3", "--store", "s3://bucket/x")
    folder, bin_ = site.project / "exports" / "n-kfp", bin_of("kfp")
    lines = [line.strip() for line in (folder / "README.md").read_text().splitlines()]
    asked = [shlex.split(line)[1:] for line in lines if line.startswith(("kfp run ", "kfp recurring-run "))]
    assert [each[:2] for each in asked] == [["run", "create"], ["recurring-run", "create"]]
    done = site.call(bin_ / "python", "pipeline.py", cwd=folder)
    assert done.returncode == 0, done.stdout
    told = json.dumps([[kind, words] for kind, _, *words in asked])
    said = site.call(bin_ / "python", "-W", "ignore", "-c", _WORDS, told, cwd=folder)
    assert said.returncode == 0, said.stdout
    (_, run), (_, clock) = map(json.loads, said.stdout.splitlines()[-2:])
    assert (run["package_file"], clock["pipeline_package_path"]) == ("pipeline.yaml",) * 2
    # Kubeflow's expressions begin with seconds.
    assert clock["cron_expression"] == "0 30 6 * * *"
