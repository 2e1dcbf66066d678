"""Which stages' variables are stale in a live kernel, and why. Pure: it compares a notebook with a record of what ran.

A stage is fresh when its variables are what the pipeline, run from top to bottom, would give now, as far as can be
told from code, order and small values. What cannot be told is said: such a stage is `unknown`, never `fresh`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from nbpipe.live.evidence import Evidence
from nbpipe.live.origins import Origins
from nbpipe.live.reasons import Now, Reason, reason, unknown
from nbpipe.pipeline.code import fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nbpipe.live.executions import Execution
    from nbpipe.model import Pipeline

State = Literal["fresh", "stale", "not run", "running", "failed", "unknown"]


class StageStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One stage of the notebook, as this kernel has it."""

    stage: str
    kind: Literal["stage", "check"]
    state: State
    reasons: tuple[Reason, ...] = ()
    #: Stages to run, in notebook order, to make it fresh; empty where it is, or where that is not known.
    run: tuple[str, ...] = ()
    #: Its cells in the notebook, counted from 1.
    cells: tuple[int, ...] = ()
    #: When it ran last, seconds since the epoch, and for how long; None where it did not.
    started: float | None = None
    seconds: float | None = None


def judge(pipeline: Pipeline, executions: Sequence[Execution], now: Now) -> tuple[StageStatus, ...]:
    """The state of each stage, in notebook order."""
    running = {cell.name for cell in executions if cell.ok is None and cell.role in ("stage", "check")}
    evidence = Evidence(pipeline, executions, _renamed(pipeline, executions))
    found: dict[str, StageStatus] = {}
    for stage in pipeline.stages:
        found[stage.name] = _Judge(pipeline, stage, evidence, now).verdict(found, running=stage.name in running)
    return tuple(found.values())


def _renamed(pipeline: Pipeline, executions: Sequence[Execution]) -> dict[str, str]:
    """Stages that ran under a name that is gone -> what a stage with the same code is called now."""
    now = {stage.name for stage in pipeline.stages}
    ran = {cell.name for cell in executions if cell.role in ("stage", "check")}
    gone = {cell.code: cell.name for cell in executions if cell.role in ("stage", "check") and cell.name not in now}
    found = {}
    for stage in pipeline.stages:
        old = {gone.get(fingerprint(code.body)) for code in stage.cells}
        name = old.pop() if len(old) == 1 else None
        if stage.name not in ran and name is not None:
            found[name] = stage.name
    return found


class _Judge(Origins):
    """One stage: all reasons together, and the stages above it."""

    above: Mapping[str, StageStatus]

    def verdict(self, above: Mapping[str, StageStatus], *, running: bool) -> StageStatus:
        """State and reasons; `above` are the stages above it."""
        self.above = above
        latest = self.ran[-1] if self.ran else None
        reasons: list[Reason] = []
        state: State
        if running:
            state = "running"
        elif latest is None:
            state = "unknown" if self.now.forgotten else "not run"
            reasons += [unknown("it may have run so long ago that it is no longer remembered")] * self.now.forgotten
        elif not all(cell.ok for cell in (*self.counted, latest)) and not any(c.may_raise for c in self.stage.cells):
            state = "failed"
        else:
            checks = (self._code, self._setup, self._params, self._definitions, self._modules, self._inputs)
            rest = (self._outputs, self._upstream, self._dynamic)
            reasons = list(dict.fromkeys(reason for check in (*checks, *rest) for reason in check()))
            certain = [reason for reason in reasons if reason.kind != "unknown"]
            if any(reason.kind == "code" for reason in certain):
                # What other code read is beside the point.
                reasons = certain
            state = "stale" if certain else "unknown" if reasons else "fresh"
        return StageStatus(
            stage=self.stage.name,
            kind=self.stage.kind,
            state=state,
            reasons=tuple(reasons),
            run=self._to_run(state),
            cells=tuple(code.cell for code in self.stage.cells),
            started=latest.started if latest is not None else None,
            seconds=latest.seconds if latest is not None else None,
        )

    def _upstream(self) -> Iterator[Reason]:
        for edge in self.pipeline.edges:
            if edge.target != self.stage.name or edge.kind == "after" or edge.source not in self.above:
                continue
            giver = self.above[edge.source]
            if giver.state == "stale":
                yield reason("upstream", f"'{edge.source}' above it is stale", edge.source)
            elif giver.state == "unknown":
                yield unknown(f"whether '{edge.source}' above it is fresh is not known", edge.source)
            elif edge.kind != "data" and any(cell.order > self.first for cell in self.evidence.runs(edge.source)):
                yield reason(
                    "input", f"'{edge.source}', which gives {', '.join(edge.names)}, ran after it", edge.source
                )
            elif edge.kind != "data" and giver.state in ("not run", "failed"):
                yield reason("upstream", f"'{edge.source}' above it has {_lacks(giver.state)}", edge.source)

    def _dynamic(self) -> Iterator[Reason]:
        if self.stage.flow.dynamic:
            yield unknown("it uses exec, globals() or the like: what it reads cannot be told")

    def _to_run(self, state: State) -> tuple[str, ...]:
        if state in ("fresh", "unknown", "running"):
            return ()
        wanted = {self.stage.name}
        for edge in self.pipeline.edges:
            if edge.target == self.stage.name and edge.source in self.above and edge.kind != "after":
                wanted |= set(self.above[edge.source].run)
        wanted |= {name for name in (*self._forced(),) if name in self.above}
        return tuple(name for name in self.evidence.names if name in wanted)

    def _forced(self) -> Iterator[str]:
        """Stages that have to run again because what they gave is no longer there."""
        for name, giver in self.stage.flow.inputs.items():
            for cell in reversed(self.evidence.cells):
                if self.evidence.stage_of(cell) == giver:
                    break
                if self.evidence.binds(cell, name):
                    yield giver
                    break


def _lacks(state: str) -> str:
    return "not run" if state == "not run" else "failed"
