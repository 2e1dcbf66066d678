"""What the journal of a run says: its state, and that of each stage. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from nbpipe.model import Event, Failure

RunStatus = Literal["running", "succeeded", "failed", "rejected", "cancelled", "interrupted"]
StageStatus = Literal[
    "waiting", "running", "cached", "succeeded", "failed", "rejected", "timeout", "lost", "cancelled", "skipped"
]


class StageState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One stage of a run. Times are seconds since the epoch, durations seconds."""

    name: str
    status: StageStatus = "waiting"
    kind: str = "stage"
    attempt: int = 0
    started: float = 0.0
    seconds: float = 0.0
    expected: float | None = None
    reasons: tuple[str, ...] = ()
    #: Run whose result was reused.
    source: str = ""
    #: Id under which the store has the result, where a process of a scheduler has made it; it has no job folder here.
    made: str = ""
    #: Target that it runs or ran on; "" for this machine, and for a result that was reused.
    on: str = ""
    metrics: dict[str, float] = {}
    failure: Failure | None = None
    #: Stages that went on in the kernel of a failed attempt, of those that its result rests on and itself.
    continued: tuple[str, ...] = ()


class RunState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A run as its journal tells it."""

    id: str = ""
    notebook: str = ""
    name: str = ""
    version: str = ""
    number: int = 0
    status: RunStatus = "running"
    started: float = 0.0
    ended: float = 0.0
    #: Every parameter's value; those the params cell computes only where they are `given`.
    params: dict[str, Any] = {}
    #: Names of the parameters that this run was given.
    given: tuple[str, ...] = ()
    #: In notebook order.
    stages: tuple[StageState, ...] = ()
    warnings: tuple[str, ...] = ()
    failure: Failure | None = None

    @property
    def seconds(self) -> float:
        """Duration; 0 while it runs."""
        return max(self.ended - self.started, 0.0) if self.ended else 0.0

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics of all stages, the latest per name."""
        return {name: value for stage in self.stages for name, value in stage.metrics.items()}


def replay(events: Iterable[Event]) -> RunState:
    """The state after these events."""
    return SoFar(events).state


class SoFar:
    """The state event by event. One of a stage costs the same among ten stages and among ten thousand."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self._state = RunState()
        self._stages: dict[str, StageState] = {}
        self._whole = True
        for event in events:
            self.add(event)

    @property
    def state(self) -> RunState:
        """The state after all events."""
        if not self._whole:
            self._state = msgspec.structs.replace(self._state, stages=tuple(self._stages.values()))
            self._whole = True
        return self._state

    def stage(self, name: str) -> StageState | None:
        """One stage; None if there is none of that name."""
        return self._stages.get(name)

    def add(self, event: Event) -> None:
        """Take in the next event. Unknown kinds change nothing: newer versions may add some."""
        stage = self._stages.get(event.stage)
        if not event.kind.startswith("stage-"):
            self._state = _advance(self.state, event)
            self._stages = {each.name: each for each in self._state.stages}
        elif stage is not None:
            self._stages[event.stage] = _stage(stage, event)
            self._whole = False


def _advance(state: RunState, event: Event) -> RunState:
    """The state after an event that is not of one stage."""
    data = event.data
    if event.kind == "run-started":
        known: dict[str, Any] = {
            k: data[k] for k in ("id", "notebook", "name", "version", "number", "params") if k in data
        }
        known["given"] = tuple(data.get("given", known.get("params", ())))
        stages = tuple(StageState(name=s["name"], kind=s.get("kind", "stage")) for s in data.get("stages", ()))
        return msgspec.structs.replace(state, **known, stages=stages, started=data.get("began", event.time))
    if event.kind == "stages":
        old = {stage.name: stage for stage in state.stages}
        stages = tuple(
            old.get(s["name"]) or StageState(name=s["name"], kind=s.get("kind", "stage")) for s in data["stages"]
        )
        return msgspec.structs.replace(
            state, stages=stages, version=data.get("version", state.version), number=data.get("number", state.number)
        )
    if event.kind == "warning":
        return msgspec.structs.replace(state, warnings=(*state.warnings, data["text"]))
    if event.kind == "run-finished":
        failure = msgspec.convert(data["failure"], Failure) if data.get("failure") else None
        return msgspec.structs.replace(state, status=data["status"], ended=event.time, failure=failure)
    return state


def _stage(stage: StageState, event: Event) -> StageState:
    data: dict[str, Any] = event.data
    change: dict[str, Any] = {}
    if event.kind == "stage-started":
        change = {"status": "running", "attempt": event.attempt, "started": event.time, "failure": None}
        change |= {
            "reasons": tuple(data.get("reasons", ())),
            "expected": data.get("expected"),
            "on": data.get("on", ""),
            "metrics": {},
            "source": "",
            "made": "",
        }
    elif event.kind == "stage-cached":
        change = {"status": "cached", "source": data.get("source", ""), "metrics": _metrics(data), "on": ""}
        change |= {"seconds": 0.0, "failure": None}
    elif event.kind == "stage-succeeded":
        change = {"status": "succeeded", "seconds": data.get("seconds", 0.0), "metrics": _metrics(data)}
        change |= {"continued": tuple(data.get("continued", ())), "made": data.get("made", "")}
    elif event.kind == "stage-ended":
        failure = msgspec.convert(data["failure"], Failure) if data.get("failure") else None
        change = {"status": data["status"], "seconds": data.get("seconds", 0.0), "failure": failure}
        change |= {"metrics": _metrics(data)}
    elif event.kind in {"stage-superseded", "stage-retry", "stage-waiting"}:
        change = {"status": "waiting", "reasons": tuple(data.get("reasons", ()))}
    elif event.kind == "stage-skipped":
        change = {"status": "skipped"}
    return msgspec.structs.replace(stage, **change)


def _metrics(data: dict[str, Any]) -> dict[str, float]:
    """Its metrics; what is no number is somebody else's mistake, and left out."""
    found = data.get("metrics", {})
    items = found.items() if isinstance(found, dict) else ()
    return {name: value for name, value in items if isinstance(value, (int, float)) and not isinstance(value, bool)}
