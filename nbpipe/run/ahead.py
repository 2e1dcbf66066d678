"""Stages below that ran ahead: what one above saw, or may have seen, of work that comes later in one kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec

from nbpipe.job.folder import LOOKED, UNSEEN
from nbpipe.model import Outcome
from nbpipe.pipeline.contents import FOLDER, touches
from nbpipe.plan.resolve import Wanted


class Saw(msgspec.Struct, frozen=True):
    """What an attempt went by that is not as it should have found it: paths as in `FileState`, or nobody knows what."""

    paths: frozenset[str] = frozenset()
    everything: bool = False

    def __bool__(self) -> bool:
        return self.everything or bool(self.paths)

    def of(self, written: Iterable[str]) -> bool:
        """Whether it may have seen any of what was written there."""
        return any(self.everything or touches(seen, path) for path in written for seen in self.paths or ("",))


def needed(outcome: Outcome) -> set[str]:
    """Paths of what was there, or else the stage could not have done what it did."""
    removed = {state.path for state in outcome.files_written if not state.digest}
    return removed | {path + FOLDER for path in outcome.found}


def astray(outcome: Outcome, target: Wanted, digest: Callable[[str], str]) -> frozenset[str]:
    """Of what the stage needed, what should not have been there. `digest` is of what it should have found."""

    def there(path: str) -> bool:
        above = target.files.get(path)
        return bool(digest(path) if above is None else above.digest)

    return frozenset(path for path in needed(outcome) if not there(path))


def saw(outcome: Outcome, folder: Path, target: Wanted, digest: Callable[[str], str]) -> Saw:
    """What the attempt in this job's folder went by, and should not have."""
    if outcome.status in ("succeeded", "rejected"):
        return Saw(astray(outcome, target, digest), everything=outcome.unseen)
    looked = _looked(folder)
    expected = {path: target.files[path].digest if path in target.files else digest(path) for path in looked}
    paths = frozenset(path for path, found in looked.items() if found != expected[path])
    return Saw(paths, everything=(folder / UNSEEN).exists())


def _looked(folder: Path) -> Mapping[str, str]:
    try:
        return msgspec.json.decode((folder / LOOKED).read_bytes(), type=dict[str, str])
    except (OSError, msgspec.MsgspecError):
        return {}
