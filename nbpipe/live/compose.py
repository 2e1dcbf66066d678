"""From what a cell left behind to its trial. Runs in the recorder's thread: nothing here touches the user's objects."""

from __future__ import annotations

import getpass
import math
import os
import platform
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from nbpipe.credentials import given_out
from nbpipe.errors import GrammarError
from nbpipe.job.redact import Redactor
from nbpipe.live.ended import outputs_of
from nbpipe.live.facts import ABSENT, Fact, is_code, type_name
from nbpipe.live.names import names_read
from nbpipe.model import Code, Notebook, Outline
from nbpipe.pipeline.params import extract_params
from nbpipe.tracking.trial import Ran, Seen, Trial, TrialError, TrialStatus

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nbpipe.live.executions import Execution

#: Cells that a trial names as having run before it.
BEFORE = 100
#: Characters of JSON of a value that is written out.
_SHOWN = 1000
#: Columns of a frame that are named.
_COLUMNS = 200
_LARGEST = 2**63


@dataclass(slots=True)
class Left:
    """What a cell left behind when it ended, taken from the user's kernel already."""

    execution: Execution
    status: TrialStatus
    error: TrialError | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    #: IPython's own list of the cell's outputs.
    kept: Any = ()
    before: tuple[Execution, ...] = ()
    #: Bodies of the params cells that ran.
    params: tuple[str, ...] = ()
    notebook: str = ""
    #: A trial is to be written; else only what staleness needs is looked at.
    wanted: bool = True


def trial_of(left: Left, kernel: str, root: Path) -> Trial:
    """The trial, without an id and without secrets."""
    cell = left.execution
    hidden = Redactor(given_out())
    outputs, cut = outputs_of(left.kept, hidden.text)
    read = names_read(cell.body, cell.facts)
    seen = {name: cell.facts[name] for name in sorted(read) if not is_code(cell.facts[name])}
    declared = param_names(left.params)
    inputs = {name: _seen(found, hidden) for name, found in seen.items()}
    params = {name: item.value for name, item in inputs.items() if name in declared and item.value is not msgspec.UNSET}
    made = Trial(
        id="",
        stage=cell.name,
        kind="check" if cell.role == "check" else "stage",
        notebook=left.notebook,
        kernel=kernel,
        count=cell.count,
        cell=cell.cell,
        source=cell.source,
        code=cell.code,
        started=cell.started,
        seconds=cell.seconds,
        status=left.status,
        error=left.error,
        params=params,
        inputs={name: item for name, item in inputs.items() if name not in params},
        metrics=left.metrics,
        outputs=tuple(outputs),
        cut=cut,
        before=tuple(
            Ran(role=item.role, name=item.name, code=item.code, ok=bool(item.ok)) for item in left.before[-BEFORE:]
        ),
        environment=_environment(root),
        packages=packages_of(cell.facts[name] for name in read),
    )
    return msgspec.convert(hidden.data(msgspec.to_builtins(made, enc_hook=str)), Trial) if hidden.active else made


def param_names(bodies: Iterable[str]) -> frozenset[str]:
    """Names that the params cells declare; none of a cell that is no params cell as runs want it."""
    codes = tuple(Code(cell=0, body=body) for body in bodies)
    try:
        params, _ = extract_params(Outline(notebook=Notebook(path="", sha256="", cells=()), params=codes))
    except GrammarError:
        return frozenset()
    return frozenset(param.name for param in params)


def digest_of(found: Fact) -> str:
    """The digest of the value; "" where it was not copied, or has none."""
    from nbpipe.store.digest import Undigestable, digest

    if found.content is ABSENT:
        return ""
    try:
        return digest(found.content)
    except Undigestable:
        return ""


def _seen(found: Fact, hidden: Redactor) -> Seen:
    value = _shown(found.content)
    if hidden.active and found.content is not ABSENT and hidden.text(text := repr(found.content)) != text:
        # Short values could be found again by their digest.
        return Seen(type=type_name(found.kind), shape=found.shape)
    return Seen(
        type=type_name(found.kind),
        digest=digest_of(found),
        shape=found.shape,
        dtype=str(found.dtype) if found.dtype is not None else "",
        columns=_columns(found, hidden),
        value=value,
    )


def _columns(found: Fact, hidden: Redactor) -> dict[str, str]:
    """Name -> type of the first columns of a frame; only labels that are plain texts or numbers."""
    if found.columns is None:
        return {}
    labels, types = (list(each[:_COLUMNS]) for each in found.columns)
    plain = zip(labels, types, strict=False)
    return {hidden.text(str(label)): str(kind) for label, kind in plain if type(label) in (str, int)}


def _shown(content: Any) -> Any:
    """The content where JSON carries it exactly and in few characters, else UNSET."""
    if content is ABSENT or not _is_json(content):
        return msgspec.UNSET
    return content if len(msgspec.json.encode(content)) <= _SHOWN else msgspec.UNSET


def _is_json(content: Any) -> bool:
    kind = type(content)
    if kind is int:
        return bool(-_LARGEST <= content < _LARGEST)
    if kind is float:
        return math.isfinite(content)
    if kind is str:
        return _is_text(content)
    if kind is list:
        return all(map(_is_json, content))
    if kind is dict:
        return all(type(key) is str and _is_text(key) for key in content) and all(map(_is_json, content.values()))
    return kind in (bool, type(None))


def _is_text(text: str) -> bool:
    """Half a surrogate pair is no text that JSON has."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def packages_of(facts: Iterable[Fact]) -> dict[str, str]:
    """Top-level packages that the values are from, with the version each one states."""
    found = {}
    for item in facts:
        top = item.package or type_name(item.kind).partition(".")[0]
        module = sys.modules.get(top)
        version = vars(module).get("__version__") if module is not None else None
        if type(version) is str:
            found[top] = version
    return dict(sorted(found.items()))


def _environment(root: Path) -> dict[str, str]:
    found = {
        "python": platform.python_version(),
        "system": f"{os.uname().sysname} {os.uname().release}" if hasattr(os, "uname") else sys.platform,
        "host": platform.node(),
        "user": _user(),
        "git": commit_of(root),
        "gpu": _gpu(),
    }
    return {name: text for name, text in found.items() if text}


def _gpu() -> str:
    """The device that torch computes on, where it does already: asking earlier would take memory on it."""
    cuda = sys.modules.get("torch.cuda")
    try:
        return str(cuda.get_device_name()) if cuda is not None and cuda.is_initialized() else ""
    except (RuntimeError, AssertionError):
        return ""


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""


def commit_of(root: Path) -> str:
    """The commit that is checked out, read from git's own files; "" where that is not told in the plain way."""
    for folder in (root, *root.parents):
        git = folder / ".git"
        if not git.exists():
            continue
        try:
            head = (git / "HEAD").read_text().strip()
            name = head.removeprefix("ref: ")
            return (git / name).read_text().strip() if name != head else head
        except OSError:
            return ""
    return ""
