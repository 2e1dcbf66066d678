"""The README of an export for Kubernetes: its API server takes it, its controllers start it by hand and by the clock, and it runs.

The servers are of Kubernetes 1.20, which calls a CronJob `batch/v1beta1`; its fields are the same. Of such a one today's
kubectl makes no job: that is done as kubectl does it. Containers are processes here, see `kubelet`: the image is built by nobody.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from engines import written
from kubes import IMAGES, NAMESPACE, running_kubernetes

from nbpipe.run.project import Project

pytestmark = [pytest.mark.engines, pytest.mark.timeout(3600)]

_KEY = "a key for the tests only"


def commands(folder: Path, tool: str) -> list[str]:
    """Those of the README that begin with it."""
    blocks = re.findall(r"^ *```+sh\n(.*?)^ *```", (folder / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    return [line.strip() for block in blocks for line in block.splitlines() if line.strip().startswith(tool)]


def test_a_cron_job_is_started_by_hand_and_by_its_clock(tmp_path: Path) -> None:
    cells = ("%%params\nlr: float = 0.1\nname: str = 'a $(NBPIPE_POD) b'", "%%stage train\nx = [lr, name]")
    site = written(tmp_path, *cells, "%%check good\nassert x == [0.1, 'a $(NBPIPE_POD) b']", name="digits.ipynb")
    image, store = f"{IMAGES}digits:1", (tmp_path / "store").as_uri()
    words = ("--to", "kubernetes", "--image", image, "--schedule", "* * * * *", "--store", store)
    site.nbpipe("export", "digits.ipynb", *words, "-o", str(site.project / "exports" / "digits"))
    folder = site.project / "exports" / "digits"
    with running_kubernetes(tmp_path / "k") as cluster:
        (cluster.root / "images.json").write_text(json.dumps({image: {"/nbpipe": str(folder)}}))
        file = folder / "cronjob.yaml"
        text = file.read_text()
        assert text.count("apiVersion: batch/v1\nkind: CronJob\n") == 1
        file.write_text(text.replace("apiVersion: batch/v1\n", "apiVersion: batch/v1beta1\n"))
        more = {**cluster.environment, "KUBECONFIG": str(cluster.root / "admin.json")}
        followed = [each.replace("=…", f"='{_KEY}'") for each in commands(folder, "kubectl ")]
        assert followed.pop() == "kubectl create job --from=cronjob/digits digits-now"
        assert [each.split()[1] for each in followed] == ["create", "apply"]
        for command in followed:
            done = site.call("bash", "-e", "-c", command, cwd=folder, more=more)
            assert done.returncode == 0, f"$ {command}\n{done.stdout}"
        found = json.loads(site.call("kubectl", "get", "cronjob/digits", "-o", "json", more=more).stdout)
        job = {**found["spec"]["jobTemplate"], "metadata": {"name": "digits-now"}}
        cluster.api.call("POST", f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs", job)

        def ended(name: str) -> bool:
            jobs = [job for job in cluster.jobs("digits") if re.fullmatch(name, job)]
            told = [cluster.api.call("GET", f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs/{job}") for job in jobs]
            failed = [job for job in told if job["status"].get("failed")]
            assert not failed, cluster.logs() + "".join(p.read_text() for p in cluster.root.glob("n*/*.log"))
            return any(job["status"].get("succeeded") for job in told)

        cluster.wait(lambda: ended("digits-now"))
        cluster.wait(lambda: ended(r"digits-\d+"), seconds=240)
    # Pods have a disk of their own: the results are in the store.
    assert Project(site.project).run_ids() == []
    assert any((tmp_path / "store").iterdir())
