"""Local modules as the kernel has them: the digest of each one's source, taken when the module is first seen.

Only the recorder's thread looks. A file that is edited between the import and that look, a moment later, is taken for
what was imported.
"""

from __future__ import annotations

import sys
import types
from pathlib import Path

from nbpipe.pipeline.contents import source_digest

_FOREIGN = ("/site-packages/", "/dist-packages/", "/lib/python")


class Loaded:
    """Remembers what was loaded; a module that is loaded again has a new spec and is looked at again."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[object, str]] = {}

    def digests(self, root: Path) -> dict[str, str]:
        """Full name -> digest of its source when it was loaded, for the modules below `root`."""
        found = {}
        for name, module in list(sys.modules.items()):
            if type(module) is not types.ModuleType or name == "__main__":
                continue
            space = vars(module)
            path, spec = space.get("__file__"), space.get("__spec__")
            if type(path) is not str or not path.startswith(f"{root}/") or any(part in path for part in _FOREIGN):
                continue
            known = self._known.get(name)
            if known is None or known[0] is not spec:
                try:
                    known = (spec, source_digest(Path(path).read_bytes()))
                except OSError:
                    continue
                self._known[name] = known
            found[name] = known[1]
        return found
