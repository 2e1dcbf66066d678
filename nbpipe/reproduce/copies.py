"""Copies of files that are not on disk any more as they were: in the store, and where jobs keep what they replaced."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from nbpipe.errors import StoreError
from nbpipe.job.folder import UNDO
from nbpipe.pipeline.contents import digest_file
from nbpipe.store import Store


class Copies:
    """Finds a file by the digest of its bytes. `jobs` are folders of jobs that may have replaced it."""

    def __init__(self, store: Store, jobs: Iterable[Path]) -> None:
        self._store = store
        self._jobs = tuple(jobs)

    def find(self, digest: str) -> Path | None:
        """A file with these bytes; None if there is none."""
        try:
            # There is one if any stage has ever written these bytes.
            return self._store.objects.local_path(digest)
        except StoreError:
            return self._replaced.get(digest)

    @cached_property
    def _replaced(self) -> dict[str, Path]:
        """What jobs found where they wrote."""
        copies = [path for job in self._jobs for path in sorted((job / UNDO).glob("*")) if not path.suffix]
        return {digest_file(path): path for path in copies}
