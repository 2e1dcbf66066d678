"""Kubernetes, by `kubectl`: each job is a Job, whose pod sees this folder under the same path, from a volume claim.

What the user's code does never fails a pod: its end lies in the folder. A pod that fails was lost, and its Job starts
another, or was never able to start, and says so.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import shutil
import subprocess
import time
from typing import Any

#: Seconds between two questions about the same job: its folder tells its end at once, this only how it was lost.
_PAUSE = 4.0
#: Seconds that an answer may take; those that are waited for while nobody else is heard take less.
_PATIENCE, _SOON = 60.0, 10.0
#: Seconds that a pod has for a look around, its image and a new node included.
_PROBE = 540.0
#: Seconds beyond the time a stage may take: for what has to be fetched, unpacked and stored.
_SPARE = 900
#: Seconds that a pod has to stop, and after which one of a node that does not answer is given up.
_GRACE, _DEAF = 5, 15
#: Seconds for which an ended Job is kept, to be looked at.
_KEPT = 3600
#: What the container of ours is called.
_CONTAINER = "stage"
#: What a container waits for that does not come by waiting.
_NEVER = (
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImagePullBackOff",
    "CreateContainerConfigError",
    "RunContainerError",
)
_NO_CLAIM = re.compile(r'persistentvolumeclaim "[^"]*" not found')
#: What the API server says of one thing that it does not have: another 404 may be that of a proxy before it.
_ABSENT = re.compile(r'\(NotFound\): .*"[^"]*" not found')
#: Exit codes of a container that was killed from outside: 128 and the signal.
_KILLED = (137, 143)
_SAID = 300
_UNITS = {"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}
_QUANTITY = re.compile(r"([0-9.]+)(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
_LOOK = """
import json
with open(sys.argv[3] + ".part", "w") as file:
    json.dump(facts(sys.argv[1], json.loads(sys.argv[2]), None), file)
