"""Writing an exported folder: what is there and was not written by an export, or was edited since, is left alone."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
from blake3 import blake3

from nbpipe.errors import StoreError, UsageError
from nbpipe.export import manifest as manifests
from nbpipe.export.manifest import MANIFEST, Manifest
from nbpipe.job.folder import write_durably

Status = Literal["new", "changed", "same", "removed"]
#: Bytes of a file whose difference is shown.
_SHOWN = 200_000


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a file. `diff` is of changed text, in unified form; that of the bundle is not shown."""

    path: str
    status: Status
    diff: str = ""


def write(folder: Path, files: Mapping[str, bytes], manifest: Manifest, *, force: bool) -> tuple[Change, ...]:
    """Make the folder hold these files; what an earlier export wrote and this one does not is removed.

    Raises UsageError, before anything is written, for a file that would be lost: `force` writes over it.
    """
    earlier = manifests.read(folder)
    written = dict(earlier.files) if earlier is not None else {}
    changes = _changes(folder, files, written, force=force)
    manifest = msgspec.structs.replace(manifest, files={path: _digest(data) for path, data in sorted(files.items())})
    try:
        for change in changes:
            target = folder / change.path
            if change.status in ("new", "changed"):
                target.parent.mkdir(parents=True, exist_ok=True)
                _put(target, files[change.path])
            elif change.status == "removed":
                target.unlink(missing_ok=True)
                _prune(target.parent, folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_durably(folder / MANIFEST, manifests.encode(manifest))
    except OSError as error:
        raise StoreError(f"{folder} cannot be written: {error.strerror or error}", name=str(folder)) from error
    return (*changes, *_set_otherwise(earlier, manifest))


def _set_otherwise(earlier: Manifest | None, now: Manifest) -> tuple[Change, ...]:
    """What runs are told by the manifest alone, where that is not what it was."""
    if earlier is None:
        return ()
    old, new = (
        manifests.encode(Manifest(scheduler="", pipeline="", version="", notebook="", **_alone(manifest)))
        for manifest in (earlier, now)
    )
    return (Change(path=MANIFEST, status="changed", diff=_diff(MANIFEST, old, new)),) if old != new else ()


def _alone(manifest: Manifest) -> dict[str, Any]:
    return {name: getattr(manifest, name) for name in ("project", "store", "seed", "fresh")}


def _put(target: Path, data: bytes) -> None:
    """The old file or the new one, whatever happens; that its folder is on the disk is seen to by the manifest, the last."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _changes(
    folder: Path, files: Mapping[str, bytes], written: Mapping[str, str], *, force: bool
) -> tuple[Change, ...]:
    found: list[Change] = []
    kept: list[str] = []
    for path, data in sorted(files.items()):
        now = _read(folder, path)
        if now is None:
            found.append(Change(path=path, status="new"))
        elif now == data:
            found.append(Change(path=path, status="same"))
        else:
            found.append(Change(path=path, status="changed", diff=_diff(path, now, data)))
            if written.get(path) != _digest(now):
                kept.append(path)
    for path in sorted(written.keys() - files.keys()):
        now = _read(folder, path)
        if now is not None:
            found.append(Change(path=path, status="removed"))
            if written[path] != _digest(now):
                kept.append(path)
    if kept and not force:
        more = f" and {len(kept) - 1} more" if len(kept) > 1 else ""
        said = (
            "was edited since it was exported" if kept[0] in written else "is there, and was not written by an export"
        )
        raise UsageError(
            f"{folder / kept[0]}{more} {said}",
            name=str(folder / kept[0]),
            fix="Export to another folder with -o, or write over it with --force.",
        )
    return tuple(found)


def _read(folder: Path, path: str) -> bytes | None:
    """What a file holds, None where there is none. Raises UsageError for what is no plain file of this folder."""
    target = folder / path
    for place in (target, *target.parents):
        if place == folder:
            break
        if place.is_symlink():
            raise UsageError(f"{place} is a link, and is not written through", name=str(place), fix="Remove the link.")
    if not target.resolve().is_relative_to(folder.resolve()):
        raise UsageError(f"{path!r} does not lie in the exported folder", name=path)
    try:
        return target.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UsageError(f"{target} is in the way: {error.strerror}", name=str(target), fix="Move it away.") from error


def _diff(path: str, before: bytes, after: bytes) -> str:
    if path.startswith(f"{manifests.BUNDLE}/") or max(len(before), len(after)) > _SHOWN:
        return ""
    try:
        old, new = before.decode().splitlines(), after.decode().splitlines()
    except UnicodeDecodeError:
        return ""
    return "\n".join(difflib.unified_diff(old, new, f"a/{path}", f"b/{path}", lineterm=""))


def _digest(data: bytes) -> str:
    return blake3(data).hexdigest()


def _prune(folder: Path, stop: Path) -> None:
    """Remove folders that are empty now."""
    while folder != stop and folder.is_relative_to(stop) and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
