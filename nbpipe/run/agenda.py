"""Which stages have to be looked at next. One that waits costs nothing meanwhile: a run's work grows with its stages."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Hashable, Iterator, Sequence
from heapq import heapify, heappop, heappush

from nbpipe.model import Stage


class Agenda:
    """The stages of a run, in notebook order: those that can be settled or started, and those that wait for something.

    Responsibilities: who sleeps until another stage has an outcome, who until there is room, who has one. Must not decide
    anything about a stage. A stage that the run leaves out may be named, and is never given.
    """

    def __init__(
        self, stages: Sequence[Stage], selected: Callable[[str], bool], like: Callable[[Stage], Hashable]
    ) -> None:
        self._stages = stages
        #: Stages that ask for the same room are alike: where there is none for one, there is none for the others.
        self._like = like
        self._place = {stage.name: n for n, stage in enumerate(stages) if selected(stage.name)}
        self._awake = set(self._place.values())
        self._asleep: dict[str, list[int]] = {}
        self._crowded: dict[Hashable, list[int]] = {}
        self._waits_for_room: dict[int, Hashable] = {}
        #: Places without an outcome, and with one.
        self._open = sorted(self._awake)
        self._standing: list[int] = []
        self._stands: set[int] = set()
        #: Of the look that goes on: what is still to come, all that was, and where it is.
        self._coming: list[int] = []
        self._queued: set[int] = set()
        self._here = -1

    def look(self, settled: int, also: Sequence[int], room: Callable[[Stage], bool]) -> Iterator[Stage]:
        """Stages that there may be something to do for, in notebook order.

        Those with an outcome are given from place `settled` on, and at the places `also`. What a look changes is seen by it
        as far as it lies below.
        """
        self._here = -1
        places = {
            *self._awake,
            *self._standing[bisect_left(self._standing, settled) :],
            *self._stands.intersection(also),
        }
        places |= {waiting[0] for waiting in self._crowded.values() if waiting and room(self._stages[waiting[0]])}
        self._coming, self._queued = [*places], places
        heapify(self._coming)
        while self._coming:
            place = self._here = heappop(self._coming)
            like = self._waits_for_room.get(place)
            if like is not None:
                if not room(self._stages[place]):
                    continue
                # It may leave the room to others: what it asks for is being computed, or it has a result already.
                self._leave(place)
                self._awake.add(place)
            yield self._stages[place]
            waiting = self._crowded.get(like)
            if waiting and room(self._stages[waiting[0]]):
                self._queue(waiting[0])

    def _queue(self, place: int) -> None:
        if place > self._here and place not in self._queued:
            self._queued.add(place)
            heappush(self._coming, place)

    def sleep(self, stage: str, awaited: str) -> None:
        """Leave it out until the awaited stage has an outcome."""
        place = self._place[stage]
        self._leave(place)
        self._asleep.setdefault(awaited, []).append(place)

    def crowd(self, stage: str) -> None:
        """Leave it out until there is room for it."""
        place = self._place[stage]
        if place not in self._waits_for_room:
            self._leave(place)
            self._waits_for_room[place] = self._like(self._stages[place])
            insort(self._crowded.setdefault(self._waits_for_room[place], []), place)

    def start(self, stage: str) -> None:
        """It has a job: leave it out until `back` or `stand`."""
        self._leave(self._place[stage])

    def back(self, stage: str) -> None:
        """It has neither a job nor an outcome any more."""
        place = self._place.get(stage)
        if place is None:
            return
        self._awake.add(place)
        if place in self._stands:
            self._stands.remove(place)
            _drop(self._standing, place)
            insort(self._open, place)

    def stand(self, stage: str) -> None:
        """It has an outcome. Those that waited for it are looked at again, and those below it that have one."""
        place = self._place.get(stage)
        if place is not None:
            self._leave(place)
            if place not in self._stands:
                self._stands.add(place)
                _drop(self._open, place)
                insort(self._standing, place)
            for below in self._standing[bisect_right(self._standing, place) :]:
                self._queue(below)
        for waiting in self._asleep.pop(stage, []):
            if waiting not in self._stands:
                self._awake.add(waiting)
                self._queue(waiting)

    def above(self, stage: str) -> set[str]:
        """Stages above it without an outcome."""
        return {self._stages[place].name for place in self._open[: bisect_left(self._open, self._place[stage])]}

    def _leave(self, place: int) -> None:
        self._awake.discard(place)
        if place in self._waits_for_room:
            _drop(self._crowded[self._waits_for_room.pop(place)], place)


def _drop(places: list[int], place: int) -> None:
    """Take a place out of a sorted list."""
    del places[bisect_left(places, place)]
