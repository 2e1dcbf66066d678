"""What a run printed, piece by piece and by offset: for a log that is followed from far away.

An offset counts bytes of the run's log as it is told here, whole lines of the jobs' own logs one after the other. Attempts of a stage
follow each other, so that the log of one stage only grows; the logs of all stages grow beside each other, and are told
in the order in which they were seen to: that order is kept in a `Told`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from nbpipe.history.logs import LogLine, logs_of, piece_of

_PART = 1 << 16
#: Characters that are told of one output.
_LONGEST = 262_144


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a log. Ask again from `next`; `more` says that there is something there already."""

    text: str
    next: int
    more: bool


@dataclass(slots=True)
class _Segment:
    path: Path
    stage: str
    attempt: int
    #: Bytes of the file.
    start: int
    end: int


@dataclass(slots=True)
class Told:
    """In which order the logs of a run were told so far."""

    segments: list[_Segment] = field(default_factory=list)
    ends: dict[Path, int] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes that can be told."""
        return sum(segment.end - segment.start for segment in self.segments)

    def look(self, folder: Path, stage: str | None, order: list[str]) -> None:
        """Take up what was appended since the last look; `order` is that of the stages."""
        found = logs_of(folder, stage)
        places = {name: n for n, name in enumerate(order)}
        for path, name, attempt in sorted(found, key=lambda log: (places.get(log[1], len(order)), log[1], log[2])):
            start = self.ends.get(path, 0)
            end = _whole(path, start)
            if end <= start:
                continue
            self.ends[path] = end
            last = self.segments[-1] if self.segments else None
            if last is not None and last.path == path:
                last.end = end
            else:
                self.segments.append(_Segment(path, name, attempt, start, end))


def chunk(told: Told, offset: int, limit: int) -> Chunk:
    """The text at `offset`, made of at most `limit` bytes of log; at least one line, if there is one.

    Whose output it is stands above it wherever that changes: `── train`, `── train, attempt 2`.
    """
    texts: list[str] = []
    begin, at, left = 0, offset, limit
    for segment in told.segments:
        size = segment.end - segment.start
        if at < begin + size and left > 0:
            place = segment.start + at - begin
            taken, lines = _lines(segment, place, left)
            if place == segment.start and len(told.segments) > 1:
                again = f", attempt {segment.attempt}" if segment.attempt > 1 else ""
                texts.append(f"── {segment.stage}{again}\n")
            texts += [_cut(line.text) for line in lines if line.kind != "mark"]
            at, left = at + taken, left - taken
            if at < begin + size:
                break
        begin += size
    return Chunk(text="".join(texts), next=at, more=at < told.size)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}\n… {len(text) - _LONGEST} characters more\n"


def _lines(segment: _Segment, place: int, limit: int) -> tuple[int, list[LogLine]]:
    """Whole lines from this place of the file on, and how many bytes they are."""
    with segment.path.open("rb") as file:
        file.seek(place)
        data = file.read(min(limit, segment.end - place))
        whole = data.rfind(b"\n") + 1
        if not whole:  # one line that is longer
            rest = file.readline(segment.end - place - len(data))
            data, whole = data + rest, len(data) + len(rest)
    pieces = [piece_of(line, segment.stage, segment.attempt) for line in data[:whole].splitlines()]
    return whole, [piece for piece in pieces if piece is not None]


def _whole(path: Path, start: int) -> int:
    """Where the last whole line ends; `start` if there is none behind it."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, 2)
            while end > start:
                begin = max(start, end - _PART)
                file.seek(begin)
                found = file.read(end - begin).rfind(b"\n")
                if found >= 0:
                    return begin + found + 1
                end = begin
    except FileNotFoundError:
        return start
    return start
