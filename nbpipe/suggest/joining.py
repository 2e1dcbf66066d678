"""Fewer segments, until the notebook extracts: what an error is about joins its neighbours."""

from __future__ import annotations

import msgspec

from nbpipe.errors import PipelineError
from nbpipe.suggest.segments import Segment


class Joining:
    """The segments of a notebook while they are tried.

    The segment that an error is about joins the one above it; where that does not help, everything below it instead
    (it does something that later stages would not see); where that does not help either, both. An error without a place
    makes one segment of all. There are never more segments than before, and each error in a new place costs one.
    """

    def __init__(self, segments: list[Segment]) -> None:
        self.segments = segments
        self._before = segments
        self._place: tuple[int | None, int | None] | None = None
        self._times = 0

    def join(self, error: PipelineError) -> None:
        """Take in why the segments cannot be stages. Must not be called once there is only one."""
        place = (error.cell, error.line)
        self._times = self._times + 1 if place == self._place else 0
        self._place = place
        below = self._times == 1 and self._at(error, self._before) < len(self._before) - 1
        start = self._before if below else self.segments
        at = self._at(error, start)
        self._before = self.segments
        if at < 0:
            self.segments = _joined(start, 0, len(start))
        elif below:
            self.segments = _joined(start, at, len(start))
        else:
            first = max(at - 1, 0)
            self.segments = _joined(start, first, len(start) if self._times else first + 2)

    @staticmethod
    def _at(error: PipelineError, segments: list[Segment]) -> int:
        """Position of the segment that the error is about; -1 if it names none."""
        return next((i for i, part in enumerate(segments) if error.cell is not None and error.cell in part.cells), -1)


def _joined(segments: list[Segment], first: int, last: int) -> list[Segment]:
    cells = tuple(number for part in segments[first:last] for number in part.cells)
    return [*segments[:first], msgspec.structs.replace(segments[first], cells=cells), *segments[last:]]
