"""Dagster's sensors: one that looks at files, and one for each asset of Dagster's own that starts the pipeline."""

from __future__ import annotations

import ast

from nbpipe.errors import UnsupportedError
from nbpipe.export.base import Deployment
from nbpipe.export.python import assign, call, value
from nbpipe.export.triggers import INTERVAL, looking

_FILES = f'''
@dagster.sensor(
    job=pipeline_job, minimum_interval_seconds={INTERVAL}, default_status=dagster.DefaultSensorStatus.RUNNING
)
def files_changed(context):
    """Ask for a run where a file holds something else than at the last look, which the cursor remembers."""
    before = json.loads(context.cursor) if context.cursor else None
    now = state_of_files(before or {{}})
    context.update_cursor(json.dumps(now))
    return dagster.SkipReason("no file has changed") if same_files(before, now) else dagster.RunRequest()
'''
_DATASET = '''
def dataset_sensor(name, *key):
    """Asks for a run when the asset has a new materialization."""

    def dataset_changed(context, event):
        return dagster.RunRequest(run_key=context.cursor)

    running = dagster.DefaultSensorStatus.RUNNING
    return dagster.asset_sensor(
        asset_key=dagster.AssetKey(key), job=pipeline_job, name=name, default_status=running
    )(dataset_changed)
'''


def sensors(deployment: Deployment) -> tuple[list[str], list[ast.stmt]]:
    """Their names in the module, and what makes them. Raises UnsupportedError for a dataset that is no asset's key."""
    names: list[str] = []
    body: list[ast.stmt] = []
    if deployment.trigger_files:
        names.append("files_changed")
        body += [
            *looking(deployment.trigger_files, deployment.project or "."),
            *ast.parse(_FILES).body,
        ]
    if deployment.trigger_datasets:
        body += ast.parse(_DATASET).body
    for number, dataset in enumerate(deployment.trigger_datasets, 1):
        if "://" in dataset:
            raise UnsupportedError(
                f"Dagster cannot express --trigger-dataset {dataset}: its assets have keys, not URIs",
                name="trigger-dataset",
                fix="Give the key of the asset, such as sales/orders.",
            )
        name = f"dataset_{number}_changed"
        names.append(name)
        body.append(assign(name, call("dataset_sensor", value(name), *map(value, filter(None, dataset.split("/"))))))
    return names, body
