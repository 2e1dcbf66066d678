"""How schedulers are told to run an exported folder with other values for some parameters; one function for each."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

from engines import Site

Done = subprocess.CompletedProcess[str]

#: What Dagster's daemon does with a run that failed.
_FAILED = """
import dagster, definitions
instance = dagster.DagsterInstance.get()
(run,) = instance.get_runs(limit=1)
logs = [each.dagster_event for each in instance.all_logs(run.run_id) if each.is_dagster_event]
(event,) = [each for each in logs if each.is_run_failure]
context = dagster.build_run_status_sensor_context("record_failed_run", event, instance, run).for_run_failure()
definitions.record_failed_run(context)
"""


def dagster(site: Site, bin_: Path, folder: Path, params: Mapping[str, object]) -> Done:
    """`dagster job execute`; a run that failed is shown to the sensor, as the daemon does."""
    home = site.root / "dagster"
    home.mkdir(exist_ok=True)
    (home / "dagster.yaml").touch()
    config = home / "run.yaml"
    config.write_text(json.dumps({"resources": {"params": {"config": params}}}))
    more = {"DAGSTER_HOME": str(home), "DAGSTER_DISABLE_TELEMETRY": "1"}
    words = ("job", "execute", "-f", "definitions.py", "-j", Path(site.notebook).stem, "-c", str(config))
    done = site.call(bin_ / "dagster", *words, cwd=folder, more=more)
    if done.returncode:
        recorded = site.call(bin_ / "python", "-c", _FAILED, cwd=folder, more=more)
        assert recorded.returncode == 0, recorded.stdout
    return done


def metaflow(site: Site, bin_: Path, folder: Path, params: Mapping[str, object]) -> Done:
    """`python flow.py run`."""
    more = {"METAFLOW_USER": "tests", "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(site.root), "HOME": str(site.root)}
    options = [f"--{name}={value}" for name, value in params.items()]
    return site.call(bin_ / "python", "flow.py", "run", *options, cwd=folder, more=more)


_KFP = """
import json, sys
from kfp import local
import pipeline
local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root=sys.argv[2])
getattr(pipeline, sys.argv[1])(**json.loads(sys.argv[3]))
"""


def kfp(site: Site, bin_: Path, folder: Path, params: Mapping[str, object]) -> Done:
    """Kubeflow's own local runner, where the folder of the image, the project and the store are here."""
    more = {"NBPIPE_FOLDER": str(folder), "NBPIPE_PROJECT": str(site.project), "NBPIPE_STORE": str(site.store)}
    words = (Path(site.notebook).stem, str(site.root / "kfp"), json.dumps(params))
    return site.call(bin_ / "python", "-W", "ignore", "-c", _KFP, *words, cwd=folder, more=more)


def flyte(site: Site, bin_: Path, folder: Path, params: Mapping[str, object]) -> Done:
    """`pyflyte run`, where the project and the store are here."""
    more = {"NBPIPE_PROJECT": str(site.project), "NBPIPE_STORE": str(site.store), "HOME": str(site.root)}
    options = [word for name, value in params.items() for word in (f"--{name}", str(value))]
    return site.call(bin_ / "pyflyte", "run", "workflow.py", Path(site.notebook).stem, *options, cwd=folder, more=more)


def slurm(site: Site, configuration: Path, folder: Path, params: Mapping[str, object]) -> Done:
    """`sh submit.sh --wait` on the cluster of this configuration; what its jobs wrote is shown."""
    given = [f"{name}={value}" for name, value in params.items()]
    done = site.call("sh", "submit.sh", "--wait", *given, cwd=folder, more={"SLURM_CONF": str(configuration)})
    done.stdout += "".join(log.read_text() for log in sorted((folder / "logs").iterdir()))
    return done
