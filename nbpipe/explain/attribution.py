"""What came of an explanation: the parts that a metric's movement falls into. Frozen values, in `docs/formats/cli-json.md`."""

from __future__ import annotations

from typing import Literal

from nbpipe.explain.differences import Difference
from nbpipe.model import Value


class Part(Value, frozen=True, kw_only=True):
    """One difference, or several that could not be told apart, and what it did to the metric."""

    differences: tuple[Difference, ...]
    #: measured; no-effect: known without running; unmeasured: there was no time.
    status: Literal["measured", "no-effect", "unmeasured"]
    #: What it adds to the metric; 0 where it is not known.
    contribution: float = 0.0
    #: The metric after it; None where it was not measured.
    value: float | None = None
    #: Stages that ran to find out; the others came from the cache.
    ran: tuple[str, ...] = ()
    seconds: float = 0.0
    #: Why several are attributed together, or why it was not measured.
    reason: str = ""

    @property
    def label(self) -> str:
        """For people."""
        return " + ".join(item.label for item in self.differences)


class Attribution(Value, frozen=True, kw_only=True):
    """The movement of `metric` from the run `before` to the run `after`, in the order in which it was gone."""

    metric: str
    before: str
    after: str
    #: The metric of both runs, as recorded.
    start: float
    end: float
    parts: tuple[Part, ...]
    #: What no part explains, and what it may be.
    remainder: float
    reasons: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def movement(self) -> float:
        """What all parts and the remainder add up to."""
        return self.end - self.start

    @property
    def complete(self) -> bool:
        """Every difference was measured."""
        return all(part.status != "unmeasured" for part in self.parts)
