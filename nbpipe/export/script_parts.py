"""Modules of a package that are the same for every notebook. Nothing in them is anybody's text."""

PROGRAM = '''\
"""`python -m` this package."""

import sys

from .main import main

sys.exit(main())
'''

CHECKS = '''\
"""Checks: gates that stop the program."""

import functools
from typing import Any, Callable

from .measures import number


class Rejected(Exception):
    """A check said no."""


def check(function: Callable[..., Any]) -> Callable[..., Any]:
    """An assertion that fails in the function is a check that says no."""

    @functools.wraps(function)
    def checked(*arguments: Any, **named: Any) -> Any:
        try:
            return function(*arguments, **named)
        except AssertionError as error:
            raise Rejected(f"{function.__name__}: {error}") from error

    return checked


def compare(said: str, holds: Callable[..., bool], **values: Any) -> None:
    """Raise Rejected unless what is said of these values holds; of a sequence, the last one counts."""
    try:
        numbers = {name: number(value) for name, value in values.items()}
    except (TypeError, ValueError, IndexError, OverflowError) as error:
        raise Rejected(f"{said} cannot be computed: {error}") from error
    if not holds(**numbers):
        shown = ", ".join(f"{name} = {value:.6g}" for name, value in numbers.items())
        raise Rejected(f"{said} does not hold: {shown}")
'''

MEASURES = '''\
"""Numbers that the stages give."""

import math
import sys
from typing import Any


def number(value: Any) -> float:
    """The value as a number; of a sequence, the last one."""
    if isinstance(value, (list, tuple)) or (getattr(value, "ndim", None) or 0) > 0:
        value = value[-1]
    return float(value)


def measured(metrics: dict[str, float], /, **values: Any) -> None:
    """Note the metrics of a stage; one that is no finite number is left out, and said so."""
    for name, value in values.items():
        try:
            found = number(value)
        except (TypeError, ValueError, IndexError, OverflowError):
            print(f"metric {name} is not a number at the end of the stage", file=sys.stderr)
            continue
        if math.isfinite(found):
            metrics[name] = found
        else:
            print(f"metric {name} is {found} at the end of the stage: left out", file=sys.stderr)
'''

REGISTRY = '''\
"""The registry of models: MLflow's, where `MLFLOW_TRACKING_URI` names a server."""

import os
import sys
from importlib import import_module
from typing import Any


def register(model: Any, name: str) -> None:
    """Make the model the newest version of this name."""
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        print(f"{name} is not registered: MLFLOW_TRACKING_URI is not set", file=sys.stderr)
        return
    kinds = [kind.__module__.partition(".")[0] for kind in type(model).__mro__]
    flavors = {"torch": "pytorch", "sklearn": "sklearn", "xgboost": "xgboost", "lightgbm": "lightgbm", "keras": "keras"}
    flavor = next((flavors[kind] for kind in kinds if kind in flavors), None)
    if flavor is None:
        raise TypeError(f"MLflow has no flavor for a {type(model).__name__}, which is to be registered as {name}")
    import_module(f"mlflow.{flavor}").log_model(model, name="model", registered_model_name=name)
'''
