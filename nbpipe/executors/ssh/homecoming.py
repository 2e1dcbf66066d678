"""What a worker says came of a job, as it counts here: nothing is believed that was not looked at again."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import msgspec

from nbpipe.errors import CorruptObject, SecurityError
from nbpipe.job.leftovers import held_folder
from nbpipe.model import Artifact, FileState, JobSpec, Outcome
from nbpipe.pipeline.contents import BELOW, HIDDEN
from nbpipe.store import Store
from nbpipe.store.base import check_hash, hash_file
from nbpipe.store.manifest import objects_of
from nbpipe.store.pickles import resigned
from nbpipe.store.trust import Signer
from nbpipe.store.values import ABSENT, PICKLE, STATE

#: What temporary folders of values on their way are called.
SCRATCH = "nbpipe-way-"
#: Brings objects from a store elsewhere into a folder.
Fetch = Callable[[Iterable[str], Path], None]


@dataclass(frozen=True)
class Homecoming:
    """Turns a worker's outcome into one of this machine.

    Responsibilities: every object is hashed again, every pickle was signed by the worker and is signed by us, every path
    stays in the project, what cannot be compared here makes the result one that is not reused. Must not decide whether
    the stage succeeded.
    """

    spec: JobSpec
    store: Store
    worker: Signer
    #: Name of the target, and the project's folder there.
    target: str
    elsewhere: str
    #: Digest of a path as it is here.
    here: Callable[[str], str]
    #: Why results of this target are never reused; empty where they are.
    unlike: str = ""
    #: Bytes above which outputs stay there for now; None where all come home.
    leave: int | None = None
    #: Bytes of objects that the worker says it has left in a store here.
    sizes: Mapping[str, int] = field(default_factory=dict)

    def outcome(self, told: Outcome, fetch: Fetch) -> Outcome:
        """The outcome; its objects are in the store here, but for those that stay. Raises SecurityError or CorruptObject."""
        if (told.token, told.stage) != (self.spec.token, self.spec.stage):
            raise SecurityError("the verdict is of another attempt", stage=self.spec.stage)
        told = self.placed(told)
        take(self.store, objects_of(told), fetch, self.target, sizes=self.sizes)
        reasons = [*told.uncacheable, *([self.unlike] if self.unlike else [])]
        ambient = tuple(
            msgspec.structs.replace(state, artifact=self._ours(state.artifact)) if state.artifact else state
            for state in told.ambient
        )
        outcome = msgspec.structs.replace(
            told,
            attempt=self.spec.attempt,
            outputs={name: self._ours(artifact) for name, artifact in told.outputs.items()},
            observed={name: self._ours(artifact) for name, artifact in told.observed.items()},
            ambient=ambient,
            files_read=self._read(told, reasons),
            files_written=self._written(told, reasons),
            cleared=tuple(folder for folder in told.cleared if not Path(folder).is_absolute()),
            folders={path: there for path, there in told.folders.items() if self._ours_to_write(path)},
            found=tuple(path for path in told.found if not Path(path).is_absolute()),
            variables=self._variables(told, reasons),
            warnings=tuple(map(self._said, told.warnings)),
        )
        failure = outcome.failure
        if failure is not None:
            failure = msgspec.structs.replace(
                failure, message=self._said(failure.message), traceback=self._said(failure.traceback)
            )
        return msgspec.structs.replace(outcome, failure=failure, uncacheable=tuple(map(self._said, reasons)))

    def _said(self, text: str) -> str:
        """A text in which the project lies where it lies here."""
        return text.replace(self.elsewhere, self.spec.project)

    def placed(self, told: Outcome) -> Outcome:
        """The same, with what stays there for now marked so; whatever the worker says of it."""
        left = self._left({**told.outputs, **told.observed})

        def marked(artifacts: Mapping[str, Artifact]) -> dict[str, Artifact]:
            return {
                name: msgspec.structs.replace(artifact, on=self.target if name in left else "")
                for name, artifact in artifacts.items()
            }

        return msgspec.structs.replace(told, outputs=marked(told.outputs), observed=marked(told.observed))

    def _left(self, given: Mapping[str, Artifact]) -> set[str]:
        """Names whose values stay there: large ones, together with all that share memory with them, or not at all.

        What is in the store here, or was sent and came back as it was, does not travel anyway. What lay in the memory of
        something that is stored apart comes home, and so does what cannot be loaded without another name.
        """
        if self.leave is None:
            return set()
        left = {
            name
            for name, artifact in given.items()
            if artifact.size > self.leave
            and artifact.format not in (ABSENT, STATE)
            and not artifact.beside
            and not all(self.store.objects.has(check_hash(digest)) for digest in artifact.objects)
            and not set(artifact.needs) & set(given)
            and (name not in self.spec.inputs or self.spec.inputs[name].digest != artifact.digest)
        }
        return {name for name in left if set(given[name].group) <= left}

    def _ours(self, artifact: Artifact) -> Artifact:
        return artifact if artifact.on else ours(self.store, self.worker, artifact)

    def _read(self, told: Outcome, reasons: list[str]) -> tuple[FileState, ...]:
        kept = []
        for state in told.files_read:
            if not Path(state.path).is_absolute() or self.here(state.path) == state.digest:
                kept.append(state)
            else:
                reasons.append(f"it read {state.path} on {self.target}, which cannot be looked at from here")
        return tuple(kept)

    def _written(self, told: Outcome, reasons: list[str]) -> tuple[FileState, ...]:
        kept = []
        written = {state.path for state in told.files_written}
        # It would have removed what was not sent, too.
        cleared = [folder for folder in told.cleared if not Path(folder).is_absolute()]
        below = [f"{folder}/{name}" for folder in cleared for name in self.here(folder + BELOW).split("\0") if name]
        gone = [FileState(path=path, digest="") for path in sorted({*below} - written)]
        for state in (*told.files_written, *gone):
            if self._ours_to_write(state.path):
                kept.append(state)
            else:
                reasons.append(f"it wrote {state.path} on {self.target}, outside of the project: it stays there")
        return tuple(kept)

    def _ours_to_write(self, name: str) -> bool:
        """Whether a path lies in the project. Raises SecurityError for one that no stage could have written."""
        path = Path(name)
        if not path.is_absolute() and (".." in path.parts or HIDDEN & set(path.parts) or "\0" in name):
            raise SecurityError(f"{self.target} wants to write {name!a}", stage=self.spec.stage)
        return not path.is_absolute()

    def _variables(self, told: Outcome, reasons: list[str]) -> dict[str, str]:
        kept = {}
        for name, digest in told.variables.items():
            value = os.environ.get(name)
            theirs = "" if value is None else self.worker.sign("variable", [name.encode(), os.fsencode(value)])
            if theirs == digest:
                kept[name] = self.store.variable_digest(name, value)
            else:
                reasons.append(f"it read {name}, which is another on {self.target}")
        return kept


def take(
    store: Store,
    names: Iterable[str],
    fetch: Fetch,
    target: str,
    scratch: Path | None = None,
    sizes: Mapping[str, int] = MappingProxyType({}),
) -> None:
    """Have objects in the store here, each hashed again; what it has counts as put now. `sizes` are those that are known.

    Raises CorruptObject for what did not come whole.
    """
    wanted = sorted(name for name in names if not store.objects.keep(check_hash(name), sizes.get(name)))
    made: AbstractContextManager[Path | str] = held_folder(f"{SCRATCH}fetch-")
    if scratch is not None:
        made = tempfile.TemporaryDirectory(prefix=".fetch-", dir=scratch)
    with made as place:
        folder = Path(place)
        if wanted:
            fetch(wanted, folder)
        for name in wanted:
            path = folder / name[:2] / name
            if not path.is_file() or (hash_file(path) if path.stat().st_size else name) != name:
                raise CorruptObject(f"object {name[:12]}… did not come whole from {target}", name=name)
            if store.objects.put_file(path) != name:
                raise CorruptObject(f"object {name[:12]}… does not match its hash", name=name)


def ours(store: Store, worker: Signer, artifact: Artifact) -> Artifact:
    """The artifact under our signature; its objects are in the store here. Raises SecurityError for what the worker did not sign."""
    home = msgspec.structs.replace(artifact, on="")
    if artifact.format not in (PICKLE, STATE) or not artifact.objects:
        return home
    data = resigned(artifact.objects[0], store.objects, worker, store.signer)
    return msgspec.structs.replace(home, objects=(store.objects.put_bytes(data), *artifact.objects[1:]))
