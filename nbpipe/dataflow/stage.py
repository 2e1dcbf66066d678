"""One stage under analysis: its statements one after the other, with the names visible on entry."""

from __future__ import annotations

import ast
import builtins
import re

from nbpipe.dataflow import hints
from nbpipe.dataflow.effects import Call, Effects, effects
from nbpipe.dataflow.known import Known, Names, Provider
from nbpipe.dataflow.snippets import Definition, config_magic, definition, modules_of
from nbpipe.errors import PipelineError, UndefinedNameError
from nbpipe.model import Code, StageCells, StageFlow
from nbpipe.notebook.thresholds import threshold_names

_IPYTHON = frozenset({"display", "get_ipython", "In", "Out", "exit", "quit", "__name__", "__file__", "__doc__", "open"})
_IPYTHON |= {"__builtins__", "__annotations__", "__spec__", "__loader__", "__package__"}
_HISTORY = re.compile(r"^(_{1,3}|_i{1,3}|_\d+|_i\d+|Out|In|_oh|_ih|_dh)$")
_AMBIENT_ROOTS = re.compile(
    r"^(pd|pandas)\.options\b|^(plt|mpl|matplotlib|sns)\.rcParams\b|^os\.environ\b|^sys\.path\b"
)
_DEPTH = 12


