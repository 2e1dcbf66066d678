"""Modules as values (`m = np`): their name, imported again."""

from __future__ import annotations

import types
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbpipe.model import Artifact
    from nbpipe.store.base import ObjectStore


class Modules:
    """The module's name as text."""

    name = "module"

    def accepts(self, value: Any) -> bool:
        """Any module but the notebook itself."""
        return type(value) is types.ModuleType and value.__name__ != "__main__" and value.__spec__ is not None

    def save(self, value: Any, objects: ObjectStore) -> tuple[tuple[str, ...], str | None]:
        """One object."""
        return (objects.put_bytes(value.__name__.encode()),), None

    def load(self, artifact: Artifact, objects: ObjectStore) -> Any:
        """Import it."""
        return import_module(objects.get_bytes(artifact.objects[0]).decode())


FORMAT = Modules()
