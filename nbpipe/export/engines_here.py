"""The engines that run on any machine: what starts an export on each of them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from nbpipe.export.names import identifier, worded
from nbpipe.export.verification import Done, Trial, Verification

_KFP = """
import sys
from kfp import local
import pipeline
local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root=sys.argv[2])
getattr(pipeline, sys.argv[1])()
"""
#: A flow that is called is for now: as its schedule does, a run for that day is made, and then begins.
_PREFECT_DATED = """
import datetime, flow
from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow
from prefect.states import Scheduled
when = datetime.datetime.fromisoformat("{date}T00:00:00+00:00")
with get_client(sync_client=True) as client:
    run = client.create_flow_run({flow}, state=Scheduled(scheduled_time=when))
run_flow({flow}, flow_run=run)
"""


def _airflow(trial: Trial) -> Done:
    home = trial.root / "airflow"
    more = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }
    (home / "dags").mkdir(parents=True)
    (home / "dags" / "exported").symlink_to(trial.folder)
    migrated = trial.call(trial.bin / "airflow", "db", "migrate", more=more)
    if migrated.returncode:
        return migrated
    when = [trial.date] if trial.date else []
    return trial.call(trial.bin / "airflow", "dags", "test", worded(trial.name), *when, more=more)


def _snakemake(trial: Trial) -> Done:
    return trial.call(trial.bin / "snakemake", "--cores", "2")


def _dvc(trial: Trial) -> Done:
    # The stages' own Python comes first: DVC starts `python`.
    more = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{trial.environment.get('PATH', '')}"}
    made = trial.call(trial.bin / "dvc", "init", "--no-scm", "-q", more=more)
    return made if made.returncode else trial.call(trial.bin / "dvc", "repro", more=more)


def _prefect(trial: Trial) -> Done:
    more = {
        "PREFECT_HOME": str(trial.root / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "300",
    }
    flow = f"flow.{identifier(trial.name)}"
    start = _PREFECT_DATED.format(flow=flow, date=trial.date) if trial.date else f"import flow; {flow}()"
    return trial.call(trial.bin / "python", "-c", start, more=more)


def _dagster(trial: Trial) -> Done:
    home = trial.root / "dagster"
    home.mkdir()
    (home / "dagster.yaml").touch()
    more = {"DAGSTER_HOME": str(home), "DAGSTER_DISABLE_TELEMETRY": "1"}
    # As the schedule's run of that day is tagged.
    tags = json.dumps({".dagster/scheduled_execution_time": f"{trial.date}T00:00:00+00:00"})
    when = ["--tags", tags] if trial.date else []
    return trial.call(
        trial.bin / "dagster", "job", "execute", "-f", "definitions.py", "-j", identifier(trial.name), *when, more=more
    )


def _metaflow(trial: Trial) -> Done:
    # It writes below HOME.
    more = {"METAFLOW_USER": "nbpipe", "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(trial.root), "HOME": str(trial.root)}
    return trial.call(trial.bin / "python", "flow.py", "run", more=more)


def _kfp(trial: Trial) -> Done:
    more = {
        "NBPIPE_FOLDER": str(trial.folder),
        "NBPIPE_PROJECT": str(trial.project),
        "NBPIPE_STORE": str(trial.store),
    }
    words = (identifier(trial.name), trial.root / "kfp")
    return trial.call(trial.bin / "python", "-W", "ignore", "-c", _KFP, *words, more=more)


def _flyte(trial: Trial) -> Done:
    more = {"NBPIPE_PROJECT": str(trial.project), "NBPIPE_STORE": str(trial.store), "HOME": str(trial.root)}
    return trial.call(trial.bin / "pyflyte", "run", "workflow.py", identifier(trial.name), more=more)


def _slurm(trial: Trial) -> Done:
    """On the cluster that `sbatch` hands jobs to; what they wrote is shown."""
    done = trial.call("sh", "submit.sh", "--wait")
    logs = sorted((trial.folder / "logs").glob("*.log"))
    done.stdout += "".join(log.read_text(encoding="utf-8", errors="replace") for log in logs)
    return done


def _script(trial: Trial) -> Done:
    report = trial.root / "report.json"
    words = ("-m", "nbpipe.export.script_report", trial.folder, report, "--folder", trial.cwd)
    return trial.call(sys.executable, *words)


AIRFLOW = Verification(
    packages=("apache-airflow==3.3.2", "apache-airflow-providers-standard"), run=_airflow, failed="DagRun failed"
)
SNAKEMAKE = Verification(packages=("snakemake==9.27.1",), run=_snakemake)
DVC = Verification(packages=("dvc==3.67.1",), run=_dvc)
#: With SQLAlchemy 2.1 its server makes no run when it is time.
PREFECT = Verification(packages=("prefect==3.8.8", "fastapi<0.142", "sqlalchemy<2.1"), run=_prefect)
DAGSTER = Verification(packages=("dagster==1.13.27",), run=_dagster)
METAFLOW = Verification(packages=("metaflow==2.19.39",), run=_metaflow)
#: Kubeflow's own local runner: each step is a process, without its image.
KFP = Verification(packages=("kfp==2.17.0", "kfp-kubernetes==2.17.0"), run=_kfp)
FLYTE = Verification(packages=("flytekit==1.16.31",), run=_flyte)
SLURM = Verification(packages=(), run=_slurm, needs=("sbatch", "scancel"))
#: In this Python, which has what the notebook imports: the package itself is kept from importing nbpipe.
SCRIPT = Verification(packages=(), run=_script, reports=True)
