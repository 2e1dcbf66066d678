"""Secrets that were about to leave a job: found in stored bytes, taken out of the files a job leaves."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from nbpipe.errors import SecretError, SecurityError, Unserializable
from nbpipe.job.redact import Redactor, spellings
from nbpipe.model import Artifact, FileState

if TYPE_CHECKING:
    from nbpipe.store import Store

_BLOCK = 1 << 20
#: Texts are stored as one of these.
_ENCODINGS = ("utf-8", "utf-16-le", "utf-32-le")


class Leaks:
    """Looks for the values of secrets in what a job stores. Stored bytes that hold one are deleted again."""

    def __init__(self, secrets: Mapping[str, str], store: Store) -> None:
        self._store = store
        self._needles = {
            spelled.encode(encoding): name
            for name, value in secrets.items()
            for spelled in spellings(value)
            for encoding in _ENCODINGS
        }

    def check(self, artifacts: Mapping[str, Artifact], stage: str) -> None:
        """Raise Unserializable for the first value that holds a secret."""
        for name, artifact in artifacts.items():
            found = self._delete_if_found(artifact.objects)
            if found:
                raise Unserializable(name, artifact.type, stage, reason=f"it holds the value of the secret {found}")

    def check_files(self, files: tuple[FileState, ...], stage: str) -> None:
        """Raise SecurityError for the first file written into the project that holds a secret."""
        for state in files:
            found = self._delete_if_found((state.object,) if state.object else ())
            if found:
                raise SecurityError(
                    f"the file {state.path} holds the value of the secret {found}, and files of a project are stored",
                    stage=stage,
                    name=state.path,
                    fix="Write it to a temporary folder outside of the project.",
                )

    def _delete_if_found(self, objects: tuple[str, ...]) -> str:
        if not self._needles:
            return ""
        for digest in objects:
            found = self._search(digest)
            if found:
                for other in objects:
                    self._store.objects.delete(other)
                return found
        return ""

    def _search(self, digest: str) -> str:
        with self._store.objects.open(digest) as file:
            found = _first(file, self._needles)
        return self._needles[found] if found is not None else ""


def _first(file: BinaryIO, needles: Iterable[bytes]) -> bytes | None:
    """One of the needles that the file holds, read a block at a time: it may be larger than memory."""
    needles = list(needles)
    longest = max(map(len, needles)) - 1
    tail = b""
    while block := file.read(_BLOCK):
        data = tail + block
        found = next((needle for needle in needles if needle in data), None)
        if found is not None:
            return found
        tail = data[-longest:] if longest else b""
    return None


def scrub(folder: Path, redactor: Redactor) -> list[str]:
    """Take secrets out of the files that the kernel itself wrote into a job's folder; names of those that had any.

    A file that is not text and holds one is removed.
    """
    if not redactor.active:
        return []
    return [str(path.relative_to(folder)) for path in _written(folder) if _scrub(path, redactor)]


def scrub_dead(folder: Path, secrets: Sequence[str], environment: Mapping[str, str]) -> None:
    """The same for a job whose runner died first. Where the secrets are no longer known, the files are removed."""
    try:
        redactor = Redactor.of(secrets, environment)
    except SecretError:
        for path in _written(folder):
            if path.is_symlink() or not path.is_dir():
                path.unlink(missing_ok=True)
        shutil.rmtree(folder / "mlflow", ignore_errors=True)
    else:
        scrub(folder, redactor)


def _written(folder: Path) -> list[Path]:
    """What the kernel and the processes beside it have written themselves."""
    ranks = [*folder.glob("rank-*.log"), *folder.glob("rank-*/*.json")]
    return [folder / "kernel.log", *sorted(ranks), *sorted((folder / "mlflow").rglob("*"))]


def _scrub(path: Path, redactor: Redactor) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        if _first(file, {spelled.encode(encoding) for spelled in redactor.spelled for encoding in _ENCODINGS}) is None:
            return False
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError:
        path.unlink()
        return True
    clean = redactor.text(text)
    if "\0" in clean:
        path.unlink()
    else:
        path.write_text(clean)
    return True


def by_reference(environment: dict[str, Any], secrets: Mapping[str, str]) -> dict[str, Any]:
    """A stored change of the environment in which a variable that holds just a secret names it instead."""
    names = {value: name for name, value in secrets.items()}
    changed: dict[str, str] = environment["set"]
    held = {variable: names[value] for variable, value in changed.items() if value in names}
    if not held:
        return environment
    plain = {variable: value for variable, value in changed.items() if variable not in held}
    return {**environment, "set": plain, "secrets": held}
