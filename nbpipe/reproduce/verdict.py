"""What came of making a run again. `docs/formats/cli-json.md` specifies the JSON."""

from __future__ import annotations

from typing import Literal

import msgspec

Grade = Literal["equal", "close", "differs"]
#: Of a whole run: `impossible` where something it needs is not there any more, or not as it was.
RunGrade = Literal["equal", "close", "differs", "impossible"]
_ORDER: tuple[Grade, ...] = ("equal", "close", "differs")


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a stage left: a value, a file, a metric, or how it ended (`status`)."""

    name: str
    kind: Literal["value", "file", "metric", "status"]
    verdict: Grade
    type: str = ""
    #: Largest absolute difference, where there are numbers to compare.
    difference: float | None = None
    #: How it differs, one line.
    detail: str = ""


class StageVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """One stage, then against now."""

    name: str
    items: tuple[Item, ...] = ()
    #: Why nothing was compared; "" if it was.
    unknown: str = ""

    @property
    def verdict(self) -> Grade:
        """The worst of its items."""
        return max((item.verdict for item in self.items), key=_ORDER.index, default="equal")

    @property
    def worst(self) -> Item | None:
        """The first item that is as bad as the stage; None if all is equal."""
        return next((item for item in self.items if item.verdict == self.verdict != "equal"), None)


class Obstacle(msgspec.Struct, frozen=True, kw_only=True):
    """Something the run needs that is not as it was."""

    #: A path, or what else it is about.
    name: str
    #: `changed since`, `is gone`, or a sentence.
    what: str

    def __str__(self) -> str:
        return f"{self.name} {self.what}"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """A run, then against now."""

    run: str
    verdict: RunGrade
    tolerance: float
    obstacles: tuple[Obstacle, ...] = ()
    stages: tuple[StageVerdict, ...] = ()
    #: Stages that the run did not end: there is nothing to compare them with.
    unfinished: tuple[str, ...] = ()
    #: What differs between the environment of then and the one it ran in now, a line each.
    environment: tuple[str, ...] = ()
    #: The environment was built anew, because the one at hand is not what it was.
    rebuilt: bool = False
    #: What probably made the first stage differ, a line each.
    causes: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def first(self) -> StageVerdict | None:
        """The first stage that differs, in notebook order."""
        return next((stage for stage in self.stages if stage.verdict == "differs"), None)


def graded(stages: tuple[StageVerdict, ...]) -> RunGrade:
    """The worst of all stages; `impossible` where there was nothing to compare."""
    if all(stage.unknown for stage in stages):
        return "impossible"
    return max((stage.verdict for stage in stages), key=_ORDER.index)