class StageWalk:
    """Walks the statements of one stage.

    Responsibilities: what the stage reads, binds and changes, which definitions it needs. Must not look at later stages,
    except to say in an error where a name is bound too late.
    """

    def __init__(self, stage: StageCells, known: Known, names: Names, later: dict[str, str]) -> None:
        self.stage = stage
        self.name = stage.name
        self.known = known
        self.names = names
        self.entry: dict[str, Provider] = dict(names.table)
        self.later = later
        self.local: dict[str, Provider] = {}
        self.maybe: set[str] = set()
        self.inputs: dict[str, str] = {}
        self.optional: set[str] = set()
        self.writes: set[str] = set()
        self.mutates: set[str] = set()
        self.definitions: set[str] = set(known.standing)
        self.params: set[str] = set()
        self.modules: set[str] = set()
        self.sets: set[str] = set()
        self.uses: set[str] = set()
        self.reads_files: set[str] = set()
        self.writes_files: set[str] = set()
        self.dynamic = False
        self._cell = stage.cells[0]
        self._history_ok = False

    # -- statements

    def statement(self, node: ast.stmt, code: Code) -> None:
        """Take in one top-level statement."""
        self._cell = code
        self.modules |= set(modules_of(node))
        self._hints(node)
        item = definition(node)
        if item is not None and item.kind != "constant":
            self._define(item, node, code)
            return
        line = config_magic(node)
        if line is not None:
            self.known.configure(line, code, node, self.name)
        found = effects([node])
        self._touch_all(found)
        self._patches(found, node, code)
        self._calls(found.calls)
        if isinstance(node, ast.AugAssign):
            for name in found.mutates:
                self._mutate(name)
        if item is not None:
            snippet = self.known.snippet(item, code, node, self.name, self._visible())
            for name in item.names:
                self.known.unshare(name)
                self._bind(name, ("snippet", snippet.id))
            return
        self._bind_all(found, certain=_certain(node))
        for target, sources in found.links:
            kept = frozenset(name for name in sources if self._is_value(name))
            if kept and self._is_value(target):
                self.known.share(target, kept)
        for name in found.mutates:
            self._mutate(name)
        self.dynamic |= found.dynamic
        self._stars(found)

    def _hints(self, node: ast.stmt) -> None:
        reads, writes = hints.files([node])
        self.reads_files |= reads - self.writes_files
        self.writes_files |= writes
        sets, uses = hints.ambient([node])
        self.uses |= uses - self.sets
        self.sets |= sets

    def _define(self, item: Definition, node: ast.stmt, code: Code) -> None:
        for name in sorted(item.needs):
            self._touch(name, node.lineno, hard=True)
        snippet = self.known.snippet(item, code, node, self.name, self._visible())
        for name in item.names:
            self._bind(name, ("snippet", snippet.id))
        for name in item.runs:
            for effect in self.known.callables(name, self._visible().get(name)):
                for changed in effect.mutates | effect.binds:
                    self._mutate(changed)
        self._stars(effects([node]))

    def _stars(self, found: Effects) -> None:
        for star in found.stars:
            snippet = self.known.snippet(
                Definition("import", (), frozenset(), frozenset(), modules_of(star), (), frozenset()),
                self._cell,
                star,
                self.name,
                {},
            )
            self.known.star = True
            self.known.standing.append(snippet.id)

    def _bind_all(self, found: Effects, *, certain: set[str]) -> None:
        for name in found.binds | found.deletes:
            if name in certain:
                self.known.unshare(name)
                self._bind(name, ("value", self.name))
            else:
                self._bind_maybe(name)

    def _bind(self, name: str, provider: Provider) -> None:
        self.local[name] = provider
        self.maybe.discard(name)
        if provider[0] == "value":
            self.writes.add(name)
        else:
            self.writes.discard(name)

    def _bind_maybe(self, name: str) -> None:
        if name in self.local:
            self.local[name] = ("value", self.name)
        else:
            self.maybe.add(name)
            self._pass_on(name)
        self.writes.add(name)

    def _pass_on(self, name: str) -> None:
        """The old value may have to be handed on: it is needed, but may be missing."""
        if name in self.entry and name not in self.local:
            self._touch(name, 1, hard=False)
            if name in self.inputs:
                self.optional.add(name)

    # -- reading

    def _touch_all(self, found: Effects) -> None:
        for name, line in found.reads.items():
            self._touch(name, line, hard=True)
        for name, line in found.soft.items():
            self._touch(name, line, hard=False)

    def _touch(self, name: str, line: int, *, hard: bool, depth: int = 0) -> None:
        if depth > _DEPTH:
            return
        if name in self.local:
            self._follow(name, self.local[name], line, depth)
            return
        provider = self.entry.get(name)
        if provider is None:
            if name not in self.maybe:
                self._missing(name, line, hard=hard)
            return
        kind, ref = provider
        if kind == "value":
            self.inputs.setdefault(name, ref)
            if hard:
                self.optional.discard(name)
        elif kind == "param":
            self.params.add(name)
            self._add_definition(self.known.param_snippets[name], line, depth)
        elif kind == "snippet":
            self._add_definition(ref, line, depth)
            self._adopt(name, ref)
        self._follow(name, provider, line, depth)

    def _adopt(self, name: str, ref: str) -> None:
        """A literal list or dict of an exploration cell is created once: the first stage that uses it gives it to the others."""
        item = self.known.definitions.get(ref)
        if item is not None and item.kind == "constant" and item.mutable:
            self._bind(name, ("value", self.name))

    def _follow(self, name: str, provider: Provider, line: int, depth: int) -> None:
        """What the function or class behind a name reads, binds and changes when it is called."""
        seen: set[str] = getattr(self, "_seen", set())
        if name in seen:
            return
        self._seen = seen | {name}
        for effect in self.known.callables(name, provider):
            for used in sorted(effect.uses):
                self._touch(used, line, hard=False, depth=depth + 1)
            for bound in sorted(effect.binds):
                self._bind_maybe(bound)
            for changed in sorted(effect.mutates):
                self._mutate(changed)
            self.dynamic |= effect.dynamic
        self._seen = seen

    def _add_definition(self, ref: str, line: int, depth: int) -> None:
        if ref in self.definitions:
            return
        snippet = self.known.snippets[ref]
        self.definitions.add(ref)
        self.modules |= set(snippet.modules)
        for needed in snippet.needs:
            there = self.known.need_providers[ref].get(needed)
            here = self.local.get(needed, self.entry.get(needed))
            if there is not None and there != here and snippet.stage != self.name:
                self._not_again(ref, needed)
            self._touch(needed, line, hard=True, depth=depth + 1)
        item = self.known.definitions.get(ref)
        for run in item.runs if item is not None else ():
            for effect in self.known.callables(run, self.entry.get(run)):
                if effect.binds or any(self._is_data(changed) for changed in effect.mutates):
                    self._not_again(ref, run)
        for used in snippet.uses:
            self._touch(used, line, hard=False, depth=depth + 1)

    def _not_again(self, ref: str, needed: str) -> None:
        snippet = self.known.snippets[ref]
        raise PipelineError(
            f"uses '{snippet.names[0]}', which cannot be created again here: its definition (cell {snippet.cell}) depends on "
            f"'{needed}', which has changed since or is changed by it",
            stage=self.name,
            cell=self._cell.cell,
            line=self._cell.line,
            name=snippet.names[0],
            fix=f"Put the definition of '{snippet.names[0]}' into the stage that uses it, or both into one stage.",
        )

    def _missing(self, name: str, line: int, *, hard: bool) -> None:
        if hasattr(builtins, name) or (name in _IPYTHON and name not in {"In", "Out"}):
            return
        at = self._cell.line + line - 1
        if _HISTORY.match(name):
            if not self._history_ok:
                self._history(name, at)
            return
        explored = self.known.explored.get(name)
        if not hard and explored is None:
            return
        if self.known.star or self.known.dynamic or self.known.mergeable or (name in self.known.bound_in and not hard):
            self.known.warnings.append(
                f"stage '{self.name}' (cell {self._cell.cell}, line {at}) uses '{name}', which nothing plainly gives"
            )
            return
        if explored is not None:
            message = f"uses '{name}', which only an exploration cell computes (cell {explored})"
            fix = f"Add %%stage to cell {explored}, or move the line into a stage."
        elif name in self.later:
            message = f"uses '{name}' before it is defined: stage '{self.later[name]}' gives it further down"
            fix = f"Move the cell that binds '{name}' above this one."
        else:
            message = f"uses '{name}', which nothing above it gives"
            fix = f"Bind '{name}' in a stage above, in %%params or in %%setup."
        raise UndefinedNameError(message, stage=self.name, cell=self._cell.cell, line=at, name=name, fix=fix)

    def _history(self, name: str, line: int) -> None:
        """Results of earlier cells by number: fine within the stage, another stage's are not to be had."""
        if self._cell is not self.stage.cells[0] and not re.search(r"\d", name):
            return
        raise UndefinedNameError(
            f"uses '{name}', the result of a cell of another stage",
            stage=self.name,
            cell=self._cell.cell,
            line=line,
            name=name,
            fix="Give that result a name, and use the name.",
        )

    # -- changing

    def _calls(self, calls: list[Call]) -> None:
        for call in calls:
            for index in self._changed_arguments(call, 0):
                self._mutate(index)

    def _changed_arguments(self, call: Call, depth: int) -> set[str]:
        """Names behind the arguments that the called notebook function changes."""
        changed: set[str] = set()
        if depth > _DEPTH:
            return changed
        for effect in self.known.callables(call.callee, self._visible().get(call.callee)):
            inner = set(effect.mutated_params)
            for nested in effect.calls:
                inner |= self._changed_arguments(nested, depth + 1) & set(effect.params)
            for position, names in enumerate(call.args):
                if position < len(effect.params) and effect.params[position] in inner:
                    changed |= names
            for keyword, names in call.keywords:
                if keyword in inner:
                    changed |= names
        return changed

    def _mutate(self, name: str) -> None:
        for other in {name} | self.known.shared.get(name, set()):
            self._mutate_one(other)

    def _mutate_one(self, name: str) -> None:
        if name in self.local:
            if self._immutable(name, self.local[name]):
                return
            if self.local[name][0] == "snippet" and self._is_constant(self.local[name][1]):
                self._bind(name, ("value", self.name))
            return
        provider = self.entry.get(name)
        if provider is None or provider[0] == "setup" or self._immutable(name, provider):
            return
        if provider[0] == "snippet" and not self._is_constant(provider[1]):
            self._touch(name, 1, hard=False)
            return
        self._touch(name, 1, hard=False)
        self.mutates.add(name)
        self.writes.add(name)

    def _immutable(self, name: str, provider: Provider) -> bool:
        """A number, a string: nothing can change it in place. A function that rebinds it says so elsewhere."""
        if provider[0] == "param":
            return name in self.known.scalars
        item = self.known.definitions.get(provider[1]) if provider[0] == "snippet" else None
        return item is not None and item.kind == "constant" and not item.mutable

    def _is_constant(self, ref: str) -> bool:
        return self.known.snippets[ref].kind == "constant"

    def _is_data(self, name: str) -> bool:
        return name in self._visible() and self._is_value(name)

    def _is_value(self, name: str) -> bool:
        provider = self._visible().get(name, ("value", ""))
        return provider[0] == "value" or (provider[0] == "snippet" and self._is_constant(provider[1]))

    def _patches(self, found: Effects, node: ast.stmt, code: Code) -> None:
        """Attributes set on modules or notebook classes: every later stage has to do the same."""
        for root, target, line in found.patched:
            provider = self._visible().get(root)
            if provider is None or provider[0] not in {"snippet", "setup"} or _AMBIENT_ROOTS.match(target):
                continue
            kind = self.known.snippets[provider[1]].kind if provider[0] == "snippet" else "import"
            if kind not in {"import", "class", "function", "compound"} or self.known.is_local_module(root):
                continue
            visible = self._visible()
            values = [n for n in found.reads if visible.get(n, ("snippet", ""))[0] == "value"]
            if values and kind == "import":
                raise PipelineError(
                    f"sets '{target}', which the stages below would not see, and '{values[0]}' is needed for it",
                    stage=self.name,
                    cell=code.cell,
                    line=code.line + line - 1,
                    name=target,
                    fix="Move the line into a %%setup cell.",
                )
            if not values and not found.binds:
                patch = Definition("compound", (), frozenset(found.reads), frozenset(), (), (), frozenset())
                self.known.standing.append(self.known.snippet(patch, code, node, self.name, visible).id)

    # -- the end

    def finish(self) -> None:
        """Options, then the names as the next stage finds them."""
        options = self.stage.options
        for threshold in options.thresholds:
            for name in threshold_names(threshold)[0]:
                if name in self.entry and name not in self.local:
                    self._touch(name, 1, hard=False)
        asked = [*options.metrics, *(options.outputs or ()), *((options.model,) if options.model else ())]
        for name in asked:
            if name in self.entry:
                self._touch(name, 1, hard=False)
        for name in options.inputs or ():
            self._touch(name, 1, hard=True)
        if self.dynamic:
            self.known.dynamic = True
            for name, (kind, _) in self.entry.items():
                if kind != "setup":
                    self._touch(name, 1, hard=False)
                    self.optional |= {name} & self.inputs.keys()
        for name in sorted(self.known.setup_reads):
            if name in self.entry:
                self._touch(name, 1, hard=False)
        for name in self.writes | self.mutates:
            self._give(name, ("value", self.name))
        for name, provider in self.local.items():
            if provider[0] != "value":
                self._give(name, provider)

    def _give(self, name: str, provider: Provider) -> None:
        if name in self.entry and self.entry[name][0] == "setup":
            if name in self.local:
                self.known.warnings.append(
                    f"stage '{self.name}' binds '{name}', which %%setup binds again in the next stage"
                )
            return
        self.names.table[name] = provider

    def _visible(self) -> dict[str, Provider]:
        return {**self.entry, **self.local}

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
            scope={name: _text(provider) for name, provider in sorted(self.entry.items())},
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


def _text(provider: Provider) -> str:
    kind, ref = provider
    return {"value": f"stage:{ref}", "snippet": f"snippet:{ref}", "setup": "setup", "param": f"param:{ref}"}[kind]


def _certain(node: ast.stmt) -> set[str]:
    """Names that a statement binds whenever it ends normally."""
    if isinstance(node, ast.If):
        return _certain_block(node.body) & _certain_block(node.orelse)
    if isinstance(node, ast.For | ast.AsyncFor | ast.While | ast.Match):
        return set()
    if isinstance(node, ast.Try):
        paths = [_certain_block(handler.body) for handler in node.handlers]
        body = _certain_block([*node.body, *node.orelse])
        return body.intersection(*paths) | _certain_block(node.finalbody)
    if isinstance(node, ast.With | ast.AsyncWith):
        return _certain_block(node.body) | effects(list(node.items)).binds
    found = effects([node])
    return found.binds | found.deletes


def _certain_block(body: list[ast.stmt]) -> set[str]:
    return set().union(*(_certain(child) for child in body)) if body else set()
