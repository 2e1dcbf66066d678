"""What a stage reads and changes, followed through functions and definitions to its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from nbpipe.dataflow.effects import Call
from nbpipe.dataflow.known import Known, Names, Provider
from nbpipe.dataflow.missing import missing_name, not_again
from nbpipe.model import Code, StageCells

#: How a name is read: now, when a function is called, or perhaps not at all.
When = Literal["now", "call", "perhaps"]
_Todo = list[tuple[str, int, When]]


class Reach:
    """The names of one stage: those visible on entry, those it has bound so far, and what it turned out to need.

    Responsibilities: reading and changing a name, with all that follows. Must not know statements.
    """

    def __init__(self, stage: StageCells, known: Known, names: Names, later: dict[str, str]) -> None:
        self.stage = stage
        self.name = stage.name
        self.known = known
        #: Not a copy: nothing is given to the names until the stage is finished.
        self.entry: Mapping[str, Provider] = names.table
        self.later = later
        self.local: dict[str, Provider] = {}
        #: Bound on some ways only.
        self.maybe: set[str] = set()
        self.inputs: dict[str, str] = {}
        self.optional: set[str] = set()
        self.writes: set[str] = set()
        self.mutates: set[str] = set()
        #: Definitions whose state it changes.
        self.states: set[str] = set()
        self.definitions: set[str] = set()
        self.params: set[str] = set()
        self.modules: set[str] = set()
        self.dynamic = False
        self.at: Code = stage.cells[0]

    def provider(self, name: str) -> Provider | None:
        """Where the name comes from at this place."""
        return self.local.get(name) or self.entry.get(name)

    # -- reading

    def touch(self, name: str, line: int, when: When) -> None:
        """Take in that a name is read, and all that is read with it."""
        self._follow([(name, line, when)])

    def _follow(self, todo: _Todo) -> None:
        seen: set[str] = set()
        while todo:
            name, line, when = todo.pop()
            if name not in self.local:
                self._enter(name, line, when, todo)
            provider = self.provider(name)
            if provider is not None and name not in seen:
                seen.add(name)
                todo += self._calls_of(name, provider, line)

    def _enter(self, name: str, line: int, when: When, todo: _Todo) -> None:
        """A name from above the stage: an input, a parameter, a definition, or an error."""
        provider = self.entry.get(name)
        if provider is None:
            if name not in self.maybe:
                giver = missing_name(self, name, line, when)
                if giver is not None:
                    self.inputs[name] = giver
                    self.optional.add(name)
            return
        kind, ref = provider
        if when != "perhaps" and (cell := self.known.untagged.pop(name, None)) is not None:
            place = f"stage '{self.name}' (cell {self.at.cell}, line {self.at.line + line - 1})"
            self.known.warnings.append(
                f"cell {cell} changes '{name}' and is in no stage: {place} reads '{name}' as it was before. "
                f"Put %%stage above cell {cell} if it should not"
            )
        if kind == "value":
            if when == "perhaps" and name not in self.inputs:
                self.optional.add(name)
            elif when != "perhaps":
                self.optional.discard(name)
            self.inputs.setdefault(name, ref)
        elif kind == "param":
            self.params.add(name)
            self.define(self.known.param_snippets[name], line, todo)
        elif kind == "snippet":
            self.define(ref, line, todo)
            item = self.known.definitions.get(ref)
            if item is not None and item.mutable:
                # A literal list of an exploration cell exists once: the first stage that uses it gives it to the others.
                self.bind(name, ("value", self.name))

    def _calls_of(self, name: str, provider: Provider, line: int) -> _Todo:
        """What the function or class behind a name reads, binds and changes when it is called."""
        todo: _Todo = []
        for effect in self.known.callables(name, provider):
            todo += [(used, line, "call") for used in sorted(effect.uses)]
            for bound in sorted(effect.binds):
                self.bind_maybe(bound)
            changed = set(effect.mutates)
            for call in effect.calls:
                changed |= self.changed_arguments(call) - set(effect.params)
            for other in sorted(changed):
                todo += self._change(other, line)
            self.dynamic |= effect.dynamic
        return todo

    def need(self, ref: str) -> None:
        """The definition has to be created before the stage's cells, with all it needs."""
        todo: _Todo = []
        self.define(ref, 1, todo)
        self._follow(todo)

    def define(self, ref: str, line: int, todo: _Todo) -> None:
        """The definition has to be created in this stage."""
        if ref in self.definitions:
            return
        snippet = self.known.snippets[ref]
        self.definitions.add(ref)
        self.modules |= set(snippet.modules)
        if snippet.stage != self.name:
            self._refuse_changed(ref)
        todo += [(needed, line, "now") for needed in snippet.needs]
        todo += [(used, line, "call") for used in snippet.uses]

    def _refuse_changed(self, ref: str) -> None:
        """What the definition was made from must still be the same, and making it must not change anything."""
        for name, (there, version) in self.known.need_providers[ref].items():
            here = self.provider(name)
            if there is not None and self.known.same_import(name, there, here):
                if name in self.local:
                    # The stage's own import comes with its cells, and this definition before them.
                    self.definitions.add(there[1])
                continue
            if there != here or version != self.known.versions.get(name, 0):
                not_again(self, ref, name)
        item = self.known.definitions.get(ref)
        if item is None:
            return
        for name in sorted(item.changes):
            if self._is_data(name):
                not_again(self, ref, name)
        for run in sorted(item.runs):
            for effect in self.known.callables(run, self.entry.get(run)):
                if effect.binds or any(self._is_data(changed) for changed in effect.mutates):
                    not_again(self, ref, run)

    # -- binding

    def bind(self, name: str, provider: Provider) -> None:
        """The name stands for something new from here on."""
        self.known.new_version(name)
        self.local[name] = provider
        self.maybe.discard(name)
        if provider[0] == "value":
            self.writes.add(name)
        else:
            self.writes.discard(name)

    def bind_maybe(self, name: str) -> None:
        """The name may stand for something new: the old value is handed on where it does not."""
        self.known.new_version(name)
        if name in self.local:
            self.local[name] = ("value", self.name)
        else:
            self.maybe.add(name)
            if name in self.entry:
                self._follow([(name, 1, "perhaps")])
        self.writes.add(name)

    # -- changing in place

    def change(self, name: str, line: int) -> None:
        """What the name holds may be changed in place, and so what others hold that share with it."""
        self._follow(self._change(name, line))

    def _change(self, name: str, line: int) -> _Todo:
        todo: _Todo = []
        for other in sorted({name} | self.known.shared.get(name, set())):
            todo += self._change_one(other, line)
        return todo

    def _change_one(self, name: str, line: int) -> _Todo:
        provider = self.provider(name)
        if provider is None or provider[0] == "setup" or self.immutable(name, provider):
            return []
        if provider[0] == "snippet" and not self._is_constant(provider[1]):
            if self.known.snippets[provider[1]].kind in {"class", "function", "compound"}:
                self.states.add(name)
            return [(name, line, "perhaps")]
        self.known.new_version(name)
        if name in self.local:
            if provider[0] == "snippet":
                self.bind(name, ("value", self.name))
            return []
        self.mutates.add(name)
        self.writes.add(name)
        return [(name, line, "call")]

    def changed_arguments(self, call: Call, visited: frozenset[str] = frozenset()) -> set[str]:
        """Names behind the arguments that the called notebook function changes."""
        changed: set[str] = set()
        if call.callee in visited:
            return changed
        inside = visited | {call.callee}
        for effect in self.known.callables(call.callee, self.provider(call.callee)):
            inner = set(effect.mutated_params)
            for nested in effect.calls:
                if len(inner) < len(effect.params):
                    inner |= self.changed_arguments(nested, inside) & set(effect.params)
            changed |= self._given(call, effect.params, inner)
        return changed

    def returned(self, call: Call) -> set[str]:
        """Names whose objects the result of a notebook function may hold."""
        held: set[str] = set()
        for effect in self.known.callables(call.callee, self.provider(call.callee)):
            held |= effect.returned - set(effect.params)
            held |= self._given(call, effect.params, effect.returned)
        return held

    @staticmethod
    def _given(call: Call, params: tuple[str, ...], wanted: set[str] | frozenset[str]) -> set[str]:
        """Names behind the arguments that are given for the wanted parameters."""
        found: set[str] = set()
        for position, names in enumerate(call.args):
            if position < len(params) and params[position] in wanted:
                found |= names
        for keyword, names in call.keywords:
            if keyword in wanted:
                found |= names
        return found

    # -- kinds of names

    def immutable(self, name: str, provider: Provider) -> bool:
        """A number, a string: nothing can change it in place. A function that rebinds it says so elsewhere."""
        if provider[0] == "param":
            return name in self.known.scalars
        item = self.known.definitions.get(provider[1]) if provider[0] == "snippet" else None
        return item is not None and item.kind == "constant" and not item.mutable

    def _is_constant(self, ref: str) -> bool:
        return self.known.snippets[ref].kind == "constant"

    def _is_data(self, name: str) -> bool:
        return self.provider(name) is not None and self.is_value(name)

    def is_value(self, name: str) -> bool:
        """It is a value that somebody may change, not a definition; names nobody knows count."""
        provider = self.provider(name)
        if provider is None or provider[0] == "value":
            return True
        data = provider[0] == "param" or (provider[0] == "snippet" and self._is_constant(provider[1]))
        return data and not self.immutable(name, provider)
