"""Random state: seeded from the job's seed where nothing above seeded, and watched for the first seeding."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from nbpipe.job.ambient import BY_NAME

#: State -> (module, functions that replace the whole state).
_SEEDERS = {
    "@random": ("random", ("seed", "setstate")),
    "@numpy.random": ("numpy.random", ("seed", "set_state")),
    "@torch.random": ("torch", ("manual_seed", "seed", "set_rng_state")),
}


class Seeds:
    """Knows of each random state where it started, whether code seeded it, and whether anything was drawn before.

    Libraries that are not loaded yet are seeded when they are (`settle`, called after each import of one).
    """

    def __init__(self, seed: int, restored: Iterable[str]) -> None:
        self._seed = seed
        #: States that come from a stage above: somebody seeded there.
        self.restored = frozenset(restored)
        self.start: dict[str, Any] = {}
        self.seeded: set[str] = set()
        self.drawn_first: set[str] = set()
        #: Modules that seeded while they were imported, after a stage above had seeded: one kernel imports them once.
        self.by_import: dict[str, str] = {}

    def settle(self, loaded: str = "") -> None:
        """Seed and watch every library that was loaded since the last call; `loaded` is one that just was."""
        for name, (owner, functions) in _SEEDERS.items():
            module = sys.modules.get(owner)
            if name in self.start or module is None:
                continue
            if owner != loaded and getattr(module.__spec__, "_initializing", False):
                continue
            if name not in self.restored:
                _plain_seed(name, self._seed)
            self.start[name] = BY_NAME[name].get()
            for function in functions:
                if hasattr(module, function):
                    setattr(module, function, self._watched(name, getattr(module, function)))

    def _watched(self, name: str, seed: Callable[..., Any]) -> Callable[..., Any]:
        import functools

        @functools.wraps(seed)
        def call(*args: Any, **kwargs: Any) -> Any:
            if name not in self.seeded and BY_NAME[name].get() != self.start.get(name):
                self.drawn_first.add(name)
            self.seeded.add(name)
            module = _imported_by(sys._getframe(1)) if name in self.restored else ""  # noqa: SLF001
            if module:
                self.by_import[module] = name
            return seed(*args, **kwargs)

        return call

    def read(self, name: str, now: Any) -> bool:
        """Whether the stage's result can depend on the state it started with."""
        if name in self.seeded:
            return name in self.drawn_first
        return bool(now != self.start.get(name))

    def warnings(self) -> list[str]:
        """What a stage cannot have as one kernel has it."""
        return [
            f"importing {module} seeds {name[1:]} again, and in one kernel it is imported once: seed in a cell, not in the module"
            for module, name in self.by_import.items()
        ]

    def matters(self, name: str) -> bool:
        """Random state that nothing seeded, above or here, is exempt from the promise and is not carried."""
        return name in self.restored or name in self.seeded


def _imported_by(frame: Any) -> str:
    """The file of the module whose import runs this frame; "" for none."""
    file = ""
    while frame is not None and not frame.f_code.co_filename.startswith("<frozen importlib"):
        file, frame = frame.f_code.co_filename, frame.f_back
    return Path(file).name if frame is not None else ""


def _plain_seed(name: str, seed: int) -> None:
    if name == "@random":
        import random

        random.seed(seed)
    elif name == "@numpy.random":
        sys.modules["numpy.random"].seed(seed % 2**32)
    else:
        import torch

        torch.manual_seed(seed)