os.rename(sys.argv[3] + ".part", sys.argv[3])
"""


class Scheduler:
    """`settings` are those of the target: image, claim, namespace, context, and what pods are given."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings
        #: The Python of the pods.
        self.python = settings["python"]
        self._kubectl = ["kubectl", *(["--context=" + settings["context"]] if settings.get("context") else [])]
        self._namespace = settings.get("namespace") or ""
        #: Job -> when it was asked for, its state and why.
        self._known: dict[str, tuple[float, str, str]] = {}
        #: Until when nothing is asked of any job, and how long not of the same one.
        self._rest, self._pause = 0.0, _PAUSE

    def submit(self, name: str, work: str, command: list[str], asked: dict[str, Any], hidden: set[str]) -> str:
        """Hand a job in; what it is called, which is its name here: handed in twice it is there once."""
        del hidden  # nothing of this process's environment is passed on
        root = os.path.dirname(os.path.dirname(work))
        return self._hand_in(manifest(self._settings, name, root, command, asked))

    def _hand_in(self, order: dict[str, Any]) -> str:
        name: str = order["metadata"]["name"]
        try:
            self._create(order)
        except RuntimeError:
            # Where it is there, it was handed in twice, or the answer was lost.
            known = ""
            with contextlib.suppress(RuntimeError):
                known = self.find(name)
            if not known:
                raise
        return name

    def _create(self, order: dict[str, Any], query: str = "") -> None:
        self._call(["create", "--raw", self._jobs() + query, "-f", "-"], json.dumps(order))

    def find(self, name: str) -> str:
        """The job of this name, if there is one; else empty."""
        return name if self._get(f"{self._jobs()}/{name}") else ""

    def state(self, number: str, *, fresh: bool = False) -> tuple[str, str]:
        """`waiting`, `running`, `ended`, or `unknown` where the cluster does not answer; and why."""
        when, state, why = self._known.setdefault(number, (0.0, "waiting", ""))
        began = time.monotonic()
        if not fresh and (began < self._rest or began - when < self._pause):
            return state, why
        try:
            state, why = self._asked(number)
        except RuntimeError as error:
            state, why = "unknown", str(error)
        now = time.monotonic()
        self._known[number] = (now, state, why)
        # Nobody is heard while the cluster is asked: as much time is left for that, and every job has its turn.
        self._rest = now + (now - began)
        self._pause = max(_PAUSE, 3 * (now - began) * sum(state != "ended" for _, state, _ in self._known.values()))
        return state, why

    def _asked(self, name: str) -> tuple[str, str]:
        job = self._get(f"{self._jobs()}/{name}")
        if not job:
            return "ended", f"Kubernetes does not know job {name}: it was deleted"
        pods = sorted(self._pods(name), key=lambda pod: pod["metadata"]["creationTimestamp"])
        state, why = read_pod(pods[-1]) if pods else ("waiting", self._complaint(name))
        if len(pods) > 1 and pods[-2]["status"].get("phase") == "Failed":
            why = f"{read_pod(pods[-2])[1]}; {why}"
        ended = [each for each in job["status"].get("conditions") or [] if each["status"] == "True"]
        for each in ended:
            if each["type"] in ("Complete", "Failed"):
                said = " ".join(filter(None, (each.get("reason"), why)))
                return "ended", f"Kubernetes says {each['type']} of job {name}: {said}"[:_SAID]
        if state == "ended":
            why += self._last_words(pods[-1])
            # It would be started anew, to no other end.
            self.kill(name)
        return state, why

    def _complaint(self, name: str) -> str:
        """Why a job has no pod, such as a quota; empty where nobody says, or may hear it."""
        try:
            found = self._get(f"{self._core()}/events?fieldSelector=involvedObject.name={name},type=Warning") or {}
        except RuntimeError:
            return ""
        return "".join(event.get("message", "")[:_SAID] for event in found.get("items", [])[-1:])

    def _last_words(self, pod: dict[str, Any]) -> str:
        """The last line that its container printed: what stopped it before there was a log of ours."""
        try:
            path = f"{self._core()}/pods/{pod['metadata']['name']}/log?tailLines=1&container={_CONTAINER}"
            said = self._call(["get", "--raw", path], patience=_SOON).strip()
        except RuntimeError:
            return ""
        return f": {said[:_SAID]}" if said else ""

    def forget(self, number: str) -> None:
        """Its results are home. Where the cluster put a container beside ours, which may go on for ever, it is deleted."""
        self._known.pop(number, None)
        with contextlib.suppress(RuntimeError):
            if any(len(pod["spec"]["containers"]) > 1 for pod in self._pods(number)):
                self.kill(number)

    def _pods(self, number: str) -> list[Any]:
        found = self._get(f"{self._core()}/pods?labelSelector=job-name={number}") or {}
        return list(found.get("items", []))

    def kill(self, number: str) -> None:
        """Delete the job and its pods at once. Nothing happens if it has ended, or the cluster is gone."""
        self._known.pop(number, None)
        pods = f"{self._core()}/pods?labelSelector=job-name={number}&gracePeriodSeconds=1"
        for path in (f"{self._jobs()}/{number}?propagationPolicy=Background", pods):
            with contextlib.suppress(RuntimeError):
                self._call(["delete", "--raw", path], patience=_SOON)

    def facts(self) -> dict[str, Any]:
        """What a node has at most, and all of them together; as the target says, where one may not list them."""
        settings = self._settings
        # An account that may not make jobs, a quota or a policy that is in the way are known before a run.
        self._create(manifest(settings, "nbpipe-test", "/nbpipe", ["true"], {}), "?dryRun=All")
        try:
            listed = self._get("/api/v1/nodes", patience=_PATIENCE)["items"]
        except RuntimeError as error:
            if "Forbidden" not in str(error):
                raise
            nodes, wrong = [], "the nodes may not be listed"
        else:
            nodes = [found for node in listed if (found := self._room(node))]
            wrong = "no node of the cluster takes such a pod: see node_selector and tolerations, and for nodes that still have to come"
        said = settings.get("gpus") or 0.0
        if not nodes:
            if None in (settings.get("cpus"), settings.get("memory")):
                raise RuntimeError(f"{wrong}: set cpus, memory and gpus of the target")
            nodes = [(settings["cpus"], settings["memory"], said)]
        most = [max(node[n] for node in nodes) for n in range(3)]
        # Where no node has any, those that have them may come when a pod asks for one.
        most[2] = most[2] or said
        return {
            "cpus": int(most[0]) or most[0],
            "memory": int(most[1]),
            "gpus": [],
            "devices": [str(number) for number in range(int(most[2]))],
            "slots": {"cpus": sum(node[0] for node in nodes), "gpus": sum(node[2] for node in nodes)},
            "nodes": len(nodes),
        }

    def _room(self, node: dict[str, Any]) -> tuple[float, float, float] | None:
        """What a node gives to pods, for one that takes ours: cores, bytes, GPUs."""
        labels, wanted = node["metadata"].get("labels") or {}, self._settings.get("node_selector") or {}
        conditions = node["status"].get("conditions") or []
        if any(labels.get(key) != text for key, text in wanted.items()) or node["spec"].get("unschedulable"):
            return None
        if not any(each["type"] == "Ready" and each["status"] == "True" for each in conditions):
            return None
        for taint in node["spec"].get("taints") or []:
            if taint["effect"] != "PreferNoSchedule" and not any(
                _tolerates(each, taint) for each in _tolerations(self._settings)
            ):
                return None
        given = node["status"]["allocatable"]
        names = ("cpu", "memory", self._settings["gpu_resource"])
        cpus, memory, gpus = (quantity(given.get(name, "0")) for name in names)
        return cpus, memory, gpus

    def probe(self, root: str, source: str, distributions: list[str], environment: dict[str, str]) -> dict[str, Any]:
        """What a pod finds: `source` is that of `facts`. Raises RuntimeError where no pod comes to look."""
        folder = f"{root}/work/probe-{os.getpid()}-{time.time_ns()}"
        name = "nbpipe-" + os.path.basename(folder)
        os.makedirs(folder)
        try:
            with open(folder + "/look.py", "w") as file:
                file.write(source + _LOOK)
            shown = [f"{key}={text}" for key, text in environment.items()]
            told = folder + "/facts.json"
            words = [self.python, folder + "/look.py", root, json.dumps(distributions), told]
            order = manifest(self._settings, name, root, ["env", *shown, *words], {})
            # Of its time, waiting included: where nobody is left who could delete it, it ends.
            order["spec"]["activeDeadlineSeconds"] = int(_PROBE)
            self._hand_in(order)
            until, state, why = time.monotonic() + _PROBE, "waiting", ""
            while not os.path.exists(told):
                if state == "ended" or time.monotonic() > until:
                    raise RuntimeError(f"no pod could look around in {root}: {why or 'it waited too long'}")
                time.sleep(0.2)
                state, why = self.state(name)
            with open(told) as file:
                found: dict[str, Any] = json.load(file)
            return found
        finally:
            self.kill(name)
            shutil.rmtree(folder, ignore_errors=True)

    def _jobs(self) -> str:
        return f"/apis/batch/v1/namespaces/{self._space()}/jobs"

    def _core(self) -> str:
        return f"/api/v1/namespaces/{self._space()}"

    def _space(self) -> str:
        """The namespace: the context's own, where the target names none."""
        if not self._namespace:
            said = self._call(["config", "view", "--minify", "--output=jsonpath={..namespace}"])
            self._namespace = said.strip() or "default"
        return self._namespace

    def _get(self, path: str, *, patience: float = _SOON) -> Any:
        """What lies there; None where there is nothing."""
        try:
            return json.loads(self._call(["get", "--raw", path], patience=patience))
        except RuntimeError as error:
            if _ABSENT.search(str(error)):
                return None
            raise

    def _call(self, words: list[str], text: str = "", *, patience: float = _PATIENCE) -> str:
        """What kubectl prints. Raises RuntimeError with what it says where it fails."""
        try:
            done = subprocess.run(
                [*self._kubectl, *words],
                input=text.encode(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                check=False,
                timeout=patience,
            )
        except FileNotFoundError:
            raise RuntimeError("there is no `kubectl`, which talks to the cluster") from None
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"the cluster does not answer within {patience:g} s") from None
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise RuntimeError(f"kubectl says: {said[-1][:_SAID] if said else done.returncode}")
        return done.stdout.decode("utf-8", "replace")


