"""Why one stage may be stale: where the variables that it read came from, and who replaced them, or its own, since. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbpipe.live.compare import same
from nbpipe.live.reasons import Reason, Reasons, reason, unknown

if TYPE_CHECKING:
    from collections.abc import Iterator


class Origins(Reasons):
    """Adds what speaks of variables to `Reasons`."""

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
                        yield reason("order", f"'{giver}', which gives '{name}', had failed before it", giver)
                    return
            elif binds:
                yield self._misplaced(name, giver, stage, told)
                return
            elif self.evidence.may_change(cell, name):
                yield unknown(f"{told} may have changed '{name}' before it ran", name)
        if self.now.forgotten:
            yield unknown(f"where '{name}' came from is no longer remembered", name)
        else:
            yield reason("order", f"'{giver}', which gives '{name}', had not run before it", giver)

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
                yield reason("input", f"'{giver}', which gives '{name}', ran after it", giver)
                return
            if stage is None and self.evidence.binds(cell, name):
                yield reason("input", f"{self.evidence.told(cell)} has bound '{name}' since", name)
                return
            explained |= self.evidence.binds(cell, name) or self.evidence.may_change(cell, name)
        own = name in self.stage.flow.writes
        if then is not None and equal is False and not explained and not own:
            yield reason("input", f"'{name}' is another value now than the one it read", name)

    def _outputs(self) -> Iterator[Reason]:
        names = self.evidence.names
        place = names.index(self.stage.name)
        for name in self.stage.flow.outputs:
            for cell in self.evidence.cells:
                stage = self.evidence.stage_of(cell)
                above = stage is None or (stage in names and names.index(stage) < place)
                if cell.order > self.last and above and self.evidence.binds(cell, name):
                    yield reason("output", f"{self.evidence.told(cell)} has bound '{name}' since", name)
                    break
