"""What the walk over the notebook has learned so far: definitions, exploration names, warnings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from nbpipe.dataflow.effects import CallEffects
from nbpipe.dataflow.facts import Star, Statement
from nbpipe.dataflow.snippets import Definition, imported_as
from nbpipe.model import Code, Snippet

#: Where a name comes from: (kind, stage or snippet id or parameter).
Provider = tuple[Literal["value", "snippet", "setup", "param"], str]
#: The provider of a name at the present place.
Lookup = Callable[[str], Provider | None]


@dataclass
class Names:
    """Names visible at the present place of the notebook."""

    _table: dict[str, Provider] = field(default_factory=dict)
    _changed: dict[str, Provider] = field(default_factory=dict)

    @property
    def table(self) -> Mapping[str, Provider]:
        """Name -> where it comes from. Names come and change; none goes."""
        return self._table

    def give(self, name: str, provider: Provider) -> None:
        """The name comes from there, from here on."""
        if self._table.get(name) != provider:
            self._table[name] = self._changed[name] = provider

    def changes(self) -> dict[str, Provider]:
        """What was given since the last call. All of it for every stage would be as many facts as stages times names."""
        taken, self._changed = self._changed, {}
        return taken


@dataclass
class Known:
    """Facts that outlive a stage.

    Responsibilities: makes snippets and remembers what they do when called. Must not know which stage reads what.
    """

    folder: Path
    mergeable: bool = False
    #: The cell at hand, by its place among all that are analysed.
    cell: int = 0
    #: The stage at hand is the last: nothing below could miss what it does.
    last: bool = False
    #: Nothing runs in the kernel before its cells.
    alone: bool = False
    snippets: dict[str, Snippet] = field(default_factory=dict)
    #: Snippet -> its cell and the number of its statement there: its text decides nothing, and is filled in at the end.
    origins: dict[str, tuple[int, int]] = field(default_factory=dict)
    definitions: dict[str, Definition] = field(default_factory=dict)
    #: Provider and version of what a snippet needs, at the place where it stands.
    need_providers: dict[str, dict[str, tuple[Provider | None, int]]] = field(default_factory=dict)
    #: How often a name was bound or changed so far.
    versions: dict[str, int] = field(default_factory=dict)
    param_snippets: dict[str, str] = field(default_factory=dict)
    #: Parameters whose values cannot be changed in place.
    scalars: frozenset[str] = frozenset()
    setup_definitions: dict[str, Definition] = field(default_factory=dict)
    setup_reads: set[str] = field(default_factory=set)
    #: Exploration name -> cell; name -> some stage that binds it.
    explored: dict[str, int] = field(default_factory=dict)
    bound_in: dict[str, str] = field(default_factory=dict)
    #: Snippets that every later stage executes again: patches of modules, magics that set up the kernel.
    standing: list[str] = field(default_factory=list)
    #: Values that share objects: name -> names.
    shared: dict[str, set[str]] = field(default_factory=dict)
    #: Functions and classes whose state some stage changes.
    stateful: set[str] = field(default_factory=set)
    star: bool = False
    #: `from __future__ import annotations` is on: IPython keeps it on for the cells below.
    future: bool = False
    #: The last stage whose code nobody can see through; it may bind anything.
    dynamic: str | None = None
    warnings: list[str] = field(default_factory=list)
    #: Snippets that give something else each time they are made -> the call that does it.
    anew: dict[str, str] = field(default_factory=dict)
    #: Values and parameters that an exploration cell changes -> that cell.
    untagged: dict[str, int] = field(default_factory=dict)

    def leave_out(self, found: Statement, cell: int, lookup: Lookup) -> None:
        """An exploration cell computes what no stage sees."""
        for name in found.changes:
            provider = lookup(name)
            if provider is not None and provider[0] in {"value", "param"}:
                self.untagged[name] = cell
        for state in found.sets:
            what = f"cell {cell} is in no stage, and what it does to the state of {state[1:]}"
            self.warnings.append(f"{what} holds in none: put %%setup above it if it should")

    def add(self, snippet: Snippet, item: Definition | None, lookup: Lookup) -> None:
        """Remember a snippet and where what it needs comes from."""
        self.snippets[snippet.id] = snippet
        if item is not None:
            self.definitions[snippet.id] = item
        self.need_providers[snippet.id] = {
            name: (provider, self.versions.get(name, 0))
            for name in snippet.needs
            if (provider := lookup(name)) is not None
        }

    def new_version(self, name: str) -> None:
        """The name stands for something else from here on, or what it stands for was changed."""
        self.versions[name] = self.versions.get(name, 0) + 1

    def same_import(self, name: str, one: Provider | None, other: Provider | None) -> bool:
        """Both are imports that bind the name to the same thing."""
        if one is None or other is None or one[0] != "snippet" or other[0] != "snippet":
            return False
        first, second = self.snippets[one[1]], self.snippets[other[1]]
        if not first.kind == second.kind == "import":
            return False
        return first.source == second.source or imported_as(name, first.source) == imported_as(name, second.source)

    def snippet(
        self,
        item: Definition,
        code: Code,
        at: Statement | Star,
        stage: str | None,
        lookup: Lookup,
    ) -> Snippet:
        """Make the snippet of a definition. Its text is there for an import, and comes later for all others."""
        names = item.names or ("*",)
        needs, uses = item.needs, item.uses
        if item.annotated and not self.future:
            needs |= {name for name in item.annotated if lookup(name) is not None}
        made = Snippet(
            id=f"{names[0]}@{code.cell}.{at.line}.{at.column}",
            kind=item.kind,
            names=names,
            source=at.text,
            cell=code.cell,
            line=code.line + (at.first if isinstance(at, Statement) else at.line) - 1,
            stage=stage,
            needs=tuple(sorted(needs)) if needs else (),
            uses=tuple(sorted(uses.difference(names))) if uses else (),
            modules=item.modules,
        )
        self.add(made, item, lookup)
        if isinstance(at, Statement) and at.anew:
            self.anew[made.id] = at.anew
        if isinstance(at, Statement) and not at.text:
            self.origins[made.id] = (self.cell, at.place)
        else:
            self.origins.pop(made.id, None)
        return made

    def stand(self, at: Statement | Star, snippet: Snippet) -> None:
        """Take in an import that concerns every stage below: `from x import *` and `from __future__ import …`."""
        if not at.importing:
            return
        self.future |= at.importing == "annotations"
        self.star |= at.importing == "star"
        self.standing.append(snippet.id)

    def configure(self, line: str, code: Code, at: Statement, stage: str | None) -> None:
        """A magic that sets up the kernel for every stage below."""
        made = Snippet(
            id=f"magic@{code.cell}.{at.line}.{at.column}",
            kind="magic",
            names=(),
            source=line,
            cell=code.cell,
            line=code.line + at.line - 1,
            stage=stage,
        )
        self.add(made, None, lambda _: None)
        self.standing.append(made.id)

    def callables(self, name: str, provider: Provider | None) -> tuple[CallEffects, ...]:
        """What calling the function or class behind a name may do."""
        if provider is None:
            return ()
        kind, ref = provider
        item = self.definitions.get(ref) if kind == "snippet" else None
        if kind == "setup":
            item = self.setup_definitions.get(name)
        return item.callables if item is not None else ()

    def captured(self) -> set[str]:
        """Names that some function reads when it is called: a value may carry that function anywhere."""
        found = {name for snippet in self.snippets.values() for name in snippet.uses}
        return found.union(*(item.uses for item in self.setup_definitions.values()))

    def is_local_module(self, name: str) -> bool:
        """A module that lies beside the notebook: its globals are ambient state, carried by the job."""
        return (self.folder / f"{name}.py").exists() or (self.folder / name).is_dir()

    # -- sharing

    def share(self, target: str, sources: frozenset[str]) -> None:
        """`target` may hold what `sources` hold."""
        group = {target, *sources}
        for name in tuple(group):
            group |= self.shared.get(name, set())
        for name in group:
            self.shared[name] = group - {name}

    def unshare(self, name: str) -> None:
        """`name` was bound to something else."""
        for other in self.shared.pop(name, set()):
            self.shared[other].discard(name)
