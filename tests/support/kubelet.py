"""A node of a Kubernetes cluster whose containers are plain processes of this machine: there is no runtime to isolate them.

To the API server it is a kubelet: it registers, reports, runs the pods that are bound to it, gives each its devices, environment and
secrets, stops them as asked, and serves their logs. What isolation gives a container, it pretends: all of its
processes end with its first, and volumes lie where they are mounted already. Files of a ConfigMap and of an image lie
elsewhere here than in a container: in its command their paths are those of here.

`python kubelet.py SERVER TOKEN NAME FOLDER`, with `certificate.pem` beside the folder, and `images.json`: image -> path in it ->
path here.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

GPUS = 2
#: Images that can be had.
IMAGES = "registry.test/"
_MARK = "NBPIPE_TEST_POD"


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


class Api:
    """The API server, with a token."""

    def __init__(self, server: str, token: str) -> None:
        self._server, self._token = server, token
        self._context = ssl.create_default_context()
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE

    def call(self, verb: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        """What it answers. Raises OSError."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": kind}
        request = urllib.request.Request(self._server + path, data=data, headers=headers, method=verb)  # noqa: S310 - https
        with urllib.request.urlopen(request, context=self._context, timeout=10) as answer:  # noqa: S310 - likewise
            return json.load(answer)

    def merge(self, path: str, body: Any) -> None:
        self.call("PATCH", path, body, "application/strategic-merge-patch+json")


@dataclass
class Container:
    """The one of a pod: its process once it runs, its devices, and how it ended."""

    pod: dict[str, Any]
    process: subprocess.Popen[bytes] | None = None
    gpus: list[str] = field(default_factory=list)
    began: float = 0.0
    stopped: float = 0.0
    told: str = ""


