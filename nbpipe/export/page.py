"""The README of an exported folder, and the pinned packages its stages need."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version

from nbpipe import __version__
from nbpipe.export.base import Definition, Deployment, Exporter
from nbpipe.pipeline.closure import closure_of

CONSTRAINTS = "constraints.txt"
#: First lines of a `requirements.txt` whose packages bring others along.
PINNED = f"# What comes with these is pinned in {CONSTRAINTS}.\n-c {CONSTRAINTS}\n"
#: What runs the cells, pinned as it is here.
_MACHINERY = ("ipykernel", "nbclient", "papermill")


def requirements(deployment: Deployment) -> str:
    """`requirements.txt`: nbpipe, what runs the cells, and every distribution that the notebook imports, pinned."""
    pins = {"nbpipe": __version__}
    pins |= {name: found for name in _MACHINERY if (found := _version(name))}
    pins |= {name: found.partition("+")[0] for name, found in deployment.pipeline.distributions.items()}
    return PINNED + "".join(f"{name}=={pins[name]}\n" for name in sorted(pins))


def constraints(required: str) -> str:
    """`constraints.txt`: what the packages of a `requirements.txt` bring along, as it is installed here."""
    asked = dict(re.findall(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(.*)$", required, re.MULTILINE))
    found = closure_of(asked)
    # One that is wanted without a version is as it is here, too.
    versions = {**found.versions, **{name: _version(name) for name, said in asked.items() if not said}}
    lines = ["# What comes with the packages of requirements.txt, as it was where this was exported.\n"]
    for name, installed in sorted(versions.items()):
        if not installed:
            continue
        if name in found.disputed:
            lines.append(f"# {name} is not pinned: {installed} is installed, but {found.disputed[name]}\n")
        else:
            lines.append(f"{name}=={installed.partition('+')[0]}\n")
    return "".join(lines)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def readme(exporter: Exporter, deployment: Deployment, definition: Definition) -> str:
    """`README.md`."""
    pipeline = deployment.pipeline
    proof = (
        "Exports for this scheduler are executed by the scheduler itself in nbpipe's tests, and give what `nbpipe run` gives."
        if exporter.proof == "executed"
        else "Exports for this scheduler are **validated, not executed** in nbpipe's tests: look at the first run."
    )
    lines = [
        f"# {_text(pipeline.name)} for {exporter.title}",
        "",
        f"Version `{pipeline.version[:7]}`, written by `nbpipe export`. Export again instead of editing: what you edited is not",
        f"written over. {proof}",
        "",
        "## Deploy",
        "",
    ]
    for number, (said, command) in enumerate(definition.steps, 1):
        lines += [f"{number}. {said}", "", *(f"   {line}" for line in _fenced(command)), ""]
    lines += ["## Files", "", "| file | |", "|---|---|"]
    about = {
        definition.main: f"the definition for {exporter.title}",
        "requirements.txt": "the packages that the stages need, pinned",
        CONSTRAINTS: "the versions of all that comes with them, to which `requirements.txt` refers",
        "bundle/": "the pipeline: notebook, stages, local modules",
        "nbpipe-export.json": "what this folder was made from, and the digest of every file",
    }
    lines += [f"| `{path}` | {said} |" for path, said in about.items()]
    if definition.notes:
        lines += ["", "## Good to know", "", *(f"- {_text(note)}" for note in definition.notes)]
    return "\n".join(lines) + "\n"


def _fenced(command: str) -> list[str]:
    """A block of shell; its fence is longer than any run of backticks in it."""
    fence = "```"
    while fence in command:
        fence += "`"
    return [f"{fence}sh", *command.splitlines(), fence]


def _text(text: str) -> str:
    """One line that Markdown takes for text."""
    shown = " ".join(part for part in "".join(c if c.isprintable() else " " for c in text).split(" ") if part)
    return "".join(f"\\{c}" if c in "\\`*_[]<>#|!" else c for c in shown)
