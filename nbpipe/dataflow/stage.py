"""One stage under analysis: its statements one after the other, with the names visible on entry."""

from __future__ import annotations

import re
from collections.abc import Iterable

from nbpipe.dataflow.facts import Statement
from nbpipe.dataflow.known import Known, Names, Provider
from nbpipe.dataflow.reach import Reach
from nbpipe.dataflow.snippets import Definition
from nbpipe.errors import PipelineError
from nbpipe.model import Code, StageCells, StageFlow
from nbpipe.notebook.thresholds import threshold_names

_AMBIENT_ROOTS = re.compile(
    r"^(pd|pandas)\.options\b|^(plt|mpl|matplotlib|sns)\.rcParams\b|^os\.environ\b|^sys\.path\b"
)


_WORDS = {"value": "stage", "snippet": "snippet", "param": "param"}


class StageWalk(Reach):
    """Walks the statements of one stage.

    Responsibilities: the order in which a statement reads, binds and changes; hints; the stage's result. Must not look at
    later stages, except to say in an error where a name is bound too late.
    """

    def __init__(self, stage: StageCells, known: Known, names: Names, later: dict[str, str]) -> None:
        super().__init__(stage, known, names, later)
        self.names = names
        self.scope = names.changes()
        for ref in known.standing:
            self.need(ref)
        self.sets: set[str] = set()
        self.uses: set[str] = set()
        self.reads_files: set[str] = set()
        self.writes_files: set[str] = set()

    # -- statements

    def statement(self, found: Statement, code: Code) -> None:
        """Take in one top-level statement."""
        self.at = code
        self.modules.update(found.modules)
        self._hints(found)
        item = found.item
        if found.magic is not None:
            self.known.configure(found.magic, code, found, self.name)
        self._read(found)
        if found.patched:
            self._patches(found, code)
        self._change_first(found)
        if item is not None:
            self._define(item, found, code)
        else:
            self._bind(found)
            self._share(found)
            self._stars(found)
            if found.wiped:
                self._wipe(found)
        for name in found.mutates:
            self.change(name, found.line)
        self.dynamic |= found.dynamic

    def _hints(self, found: Statement) -> None:
        if found.file_reads:
            self.reads_files.update(path for path in found.file_reads if path not in self.writes_files)
        self.writes_files.update(found.file_writes)
        if found.uses:
            self.uses.update(state for state in found.uses if state not in self.sets)
        self.sets.update(found.sets)

    def _read(self, found: Statement) -> None:
        for name, line in found.reads:
            self.touch(name, line, "now")
        for name, line in found.soft:
            self.touch(name, line, "perhaps")
        for name, line in () if self.known.future else found.annotated:
            self.touch(name, line, "perhaps")
        for name, line in found.late:
            # The function has no name that could be followed, or it is followed when it is called.
            self.touch(name, line, "perhaps" if name in self.later else "call")

    def _change_first(self, found: Statement) -> None:
        """Changes to what the names stand for before the statement binds them anew."""
        for name, line in found.changed_first:
            self.change(name, line)
        for call in found.calls:
            for name in sorted(self.changed_arguments(call)):
                self.change(name, 1)

    def _define(self, item: Definition, found: Statement, code: Code) -> None:
        snippet = self.known.snippet(item, code, found, self.name, self.provider)
        self.known.stand(found, snippet)
        for name in item.names:
            self.known.unshare(name)
            self.bind(name, ("snippet", snippet.id))

    def _bind(self, found: Statement) -> None:
        for name, certain in found.binds:
            if not certain:
                self.bind_maybe(name)
                continue
            if found.rebinds:
                self.known.unshare(name)
            self.bind(name, ("value", self.name))

    def _wipe(self, found: Statement) -> None:
        """`%reset` deletes the names that are there."""
        for pattern in found.wiped:
            for name in sorted({*self.entry, *self.local}):
                provider = self.provider(name)
                if provider is None or provider[0] == "setup" or not _matches(pattern, name):
                    continue
                if found.plain:
                    self.known.unshare(name)
                    self.bind(name, ("value", self.name))
                else:
                    self.bind_maybe(name)

    def _share(self, found: Statement) -> None:
        for target, sources in found.links:
            self._share_with(target, sources)
        for target, call in found.results:
            self._share_with(target, self.returned(call))

    def _share_with(self, target: str, sources: Iterable[str]) -> None:
        kept = frozenset(name for name in sources if self.is_value(name))
        if kept and self.is_value(target):
            self.known.share(target, kept)

    def _stars(self, found: Statement) -> None:
        for star in found.stars:
            item = Definition("import", (), frozenset(), frozenset(), star.modules, (), frozenset())
            snippet = self.known.snippet(item, self.at, star, self.name, self.provider)
            self.known.stand(star, snippet)

    def _patches(self, found: Statement, code: Code) -> None:
        """Attributes set on modules, and behaviour set on notebook classes: every later stage has to do the same."""
        for root, target, line in found.patched:
            provider = self.provider(root)
            if provider is None or provider[0] not in {"snippet", "setup"} or _AMBIENT_ROOTS.match(target):
                continue
            kind = "import" if provider[0] == "setup" else self.known.snippets[provider[1]].kind
            if kind == "constant" or self.known.is_local_module(root):
                continue
            values = [name for name, _ in found.reads if self._is_given(name)]
            if values and kind == "import" and not self.known.last:
                raise PipelineError(
                    f"sets '{target}', which the stages below would not see, and '{values[0]}' is needed for it",
                    stage=self.name,
                    cell=code.cell,
                    line=code.line + line - 1,
                    name=target,
                    fix="Move the line into a %%setup cell.",
                )
            # Data that hangs on a class or function is carried with it; what it does has to be set again.
            if not values and not found.bound and (kind == "import" or self._sets_behaviour(found.behaviour)):
                read = frozenset(name for name, _ in found.reads)
                patch = Definition("compound", (), read, frozenset(), (), (), frozenset())
                self.known.standing.append(self.known.snippet(patch, code, found, self.name, self.provider).id)

    def _is_given(self, name: str) -> bool:
        provider = self.provider(name)
        return provider is not None and provider[0] == "value"

    def _sets_behaviour(self, name: str) -> bool:
        if name in {"", "*"}:
            return name == "*"
        provider = self.provider(name)
        return provider is not None and provider[0] == "snippet" and self.known.snippets[provider[1]].kind != "constant"

    # -- the end

    def finish(self) -> None:
        """Options, then the names as the next stage finds them."""
        options = self.stage.options
        asked = [*options.metrics, *(options.outputs or ()), *((options.model,) if options.model else ())]
        asked += [name for threshold in options.thresholds for name in threshold_names(threshold)[0]]
        for name in asked:
            if name in self.entry:
                self.touch(name, 1, "call")
        for name in options.inputs or ():
            self.touch(name, 1, "now")
        if self.dynamic:
            self.known.dynamic = self.name
            for name, provider in self.entry.items():
                if provider[0] != "setup":
                    self.touch(name, 1, "perhaps")
                if name not in self.local and self.is_value(name):
                    self.bind_maybe(name)
        for name in sorted(self.known.setup_reads & self.entry.keys()):
            self.touch(name, 1, "call")
        for name in sorted(self.writes | self.mutates):
            self._give(name, ("value", self.name))
        for name, provider in self.local.items():
            if provider[0] != "value":
                self._give(name, provider)
        self.sets |= self.states
        self.known.stateful |= self.states
        self.uses |= {name for ref in self.definitions for name in self.known.snippets[ref].names} & self.known.stateful

    def _give(self, name: str, provider: Provider) -> None:
        if name in self.entry and self.entry[name][0] == "setup":
            if name in self.local:
                self.known.warnings.append(
                    f"stage '{self.name}' binds '{name}', which %%setup binds again in the next stage"
                )
            return
        self.known.untagged.pop(name, None)
        self.names.give(name, provider)

    def flow(self, wanted: set[str]) -> StageFlow:
        """The result; `wanted` are names that stages below read from here."""
        options = self.stage.options
        outputs = wanted | set(options.outputs or ()) | ({options.model} if options.model else set())
        return StageFlow(
            inputs=dict(sorted(self.inputs.items())),
            optional=tuple(sorted(self.optional)),
            writes=tuple(sorted(self.writes | self.mutates)),
            outputs=tuple(sorted(outputs)),
            mutates=tuple(sorted(self.mutates)),
            definitions=tuple(sorted(self.definitions, key=self._place)),
            params=tuple(sorted(self.params)),
            scope={name: _text(provider) for name, provider in sorted(self.scope.items())},
            modules=tuple(sorted(self.modules)),
            ambient_sets=tuple(sorted(self.sets)),
            ambient_uses=tuple(sorted(self.uses)),
            file_reads=tuple(sorted(self.reads_files)),
            file_writes=tuple(sorted(self.writes_files)),
            dynamic=self.dynamic,
        )

    def _place(self, ref: str) -> tuple[int, int, str]:
        snippet = self.known.snippets[ref]
        return snippet.cell, snippet.line, ref


def _matches(pattern: str, name: str) -> bool:
    """As `%reset_selective` decides; a pattern that it would refuse stops the cell, and matches nothing."""
    try:
        return re.search(pattern, name) is not None
    except re.error:
        return False


def _text(provider: Provider) -> str:
    kind, ref = provider
    return "setup" if kind == "setup" else f"{_WORDS[kind]}:{ref}"
