"""What may be asked: the fields of each question, which come from the query of a GET or the body of a POST."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import msgspec

from nbpipe.history.diff import PARTS, Part
from nbpipe.history.summary import Kind, Status
from nbpipe.server.refusals import Refused

#: Most names and values of one list in a question.
_MANY = 200


class Nothing(msgspec.Struct, frozen=True):
    """A question without fields."""


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What every question says that is about a notebook or its project."""

    #: "" is the lab's own folder.
    path: str = ""


class Draft(About, frozen=True, kw_only=True):
    """`content`: the notebook as it stands in the editor, nbformat's JSON; without it the saved file is read."""

    content: msgspec.Raw = msgspec.Raw(b"")


class WhatToRun(About, frozen=True, kw_only=True, rename={"from_": "from"}):
    """A run, started or not: as the options of `nbpipe run` and `nbpipe plan`."""

    params: dict[str, Any] = {}
    params_from: str | None = None
    profile: str | None = None
    only: str | list[str] | None = None
    from_: str | None = None
    until: str | None = None
    fresh: bool = False
    seed: int = 0


class PlanQuestion(WhatToRun, frozen=True, kw_only=True):
    """What would a run do? `content` as in a draft."""

    content: msgspec.Raw = msgspec.Raw(b"")


class StartQuestion(WhatToRun, frozen=True, kw_only=True, rename={"from_": "from", "continue_": "continue"}):
    """Start a run. `content` as in a draft: the saved notebook has to have the same cells.

    `continue`: stages go on at the cell that failed, where their target has kept the kernel.
    """

    content: msgspec.Raw = msgspec.Raw(b"")
    on: str | None = None
    jobs: int | None = None
    continue_: bool = False


class RunsQuestion(About, frozen=True, kw_only=True):
    """Which runs? `path` of a notebook: its own; of a folder: those of the project."""

    text: str = ""
    status: list[Status] = []
    kind: list[Kind] = msgspec.field(default_factory=lambda: ["run"])
    where: list[str] = []
    sort: str = ""
    descending: bool = True
    offset: int = 0
    limit: int = 50


class RowsQuestion(About, frozen=True, kw_only=True):
    """These runs."""

    run: list[str] = []


class CurvesQuestion(RowsQuestion, frozen=True, kw_only=True):
    """The points of a metric of these runs."""

    metric: str


class DiffQuestion(About, frozen=True, kw_only=True):
    """What changed from A to B? `now` is the notebook as it is saved."""

    a: str
    b: str
    part: list[Part] = []
    everything: bool = False

    @property
    def parts(self) -> tuple[Part, ...]:
        """All, where none is named."""
        return tuple(self.part) or PARTS


class StopQuestion(About, frozen=True, kw_only=True):
    """`force` kills the stages that run instead of asking them."""

    force: bool = False


class ReleaseQuestion(About, frozen=True, kw_only=True):
    """End the kernel that this stage has left at its target."""

    stage: str


class LogQuestion(About, frozen=True, kw_only=True):
    """What was printed, from `offset` on; `limit` bounds what is read for one answer, in bytes."""

    stage: str | None = None
    offset: int = 0
    limit: int = 65_536


class CheckoutQuestion(About, frozen=True, kw_only=True):
    """`to`: the new file; beside the notebook by default. `executed`: with the outputs of the run."""

    to: str | None = None
    executed: bool = False


class PromoteQuestion(About, frozen=True, kw_only=True, rename={"alias": "as"}):
    """As `nbpipe promote`."""

    alias: str = "champion"
    stage: str | None = None
    why: str = ""


class TagQuestion(About, frozen=True, kw_only=True):
    """Tags to set; null takes one away."""

    tags: dict[str, str | None]


class ExportQuestion(Draft, frozen=True, kw_only=True):
    """Write the pipeline for a scheduler: as the options of `nbpipe export`. `out` is a folder of the lab."""

    to: str
    params: dict[str, Any] = {}
    profile: str | None = None
    schedule: str | None = None
    image: str | None = None
    store: str | None = None
    #: Paths from the notebook's folder, and names that the scheduler knows: what starts a run when it changes.
    trigger_files: Annotated[list[str], msgspec.Meta(max_length=_MANY)] = []
    trigger_datasets: Annotated[list[str], msgspec.Meta(max_length=_MANY)] = []
    #: Parameter that gets the date of each run; "" for none.
    logical_date: str = ""
    #: Each run is a full rebuild.
    fresh: bool = False
    out: str | None = None
    force: bool = False


def from_body(kind: type[msgspec.Struct], body: bytes) -> Any:
    """The question in a body of JSON. Raises Refused."""
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise _not_understood(error) from None


def from_query(kind: type[msgspec.Struct], values_of: Callable[[str], list[str]]) -> Any:
    """The question in a query; `values_of` gives all values of a name. Raises Refused."""
    found: dict[str, object] = {}
    for field in msgspec.structs.fields(kind):
        values = values_of(field.encode_name)
        if values:
            found[field.encode_name] = values[:_MANY] if _is_list(field) else values[-1]
    try:
        return msgspec.convert(found, kind, strict=False)
    except (msgspec.ValidationError, ValueError) as error:
        raise _not_understood(error) from None


def _is_list(field: msgspec.structs.FieldInfo) -> bool:
    return getattr(field.type, "__origin__", None) is list


def _not_understood(error: Exception) -> Refused:
    return Refused(400, "usage", f"the question is not understood: {str(error)[:300]}", fix="See docs/formats/rest.md.")
