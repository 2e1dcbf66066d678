"""Runs that a change starts: the schedulers themselves load the definitions, look at the files and ask for the runs."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from pathlib import Path

import pytest
from engines import Site, environment_of, written
from services import airflow_home, running
from tracked import free_port

from nbpipe.export.registry import exporter
from nbpipe.export.verification import of
from nbpipe.run.project import Project

pytestmark = [pytest.mark.engines, pytest.mark.timeout(3600)]

_DAGS = """
import json
from airflow.dag_processing.dagbag import DagBag
bag = DagBag()
assert not bag.import_errors, bag.import_errors
found = bag.dags["n"].schedule
print(json.dumps({"kind": type(found).__name__, "assets": sorted(each.uri for each in found.asset_condition.objects),
                  "outlets": [each.uri for each in bag.dags["n.files"].task_dict["files_changed"].outlets]}))
"""
_SENSOR = """
import sys
import dagster, definitions
from dagster import AssetKey, AssetMaterialization, DagsterInstance
instance = DagsterInstance.ephemeral()
def ask(sensor, cursor):
    context = dagster.build_sensor_context(instance, cursor=cursor, definitions=definitions.defs)
    found = sensor.evaluate_tick(context)
    return len(found.run_requests), found.cursor
look = definitions.files_changed
path = sys.argv[1]
counts = []
def step(cursor):
    count, cursor = ask(look, cursor)
    counts.append(count)
    return cursor
cursor = step(None)
cursor = step(cursor)
open(path, "w").write("2")
cursor = step(cursor)
cursor = step(cursor)
open(path, "w").write("2")
cursor = step(cursor)
print("files", counts)
(updated,) = [each for each in definitions.defs.sensors if each.name == "dataset_1_changed"]
before = ask(updated, None)
instance.report_runless_asset_event(AssetMaterialization(AssetKey(["sales", "orders"])))
after = ask(updated, before[1])
print("dataset", before[0], after[0], ask(updated, after[1])[0])
"""
_SERVE = """
import json, runpy
import prefect
def serve(flow, name, **options):
    made = flow.to_deployment(name, **options)
    (trigger,) = made.triggers
    print("trigger", json.dumps(trigger.model_dump(mode="json")))
prefect.Flow.serve = serve
runpy.run_path("flow.py", run_name="__main__")
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    cells = ("%%params\nn: int = 1", "%%stage one --reads data/*.csv\nx = n + len(open('data/x.csv').read())")
    made = written(tmp_path, *cells)
    (made.project / "data").mkdir()
    (made.project / "data" / "x.csv").write_text("1")
    return made


def bin_of(name: str) -> Path:
    how = of(exporter(name))
    assert how is not None
    return environment_of(name, *how.packages)


def test_airflow_looks_at_the_files_and_updates_the_asset_that_the_pipeline_is_scheduled_by(site: Site) -> None:
    bin_ = bin_of("airflow")
    triggers = ("--trigger-file", "data/*.csv", "--trigger-dataset", "s3://bucket/orders", "--schedule", "@daily")
    folder = site.export("airflow", *triggers)
    more = airflow_home(site, bin_, folder)
    loaded = site.call(bin_ / "python", "-c", _DAGS, more=more)
    assert loaded.returncode == 0, loaded.stdout
    assert json.loads(loaded.stdout.splitlines()[-1]) == {
        "kind": "AssetOrTimeSchedule",
        "assets": ["n.files", "s3://bucket/orders"],
        "outlets": ["n.files"],
    }
    file = site.project / "data" / "x.csv"
    counts = []
    for change in (None, "touched", "2", None):
        if change == "touched":
            os.utime(file, ns=(5, 5))
        elif change is not None:
            file.write_text(change)
        done = site.call(bin_ / "airflow", "dags", "test", "n.files", more=more)
        assert "DagRun failed" not in done.stdout, done.stdout
        counts.append(asked(site, "select count(*) from asset_event")[0][0])
    assert counts == [0, 0, 1, 1]


