"""Arrow IPC files, for frames, series and indexes of pandas, frames of polars and tables of pyarrow, where they are exact.

Exactness is decided by structure, from a list of what is known to come back: anything else is left to other formats.
The file is mapped when read, page by page and copy-on-write, so a loaded frame can be changed and the store cannot.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbpipe.model import Artifact
    from nbpipe.store.base import ObjectStore

#: Package of a value's type -> the module that keeps its values: `accepts(value)`, `write(value, file)`, `read(path)`.
KEEPERS = {
    "pandas": "nbpipe.store.formats.arrow_frames",
    "polars": "nbpipe.store.formats.arrow_polars",
    "pyarrow": "nbpipe.store.formats.arrow_tables",
}


class Arrow:
    """One uncompressed Arrow IPC file with one record batch (tables of pyarrow keep theirs)."""

    name = "arrow"

    def accepts(self, value: Any) -> bool:
        """Whether it is one of the known types, and all in it comes back equal in value and type."""
        package = type(value).__module__.partition(".")[0]
        return package in KEEPERS and bool(import_module(KEEPERS[package]).accepts(value))

    def save(self, value: Any, objects: ObjectStore) -> tuple[tuple[str, ...], str | None]:
        """One object, hashed as it is written; what is contiguous is not copied."""
        keeper = import_module(KEEPERS[type(value).__module__.partition(".")[0]])
        digest, _ = objects.put_stream(lambda file: keeper.write(value, file))
        return (digest,), None

    def load(self, artifact: Artifact, objects: ObjectStore) -> Any:
        """The value, over the mapped file."""
        keeper = import_module(KEEPERS[artifact.type.partition(".")[0]])
        return keeper.read(objects.local_path(artifact.objects[0]))


FORMAT = Arrow()
