"""Files that commands write because a person asked for them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from nbpipe.errors import UsageError


def write_file(path: Path, data: bytes) -> None:
    """Put `data` at `path` as a whole or not at all. Raises UsageError where that cannot be."""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.")
    except OSError as error:
        raise _refused(path, error) from None
    scratch = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        # mkstemp is for secrets; a document is made like any other file.
        mask = os.umask(0)
        os.umask(mask)
        scratch.chmod(0o666 & ~mask)
        scratch.replace(path)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise _refused(path, error) from None


def _refused(path: Path, error: OSError) -> UsageError:
    return UsageError(
        f"{path} cannot be written: {error.strerror or error}", name=str(path), fix="Choose another place."
    )
