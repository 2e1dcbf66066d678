"""Ambient state: what cells change without naming a variable. One open table of names, getters and setters.

An entry is looked at only when the module that owns it is loaded. Getters give plain data (what the store keeps
safely); setters take the same data back.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nbpipe.credentials import DECLARED, value_of
from nbpipe.job import figures, options
from nbpipe.job.variables import assigned

#: What a kernel's own machinery sets.
NOISE = frozenset(
    {
        "JPY_PARENT_PID",
        "JPY_SESSION_NAME",
        "KERNEL_LAUNCH_TIMEOUT",
        "CLICOLOR",
        "CLICOLOR_FORCE",
        "FORCE_COLOR",
        "PAGER",
        "GIT_PAGER",
        "TERM",
        "PYDEVD_USE_FRAME_EVAL",
        "PWD",
        "OLDPWD",
        "MPLBACKEND",
        "KMP_DUPLICATE_LIB_OK",
        "KMP_INIT_AT_FORK",
        # Set by polars, and taken away or set by MLflow, while they work.
        "_RJEM_MALLOC_CONF",
        "MLFLOW_RUN_ID",
        "MLFLOW_EXPERIMENT_ID",
        DECLARED,
    }
)

_DIALECT = (
    "delimiter", "doublequote", "escapechar", "lineterminator", "quotechar", "quoting", "skipinitialspace", "strict"
)  # fmt: skip


@dataclass(frozen=True)
class Ambient:
    """One piece of ambient state."""

    #: As the plan and people see it: `@random`.
    name: str
    #: It exists once this module is loaded.
    owner: str
    get: Callable[[], Any]
    set: Callable[[Any], None]
    #: Random state counts as read only if something was drawn before it was seeded.
    random: bool = False
    #: What is stored of the state `now` of a process that started with `first`; `set` takes it.
    pack: Callable[[Any, Any], Any] = lambda _first, now: now


def _random_get() -> Any:
    import random

    version, words, gauss = random.getstate()
    return [version, list(words), gauss]


def _random_set(data: Any) -> None:
    import random

    version, words, gauss = data
    random.setstate((version, tuple(words), gauss))


def _numpy_random_get() -> Any:
    # Not through `numpy`: this may be called while numpy itself is being imported.
    kind, keys, position, has_gauss, cached = sys.modules["numpy.random"].get_state(legacy=True)
    return [kind, [int(key) for key in keys], int(position), int(has_gauss), float(cached)]


def _numpy_random_set(data: Any) -> None:
    import numpy as np

    kind, keys, position, has_gauss, cached = data
    words = np.array(keys, dtype=np.uint32)
    sys.modules["numpy.random"].set_state((kind, words, position, has_gauss, cached))


def _torch_random_get() -> Any:
    import torch

    from nbpipe.store.formats.tensors import generator_state

    state = {"cpu": generator_state(torch.get_rng_state()).hex()}
    if torch.cuda.is_initialized():
        for number, item in enumerate(torch.cuda.get_rng_state_all()):
            state[f"cuda:{number}"] = item.numpy().tobytes().hex()
    return state


def _torch_random_set(data: Any) -> None:
    import torch

    states = {name: torch.frombuffer(bytearray.fromhex(text), dtype=torch.uint8) for name, text in data.items()}
    torch.set_rng_state(states.pop("cpu"))
    if states and torch.cuda.is_available():
        for name, state in states.items():
            torch.cuda.set_rng_state(state, name)


def _environ_get() -> dict[str, Any]:
    values = {name: value for name, value in os.environ.items() if name not in NOISE}
    return {"values": values, "assigned": [name for name in assigned() if name not in NOISE]}


def _environ_pack(first: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """What code changed, and what it set to the value that it had: the rest of the environment is not the pipeline's."""
    before, values, own = first["values"], now["values"], set(now["assigned"])
    changed = {name: value for name, value in values.items() if before.get(name) != value or name in own}
    return {"set": changed, "unset": sorted(set(before) - set(values))}


def _environ_set(data: Any) -> None:
    """Apply what a stage changed: `data` holds "set", "unset", and "secrets" by name."""
    os.environ.update(data["set"])
    os.environ.update({variable: value_of(name, os.environ) for variable, name in data.get("secrets", {}).items()})
    for name in data["unset"]:
        os.environ.pop(name, None)
    if "TZ" in data["set"] or "TZ" in data["unset"]:
        time.tzset()


def _path_get() -> list[str]:
    return [str(part) for part in sys.path]


def _path_set(data: Any) -> None:
    sys.path[:] = data


def _warnings_get() -> list[list[Any]]:
    import warnings

    return [
        [action, _pattern(message), _class_name(kind), _pattern(module), line]
        for action, message, kind, module, line in warnings.filters
    ]


def _class_name(kind: Any) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def _pattern(value: Any) -> Any:
    return value if value is None or isinstance(value, str) else [value.pattern, value.flags]


def _warnings_set(data: Any) -> None:
    import importlib
    import re
    import warnings

    def pattern(value: Any) -> Any:
        return re.compile(value[0], value[1]) if isinstance(value, list) else value

    filters = []
    for action, message, kind, module, line in data:
        owner, _, name = kind.partition(":")
        filters.append((action, pattern(message), getattr(importlib.import_module(owner), name), pattern(module), line))
    warnings.filters[:] = filters  # type: ignore[index]
    warnings._filters_mutated()  # type: ignore[attr-defined]  # noqa: SLF001


