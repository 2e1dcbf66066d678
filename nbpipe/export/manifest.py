"""`nbpipe-export.json`: what an exported folder is, and the digest of every file that nbpipe wrote into it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from nbpipe.errors import UsageError
from nbpipe.pipeline.contents import EXPORT_MANIFEST

MANIFEST = EXPORT_MANIFEST
BUNDLE = "bundle"
SCHEMA = 1


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Specified in `docs/formats/export.md`."""

    schema: int = SCHEMA
    scheduler: str
    pipeline: str
    version: str
    #: Path of the notebook from the project's folder.
    notebook: str
    #: Relative path from this folder to the project; None where stages get an empty folder of their own.
    project: str | None = None
    #: Folder or URL of the store; "" for the project's own.
    store: str = ""
    #: Values of parameters that differ from the notebook's defaults.
    params: dict[str, Any] = {}
    #: Seed for what the notebook does not seed itself.
    seed: int = 0
    #: Its runs reuse nothing.
    fresh: bool = False
    #: Stage -> stages it waits for on the scheduler.
    order: dict[str, tuple[str, ...]] = {}
    secrets: tuple[str, ...] = ()
    #: Path inside the folder -> blake3 of the bytes that were written.
    files: dict[str, str] = {}


def encode(manifest: Manifest) -> bytes:
    """JSON, indented, a line break last."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"


def read(folder: Path) -> Manifest | None:
    """The manifest of a folder, None where there is none. Raises UsageError for one that cannot be read."""
    path = folder / MANIFEST
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", name=str(path)) from error
    try:
        found = msgspec.json.decode(data, type=Manifest)
    except msgspec.MsgspecError as error:
        raise UsageError(f"{path} is not what an export wrote: {error}", name=str(path)) from error
    if found.schema > SCHEMA:
        raise UsageError(f"{path} was written by a newer nbpipe", name=str(path), fix="Upgrade nbpipe.")
    return found