def manifest(
    settings: dict[str, Any], name: str, root: str, command: list[str], asked: dict[str, Any]
) -> dict[str, Any]:
    """The Job whose pod runs `command` with the claim at `root`. A part of a GPU is a whole one."""
    limits, requests = {}, {}
    if asked.get("memory"):
        limits["memory"] = requests["memory"] = str(int(asked["memory"]))
    if asked.get("cpus"):
        requests["cpu"] = f"{math.ceil(asked['cpus'] * 1000)}m"
    if asked.get("gpus"):
        limits[settings["gpu_resource"]] = str(math.ceil(asked["gpus"]))
    variables: list[dict[str, Any]] = [{"name": "NBPIPE_START", "value": "next"}]
    if not asked.get("gpus"):
        # Images for GPUs ask for all of them, and get them where nobody says otherwise.
        variables.append({"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"})
    for variable, place in (settings.get("secrets") or {}).items():
        secret, _, key = place.partition("/")
        variables.append({"name": variable, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}})
    container = {
        "name": _CONTAINER,
        "image": asked.get("image") or settings["image"],
        "command": command,
        "env": variables,
        "resources": {"limits": limits, "requests": requests},
        "volumeMounts": [{"name": "nbpipe", "mountPath": root}, {"name": "shm", "mountPath": "/dev/shm"}],  # noqa: S108 - the pod's
    }
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": _GRACE,
        "automountServiceAccountToken": False,
        "containers": [container],
        "tolerations": _tolerations(settings),
        "volumes": [
            {"name": "nbpipe", "persistentVolumeClaim": {"claimName": settings["claim"]}},
            # Containers get 64 MiB, which the loaders of torch exceed.
            {"name": "shm", "emptyDir": {"medium": "Memory"}},
        ],
    }
    if os.getuid():
        # The folder is this user's.
        pod["securityContext"] = {"runAsUser": os.getuid(), "runAsGroup": os.getgid()}
        variables.append({"name": "HOME", "value": "/tmp"})  # noqa: S108 - the pod's
    if settings.get("node_selector"):
        pod["nodeSelector"] = settings["node_selector"]
    if settings.get("service_account"):
        pod["serviceAccountName"] = settings["service_account"]
    if settings.get("pull_secret"):
        pod["imagePullSecrets"] = [{"name": settings["pull_secret"]}]
    labels = {"app.kubernetes.io/managed-by": "nbpipe"}
    spec: dict[str, Any] = {
        "backoffLimit": settings["restarts"],
        "ttlSecondsAfterFinished": _KEPT,
        # No `podFailurePolicy`: with one, a pod of a node that does not answer is not replaced before it has ended.
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    if asked.get("timeout"):
        # From its start on a node, not of the time that it waits for one: it only ends what nobody stops.
        # A kernel that is kept waits, and then takes as long once more.
        lasts = asked["timeout"] + (asked["timeout"] + asked["keep"] if asked.get("keep") else 0)
        pod["activeDeadlineSeconds"] = math.ceil(lasts + _SPARE)
        variables.append({"name": "NBPIPE_LASTS", "value": str(lasts)})
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "labels": labels}, "spec": spec}


