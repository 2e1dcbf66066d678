"""Files that are whole only when the kernel has ended: left open by user code, or written by what it registered for the end."""

from __future__ import annotations

import atexit
import contextlib
import gc
import io
import json
import logging
import os
import stat
import sys
import threading
import types
import weakref
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from nbpipe.credentials import values_of
from nbpipe.errors import PipelineError
from nbpipe.job.folder import LATE, UNDO
from nbpipe.job.holders import has_children, identity, writes
from nbpipe.job.leaks import Leaks
from nbpipe.model import Failure, FileState, JobSpec, Outcome
from nbpipe.pipeline.contents import digest_file

#: Objects that are looked at for what they have to say when they go, at most.
_LOOKED_AT = 5000
#: What has nothing to say, and leads to nothing.
_PLAIN = (
    str,
    int,
    float,
    bool,
    bytes,
    complex,
    type(None),
    types.ModuleType,
    types.CodeType,
    types.BuiltinFunctionType,
)
#: Handlers of logging that keep nothing back.
_AT_ONCE = (logging.StreamHandler, logging.NullHandler)


def note(job: Path, path: str) -> None:
    """From inside the kernel: what a file holds is known only when this process has ended."""
    with (job / LATE).open("a") as late:
        late.write(json.dumps(path) + "\n")


def left_open(paths: Iterable[str]) -> list[str]:
    """Those of `paths` that this process may still write through a descriptor it holds."""
    wanted = {path: identity(path) for path in paths}
    held = writes(os.getpid()) if wanted else set()
    return [path for path, found in wanted.items() if found in held]


def refuse(path: str, stage: str) -> PipelineError:
    """What a stage is told that reads a file which a stage above it leaves open."""
    return PipelineError(
        f"it reads {path}, which a stage above it leaves open and writes to the end only when its kernel ends: "
        "in one kernel, not all of it would be there yet",
        stage=stage,
        name=path,
        fix=f"Close the file where it is written: with open({path!r}, 'w') as file: …",
    )


class Rest:
    """How a forked kernel was before its stage: what came since may have something to do at the end of Python."""

    #: Other kernels end as Python does.
    forked = False
    #: The one of this kernel's job.
    current: Rest | None = None

    def __init__(self, namespace: Mapping[str, Any]) -> None:
        Rest.current = self
        self._files = _files()
        self._callbacks = atexit._ncallbacks()  # noqa: SLF001
        self._finalizers = _finalizers()
        self._handlers = _handlers()
        self._threads = set(threading.enumerate())
        self._names = [*namespace.values(), sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__]

    def comes(self, namespace: Mapping[str, Any]) -> bool:
        """Whether nothing is left to do: the process can go at once. `namespace` is the user's."""
        return (
            self.forked
            and atexit._ncallbacks() <= self._callbacks  # noqa: SLF001
            and _finalizers() <= self._finalizers
            and _handlers() <= self._handlers
            and self._threads >= set(threading.enumerate())
            and not self.opened()
            and not has_children()
            and not self.has_ends(namespace)
        )

    def has_ends(self, namespace: Mapping[str, Any]) -> bool:
        """Whether a class of the user's, or an object that the names lead to, has a word to say when it goes.

        True, too, where they lead to more objects than are looked at.
        """
        seen = {id(each) for each in self._names}
        todo = list(namespace.values())
        while todo:
            each = todo.pop()
            kind = type(each)
            if id(each) in seen or issubclass(kind, _PLAIN):
                continue
            seen.add(id(each))
            if issubclass(kind, type):
                if "__del__" in vars(each):
                    return True
            elif issubclass(kind, types.FunctionType):
                todo += each.__closure__ or ()
            elif kind.__module__ == "_io" and _closed(each):
                continue
            elif hasattr(kind, "__del__") or len(seen) > _LOOKED_AT or _size(each) > _LOOKED_AT:
                return True
            else:
                todo += gc.get_referents(each)
        return False

    def opened(self) -> bool:
        """Whether the stage has opened a file for writing, wherever it is, that is open still."""
        return not _files() <= self._files


