"""What a project says of its targets: the tables `[tool.nbpipe.targets.NAME]`, read and checked. Connects to nothing."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

import msgspec

from nbpipe.errors import UsageError
from nbpipe.notebook import quantities as q

LOCAL = "local"
#: What ssh itself may be told to connect to: an alias of its configuration, a name or an address, a user before it.
_HOST = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}@)?[A-Za-z0-9_\[][A-Za-z0-9_.:%\[\]-]{0,254}")
_PATH = re.compile(r"(?:~/|/)?[^\x00-\x1f\x7f]{1,1000}")
_ADDRESS = re.compile(r"https?://[A-Za-z0-9_.\[\]:-]{1,255}(?:/[A-Za-z0-9_./-]*)?")
#: Protocols with a user or a container before the `@` of a URL; elsewhere a token stands there.
_NAMING = {"abfs", "abfss", "ftp", "hdfs", "sftp", "smb", "ssh", "webhdfs"}
_URL = re.compile(r"[a-z][a-z0-9+.-]{0,20}://[^\x00-\x20\x7f:][^\x00-\x20\x7f]{0,999}")
_HIGHEST_PORT = 65535
_MOST = 1_000_000
_SHORTEST_KEEP = 60.0
_MOST_RESTARTS = 100
_LONGEST_KEPT = 86400.0
_Value = TypeVar("_Value", str, float)


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A named place to run. Sizes are bytes, times are seconds; what is None is found out there."""

    name: str
    kind: Literal["local", "ssh", "slurm", "ray", "kubernetes"] = "local"
    #: ssh: as one would type it, an alias of `~/.ssh/config` or `user@host`.
    host: str = ""
    #: ssh: several that are alike, in place of `host`; each job runs on one of them.
    hosts: tuple[str, ...] = ()
    port: int | None = None
    #: ssh: files of this machine, instead of those that ssh looks for itself.
    identity: str = ""
    config: str = ""
    #: ssh: the Python there that has nbpipe.
    python: str = "python3"
    #: ssh: where jobs, and a store of what was sent, lie there.
    folder: str = "~/.nbpipe-worker"
    #: A folder that this machine and the target both see, or a URL: inputs and results are left there for each other.
    store: str = ""
    cpus: float | None = None
    gpus: float | None = None
    memory: int | None = None
    env: dict[str, str] = {}
    #: ssh: "same" refuses packages of other versions than here; "any" runs, and reuses none of the results.
    versions: Literal["same", "any"] = "same"
    #: ssh: "as-is" uses the packages of `python` there; "build" installs those of here, with uv, once.
    environment: Literal["as-is", "build"] = "as-is"
    #: ssh: how long to try again when the host does not answer.
    patience: float = 600.0
    #: ssh: how long a job goes on when nobody has asked for it.
    keep: float = 86400.0
    #: ssh: how long the kernel of a failed stage waits for the mended cell, and what it may hold of memory meanwhile.
    keep_failed: float = 0.0
    keep_failed_memory: int = 8 << 30
    #: Bytes above which what a notebook's cell gives stays there until a cell uses it; None where all comes home.
    lazy: int | None = None
    #: slurm: as `sbatch` takes them; the default of the cluster where they are empty.
    partition: str = ""
    constraint: str = ""
    account: str = ""
    qos: str = ""
    gpu_type: str = ""
    #: slurm: the time limit of each job; without, that of its stage.
    time: float | None = None
    #: ray: where the cluster's dashboard answers, as `http://HOST:8265`.
    address: str = ""
    #: ray: what a job needs of its node beyond processors, GPUs and memory, as the cluster's nodes name it.
    resources: dict[str, float] = {}
    #: kubernetes: that of the pods.
    image: str = ""
    #: kubernetes: the volume claim whose files lie at `folder`, in pods and where `kubectl` is called.
    claim: str = ""
    #: kubernetes: those of kubectl where they are empty.
    context: str = ""
    namespace: str = ""
    service_account: str = ""
    pull_secret: str = ""
    node_selector: dict[str, str] = {}
    #: kubernetes: as `kubectl taint` writes them.
    tolerations: tuple[str, ...] = ()
    #: kubernetes: variable -> `SECRET/KEY` of the namespace.
    secrets: dict[str, str] = {}
    gpu_resource: str = "nvidia.com/gpu"
    #: kubernetes: how often a pod that was lost, or preempted, is started anew.
    restarts: int = 10

    @property
    def place(self) -> str:
        """Where one looks for it: the machine that is connected to, or the cluster's address."""
        return self.host or ", ".join(self.hosts) or self.address or self.context or "this machine"

    @property
    def fingerprint(self) -> str:
        """Of its settings: the same for a target and each of its hosts."""
        return hashlib.sha256(msgspec.json.encode(msgspec.structs.replace(self, host="", hosts=()))).hexdigest()

    @property
    def members(self) -> tuple[Target, ...]:
        """Its hosts, each as a target of its own; itself where there is one only."""
        return tuple(msgspec.structs.replace(self, host=host, hosts=()) for host in self.hosts) or (self,)