def read_pod(pod: dict[str, Any]) -> tuple[str, str]:
    """`waiting`, `running` or `ended`, and why, as far as one pod tells. `ended` where another would end like it."""
    status, name = pod["status"], pod["metadata"]["name"]
    # A cluster may put containers of its own beside ours, which go on when it has ended.
    ours = [each for each in status.get("containerStatuses") or [] if each["name"] == _CONTAINER]
    now = (ours[0].get("state") if ours else None) or {}
    if pod["metadata"].get("deletionTimestamp"):
        return "waiting", f"pod {name} was deleted"
    ended = now.get("terminated") or {}
    if status.get("phase") == "Failed" or ended.get("exitCode"):
        code, reason = ended.get("exitCode"), ended.get("reason") or ""
        disrupted = [each for each in status.get("conditions") or [] if each["type"] == "DisruptionTarget"]
        why = disrupted[0].get("message") if disrupted else status.get("message") or status.get("reason")
        if reason == "OOMKilled":
            return "ended", "the pod ran out of memory: ask for more with --memory"
        if status.get("reason") == "DeadlineExceeded":
            return "ended", f"pod {name} ran longer than the --timeout allows with which it was handed in"
        if disrupted or status.get("reason") or code is None or code in _KILLED:
            # Another one comes once this one has failed, which it does not while a container beside ours goes on.
            return "waiting" if status[
                "phase"
            ] == "Failed" else "ended", f"pod {name} was lost: {why or reason or code}"[:_SAID]
        return "ended", f"the container ended with code {code} ({reason})"
    waiting = now.get("waiting") or {}
    if waiting.get("reason") in _NEVER:
        return "ended", f"{waiting['reason']}: {waiting.get('message', '')}"[:_SAID]
    if status.get("phase") == "Pending":
        refused = [
            each
            for each in status.get("conditions") or []
            if each["type"] == "PodScheduled" and each["status"] == "False"
        ]
        said = refused[0].get("message", "") if refused else waiting.get("message") or waiting.get("reason") or ""
        if _NO_CLAIM.search(said):
            return "ended", said[:_SAID]
        return "waiting", f"pod {name} waits: {said}"[:_SAID] if said else ""
    did = "ended" if status.get("phase") == "Succeeded" else "starts"
    return "running", f"pod {name} {did} on {pod['spec'].get('nodeName', '')}"


def quantity(text: str) -> float:
    """A number as Kubernetes writes it: `3920m`, `32Gi`."""
    found = _QUANTITY.fullmatch(str(text))
    if found is None:
        return 0.0
    number = float(found[1])
    return number / 1000 if found[2] == "m" else number * _UNITS.get(found[2] or "", 1)


def _tolerations(settings: dict[str, Any]) -> list[dict[str, Any]]:
    """Those of the target, as `kubectl taint` writes them, and patience with a node that does not answer."""
    found: list[dict[str, Any]] = []
    for text in settings.get("tolerations") or ():
        word, _, effect = text.partition(":")
        key, equal, value = word.partition("=")
        how = {"operator": "Equal", "value": value} if equal else {"operator": "Exists"}
        found.append({"key": key, **how, **({"effect": effect} if effect else {})})
    for state in ("not-ready", "unreachable"):
        key = f"node.kubernetes.io/{state}"
        found.append({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": _DEAF})
    return found


def _tolerates(given: dict[str, Any], taint: dict[str, Any]) -> bool:
    same = given["key"] == taint["key"] and given.get("effect", taint["effect"]) == taint["effect"]
    return bool(same and (given["operator"] == "Exists" or given["value"] == taint.get("value", "")))
