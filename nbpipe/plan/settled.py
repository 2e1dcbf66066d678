"""The outcomes that stand, and which of them has something to say: asked once per stage, never gone through for each."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator, Mapping

from nbpipe.model import Artifact, FileState, Outcome, Pipeline
from nbpipe.pipeline.contents import FOLDER, THERE, listing_digest
from nbpipe.pipeline.index import Index, index_of


class Settled(Mapping[str, Outcome]):
    """Stage -> the outcome that stands.

    Responsibilities: who gave a name; which outcomes left files, ambient state or metrics. Must not read what they left.
    """

    def __init__(self, index: Index) -> None:
        self._index = index
        self._outcomes: dict[str, Outcome] = {}
        #: Places of the stages, in notebook order, per name: those that gave it, and those seen to change or replace it.
        self._gave: dict[str, list[int]] = {}
        self._changed: dict[str, list[int]] = {}
        self._telling: list[int] = []
        self._wrote: list[int] = []

    def __getitem__(self, stage: str) -> Outcome:
        return self._outcomes[stage]

    def __iter__(self) -> Iterator[str]:
        return iter(self._outcomes)

    def __len__(self) -> int:
        return len(self._outcomes)

    def add(self, stage: str, outcome: Outcome) -> None:
        """Let an outcome stand, in the place of an earlier one of the stage."""
        if stage in self._outcomes:
            self.remove(stage)
        self._outcomes[stage] = outcome
        place = self._index.position.get(stage)
        if place is None:
            return
        for name in {**outcome.outputs, **outcome.observed}:
            insort(self._gave.setdefault(name, []), place)
        for name in outcome.observed:
            insort(self._changed.setdefault(name, []), place)
        wrote = outcome.files_written or outcome.folders
        if outcome.ambient or wrote or outcome.metrics:
            insort(self._telling, place)
        if wrote:
            insort(self._wrote, place)

    def remove(self, stage: str) -> Outcome:
        """Take an outcome back. Raises KeyError where there is none."""
        outcome = self._outcomes.pop(stage)
        place = self._index.position.get(stage)
        if place is None:
            return outcome
        for places in (*self._gave.values(), *self._changed.values(), self._telling, self._wrote):
            if place in places:
                places.remove(place)
        return outcome

    def giver(self, stage: str, name: str) -> str | None:
        """The last stage above that gives the name: it did, or it will as far as its code says."""
        seen = self._above(stage, self._gave.get(name, []))
        said = self._index.giver(stage, name)
        if not seen or (said is not None and self._index.position[said] > seen[-1]):
            return said
        return self._index.stages[seen[-1]].name

    def observers(self, stage: str, name: str) -> list[str]:
        """Stages above that were seen to change or replace what the name stands for."""
        return [self._index.stages[place].name for place in self._above(stage, self._changed.get(name, []))]

    def telling(self, stage: str) -> list[Outcome]:
        """Outcomes above with files, ambient state or metrics, in notebook order."""
        return [self._outcomes[self._index.stages[place].name] for place in self._above(stage, self._telling)]

    def writing(self, below: int) -> list[Outcome]:
        """Outcomes above that place that left files or folders, in notebook order."""
        return [
            self._outcomes[self._index.stages[place].name] for place in self._wrote[: bisect_left(self._wrote, below)]
        ]

    def wrote_below(self, place: int) -> list[str]:
        """Stages below that place that left files or folders, the last one first."""
        return [self._index.stages[each].name for each in reversed(self._wrote[bisect_right(self._wrote, place) :])]

    def _above(self, stage: str, places: list[int]) -> list[int]:
        return places[: bisect_left(places, self._index.position[stage])]


def settled(pipeline: Pipeline, committed: Mapping[str, Outcome]) -> Settled:
    """These outcomes; as they are where they were made for this pipeline."""
    if isinstance(committed, Settled):
        return committed
    found = Settled(index_of(pipeline))
    for stage, outcome in committed.items():
        found.add(stage, outcome)
    return found


def left(outcomes: Iterable[Outcome]) -> dict[str, FileState]:
    """Path -> what the last of these outcomes, in notebook order, that wrote there has left; of folders as well."""
    found: dict[str, FileState] = {}
    for outcome in outcomes:
        for path, there in outcome.folders.items():
            found[path + FOLDER] = FileState(path=path + FOLDER, digest=THERE if there else "")
        found |= {state.path: state for state in outcome.files_written}
    return found


def differs(state: FileState, digest: Callable[[str], str]) -> bool:
    """Whether a path is not as a stage left it. A folder that is to be gone may stay for what others have put into it."""
    if state.path.endswith(FOLDER) and not state.digest:
        return digest(state.path.removesuffix("./")) == listing_digest(set())
    return digest(state.path) != state.digest


def given(outcome: Outcome, name: str) -> Artifact | None:
    """What an outcome holds of a name."""
    return outcome.outputs.get(name) or outcome.observed.get(name)