def test_the_scheduler_of_airflow_starts_a_run_by_itself_once_a_file_holds_something_else(site: Site) -> None:
    """Its scheduler, DAG processor and API server run; nobody triggers anything."""
    bin_ = bin_of("airflow")
    folder = site.export("airflow", "--trigger-file", "data/*.csv")
    port = free_port()
    more = airflow_home(site, bin_, folder) | {
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__API_AUTH__JWT_SECRET": "a secret of the tests only, of more than 64 bytes: 0123456789abcdefghij",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__PARALLELISM": "2",
    }
    states = "select dag_id, run_type, state from dag_run order by id"
    commands = {"api-server": (), "dag-processor": (), "scheduler": ("--skip-serve-logs",)}
    with running(
        site, {name: (str(bin_ / "airflow"), name, *words) for name, words in commands.items()}, more
    ) as services:
        looked = ("n.files", "scheduled", "success")
        services.wait_for(lambda: looked in asked(site, states))
        # The first look has remembered what there is.
        assert all(dag == "n.files" for dag, _, _ in asked(site, states))
        (site.project / "data" / "x.csv").write_text("22")
        services.wait_for(lambda: ("n", "asset_triggered", "success") in asked(site, states))
        assert [each[1] for each in asked(site, states) if each[0] == "n"] == ["asset_triggered"]
    assert site.latest().status == "succeeded"
    assert asked(site, "select count(*) from asset_event") == [(1,)]


def asked(site: Site, query: str) -> list[tuple[object, ...]]:
    """Rows of Airflow's database."""
    with contextlib.closing(sqlite3.connect(site.root / "airflow" / "airflow.db", timeout=60)) as database:
        return database.execute(query).fetchall()


def test_a_sensor_of_dagster_asks_for_a_run_when_a_file_holds_something_else_or_an_asset_is_updated(site: Site) -> None:
    bin_ = bin_of("dagster")
    folder = site.export("dagster", "--trigger-file", "data/*.csv", "--trigger-dataset", "sales/orders")
    home = site.root / "dagster"
    home.mkdir()
    (home / "dagster.yaml").touch()
    more = {"DAGSTER_HOME": str(home), "DAGSTER_DISABLE_TELEMETRY": "1"}
    done = site.call(bin_ / "dagster", "definitions", "validate", "-f", "definitions.py", cwd=folder, more=more)
    assert done.returncode == 0, done.stdout
    done = site.call(bin_ / "python", "-c", _SENSOR, site.project / "data" / "x.csv", cwd=folder, more=more)
    assert done.returncode == 0, done.stdout
    assert "files [0, 0, 1, 0, 0]" in done.stdout, done.stdout
    assert "dataset 0 1 0" in done.stdout, done.stdout


def test_the_daemon_of_dagster_starts_a_run_by_itself_once_a_file_holds_something_else(site: Site) -> None:
    folder = site.export("dagster", "--trigger-file", "data/*.csv")
    home = site.root / "dagster"
    home.mkdir()
    (home / "dagster.yaml").touch()
    more = {"DAGSTER_HOME": str(home), "DAGSTER_DISABLE_TELEMETRY": "1"}
    words = (str(bin_of("dagster") / "dagster-daemon"), "run", "-f", str(folder / "definitions.py"))
    with running(site, {"daemon": words}, more) as daemon:
        daemon.wait_for(lambda: "no file has changed" in (daemon.logs / "daemon").read_text())
        # The first look has remembered what there is.
        assert not Project(site.project).run_ids()
        (site.project / "data" / "x.csv").write_text("22")
        daemon.wait_for(lambda: bool(Project(site.project).run_ids()))
        daemon.wait_for(site.has_succeeded)


def test_prefect_takes_the_event_of_the_asset_for_a_trigger(site: Site) -> None:
    bin_ = bin_of("prefect")
    folder = site.export("prefect", "--trigger-dataset", "s3://bucket/orders", "--trigger-dataset", "s3://bucket/other")
    more = {"PREFECT_HOME": str(site.root / "prefect"), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    done = site.call(bin_ / "python", "-c", _SERVE, cwd=folder, more=more)
    assert done.returncode == 0, done.stdout
    trigger = json.loads(done.stdout.splitlines()[-1].removeprefix("trigger "))
    assert trigger["expect"] == ["prefect.asset.materialization.succeeded"]
    assert trigger["match"] == {"prefect.resource.id": ["s3://bucket/orders", "s3://bucket/other"]}


def test_metaflow_takes_the_event_for_a_trigger(site: Site) -> None:
    bin_ = bin_of("metaflow")
    folder = site.export("metaflow", "--trigger-dataset", "orders")
    more = {"METAFLOW_USER": "tests", "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(site.root), "HOME": str(site.root)}
    done = site.call(bin_ / "python", "flow.py", "check", cwd=folder, more=more)
    assert done.returncode == 0, done.stdout
    asked = "import flow; print(flow.N(use_cli=False)._flow_decorators['trigger'][0].attributes['event'])"
    said = site.call(bin_ / "python", "-c", asked, cwd=folder, more=more)
    assert said.stdout.splitlines()[-1:] == ["orders"], said.stdout
