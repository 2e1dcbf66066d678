"""Stages below that ran ahead: what one above saw, or may have seen, of work that comes later in one kernel."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec

from nbpipe.job.folder import LOOKED, UNSEEN
from nbpipe.model import Outcome, Stage
from nbpipe.pipeline.contents import FOLDER, touches
from nbpipe.plan.resolve import Wanted

#: Shell lines and magics, and what starts a program from Python.
_PROGRAMS = re.compile(
    r"^\s*(?:[\w, ]+=\s*)?!|^\s*%{1,2}(?:bash|sh|script|sx|system|perl|ruby)\b"
    r"|\bsubprocess\b|\bos\.(?:system|popen|spawn|posix_spawn)"
    r"|get_ipython\(\)\.(?:system|getoutput)|run_cell_magic\('(?:bash|sh|script)'",
    re.MULTILINE,
)


def starts_programs(stage: Stage) -> bool:
    """Whether its code says that it starts programs, and does not say which files they use."""
    if stage.options.reads or stage.options.writes:
        return False
    return any(_PROGRAMS.search(code.body) for code in stage.cells)


class Saw(msgspec.Struct, frozen=True):
    """What an attempt went by that stages below have changed: paths as in `FileState`, or nobody knows what."""

    paths: frozenset[str] = frozenset()
    everything: bool = False

    def __bool__(self) -> bool:
        return self.everything or bool(self.paths)

    def of(self, written: Iterable[str]) -> bool:
        """Whether it may have seen any of what was written there."""
        return any(self.everything or any(touches(seen, path) for seen in self.paths) for path in written)


def needed(outcome: Outcome) -> set[str]:
    """Paths of what was there, or else the stage could not have done what it did."""
    removed = {state.path for state in outcome.files_written if not state.digest}
    return removed | {path + FOLDER for path in outcome.found}


def astray(outcome: Outcome, target: Wanted, digest: Callable[[str], str]) -> frozenset[str]:
    """Of what the stage needed, what should not have been there. `digest` is of what it should have found."""
    return frozenset(path for path in needed(outcome) if not due(target, path, digest))


def due(target: Wanted, path: str, digest: Callable[[str], str]) -> str:
    """Digest of what a stage should have found there: what one above it has left, else what `digest` says."""
    return target.files[path].digest if path in target.files else digest(path)


def touched(outcome: Outcome) -> bool:
    """Whether files may matter to it at all; of a failure, nobody has told by now."""
    return outcome.status == "failed" or bool(
        outcome.files_read or outcome.files_written or outcome.found or outcome.unseen
    )


def used(outcome: Outcome, folder: Path, wrote: Iterable[str], digest: Callable[[str], str]) -> tuple[set[str], bool]:
    """Paths that the attempt in this job's folder went by, and whether there may be others. `wrote` are those it wrote.

    Folders only as far as they are not as `digest` says that they should have been: that others write into them is no matter.
    """
    looked: Mapping[str, str] = {state.path: state.digest for state in outcome.files_read}
    unseen = outcome.unseen
    if outcome.status == "failed":
        looked, unseen = _looked(folder), (folder / UNSEEN).exists()
    folders = {path for path, found in looked.items() if path.endswith(FOLDER) and digest(path) != found}
    return {*wrote, *folders, *(path for path in looked if not path.endswith(FOLDER))}, unseen


def clash(used: set[str], changed: Iterable[str]) -> set[str]:
    """Paths of those used that a change of others touches."""
    listed = [path for path in used if path.endswith("/") and not path.endswith(FOLDER)]
    return {seen for path in changed for seen in (path, *listed) if seen in used and touches(seen, path)}


def _looked(folder: Path) -> Mapping[str, str]:
    try:
        return msgspec.json.decode((folder / LOOKED).read_bytes(), type=dict[str, str])
    except (OSError, msgspec.MsgspecError):
        return {}