def keep_filters(before: list[list[Any]]) -> None:
    """After an import: filters that were there hold, as if a library had put its own there when it was imported above."""
    now = _warnings_get()
    first = next((n for n, item in enumerate(now) if item in before), len(now))
    front, back = ([item for item in part if item not in before] for part in (now[:first], now[first:]))
    wanted = [*front, *before, *back]
    if now != wanted:
        _warnings_set(wanted)


def _logging_get() -> dict[str, Any]:
    import logging

    levels = {
        name: logger.level
        for name, logger in logging.root.manager.loggerDict.items()
        if isinstance(logger, logging.Logger) and logger.level
    }
    return {"root": logging.root.level, "disabled": logging.root.manager.disable, "levels": levels}


def _logging_set(data: Any) -> None:
    import logging

    logging.root.setLevel(data["root"])
    logging.disable(data["disabled"])
    for name, level in data["levels"].items():
        logging.getLogger(name).setLevel(level)


def _locale_get() -> str:
    import locale

    return locale.setlocale(locale.LC_ALL)


def _locale_set(data: Any) -> None:
    import locale

    locale.setlocale(locale.LC_ALL, data)


def _decimal_get() -> dict[str, Any]:
    import decimal

    now = decimal.getcontext()
    traps = sorted(signal.__name__ for signal, on in now.traps.items() if on)
    return {"prec": now.prec, "rounding": now.rounding, "Emin": now.Emin, "Emax": now.Emax,
            "capitals": now.capitals, "clamp": now.clamp, "traps": traps}  # fmt: skip


def _decimal_set(data: Any) -> None:
    import decimal

    traps = [getattr(decimal, name) for name in data["traps"]]
    decimal.setcontext(decimal.Context(**{**data, "traps": traps}))


def _limits_get() -> dict[str, Any]:
    os.umask(mask := os.umask(0o077))
    return {"recursion": sys.getrecursionlimit(), "digits": getattr(sys, "get_int_max_str_digits", int)(),
            "switch": sys.getswitchinterval(), "umask": mask, "gc": [gc.isenabled(), *gc.get_threshold()]}  # fmt: skip


def _limits_set(data: Any) -> None:
    sys.setrecursionlimit(data["recursion"])
    if hasattr(sys, "set_int_max_str_digits"):
        sys.set_int_max_str_digits(data["digits"])
    if "gc" in data:  # stored by an older nbpipe, it has only the two above
        sys.setswitchinterval(data["switch"])
        os.umask(data["umask"])
        enabled, *threshold = data["gc"]
        gc.set_threshold(*threshold)
        (gc.enable if enabled else gc.disable)()


def _csv_get() -> dict[str, Any]:
    import csv

    known = {name: csv.get_dialect(name) for name in csv.list_dialects()}
    dialects = {name: {key: getattr(each, key) for key in _DIALECT} for name, each in known.items()}
    return {"limit": csv.field_size_limit(), "dialects": dialects}


def _csv_set(data: Any) -> None:
    import csv

    csv.field_size_limit(data["limit"])
    for name in set(csv.list_dialects()) - data["dialects"].keys():
        csv.unregister_dialect(name)
    for name, given in data["dialects"].items():
        csv.register_dialect(name, **given)


def _timeout_get() -> float | None:
    import socket

    return socket.getdefaulttimeout()


def _timeout_set(data: Any) -> None:
    import socket

    socket.setdefaulttimeout(data)


TABLE: tuple[Ambient, ...] = (
    Ambient("@sys.limits", "sys", _limits_get, _limits_set),
    Ambient("@cwd", "os", os.getcwd, os.chdir),
    Ambient("@environ", "os", _environ_get, _environ_set, pack=_environ_pack),
    Ambient("@sys.path", "sys", _path_get, _path_set),
    Ambient("@random", "random", _random_get, _random_set, random=True),
    Ambient("@numpy.random", "numpy.random", _numpy_random_get, _numpy_random_set, random=True),
    Ambient("@torch.random", "torch", _torch_random_get, _torch_random_set, random=True),
    Ambient("@pandas.options", "pandas", options.pandas_get, options.pandas_set),
    Ambient("@numpy.options", "numpy", options.numpy_get, options.numpy_set),
    Ambient("@matplotlib.rcParams", "matplotlib", figures.rc_get, figures.rc_set, pack=figures.rc_pack),
    Ambient("@matplotlib.inline", figures.INLINE, figures.inline_get, figures.inline_set),
    Ambient("@warnings", "warnings", _warnings_get, _warnings_set),
    Ambient("@logging", "logging", _logging_get, _logging_set),
    Ambient("@locale", "locale", _locale_get, _locale_set),
    Ambient("@decimal", "decimal", _decimal_get, _decimal_set),
    Ambient("@torch.defaults", "torch", options.torch_get, options.torch_set),
    Ambient("@sklearn.config", "sklearn", options.sklearn_get, options.sklearn_set),
    Ambient("@csv", "csv", _csv_get, _csv_set),
    Ambient("@socket", "socket", _timeout_get, _timeout_set),
    Ambient("@polars.config", "polars", options.polars_get, options.polars_set),
)
BY_NAME = {entry.name: entry for entry in TABLE}
OWNERS = frozenset(entry.owner for entry in TABLE)
