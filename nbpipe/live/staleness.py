"""Which stages' variables are stale in a live kernel, and why. Pure: it compares a notebook with a record of what ran.

A stage is fresh when its variables are what the pipeline, run from top to bottom, would give now, as far as can be
told from code, order and small values. What cannot be told is said: such a stage is `unknown`, never `fresh`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import msgspec

from nbpipe.live.compare import same, shown
from nbpipe.live.evidence import Evidence, defined_in
from nbpipe.pipeline.code import fingerprint
from nbpipe.pipeline.modules import reach

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nbpipe.live.executions import Execution
    from nbpipe.live.facts import Fact
    from nbpipe.model import Pipeline, Snippet, Stage

State = Literal["fresh", "stale", "not run", "running", "failed", "unknown"]
Kind = Literal[
    "code", "params", "input", "output", "order", "definition", "module", "setup", "deleted", "upstream", "unknown"
]
_SINGLE = ("function", "class", "constant", "import", "param")


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """Why a stage is not fresh, in a sentence."""

    kind: Kind
    text: str
    #: The variable, parameter, module or stage it is about.
    name: str = ""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """The kernel at this moment."""

    #: What the names that stages read stand for.
    facts: Mapping[str, Fact] = field(default_factory=dict)
    #: Local modules as they are loaded: name -> digest of the source.
    modules: Mapping[str, str] = field(default_factory=dict)
    #: Cells ran of which nothing is remembered.
    forgotten: bool = False


def judge(pipeline: Pipeline, executions: Sequence[Execution], now: Now) -> tuple[StageStatus, ...]:
    """The state of each stage, in notebook order."""
    running = {cell.name for cell in executions if cell.ok is None and cell.role in ("stage", "check")}
    evidence = Evidence(pipeline, executions, _renamed(pipeline, executions))
    found: dict[str, StageStatus] = {}
    for stage in pipeline.stages:
        found[stage.name] = _Judge(pipeline, stage, evidence, now, found).verdict(running=stage.name in running)
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


class _Judge:
    """One stage. Each method yields the reasons of one kind."""

    def __init__(
        self, pipeline: Pipeline, stage: Stage, evidence: Evidence, now: Now, above: Mapping[str, StageStatus]
    ) -> None:
        self.pipeline, self.stage, self.evidence, self.now, self.above = pipeline, stage, evidence, now, above
        self.ran = evidence.runs(stage.name)
        prints = {fingerprint(code.body) for code in stage.cells}
        #: The execution that each cell's variables are from.
        matched = {cell.code: cell for cell in self.ran if cell.code in prints}
        self.by_cell = [matched.get(fingerprint(code.body)) for code in stage.cells]
        counted = [cell for cell in self.by_cell if cell is not None] or self.ran[-1:]
        if len(stage.cells) == 1:
            counted = self.ran[-1:]
        self.counted = counted
        self.first = min((cell.order for cell in counted), default=0)
        self.last = max((cell.order for cell in counted), default=0)

    def verdict(self, *, running: bool) -> StageStatus:
        """State and reasons."""
        latest = self.ran[-1] if self.ran else None
        reasons: list[Reason] = []
        state: State
        if running:
            state = "running"
        elif latest is None:
            state = "unknown" if self.now.forgotten else "not run"
            reasons += [_unknown("it may have run so long ago that it is no longer remembered")] * self.now.forgotten
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

    def _code(self) -> Iterator[Reason]:
        if len(self.stage.cells) == 1:
            if self.by_cell[0] is None or self.ran[-1] is not self.by_cell[0]:
                yield _reason("code", f"cell {self.stage.cells[0].cell} was edited after it ran")
            return
        for code, cell in zip(self.stage.cells, self.by_cell, strict=True):
            if cell is None:
                yield _reason("code", f"cell {code.cell} was edited after it ran, or has not run")
        orders = [cell.order for cell in self.by_cell if cell is not None]
        if orders != sorted(orders):
            yield _reason("order", "its cells ran in another order than they stand")
        if any(cell.order > self.first and cell not in self.by_cell for cell in self.ran):
            yield _reason("code", "a cell of it ran that has since been edited or taken away")

    def _setup(self) -> Iterator[Reason]:
        ran = [cell for cell in self.evidence.cells if cell.role == "setup" and cell.order < self.first]
        known = {cell.code for cell in ran}
        for code in self.pipeline.setup:
            if fingerprint(code.body) not in known:
                what = "was edited after it ran" if ran else "had not run before it"
                yield _reason("setup", f"the %%setup cell {code.cell} {what}")

    def _params(self) -> Iterator[Reason]:
        for name in self.stage.flow.params:
            then = self._fact(name)
            now = self.now.facts.get(name)
            if then is None or now is None:
                yield _unknown(f"with which value of the parameter '{name}' it ran is not known", name)
                continue
            equal = same(then, now)
            if equal is None:
                yield _unknown(f"whether the parameter '{name}' changed since cannot be told", name)
            elif not equal:
                yield _reason("params", f"'{name}' is {shown(now)} now, it ran with {shown(then)}", name)

    def _definitions(self) -> Iterator[Reason]:
        wanted = set(self.stage.flow.definitions)
        for item in self.pipeline.snippets:
            if item.id not in wanted or item.kind not in _SINGLE or item.stage == self.stage.name:
                continue
            for name in item.names:
                written = defined_in(item.source).get(name)
                if written is not None:
                    yield from self._declared(item, name, written)
                    yield from self._defined(item, name, written)

    def _declared(self, item: Snippet, name: str, written: str) -> Iterator[Reason]:
        """The params cell as it stands gives another value than the one that ran; the value itself is compared elsewhere."""
        if item.kind != "param":
            return
        ran = [cell for cell in self.evidence.cells if cell.role == "params" and cell.ok]
        found = [then for cell in ran if (then := defined_in(cell.body).get(name)) is not None]
        if not found or found[-1] != written:
            what = "was edited and has not run since" if found else "has not run"
            yield _reason("params", f"the %%params cell {item.cell}, which gives '{name}', {what}", name)

    def _defined(self, item: Snippet, name: str, written: str) -> Iterator[Reason]:
        """The definition that it used is not the one in the notebook, or no longer the one in the kernel."""
        if item.kind == "param":
            return
        giver = item.stage or f"cell {item.cell}"
        cell = self._definer(name, [cell for cell in self.evidence.cells if cell.order < self.first])
        if cell is None:
            if item.stage is not None:
                yield _reason("order", f"'{giver}', which gives '{name}', had not run before it", giver)
            elif item.kind != "import":
                yield _unknown(f"where '{name}' came from is not known: cell {item.cell} had not run", name)
            return
        then = defined_in(cell.body)[name]
        stage = self.evidence.stage_of(cell)
        if then != written and stage == item.stage:
            yield _reason("definition", f"'{name}' in cell {item.cell} was edited after it ran", name)
        elif then != written:
            yield self._misplaced(name, giver, stage, self.evidence.told(cell))
        elif not cell.ok and stage is not None:
            yield _reason("order", f"'{giver}', which gives '{name}', had failed before it", giver)
        place = self.evidence.names.index(self.stage.name)
        below = self.evidence.names[place:]
        later = [cell for cell in self.evidence.cells if cell.order > self.last]
        found = self._definer(name, [cell for cell in later if self.evidence.stage_of(cell) not in below])
        if found is not None and defined_in(found.body)[name] != then:
            yield _reason("definition", f"'{name}' was defined anew since", name)

    @staticmethod
    def _definer(name: str, cells: Sequence[Execution]) -> Execution | None:
        """The last of the cells that has a statement which binds the name."""
        return next((cell for cell in reversed(cells) if name in defined_in(cell.body)), None)

    def _modules(self) -> Iterator[Reason]:
        for name in reach(self.pipeline, self.stage):
            path, written = self.pipeline.modules[name]
            loaded = self.now.modules.get(name)
            then = self.counted[0].modules.get(name) if self.counted else None
            if loaded is not None and loaded != written:
                yield _reason("module", f"{path} was edited, and the kernel still has the old one: reload it", name)
            elif loaded is not None and then is not None and loaded != then:
                yield _reason("module", f"{path} was loaded anew since, with other code", name)
            elif loaded is None or then is None:
                yield _unknown(f"which version of {path} it ran with is not known", name)

    def _inputs(self) -> Iterator[Reason]:
        for name, giver in self.stage.flow.inputs.items():
            yield from self._came_from(name, giver)
            yield from self._changed_since(name, giver)

    def _came_from(self, name: str, giver: str) -> Iterator[Reason]:
        """The value that it read was not the one that the notebook gives."""
        for cell in reversed([cell for cell in self.evidence.cells if cell.order < self.first]):
            stage, told = self.evidence.stage_of(cell), self.evidence.told(cell)
            binds = self.evidence.binds(cell, name)
            if stage == giver:
                if binds or self.evidence.may_change(cell, name):
                    if not cell.ok:
                        yield _reason("order", f"'{giver}', which gives '{name}', had failed before it", giver)
                    return
            elif binds:
                yield self._misplaced(name, giver, stage, told)
                return
            elif self.evidence.may_change(cell, name):
                yield _unknown(f"{told} may have changed '{name}' before it ran", name)
        if self.now.forgotten:
            yield _unknown(f"where '{name}' came from is no longer remembered", name)
        else:
            yield _reason("order", f"'{giver}', which gives '{name}', had not run before it", giver)

    def _misplaced(self, name: str, giver: str, stage: str | None, told: str) -> Reason:
        names = self.evidence.names
        if stage == self.stage.name:
            return _reason("order", f"it binds '{name}' anew and ran again, without '{giver}' before it", name)
        if stage is not None and stage not in names:
            return _reason("deleted", f"'{name}' came from {told}, which is no longer in the notebook", name)
        below = stage is not None and names.index(stage) > names.index(self.stage.name)
        where = ", which stands below," if below else ""
        return _reason("order", f"{told}{where} had bound '{name}' before it ran, after '{giver}'", name)

    def _changed_since(self, name: str, giver: str) -> Iterator[Reason]:
        """The value has been replaced since it was read."""
        then, now = self._fact(name), self.now.facts.get(name)
        equal = same(then, now) if then is not None and now is not None else None
        if equal and then is not None and then.digestible:
            return
        explained = False
        for cell in self.evidence.cells:
            if cell.order <= self.first:
                continue
            stage = self.evidence.stage_of(cell)
            if stage == giver and cell not in self.counted:
                yield _reason("input", f"'{giver}', which gives '{name}', ran after it", giver)
                return
            if stage is None and self.evidence.binds(cell, name):
                yield _reason("input", f"{self.evidence.told(cell)} has bound '{name}' since", name)
                return
            explained |= self.evidence.binds(cell, name) or self.evidence.may_change(cell, name)
        own = name in self.stage.flow.writes
        if then is not None and equal is False and not explained and not own:
            yield _reason("input", f"'{name}' is another value now than the one it read", name)

    def _outputs(self) -> Iterator[Reason]:
        names = self.evidence.names
        place = names.index(self.stage.name)
        for name in self.stage.flow.outputs:
            for cell in self.evidence.cells:
                stage = self.evidence.stage_of(cell)
                above = stage is None or (stage in names and names.index(stage) < place)
                if cell.order > self.last and above and self.evidence.binds(cell, name):
                    yield _reason("output", f"{self.evidence.told(cell)} has bound '{name}' since", name)
                    break

    def _upstream(self) -> Iterator[Reason]:
        for edge in self.pipeline.edges:
            if edge.target != self.stage.name or edge.kind == "after" or edge.source not in self.above:
                continue
            giver = self.above[edge.source]
            if giver.state == "stale":
                yield _reason("upstream", f"'{edge.source}' above it is stale", edge.source)
            elif giver.state == "unknown":
                yield _unknown(f"whether '{edge.source}' above it is fresh is not known", edge.source)
            elif edge.kind != "data" and any(cell.order > self.first for cell in self.evidence.runs(edge.source)):
                yield _reason(
                    "input", f"'{edge.source}', which gives {', '.join(edge.names)}, ran after it", edge.source
                )
            elif edge.kind != "data" and giver.state in ("not run", "failed"):
                yield _reason("upstream", f"'{edge.source}' above it has {_lacks(giver.state)}", edge.source)

    def _dynamic(self) -> Iterator[Reason]:
        if self.stage.flow.dynamic:
            yield _unknown("it uses exec, globals() or the like: what it reads cannot be told")

    def _fact(self, name: str) -> Fact | None:
        found = (cell.facts[name] for cell in sorted(self.counted, key=lambda cell: cell.order) if name in cell.facts)
        return next(found, None)

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


def _reason(kind: Kind, text: str, name: str = "") -> Reason:
    return Reason(kind=kind, text=text, name=name)


def _unknown(text: str, name: str = "") -> Reason:
    return Reason(kind="unknown", text=text, name=name)
