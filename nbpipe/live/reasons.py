"""Why one stage may be stale: its own code, setup, parameters, definitions and helper modules. Pure."""

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

Kind = Literal[
    "code", "params", "input", "output", "order", "definition", "module", "setup", "deleted", "upstream", "unknown"
]
#: Definitions that are one statement.
_SINGLE = ("function", "class", "constant", "import", "param")


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """Why a stage is not fresh, in a sentence."""

    kind: Kind
    text: str
    #: The variable, parameter, module or stage it is about.
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """The kernel at this moment."""

    #: What the names that stages read stand for.
    facts: Mapping[str, Fact] = field(default_factory=dict)
    #: Local modules as they are loaded: name -> digest of the source.
    modules: Mapping[str, str] = field(default_factory=dict)
    #: Cells ran of which nothing is remembered.
    forgotten: bool = False


class Reasons:
    """One stage, compared with what ran. Each method yields the reasons of one kind."""

    def __init__(self, pipeline: Pipeline, stage: Stage, evidence: Evidence, now: Now) -> None:
        self.pipeline, self.stage, self.evidence, self.now = pipeline, stage, evidence, now
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

    def _code(self) -> Iterator[Reason]:
        if len(self.stage.cells) == 1:
            if self.by_cell[0] is None or self.ran[-1] is not self.by_cell[0]:
                yield reason("code", f"cell {self.stage.cells[0].cell} was edited after it ran")
            return
        for code, cell in zip(self.stage.cells, self.by_cell, strict=True):
            if cell is None:
                yield reason("code", f"cell {code.cell} was edited after it ran, or has not run")
        orders = [cell.order for cell in self.by_cell if cell is not None]
        if orders != sorted(orders):
            yield reason("order", "its cells ran in another order than they stand")
        if any(cell.order > self.first and cell not in self.by_cell for cell in self.ran):
            yield reason("code", "a cell of it ran that has since been edited or taken away")

    def _setup(self) -> Iterator[Reason]:
        ran = [cell for cell in self.evidence.cells if cell.role == "setup" and cell.order < self.first]
        known = {cell.code for cell in ran}
        for code in self.pipeline.setup:
            if fingerprint(code.body) not in known:
                what = "was edited after it ran" if ran else "had not run before it"
                yield reason("setup", f"the %%setup cell {code.cell} {what}")

    def _params(self) -> Iterator[Reason]:
        for name in self.stage.flow.params:
            then = self._fact(name)
            now = self.now.facts.get(name)
            if then is None or now is None:
                yield unknown(f"with which value of the parameter '{name}' it ran is not known", name)
                continue
            equal = same(then, now)
            if equal is None:
                yield unknown(f"whether the parameter '{name}' changed since cannot be told", name)
            elif not equal:
                yield reason("params", f"'{name}' is {shown(now)} now, it ran with {shown(then)}", name)

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
            yield reason("params", f"the %%params cell {item.cell}, which gives '{name}', {what}", name)

    def _defined(self, item: Snippet, name: str, written: str) -> Iterator[Reason]:
        """The definition that it used is not the one in the notebook, or no longer the one in the kernel."""
        if item.kind == "param":
            return
        giver = item.stage or f"cell {item.cell}"
        cell = self._definer(name, [cell for cell in self.evidence.cells if cell.order < self.first])
        if cell is None:
            if item.stage is not None:
                yield reason("order", f"'{giver}', which gives '{name}', had not run before it", giver)
            elif item.kind != "import":
                yield unknown(f"where '{name}' came from is not known: cell {item.cell} had not run", name)
            return
        then = defined_in(cell.body)[name]
        stage = self.evidence.stage_of(cell)
        if then != written and stage == item.stage:
            yield reason("definition", f"'{name}' in cell {item.cell} was edited after it ran", name)
        elif then != written:
            yield self._misplaced(name, giver, stage, self.evidence.told(cell))
        elif not cell.ok and stage is not None:
            yield reason("order", f"'{giver}', which gives '{name}', had failed before it", giver)
        place = self.evidence.names.index(self.stage.name)
        below = self.evidence.names[place:]
        later = [cell for cell in self.evidence.cells if cell.order > self.last]
        found = self._definer(name, [cell for cell in later if self.evidence.stage_of(cell) not in below])
        if found is not None and defined_in(found.body)[name] != then:
            yield reason("definition", f"'{name}' was defined anew since", name)

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
                yield reason("module", f"{path} was edited, and the kernel still has the old one: reload it", name)
            elif loaded is not None and then is not None and loaded != then:
                yield reason("module", f"{path} was loaded anew since, with other code", name)
            elif loaded is None or then is None:
                yield unknown(f"which version of {path} it ran with is not known", name)

    def _misplaced(self, name: str, giver: str, stage: str | None, told: str) -> Reason:
        names = self.evidence.names
        if stage == self.stage.name:
            return reason("order", f"it binds '{name}' anew and ran again, without '{giver}' before it", name)
        if stage is not None and stage not in names:
            return reason("deleted", f"'{name}' came from {told}, which is no longer in the notebook", name)
        below = stage is not None and names.index(stage) > names.index(self.stage.name)
        where = ", which stands below," if below else ""
        return reason("order", f"{told}{where} had bound '{name}' before it ran, after '{giver}'", name)

    def _fact(self, name: str) -> Fact | None:
        found = (cell.facts[name] for cell in sorted(self.counted, key=lambda cell: cell.order) if name in cell.facts)
        return next(found, None)


def reason(kind: Kind, text: str, name: str = "") -> Reason:
    """A reason for being stale."""
    return Reason(kind=kind, text=text, name=name)


def unknown(text: str, name: str = "") -> Reason:
    """A reason why it cannot be told."""
    return Reason(kind="unknown", text=text, name=name)
