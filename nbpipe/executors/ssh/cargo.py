"""What a job needs on another machine, by content: the objects of its inputs and the files of the project it reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from nbpipe.errors import TargetError
from nbpipe.job.elsewhere import Shipment
from nbpipe.model import Artifact, JobSpec
from nbpipe.pipeline.contents import FOLDER, HIDDEN, digest_file
from nbpipe.store import Store
from nbpipe.store.local import LocalObjects
from nbpipe.store.pickles import resigned
from nbpipe.store.trust import Signer
from nbpipe.store.values import PICKLE, STATE

#: Bytes of files that travel although nobody named them.
MOST_UNNAMED = 1 << 30


@dataclass
class Cargo:
    """Grows while it turns out what the stage reads. `objects` is what has to be in the store there."""

    project: Path
    store: Store
    #: The key of the worker, which can sign for its own stages only.
    worker: Signer
    #: Where pickles signed for the worker lie until they are sent.
    scratch: Path
    #: The target: what lies there needs no sending.
    target: str = ""
    #: Object that has to be there already -> the name of its value.
    lies: dict[str, str] = field(default_factory=dict)
    #: None is one of the store here, which may have to be brought first.
    objects: dict[str, Path | None] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)

    def shipment(self, shared: str, *, gives: bool) -> Shipment:
        """What the job's copy of the project is made of; `shared` is the store that has the rest, and maybe takes results."""
        return Shipment(files=dict(self.files), folders=tuple(sorted(self.folders)), store=shared, gives=gives)

    def path(self, digest: str) -> Path:
        """A file with the object's bytes. Raises StoreError."""
        return self.objects[digest] or self.store.objects.local_path(digest)

    def size(self, digest: str, known: Mapping[str, int]) -> int:
        """Bytes of an object; of one that lies in a store elsewhere, what is `known`, else what that store says."""
        path = self.objects[digest]
        if path is not None:
            return path.stat().st_size
        near = isinstance(self.store.objects, LocalObjects)
        return known[digest] if digest in known and not near else self.store.objects.size(digest)

    def is_little(self, names: Iterable[str], most: int) -> bool:
        """Whether these are no more than so many bytes together."""
        return sum(self.size(name, {}) for name in names) <= most

    def load_values(self, artifacts: Mapping[str, Artifact]) -> dict[str, Artifact]:
        """Take stored values on; returns what they are called there."""
        return {name: self._load_value(name, artifact) for name, artifact in artifacts.items()}

    def _load_value(self, name: str, artifact: Artifact) -> Artifact:
        if artifact.on and artifact.on == self.target:
            self.lies |= dict.fromkeys(artifact.objects, name)
            return msgspec.structs.replace(artifact, on="")
        named = list(artifact.objects)
        if named and artifact.format in (PICKLE, STATE):
            data = resigned(named[0], self.store.objects, self.store.signer, self.worker)
            named[0] = self._own(data)
        for digest in named:
            self.objects.setdefault(digest, None)
        return msgspec.structs.replace(artifact, objects=tuple(named))

    def _own(self, data: bytes) -> str:
        from nbpipe.store.base import hash_bytes

        digest = hash_bytes(data)
        path = self.objects[digest] = self.scratch / digest
        path.write_bytes(data)
        return digest

    def load_files(self, names: Iterable[str]) -> None:
        """Take on what these paths and patterns of the project hold now; those that lead out of it stay here."""
        for name in names:
            if name.endswith("/"):
                self._load_seen_folder(name)
                continue
            for path in self._matching(name):
                self._load_path(path)

    def _load_seen_folder(self, name: str) -> None:
        """What was recorded of a folder: that it was there, or which names it has."""
        for path in self._matching(name.removesuffix(FOLDER).rstrip("/") or "."):
            if path.is_dir() and name.endswith(FOLDER):
                self.folders.add(path.relative_to(self.project).as_posix())
            elif path.is_dir():
                self._load_listing(path)

    def _matching(self, name: str) -> list[Path]:
        path = Path(name)
        if path.is_absolute():
            path = Path(name).resolve()
            return [path] if path.is_relative_to(self.project) else []
        if ".." in path.parts or "://" in name or "\0" in name:
            return []
        if any(mark in name for mark in "*?["):
            return sorted(self.project.glob(name))
        return [self.project / path]

    def _load_path(self, path: Path) -> None:
        relative = path.relative_to(self.project)
        if HIDDEN & set(relative.parts):
            return
        if path.is_dir():
            self.folders.add(relative.as_posix())
            for inside in sorted(path.rglob("*")):
                if not HIDDEN & set(inside.relative_to(self.project).parts) and not inside.is_dir():
                    self._load_file(inside)
        else:
            self._load_file(path)

    def _load_file(self, path: Path) -> None:
        digest = digest_file(path)
        if digest:
            self.files[path.relative_to(self.project).as_posix()] = digest
            self.objects[digest] = path

    def add_what_differed(self, seen: Mapping[str, str], here: Mapping[str, str], spec: JobSpec) -> list[str]:
        """Take on what the stage looked for in vain, or saw otherwise than it is here; names of what was added.

        Raises TargetError where that is more than should travel unasked.
        """
        before = (set(self.files), set(self.folders))
        for name, digest in seen.items():
            if Path(name).is_absolute() or here[name] == digest or not here[name]:
                continue
            path = self.project / name.rstrip("/")
            if name.endswith(FOLDER):
                self.folders.add(name.removesuffix(FOLDER))
            elif name.endswith("/"):
                self._load_listing(path)
            elif name not in self.files:
                self._load_file(path)
        added = sorted((set(self.files) - before[0]) | (set(self.folders) - before[1]))
        size = sum((self.project / name).stat().st_size for name in added if name in self.files)
        if size > MOST_UNNAMED:
            raise TargetError(
                f"it reads {added[0]}{' and more' if len(added) > 1 else ''}, {size / 1e9:.1f} GB that nobody named",
                stage=spec.stage,
                name=added[0],
                fix="Name what it reads, and it is sent: --reads PATH on the stage.",
            )
        return added

    def _load_listing(self, folder: Path) -> None:
        """What makes a listing the same there: the names, and so the files, right in the folder."""
        self.folders.add(folder.relative_to(self.project).as_posix())
        for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
            if entry.name in HIDDEN:
                continue
            if entry.is_dir():
                self.folders.add(entry.relative_to(self.project).as_posix())
            else:
                self._load_file(entry)