class Kubelet:
    """Runs what is bound to the node `name`."""

    def __init__(self, api: Api, name: str, folder: Path) -> None:
        self.api, self.name, self.folder = api, name, folder
        self.containers: dict[str, Container] = {}
        self.free = [str(number) for number in range(GPUS)]
        self.port = 0

    def serve(self) -> None:
        """Until it is killed."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), _logs_below(self.folder))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder.parent / "certificate.pem")
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.port = server.server_address[1]
        labels = {"kubernetes.io/hostname": self.name, "pool": self.name}
        body = {"kind": "Node", "apiVersion": "v1", "metadata": {"name": self.name, "labels": labels}}
        with contextlib.suppress(urllib.error.HTTPError):  # it comes back
            self.api.call("POST", "/api/v1/nodes", body)
        reported = 0.0
        while True:
            with contextlib.suppress(OSError):
                if time.time() - reported > 1:
                    self._report()
                    reported = time.time()
                self._look()
            time.sleep(0.05)

    def _report(self) -> None:
        room = {"cpu": "4", "memory": "8Gi", "pods": "110", "ephemeral-storage": "10Gi", "nvidia.com/gpu": str(GPUS)}
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": ""}
        status = {
            "capacity": room,
            "allocatable": room,
            "conditions": [{**ready, "lastHeartbeatTime": now()}],
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}, {"type": "Hostname", "address": self.name}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self.port}},
        }
        self.api.merge(f"/api/v1/nodes/{self.name}/status", {"status": status})

    def _look(self) -> None:
        asked = self.api.call("GET", f"/api/v1/pods?fieldSelector=spec.nodeName={self.name}")
        pods = {pod["metadata"]["uid"]: pod for pod in asked["items"]}
        for uid, pod in pods.items():
            known = self.containers.setdefault(uid, Container(pod))
            known.pod = pod
            if pod["metadata"].get("deletionTimestamp"):
                self._stop(uid, known)
            elif known.process is None and pod["status"].get("phase") == "Pending":
                self._start(uid, known)
            self._watch(uid, known)
        for uid in self.containers.keys() - pods.keys():
            # Deleted without waiting for us.
            self._kill(uid, self.containers.pop(uid))

    def _start(self, uid: str, container: Container) -> None:
        pod, spec = container.pod, container.pod["spec"]["containers"][0]
        namespace = pod["metadata"]["namespace"]
        if not spec["image"].startswith(IMAGES):
            return self._waits(container, "ImagePullBackOff", f'Back-off pulling image "{spec["image"]}"')
        # As an image would have them.
        environment = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}
        environment["PATH"] = f"{Path(sys.executable).parent}:{environment.get('PATH', '')}"
        environment[_MARK] = uid
        for variable in spec.get("env", []):
            try:
                environment[variable["name"]] = self._value(pod, variable)
            except (OSError, KeyError):
                name = variable["valueFrom"]["secretKeyRef"]["name"]
                return self._waits(container, "CreateContainerConfigError", f'secret "{name}" not found')
        mounts = {mount["name"]: mount["mountPath"] for mount in spec["volumeMounts"]}
        images = self.folder.parent / "images.json"
        places = json.loads(images.read_text()).get(spec["image"], {}) if images.exists() else {}
        for volume in pod["spec"]["volumes"]:
            if "persistentVolumeClaim" in volume and not self._is_there(namespace, volume, mounts[volume["name"]]):
                return self._waits(container, "CreateContainerConfigError", "the volume lies elsewhere")
            if "configMap" in volume:
                places[mounts[volume["name"]]] = str(self._written(namespace, volume["configMap"]["name"], uid))
        count = int(spec["resources"].get("limits", {}).get("nvidia.com/gpu", 0))
        container.gpus, self.free = self.free[:count], self.free[count:]
        if count:
            # A device plugin shows a container its devices, and no others.
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(sorted(container.gpus))
        with (self.folder / f"{pod['metadata']['name']}.log").open("wb") as log:
            try:
                container.process = subprocess.Popen(
                    [_word(each, environment, places) for each in spec["command"] + spec.get("args", [])],
                    env=environment,
                    cwd="/",
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            except OSError as error:
                return self._ended(container, 127, f"StartError: {error}")
        container.began = time.time()
        state = {"running": {"startedAt": now()}}
        return self._tell(container, "Running", state)

    def _written(self, namespace: str, name: str, uid: str) -> Path:
        """The folder with the files of a ConfigMap."""
        found = self.api.call("GET", f"/api/v1/namespaces/{namespace}/configmaps/{name}")
        made = self.folder / f"{uid}-{name}"
        made.mkdir(exist_ok=True)
        for file, text in found["data"].items():
            (made / file).write_text(text)
        return made

    def _value(self, pod: dict[str, Any], variable: dict[str, Any]) -> str:
        if "value" in variable:
            return str(variable["value"])
        import base64

        namespace = pod["metadata"]["namespace"]
        if "fieldRef" in variable["valueFrom"]:
            section, field = variable["valueFrom"]["fieldRef"]["fieldPath"].split(".")
            return str(pod[section][field])
        reference = variable["valueFrom"]["secretKeyRef"]
        found = self.api.call("GET", f"/api/v1/namespaces/{namespace}/secrets/{reference['name']}")
        return base64.b64decode(found["data"][reference["key"]]).decode()

    def _is_there(self, namespace: str, volume: dict[str, Any], path: str) -> bool:
        claim = volume["persistentVolumeClaim"]["claimName"]
        bound = self.api.call("GET", f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{claim}")
        found = self.api.call("GET", f"/api/v1/persistentvolumes/{bound['spec']['volumeName']}")
        return str(found["spec"]["hostPath"]["path"]) == path

    def _watch(self, uid: str, container: Container) -> None:
        code = container.process.poll() if container.process is not None else None
        if code is not None and container.told == "Running":
            self._kill(uid, container)
            self._ended(container, code if code >= 0 else 128 - code, "Completed" if code == 0 else "Error")
        limit = container.pod["spec"].get("activeDeadlineSeconds")
        if limit and container.told == "Running" and time.time() - container.began > limit:
            self._kill(uid, container)
            self._ended(container, 137, "Error", reason="DeadlineExceeded")

    def _ended(self, container: Container, code: int, why: str, **more: str) -> None:
        state = {"terminated": {"exitCode": code, "reason": why, "startedAt": now(), "finishedAt": now()}}
        self._tell(container, "Failed" if code else "Succeeded", state, **more)

    def _stop(self, uid: str, container: Container) -> None:
        grace = container.pod["metadata"].get("deletionGracePeriodSeconds", 30)
        if not container.stopped:
            container.stopped = time.time()
            if container.process is not None and container.process.poll() is None:
                container.process.send_signal(signal.SIGTERM)
        ended = container.process is None or container.process.poll() is not None
        if ended or time.time() - container.stopped > grace:
            self._kill(uid, container)
            metadata = container.pod["metadata"]
            body = {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0}
            body["preconditions"] = {"uid": uid}
            path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
            self.api.call("DELETE", path, body)

    def _kill(self, uid: str, container: Container) -> None:
        """All of its processes."""
        mark = f"{_MARK}={uid}".encode()
        for _ in range(3):
            for each in Path("/proc").glob("[0-9]*"):
                with contextlib.suppress(OSError):
                    if mark in (each / "environ").read_bytes().split(b"\0"):
                        os.kill(int(each.name), signal.SIGKILL)
        if container.process is not None:
            container.process.wait()
        self.free, container.gpus = sorted(self.free + container.gpus), []

    def _waits(self, container: Container, reason: str, message: str) -> None:
        self._tell(container, "Pending", {"waiting": {"reason": reason, "message": message}})

    def _tell(self, container: Container, phase: str, state: dict[str, Any], **more: str) -> None:
        said = phase if phase != "Pending" else state["waiting"]["reason"]
        if container.told == said:
            return
        spec, metadata = container.pod["spec"]["containers"][0], container.pod["metadata"]
        one = {"name": spec["name"], "image": spec["image"], "imageID": "", "restartCount": 0, "state": state}
        one["ready"] = one["started"] = phase == "Running"
        status = {"phase": phase, "startTime": now(), "containerStatuses": [one], **more}
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/status"
        self.api.call("PATCH", path, {"status": status}, "application/merge-patch+json")
        container.told = said


def _word(text: str, environment: dict[str, str], places: dict[str, str]) -> str:
    """A word of a command: variables are put in place, as Kubernetes does, and paths that lie elsewhere."""
    told = re.sub(r"\$\((\w+)\)", lambda found: environment.get(found[1], found[0]), text)
    for inside, here in places.items():
        told = re.sub(f"^(@?){re.escape(inside)}(?=/|$)", lambda found, here=here: found[1] + here, told)  # type: ignore[misc]
    return told


def _logs_below(folder: Path) -> type[BaseHTTPRequestHandler]:
    class Logs(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
            """Nothing."""

        def do_GET(self) -> None:
            """`/containerLogs/NAMESPACE/POD/CONTAINER?tailLines=N`."""
            asked = urllib.parse.urlsplit(self.path)
            lines = (folder / f"{Path(asked.path).parts[3]}.log").read_bytes().splitlines(keepends=True)
            tail = int(urllib.parse.parse_qs(asked.query).get("tailLines", ["1000000"])[0])
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"".join(lines[-tail:]))

    return Logs


if __name__ == "__main__":
    server, token, name, folder = sys.argv[1:]
    Path(folder).mkdir(exist_ok=True)
    Kubelet(Api(server, token), name, Path(folder)).serve()