def read_targets(tables: Any) -> dict[str, Target]:
    """Name -> target, in the order in which they are written; `local` first, and always there.

    `tables` is what stands under `targets`, None for nothing. Raises UsageError for what does not make sense.
    """
    if tables is None:
        tables = {}
    if not isinstance(tables, Mapping):
        raise UsageError("`targets` is not a table", name="targets", fix="Write [tool.nbpipe.targets.NAME].")
    found = {LOCAL: Target(name=LOCAL)}
    for name, table in tables.items():
        found[name] = _target(name, table)
    return found


def target_named(targets: Mapping[str, Target], name: str, *, stage: str | None = None) -> Target:
    """The target of that name. Raises UsageError, which says what there is."""
    if name in targets:
        return targets[name]
    shown = q.shown(name)[1:-1]
    raise UsageError(
        f"there is no target '{shown}'",
        stage=stage,
        name=shown,
        fix=q.did_you_mean(name, targets)
        or f"Describe it under [tool.nbpipe.targets.{shown}] in pyproject.toml; there are: {', '.join(targets)}.",
    )


def _target(name: str, table: Any) -> Target:
    try:
        q.read_stage_name(name)
    except ValueError as error:
        raise UsageError(f"target {error}", name=q.shown(name)[1:-1]) from None
    if not isinstance(table, Mapping):
        raise _wrong(name, "it is not a table", f"Write [tool.nbpipe.targets.{name}].")
    kind = table.get("kind", "local" if name == LOCAL else None)
    if kind is None:
        raise _wrong(name, "it has no kind", 'Write kind = "ssh", "slurm", "ray", "kubernetes" or "local".')
    if kind not in _KINDS:
        raise _wrong(name, f"{_shown(kind)} is no kind of target", f"The kinds are {', '.join(_KINDS)}.")
    if name == LOCAL and kind != "local":
        raise _wrong(name, "'local' is this machine", "Give the target another name.")
    given = {}
    for field, value in table.items():
        if field == "kind":
            continue
        read = _KINDS[kind].get(field)
        if read is None:
            known = q.did_you_mean(str(field), _KINDS[kind]) or f"It may have {', '.join(_KINDS[kind])}."
            raise _wrong(name, f"a target of kind {kind} has no setting {_shown(field)}", known)
        try:
            given[field] = read(value)
        except (ValueError, TypeError) as error:
            raise _wrong(name, f"{field}: {error}", "See docs/reference/targets.md.") from None
    if kind == "ssh" and not {"host", "hosts"} & set(given):
        raise _wrong(name, "it has no host", 'Write host = "NAME", as you would type it after ssh.')
    if {"host", "hosts"} <= set(given):
        raise _wrong(name, "it has both `host` and `hosts`", "Name each machine under `hosts`.")
    if kind == "ray" and "address" not in given:
        raise _wrong(name, "it has no address", 'Write address = "http://HOST:8265", where its dashboard answers.')
    if kind == "kubernetes" and not {"image", "claim", "folder"} <= set(given):
        wanted = 'image = "NAME:TAG", claim = "NAME", folder = "/PATH"'
        raise _wrong(
            name, "it has no image, claim or folder", f"Write {wanted}: see docs/reference/target-kubernetes.md."
        )
    return Target(name=name, kind=kind, **given)


def _wrong(name: str, why: str, fix: str) -> UsageError:
    return UsageError(f"target '{name}': {why}", name=name, fix=fix)


def _shown(value: object) -> str:
    return q.shown(value if isinstance(value, str) else repr(value))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{_shown(value)} is not a text")
    return value


