"""Whether an earlier result still is what a stage would give: the constraints of a trace, held against now."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from nbpipe.pipeline.contents import BELOW, FOLDER

if TYPE_CHECKING:
    from nbpipe.model import FileState, Outcome, Trace
    from nbpipe.plan.resolve import Wanted

#: Ambient state in people's words; what is not here says its own name.
_WORDS = {
    "@cwd": "the working directory",
    "@environ": "environment variables",
    "@random": "the random state",
    "@numpy.random": "NumPy's random state",
    "@torch.random": "torch's random state",
    "@pandas.options": "pandas options",
    "@numpy.options": "NumPy's print and error settings",
    "@matplotlib.rcParams": "matplotlib's rcParams",
    "@warnings": "warning filters",
    "@decimal": "the decimal context",
    "@sys.limits": "limits and settings of the process",
    "@csv": "the dialects and limits of csv",
    "@socket": "the default timeout of sockets",
    "@torch.defaults": "torch's defaults",
    "@sklearn.config": "scikit-learn's configuration",
    "@polars.config": "polars' configuration",
}
_MODULE = "@module:"
#: Before the name of an environment variable, where else a path stands: no path has it.
VARIABLE = "\0"


def holds(trace: Trace, wanted: Wanted, file_digest: Callable[[str], str]) -> str | None:
    """None when the trace is what the stage would give now; else the reason why that is not sure.

    `file_digest(path)` is the digest of a file as it stands, "" when there is none; of `VARIABLE + name`, that of an
    environment variable; of a folder's path + `BELOW`, the names of the files below it, with zeros between.
    """
    outcome = trace.outcome
    if trace.key != wanted.key or outcome.status != "succeeded":
        return "not a result of this key"
    if outcome.uncacheable:
        return outcome.uncacheable[0]
    for name in wanted.outputs:
        if name not in outcome.outputs and name not in outcome.observed:
            return f"`{name}` was not kept"
    for state in outcome.ambient:
        above = wanted.ambient.get(state.name)
        if state.read and state.before != (above.digest if above is not None else ""):
            return f"{_state(state.name)} changed in a stage above"
    for file in outcome.files_read:
        written = wanted.files.get(file.path)
        digest = written.digest if written is not None else file_digest(file.path)
        if file.digest != digest:
            return _file(file, digest)
        if written is not None and written.late:
            return f"a stage above leaves {file.path} open"
    if (said := _in_the_way(outcome, file_digest)) is not None:
        return said
    for name, digest in outcome.variables.items():
        now = file_digest(VARIABLE + name)
        if digest != now:
            return f"environment variable {name} {'changed' if now and digest else _there(now)}"
    for name, (path, sha256) in outcome.modules.items():
        if wanted.modules.get(name) != sha256:
            return f"{path} changed" if name in wanted.modules else f"{path} was imported, and is not in the pipeline"
    return None


def _in_the_way(outcome: Outcome, file_digest: Callable[[str], str]) -> str | None:
    """What is said of a file that the stage would remove, and did not: it lies in a folder that it clears."""
    own = {file.path for file in outcome.files_written}
    for folder in outcome.cleared:
        below = {f"{folder}/{name}" for name in file_digest(folder + BELOW).split("\0") if name}
        if below - own:
            return f"{min(below - own)} is new, and it clears {folder}/"
    return None


def _state(name: str) -> str:
    if name.startswith(_MODULE):
        return f"the state of module {name.removeprefix(_MODULE)}"
    return _WORDS.get(name, f"{name.removeprefix('@')} state")


def _file(file: FileState, now: str) -> str:
    if file.path.endswith(FOLDER):
        return f"{file.path.removesuffix('./')} {_there(now)}"
    if file.path.endswith("/"):
        return f"{file.path} has other files in it" if now and file.digest else f"{file.path} {_there(now)}"
    return f"{file.path} changed (content)" if now and file.digest else f"{file.path} {_there(now)}"


def _there(now: str) -> str:
    return "is new" if now else "is gone"
