"""Whether a target has what a notebook needs, said before anything runs. Pure: facts in, findings out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from nbpipe.errors import TargetError
from nbpipe.model import Pipeline, Stage
from nbpipe.pipeline.code import definitions_of
from nbpipe.pipeline.modules import distributions_reached
from nbpipe.targets.settings import Target

_LITTLE_SPACE = 2_000_000_000
_MEGA = 1 << 20
_SHOWN = 5


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """What some stages of a notebook ask of the place they run at. Memory is bytes."""

    #: Python's minor version here; None where no notebook was named.
    python: str | None = None
    nbpipe: str = ""
    #: Distribution -> version here.
    distributions: Mapping[str, str] = {}
    #: The same of what those require: compared, but no reason to refuse.
    indirect: Mapping[str, str] = {}
    gpus: float = 0.0
    memory: int = 0
    nodes: int = 1


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was compared."""

    name: str
    status: Literal["ok", "warning", "failed"]
    detail: str
    fix: str = ""


def need_of(pipeline: Pipeline, stages: Iterable[Stage], nbpipe: str) -> Need:
    """What these stages need."""
    stages = list(stages)
    names = {
        name for stage in stages for name in distributions_reached(pipeline, stage, definitions_of(pipeline, stage))
    }
    return Need(
        python=pipeline.python,
        nbpipe=nbpipe,
        distributions={name: pipeline.distributions[name] for name in sorted(names)},
        gpus=max((stage.options.gpus or 0.0 for stage in stages), default=0.0),
        memory=max((stage.options.memory or 0 for stage in stages), default=0),
        nodes=max((stage.options.nodes or 1 for stage in stages), default=1),
    )


def compare(target: Target, facts: Mapping[str, Any], need: Need) -> list[Finding]:
    """Everything that was looked at, what is wrong included."""
    found = [_system(facts), *_nodes(facts, need)]
    if target.environment == "build":
        kept = f"; {facts['environments']} sets of packages are kept there" if facts.get("environments") else ""
        said = f"are installed with uv while inputs travel{kept}"
        found.append(Finding(name="packages", status="ok", detail=said))
    else:
        found += [_python(target, facts, need), _nbpipe(target, facts, need), *_packages(target, facts, need)]
        found += _indirect(facts, need)
    found += [
        *_kept(target, facts),
        *_gpus(target, facts, need),
        _memory(target, facts, need),
        _disk(facts),
        _rsync(target, facts),
    ]
    return found


def compare_each(target: Target, each: Mapping[str, Mapping[str, Any]], need: Need) -> list[Finding]:
    """The same of every host of a target, by name; of a host that did not answer, that it gets no jobs."""
    if not target.hosts:
        return [item for facts in each.values() for item in compare(target, facts, need)]
    found = [
        Finding(
            name="connection",
            status="warning",
            detail=f"{host} does not answer: it gets no jobs",
            fix=f"Try it by hand: ssh {host}",
        )
        for host in target.hosts
        if host not in each
    ]
    for host, facts in each.items():
        checks = compare(target, facts, need)
        found += [msgspec.structs.replace(item, detail=f"{host}: {item.detail}") for item in checks]
    return found


def store_check(target: Target, said: Mapping[str, str], wrong: str = "") -> Finding:
    """The shared store: what was `said` of it by host, or what is `wrong`. Runs do without it, so nothing is refused."""
    if wrong:
        fix = "Until then all that travels goes over the connection, and the log of each job says so."
        return Finding(name="store", status="warning", detail=wrong, fix=fix)
    if not all(said.values()):
        seen = f"{target.store} is first tried by a job: nothing there can ask before"
        return Finding(name="store", status="ok", detail=seen)
    shown = "; ".join(said.values()) if len(said) == 1 else "; ".join(f"{host}: {text}" for host, text in said.items())
    return Finding(name="store", status="ok", detail=f"{target.store}: {shown}")


def unlike(facts: Mapping[str, Any], need: Need) -> str:
    """Why what is computed there is not what would be computed here: packages of other versions; else empty."""
    there = facts["packages"]
    other = [
        f"{name} {there[name]} (here {version})"
        for name, version in need.distributions.items()
        if there.get(name) and _public(there[name]) != _public(version)
    ]
    return f"packages differ: {', '.join(other)}" if other else ""


def refuse(target: Target, findings: Sequence[Finding]) -> None:
    """Raise TargetError for the first thing that would go wrong; it says how many more there are."""
    wrong = [item for item in findings if item.status == "failed"]
    if wrong:
        more = f" (and {len(wrong) - 1} more: nbpipe target doctor {target.name})" if len(wrong) > 1 else ""
        said = f"target '{target.name}' does not fit: {wrong[0].detail}{more}"
        raise TargetError(said, name=target.name, fix=wrong[0].fix or None)


def _system(facts: Mapping[str, Any]) -> Finding:
    detail = f"{facts['system']} on {facts['machine']}, {facts['cpus']} CPUs"
    if facts["system"] != "Linux":
        return Finding(name="system", status="failed", detail=detail, fix="Use a machine that runs Linux.")
    return Finding(name="system", status="ok", detail=detail)


def _python(target: Target, facts: Mapping[str, Any], need: Need) -> Finding:
    version = facts["python"]
    detail = f"Python {version} at {facts['executable']}"
    if need.python is not None and ".".join(version.split(".")[:2]) != need.python:
        return Finding(
            name="python",
            status="failed",
            detail=f"Python {version} there, {need.python} here: results of one are none of the other",
            fix=f"Set `python` of target '{target.name}' to a Python {need.python} there.",
        )
    return Finding(name="python", status="ok", detail=detail)


