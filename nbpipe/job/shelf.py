"""Libraries that a parent of kernels has imported, put away so that no code sees them until it imports them.

The parent imports them once (`Shelf.fill`), and takes their modules, and what their import changed around them, out of
the process. A kernel that is forked from it imports `torch`: it gets the modules that the import of torch needs, no
others, and the changes that went with them, in the order in which they came. Nothing is executed again.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import importlib.abc
import importlib.machinery
import os
import sys
import threading
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping
from types import FunctionType, ModuleType
from typing import Any

from nbpipe.errors import UnsupportedError
from nbpipe.job.libraries import OWN, OWN_SETTINGS, SETTINGS, THREADS
from nbpipe.job.loading import Loading, Stamp, noted, stamp

_find = importlib.machinery.PathFinder.find_spec


class Shelf(importlib.abc.MetaPathFinder):
    """The modules that are put away, and a finder that gives them back."""

    def __init__(self) -> None:
        self._modules: dict[str, ModuleType] = {}
        self._specs: dict[str, Any] = {}
        #: Those that their package has as an attribute; some packages delete it.
        self._bound: set[str] = set()
        self._loading = Loading()
        #: The settings that the modules were imported with, and what their import set.
        self._environ: dict[str, str] = {}
        self._values: dict[str, str] = {}
        self._path: list[str] = []
        #: Libraries that stay, until this process is a kernel -> what they added to the filters of warnings: in front, behind.
        self._own: dict[str, tuple[list[Any], list[Any]]] = {}
        self._filters: list[Any] = []
        #: Called with the name of each module that came with another one.
        self.told: Callable[[str], None] = lambda _: None
        #: Why a module was not given; a stage in which that happened does not succeed.
        self.refused: UnsupportedError | None = None

    def fill(self, names: Iterable[str]) -> bool:
        """Import the modules and put them away; false where the process cannot be forked any more. Once only."""
        filters, environ, before = list(warnings.filters), dict(os.environ), set(sys.modules)
        # Whether a warning is shown is for the filters of who imports.
        warnings.simplefilter("always")
        loading = Loading()
        self._environ, self._path = _settings(os.environ), list(sys.path)
        drawn = _drawn()
        with noted(loading):
            for name in names:
                # Not every name is a module, and what cannot be imported here fails in the kernel, where it is asked for.
                with contextlib.suppress(Exception):
                    importlib.import_module(name)
        loading.tick()
        warnings.filters[:], survivors = filters, list(warnings.filters)  # type: ignore[index]
        warnings._filters_mutated()  # type: ignore[attr-defined]  # noqa: SLF001
        loading.filters = [(owner, entry) for owner, entry in loading.filters if entry in survivors]
        self._values = {name: os.environ.get(name, "") for name in loading.variables}
        for name in loading.variables:
            if name in environ:
                os.environ[name] = environ[name]
            else:
                os.environ.pop(name, None)
        loading.finalizers = [(owner, each) for owner, each in loading.finalizers if each.alive and each.atexit]
        for _, finalizer in loading.finalizers:
            # At the end of a kernel that never asked for its library it would find nothing of it.
            finalizer.atexit = False
        self._loading = loading
        tops = [name for name in loading.begun if name not in before]
        # What a module has put into `sys.modules` itself goes with it.
        extra = [name for name in sys.modules if name not in before and name not in loading.begun]
        for name in [*tops, *extra]:
            if name in sys.modules:
                self._put_away(name, loading)
        sys.meta_path.insert(0, self)
        return threading.active_count() == 1 and _drawn() == drawn

    def load(self, kernel: Iterable[str]) -> None:
        """Import `OWN`, before anything else does, and note which filters of warnings come with each; then what a `kernel` has."""
        for name in OWN:
            before = list(warnings.filters)
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
            added = [entry for entry in warnings.filters if entry not in before]
            first = min((n for n, entry in enumerate(warnings.filters) if entry in before), default=0)
            self._own[name] = added[:first], added[first:]
        for name in kernel:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
        own = [entry for ends in self._own.values() for end in ends for entry in end]
        self._filters = [entry for entry in warnings.filters if entry not in own]

    def hide(self) -> None:
        """In a kernel that begins: `OWN` are there once its code imports them, and so are their filters.

        Where nothing was loaded, nothing is done.
        """
        if not self._own:
            return
        warnings.filters[:] = self._filters  # type: ignore[index]
        warnings._filters_mutated()  # type: ignore[attr-defined]  # noqa: SLF001
        for name in self._own.keys() & sys.modules.keys():
            self._modules[name] = sys.modules.pop(name)
            self._specs[name] = self._modules[name].__spec__
            self._loading.needs.setdefault(name, set()).update(OWN[name])
        self._path = self._path or list(sys.path)
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def _put_away(self, name: str, loading: Loading) -> None:
        above, _, last = name.rpartition(".")
        if name not in loading.begun:
            owner = above
            while owner and owner not in loading.begun:
                owner = owner.rpartition(".")[0]
            if not owner:
                return
            loading.needs.setdefault(owner, set()).add(name)
        module = self._modules[name] = sys.modules.pop(name)
        self._specs[name] = getattr(module, "__spec__", None)
        parent = self._modules.get(above) or sys.modules.get(above)
        # By the namespace: some modules refuse attributes that they do not know.
        if parent is not None and vars(parent).get(last) is module:
            del vars(parent)[last]
            self._bound.add(name)

    def find_spec(
        self, fullname: str, path: Any = None, _target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The module that was put away, if the path still leads to the same file."""
        module = self._modules.get(fullname)
        if module is None:
            return None
        spec = _find(fullname, path)
        own = self._specs[fullname]
        # Another one of its own, which could not be loaded beside it, is refused when it is given.
        if spec is None or own is None or (spec.origin != own.origin and fullname not in self._own):
            return None
        spec.loader = _Given(self, module)
        return spec

    def give(self, fullname: str) -> None:
        """Put the module and all that its import needs back where it was. Raises UnsupportedError where settings changed."""
        loading = self._loading
        wanted = self._closure(fullname, loading)
        given = [name for name in self._modules if name in wanted]
        self._compare(fullname, given)
        modules = {name: self._modules.pop(name) for name in given}
        sys.modules.update(modules)
        for name, module in modules.items():
            if self._specs[name] is not None:
                vars(module)["__spec__"] = self._specs[name]
            above, _, last = name.rpartition(".")
            if name in self._bound and above in sys.modules:
                vars(sys.modules[above])[last] = module
        self._change(set(given), loading)
        for name in given:
            if name != fullname:
                self.told(name)

    def fits(self, folder: str, env: Mapping[str, str]) -> bool:
        """Whether a kernel in this folder, with these variables beside this process's own, would import the same."""
        if _own(folder) & {name.partition(".")[0] for name in (*self._modules, *sys.modules)}:
            return False
        if any(stamp(file) != known for file, known in self.stamps().items()):
            return False
        return not self._modules or _settings({**os.environ, **env}) == self._environ

    def stamps(self) -> dict[str, Stamp]:
        """Files of what is put away, as they were just before they were executed."""
        origins = {name: getattr(spec, "origin", None) for name, spec in self._specs.items() if name in self._modules}
        begun = self._loading.begun
        return {file: begun[name] for name, file in origins.items() if isinstance(file, str) and name in begun}

    def _closure(self, fullname: str, loading: Loading) -> set[str]:
        todo, found = [fullname], set[str]()
        while todo:
            name = todo.pop()
            if name in found:
                continue
            found.add(name)
            todo += loading.needs.get(name, ())
            if name in self._modules:
                # What it was bound to without an import statement: an attribute of a package that imports on use.
                todo += [
                    owner for value in vars(self._modules[name]).values() if (owner := _owner(value)) in self._modules
                ]
            todo += [name.rpartition(".")[0]] if "." in name else []
        return found

    def _change(self, given: set[str], loading: Loading) -> None:
        """Do again what the import of these modules changed around them."""
        for name in [name for name in self._own if name in given]:
            front, back = ([each for each in end if each not in warnings.filters] for end in self._own[name])
            warnings.filters[:] = [*front, *warnings.filters, *back]  # type: ignore[index]
            warnings._filters_mutated()  # type: ignore[attr-defined]  # noqa: SLF001
        entries = [entry for owner, entry in loading.filters if owner in given]
        if entries:
            warnings.filters[:0] = reversed(entries)  # type: ignore[index]
            warnings._filters_mutated()  # type: ignore[attr-defined]  # noqa: SLF001
        for name, owner in loading.variables.items():
            if owner in given:
                os.environ[name] = self._values[name]
        now = _settings(os.environ)
        self._environ |= {name: text for name, text in now.items() if loading.variables.get(name) in given}
        for owner, (call, args, kwargs) in loading.exits:
            if owner in given:
                atexit.register(call, *args, **kwargs)
        for owner, finalizer in loading.finalizers:
            if owner in given and finalizer.alive:
                finalizer.atexit = True
        for owner, draw in loading.draws:
            if owner in given:
                draw()
        for owner, stream, text in loading.said:
            if owner in given:
                getattr(sys, stream).write(text)
        for owner, said in loading.warned:
            if owner in given:
                warnings.warn_explicit(said.message, said.category, said.filename, said.lineno, source=said.source)

    def _compare(self, fullname: str, given: Collection[str]) -> None:
        """The import was done with settings that hold still, as far as the libraries read them, and from the same places."""
        now = _settings(os.environ)
        reads = [THREADS, *(own for library, own in OWN_SETTINGS.items() if library in given)]
        names = [name for name in now.keys() | self._environ.keys() if any(each.fullmatch(name) for each in reads)]
        changed = sorted(name for name in names if len(reads) > 1 and now.get(name) != self._environ.get(name))
        tops = {name.partition(".")[0] for name in self._modules if name not in self._own or name in given}
        changed += [part for part in sys.path if part not in self._path and _own(part or os.curdir) & tops]
        if changed:
            # No ImportError: code that can do without the library would go on without it. Whoever catches it is told later.
            self.refused = UnsupportedError(
                f"{', '.join(changed)} changed before '{fullname}' was imported, which was loaded ahead",
                name=fullname,
                fix="Load nothing ahead in this project: warm_libraries = false under [tool.nbpipe].",
            )
            raise self.refused


