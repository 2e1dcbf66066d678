"""Kubernetes: a CronJob whose pod runs the whole pipeline, as with `nbpipe run`; its parameters stand in a ConfigMap."""

from __future__ import annotations

from typing import Any, Literal

from nbpipe.errors import UsageError
from nbpipe.export.base import Definition, Deployment
from nbpipe.export.cron_tab import NATIVE, params_json
from nbpipe.export.images import dockerfile
from nbpipe.export.lines import yaml_text
from nbpipe.export.names import dashed

_PARAMS = "/etc/nbpipe"
_WISHES = ("cpus", "memory", "gpus", "image")
_CARRIES = {
    **{name: said for name, said in NATIVE.items() if name not in _WISHES},
    "--param": "a ConfigMap",
    "--schedule": "`schedule`",
    "--image": "image of the pod",
    "secrets": "`secretKeyRef`",
}


class KubernetesExporter:
    """Writes `cronjob.yaml` and a Dockerfile."""

    name = "kubernetes"
    title = "Kubernetes CronJob"
    proof: Literal["validated"] = "validated"
    remote = True
    carries = _CARRIES
    instead = dict.fromkeys(_WISHES, "All stages share one pod here: export to argo, where each has a pod of its own.")

    def definition(self, deployment: Deployment) -> Definition:
        """The files. Raises UsageError without a schedule or an image."""
        if deployment.schedule is None:
            raise UsageError(
                "a CronJob needs a schedule", name="schedule", fix="Every day at 6: --schedule '0 6 * * *'"
            )
        if deployment.image is None:
            raise UsageError("a pod needs an image", name="image", fix="Add --image REGISTRY/NAME:TAG.")
        # The names of its jobs are longer, and may have 63 letters.
        name = dashed(deployment.pipeline.name, longest=40)
        held = (*deployment.secrets, "NBPIPE_STORE_KEY")
        config = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": f"{name}-params"},
            "data": {"params.json": params_json(deployment)},
        }
        text = yaml_text(config, head="Written by nbpipe export: export again instead of editing.")
        clock = yaml_text(_clock(name, deployment.schedule, deployment.image, held))
        literals = " ".join(f"--from-literal={each}=…" for each in held)
        return Definition(
            main="cronjob.yaml",
            files={
                "cronjob.yaml": f"{text}---\n{clock}",
                "Dockerfile": dockerfile(),
                ".dockerignore": "README.md\ncronjob.yaml\n",
            },
            steps=(
                (
                    "Build the image of the pod, under the name that the CronJob has, and push it:",
                    f"docker build --build-arg PYTHON={deployment.pipeline.python} -t IMAGE . && docker push IMAGE",
                ),
                (
                    "Make the secret that the pod is given; results are signed with its key:",
                    f"kubectl create secret generic {name}-secrets {literals}",
                ),
                (
                    "Start the clock, and try it now:",
                    f"kubectl apply -f cronjob.yaml\nkubectl create job --from=cronjob/{name} {name}-now",
                ),
            ),
            notes=(
                f"the image is {deployment.image}: build and push it before the first run",
                f"parameters are changed with kubectl edit configmap {name}-params",
            ),
        )


def _clock(name: str, schedule: str, image: str, held: tuple[str, ...]) -> dict[str, Any]:
    secrets = [{"name": each, "valueFrom": {"secretKeyRef": {"name": f"{name}-secrets", "key": each}}} for each in held]
    pod = {"name": "NBPIPE_POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    container = {
        "name": "pipeline",
        "image": image,
        # Kubernetes puts the variable in place: the pod's name is that of the run.
        "command": ["python", "-m", "nbpipe.stage", "/nbpipe", "--all", "--run", "$(NBPIPE_POD)"],
        "args": ["--params", f"@{_PARAMS}/params.json"],
        "env": [pod, *secrets],
        "volumeMounts": [{"name": "params", "mountPath": _PARAMS, "readOnly": True}],
    }
    template = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 30,
        "containers": [container],
        "volumes": [{"name": "params", "configMap": {"name": f"{name}-params"}}],
    }
    spec = {
        "schedule": schedule,
        "concurrencyPolicy": "Forbid",
        # Stages are tried again by the run itself, and a check that said no is not.
        "jobTemplate": {"spec": {"backoffLimit": 0, "template": {"spec": template}}},
    }
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name}, "spec": spec}


EXPORTER = KubernetesExporter()