def _nbpipe(target: Target, facts: Mapping[str, Any], need: Need) -> Finding:
    there = facts["packages"].get("nbpipe", "")
    install = f"Install it there: {facts['executable']} -m pip install nbpipe=={need.nbpipe}"
    if not there:
        said = f"nbpipe is not installed for {target.python} there"
        return Finding(name="nbpipe", status="failed", detail=said, fix=install)
    if need.nbpipe and there != need.nbpipe:
        said = f"nbpipe {there} there, {need.nbpipe} here"
        return Finding(name="nbpipe", status="failed", detail=said, fix=install)
    return Finding(name="nbpipe", status="ok", detail=f"nbpipe {there}")


def _packages(target: Target, facts: Mapping[str, Any], need: Need) -> list[Finding]:
    there = facts["packages"]
    absent = [f"{name}=={version}" for name, version in need.distributions.items() if not there.get(name)]
    pip = f"{facts['executable']} -m pip install"
    if absent:
        said = f"not installed there: {', '.join(absent)}"
        return [Finding(name="packages", status="failed", detail=said, fix=f"There: {pip} {' '.join(absent)}")]
    other = unlike(facts, need)
    if other and target.versions == "same":
        wanted = [f"{n}=={_public(v)}" for n, v in need.distributions.items() if _public(there[n]) != _public(v)]
        fix = f'There: {pip} {" ".join(wanted)}; or allow it, and reuse nothing: versions = "any".'
        return [Finding(name="packages", status="failed", detail=other, fix=fix)]
    if other:
        return [Finding(name="packages", status="warning", detail=f"{other}; results are not reused")]
    names = ", ".join(f"{name} {there[name]}" for name in need.distributions)
    return [Finding(name="packages", status="ok", detail=names or "none are needed")]


def _indirect(facts: Mapping[str, Any], need: Need) -> list[Finding]:
    there = facts["packages"]
    other = [
        f"{name} {there[name]} (here {version})"
        for name, version in need.indirect.items()
        if there.get(name) and _public(there[name]) != _public(version)
    ]
    if not other:
        return []
    more = f" and {len(other) - _SHOWN} more" if len(other) > _SHOWN else ""
    said = f"packages that come with others differ: {', '.join(other[:_SHOWN])}{more}"
    return [Finding(name="indirect", status="warning", detail=said, fix="Results may differ in the last digits.")]


def _nodes(facts: Mapping[str, Any], need: Need) -> list[Finding]:
    there = facts.get("nodes", 1)
    if need.nodes <= there:
        return []
    said = f"a stage asks for {need.nodes} nodes, and there {'are' if there > 1 else 'is'} {there}"
    return [Finding(name="nodes", status="failed", detail=said, fix="Take fewer.")]


def _kept(target: Target, facts: Mapping[str, Any]) -> list[Finding]:
    count = facts.get("kept", 0)
    if not count:
        return []
    many = "kernels of failed stages are" if count > 1 else "kernel of a failed stage is"
    said = f"{count} {many} kept, with memory and GPUs"
    fix = f"nbpipe run NOTEBOOK --continue goes on there; nbpipe target release {target.name} ends it."
    return [Finding(name="kept", status="warning", detail=said, fix=fix)]


def _gpus(target: Target, facts: Mapping[str, Any], need: Need) -> list[Finding]:
    devices, gpus = facts["devices"], facts["gpus"]
    count = len(devices)
    if need.gpus > count:
        there = "are none" if not count else "is 1" if count == 1 else f"are {count}"
        said = f"a stage asks for {need.gpus:g} GPU{'' if need.gpus == 1 else 's'}, and there {there}"
        fix = f"{'Take fewer' if count else 'Take --gpus off'}, or a target other than {target.name}."
        return [Finding(name="gpus", status="failed", detail=said, fix=fix)]
    said = "; ".join(
        f"{gpu['name']}, {float(gpu['memory.free']) / 1024:.0f} of {float(gpu['memory.total']) / 1024:.0f} GiB free, "
        f"driver {gpu['driver_version']}"
        for gpu in gpus
        if gpu["memory.total"].replace(".", "").isdigit() and gpu["memory.free"].replace(".", "").isdigit()
    )
    found = [Finding(name="gpus", status="ok", detail=said or (f"{count} as configured" if count else "none"))]
    torch = facts["packages"].get("torch", "")
    if need.gpus and gpus and torch.endswith("+cpu"):
        fix = "Install the build for its CUDA there, from PyTorch's own index."
        found.append(Finding(name="torch", status="failed", detail=f"torch {torch} there sees no GPU", fix=fix))
    return found


def _memory(target: Target, facts: Mapping[str, Any], need: Need) -> Finding:
    there = target.memory or facts["memory"]
    if need.memory > there:
        said = f"a stage asks for {need.memory // _MEGA:,} MiB of memory, and there are {there // _MEGA:,}"
        return Finding(name="memory", status="failed", detail=said, fix="Ask for less, or take another target.")
    return Finding(name="memory", status="ok", detail=f"{there // _MEGA:,} MiB")


def _disk(facts: Mapping[str, Any]) -> Finding:
    free = facts["disk"]
    detail = f"{free / 1e9:.1f} GB free"
    if free < _LITTLE_SPACE:
        return Finding(name="disk", status="warning", detail=detail, fix="Free space, or set `folder` to another disk.")
    return Finding(name="disk", status="ok", detail=detail)


def _rsync(target: Target, facts: Mapping[str, Any]) -> Finding:
    if not facts["rsync"]:
        return Finding(
            name="rsync",
            status="failed",
            detail="there is no rsync",
            fix=f"Install it on {target.host or 'this machine'}.",
        )
    return Finding(name="rsync", status="ok", detail=facts["rsync"])


def _public(version: str) -> str:
    """Without the local part, which says how it was built: `2.11.0+cu130`."""
    return version.partition("+")[0]