def _matching(pattern: re.Pattern[str], what: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        text = _text(value)
        if not pattern.fullmatch(text) or text.startswith("-"):
            raise ValueError(f"{q.shown(text)} is not {what}")
        return text

    return read


def _place(value: Any) -> str:
    text = _text(value)
    if text.startswith("/"):
        return _path(text)
    if not _URL.fullmatch(text) or text.startswith("memory://"):
        raise ValueError(f"{q.shown(text)} is neither an absolute path nor a URL such as s3://BUCKET/PATH")
    scheme, _, rest = text.partition("://")
    before, at, _ = rest.partition("/")[0].rpartition("@")
    if "?" in text or (at and (":" in before or scheme not in _NAMING)):
        raise ValueError("it has credentials in it: they belong into the environment, or a profile")
    return text


def _hosts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise TypeError('write a list of names, as in ["gpu01", "gpu02"]')
    found = tuple(_host(one) for one in value)
    if len(set(found)) < len(found):
        raise ValueError("a host stands there twice")
    return found


def _amount(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= _MOST:
        raise ValueError(f"{_shown(value)} is not a number of 0 or more")
    return float(value)


def _some(value: Any) -> float:
    if not _amount(value):
        raise ValueError("0 is not greater than 0")
    return float(value)


def _size(value: Any) -> int:
    return q.read_size(_text(value))


def _lazy(value: Any) -> int | None:
    return None if value == "never" else _size(value)


def _duration(value: Any) -> float:
    return q.read_duration(value if isinstance(value, str) else str(_amount(value)))


def _long(value: Any) -> float:
    seconds = _duration(value)
    if seconds < _SHORTEST_KEEP:
        raise ValueError(f"{_shown(value)} is less than a minute")
    return seconds


def _short(value: Any) -> float:
    seconds = _duration(value)
    if seconds > _LONGEST_KEPT:
        raise ValueError(f"{_shown(value)} is more than a day")
    return seconds


def _port(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= _HIGHEST_PORT:
        raise ValueError(f"{_shown(value)} is not a port")
    return value


def _env(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise TypeError('write a table of NAME = "VALUE"')
    return dict(q.read_env(f"{name}={_text(text)}") for name, text in value.items())


def _one_of(*known: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value not in known:
            raise ValueError(f'{_shown(value)} is neither "{known[0]}" nor "{known[1]}"')
        return str(value)

    return read


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST_RESTARTS:
        raise ValueError(f"{_shown(value)} is not a whole number from 0 to {_MOST_RESTARTS}")
    return value


def _table(of_key: Callable[[Any], str], of_value: Callable[[Any], _Value]) -> Callable[[Any], dict[str, _Value]]:
    def read(value: Any) -> dict[str, _Value]:
        if not isinstance(value, Mapping):
            raise TypeError("write a table of NAME = VALUE")
        return {of_key(name): of_value(text) for name, text in value.items()}

    return read


def _taints(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError('write a list, as in ["nvidia.com/gpu:NoSchedule"]')
    return tuple(map(_taint, value))


_RESOURCES: dict[str, Callable[[Any], Any]] = {"cpus": _some, "gpus": _amount, "memory": _size}
_host = _matching(_HOST, "a host, as one types it after ssh")
_path = _matching(_PATH, "a path")
_word = _matching(re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.,:&|*()\[\]@+-]{0,254}"), "a name as Slurm has them")
_label = _matching(re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?"), "a name as Kubernetes has them")
_key = _matching(re.compile(r"(?:[a-z0-9.-]{1,253}/)?[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"), "a label's key")
_value = _matching(re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?"), "a label's value")
_taint = _matching(
    re.compile(r"[A-Za-z0-9][A-Za-z0-9_./-]{0,252}(?:=[A-Za-z0-9_.-]{0,63})?(?::(?:NoSchedule|NoExecute))?"),
    "a taint, as in KEY=VALUE:NoSchedule",
)
_reference = _matching(re.compile(r"[a-z0-9][a-z0-9.-]{0,252}/[A-Za-z0-9_.-]{1,253}"), "SECRET/KEY")
_resource = _matching(re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,254}"), "a resource as Ray has them")
_variable = _matching(re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}"), "the name of a variable")
#: Of all that are reached over ssh, or lie on this machine.
_REACHED: dict[str, Callable[[Any], Any]] = {
    "host": _host,
    "port": _port,
    "identity": _path,
    "config": _path,
    "python": _path,
    "folder": _path,
    "store": _place,
    **_RESOURCES,
    "env": _env,
    "versions": _one_of("same", "any"),
    "environment": _one_of("as-is", "build"),
    "patience": _duration,
    "keep": _long,
    "lazy": _lazy,
}
#: Of those that can keep the kernel of a failed stage.
_KEEPS: dict[str, Callable[[Any], Any]] = {"keep_failed": _short, "keep_failed_memory": _size}
_KINDS: dict[str, dict[str, Callable[[Any], Any]]] = {
    "local": _RESOURCES,
    "ssh": {**_REACHED, **_KEEPS, "hosts": _hosts},
    "slurm": {
        **_REACHED,
        **_KEEPS,
        **dict.fromkeys(("partition", "constraint", "account", "qos", "gpu_type"), _word),
        "time": _duration,
    },
    "ray": {
        **_REACHED,
        **_KEEPS,
        "address": _matching(_ADDRESS, "an address like http://HOST:8265"),
        "resources": _table(_resource, _some),
    },
    "kubernetes": {
        **{name: read for name, read in _REACHED.items() if name != "environment"},
        **_KEEPS,
        "folder": _matching(re.compile(r"/[^\x00-\x1f\x7f:]{1,1000}"), "an absolute path without a colon"),
        "image": lambda value: q.read_image(_text(value)),
        "context": _matching(re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/@-]{0,253}"), "a context of kubectl"),
        **dict.fromkeys(("claim", "namespace", "service_account", "pull_secret"), _label),
        "node_selector": _table(_key, _value),
        "tolerations": _taints,
        "secrets": _table(_variable, _reference),
        "gpu_resource": _key,
        "restarts": _count,
    },
}
#: Kinds of targets that can keep the kernel of a failed stage.
KEEPING = tuple(kind for kind, known in _KINDS.items() if "keep_failed" in known)