class _Given(importlib.abc.Loader):
    """Gives a module that has been executed already."""

    def __init__(self, shelf: Shelf, module: ModuleType) -> None:
        self._shelf, self._module = shelf, module

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:  # noqa: ARG002
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        self._shelf.give(module.__name__)


def _own(folder: str) -> set[str]:
    """Top-level modules that a folder would give; nbpipe itself lies in the folder of those who work on it."""
    found = set()
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".py"):
                found.add(entry.name[:-3])
            elif os.path.exists(f"{entry.path}/__init__.py"):  # noqa: PTH110 - many, for every job
                found.add(entry.name)
    return found - {"nbpipe"}


def _owner(value: Any) -> str:
    """The module that a value is, or that made it."""
    # By the class itself: what stands for a module may import it when it is asked.
    kind = type(value)
    if issubclass(kind, ModuleType):
        return str(vars(value).get("__name__", ""))
    if kind is FunctionType:
        return str(value.__module__)
    return str(vars(value).get("__module__", "")) if issubclass(kind, type) else ""


def _drawn() -> str:
    """The random state of numpy: what draws from it when it is imported has to do so in the kernel."""
    numpy = sys.modules.get("numpy.random")
    return repr(numpy.get_state(legacy=True)) if numpy is not None else ""


def _settings(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in environ.items() if SETTINGS.fullmatch(name)}


#: This process's own, inherited by all that are forked from it.
SHELF = Shelf()