def _closed(file: Any) -> bool:
    try:
        return bool(file.closed)
    except (AttributeError, ValueError):  # no file, or one that has given its buffer away
        return False


def _size(each: Any) -> int:
    return len(each) if type(each) in {list, tuple, dict, set, frozenset} else 0


def _files() -> set[tuple[int, int]]:
    return writes(os.getpid(), kind=stat.S_ISREG)


def _finalizers() -> set[Any]:
    registry = weakref.finalize._registry  # type: ignore[attr-defined]  # noqa: SLF001
    return {each for each, info in list(registry.items()) if info.atexit}


def _handlers() -> set[Any]:
    """Handlers of logging that may keep records back until the end, as weak references."""
    return {each for each in list(logging._handlerList) if type(each()) not in _AT_ONCE}  # type: ignore[attr-defined]  # noqa: SLF001


def end(namespace: dict[str, Any]) -> None:
    """Do for a forked kernel what the end of Python does: wait for threads, call what is registered, let objects go.

    `namespace` is the user's; it is emptied. Where no file is open and nothing there has a word to say when it goes,
    objects do not go one by one.
    """
    threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001
    rest = Rest.current
    has_ends = rest is not None and rest.has_ends(namespace)
    # User code may have registered handlers (loggers that still hold data).
    atexit._run_exitfuncs()  # noqa: SLF001
    if rest is not None and not has_ends and not rest.opened():
        return
    namespace.clear()
    gc.collect()
    for each in gc.get_objects():
        if isinstance(each, io.IOBase):
            with contextlib.suppress(Exception):
                each.flush()


def settle(
    job: Path, spec: JobSpec, outcome: Outcome, store: Any, environment: Mapping[str, str], *, code: int | None
) -> Outcome:
    """The outcome with such files as they are now that the kernel has ended; `code` is its exit code.

    Raises `NbpipeError` for a file that cannot be stored or that holds a secret.
    """
    try:
        lines = (job / LATE).read_text().splitlines()
    except FileNotFoundError:
        return outcome
    paths = dict.fromkeys(json.loads(line) for line in lines)
    if outcome.status not in {"succeeded", "rejected"}:
        return outcome
    if code != 0:
        path = next(iter(paths))
        said = f"its kernel did not end by itself (exit code {code}) while {path} was still being written"
        fix = "Close the file where it is written: with open(…) as file: …"
        failure = Failure(code="kernel-lost", message=said, name=path, fix=fix)
        return Outcome(stage=spec.stage, attempt=spec.attempt, token=spec.token, status="lost", failure=failure)
    before = {state.path: state for state in outcome.files_written}
    after = {path: state for path in paths if (state := _state(job, spec, path, before.get(path), store)) is not None}
    changed = tuple(state for path, state in after.items() if state != before.get(path))
    Leaks(values_of(spec.secrets, environment), store).check_files(changed, spec.stage)
    written = {**before, **after}
    gone = [path for path in paths if path not in after]
    told = [
        f"{state.path} was left open, and written to its end only when the kernel ended: close it" for state in changed
    ]
    return msgspec.structs.replace(
        outcome,
        files_written=tuple(written[path] for path in sorted(written) if path not in gone),
        warnings=(*outcome.warnings, *told),
    )


def _state(job: Path, spec: JobSpec, path: str, before: FileState | None, store: Any) -> FileState | None:
    """The state of a file now: as before, or marked as late; None where there is none, and was none before the job."""
    target = Path(spec.project) / path
    digest = digest_file(target)
    if before is not None and before.digest == digest:
        return before
    if digest:
        kept = store.objects.put_file(target)
        return FileState(path=path, digest=digest, size=target.stat().st_size, object=kept, late=True)
    return FileState(path=path, digest="", late=True) if _existed(job, target) else None


def _existed(job: Path, target: Path) -> bool:
    lines = (job / UNDO / "index.jsonl").read_text().splitlines()
    return any(entry["copy"] for entry in map(json.loads, lines) if entry["path"] == str(target))
