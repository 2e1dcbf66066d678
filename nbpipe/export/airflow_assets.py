"""Airflow's assets: a dataset that starts the pipeline, and a DAG of its own that looks at files and updates an asset."""

from __future__ import annotations

import ast

from nbpipe.export.base import Deployment
from nbpipe.export.python import assign, call, dotted, value
from nbpipe.export.triggers import looking

_LOOK = '''
def look_at_files():
    """Succeed, which updates the asset, where a file holds something else than at the last look."""
    before = Variable.get(SEEN, default=None, deserialize_json=True)
    now = state_of_files(before or {})
    if same_files(before, now):
        if now != before:
            Variable.set(SEEN, now, serialize_json=True)
        raise AirflowSkipException("no file has changed")
    return now


def remember_files(ti):
    """After the asset was updated: a change is not lost, whatever ends in between."""
    Variable.set(SEEN, ti.xcom_pull(task_ids="files_changed"), serialize_json=True)
'''
_DAG = """
with DAG(dag_id=NAME, schedule="* * * * *", start_date=datetime(2020, 1, 1, tzinfo=timezone.utc), catchup=False,
         max_active_runs=1, tags=["nbpipe"]):
    look = PythonOperator(task_id="files_changed", python_callable=look_at_files, outlets=[FILES_CHANGED], retries=0)
    look >> PythonOperator(task_id="remember_files", python_callable=remember_files, retries=2)
"""


def imports(deployment: Deployment) -> str:
    """What they need beyond the pipeline's own."""
    if not (deployment.trigger_files or deployment.trigger_datasets):
        return ""
    names = ["Asset", *(["AssetOrTimeSchedule", "CronTriggerTimetable"] if deployment.schedule is not None else [])]
    if not deployment.trigger_files:
        return f"from airflow.sdk import {', '.join(names)}"
    return (
        "import hashlib\n"
        f"from airflow.sdk import {', '.join([*names, 'Variable'])}\n"
        "from airflow.sdk.exceptions import AirflowSkipException"
    )


def looking_tasks(deployment: Deployment, dag: str) -> list[ast.stmt]:
    """What the DAG that looks at the files calls; nothing where there are none."""
    if not deployment.trigger_files:
        return []
    return [
        # No name of a DAG that `worded` makes has a dot.
        assign("NAME", value(f"{dag}.files")),
        assign("SEEN", value(f"nbpipe.{dag}.files")),
        assign("FILES_CHANGED", call("Asset", dotted("NAME"))),
        *looking(deployment.trigger_files, deployment.project or "."),
        *ast.parse(_LOOK).body,
    ]


def schedule(deployment: Deployment) -> ast.expr:
    """When the pipeline runs: by the clock, after a change of any of the assets, or both."""
    assets: list[ast.expr] = [call("Asset", value(name)) for name in deployment.trigger_datasets]
    assets += [dotted("FILES_CHANGED")] if deployment.trigger_files else []
    if not assets:
        return value(deployment.schedule)
    any_of = assets[0]
    for asset in assets[1:]:
        any_of = ast.BinOp(any_of, ast.BitOr(), asset)
    if deployment.schedule is None:
        return any_of
    clock = call("CronTriggerTimetable", value(deployment.schedule), timezone=value("UTC"))
    return call("AssetOrTimeSchedule", timetable=clock, assets=any_of)


def looking_dag(deployment: Deployment) -> list[ast.stmt]:
    """The DAG that looks at the files; nothing where there are none."""
    return ast.parse(_DAG).body if deployment.trigger_files else []
