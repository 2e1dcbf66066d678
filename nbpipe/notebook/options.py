"""The options of stages and checks: one table that the magics, the tags, the docs and the tests share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from nbpipe.errors import GrammarError, UnsupportedError
from nbpipe.model import Options
from nbpipe.notebook import quantities as q
from nbpipe.notebook.thresholds import read_threshold

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

#: What may be had in place of an option on every target.
_INSTEAD = {"nodes": ": --nproc N runs N processes on one machine, in one pod on Kubernetes"}


@dataclass(frozen=True, slots=True)
class Option:
    """How one option is written and what it means."""

    #: Field of `model.Options` that it fills.
    field: str
    #: Reads one value; raises `ValueError` with the reason.
    read: Callable[[str], Any]
    #: "one" value; "list" with commas, repeatable; "each" and "pairs" repeatable without commas; "flag" has no value.
    shape: Literal["one", "list", "each", "pairs", "flag"] = "one"
    #: For a flag: what it sets.
    sets: Any = None
    #: Only checks may have it.
    checks_only: bool = False


OPTIONS: Mapping[str, Option] = {
    "after": Option("after", q.read_stage_name, "list"),
    "on": Option("on", q.read_stage_name),
    "gpus": Option("gpus", q.read_amount),
    "cpus": Option("cpus", q.read_positive_amount),
    "memory": Option("memory", q.read_size),
    "image": Option("image", q.read_image),
    "nodes": Option("nodes", q.read_positive_count),
    "nproc": Option("nproc", q.read_positive_count),
    "retries": Option("retries", q.read_count),
    "timeout": Option("timeout", q.read_duration),
    "no-cache": Option("cache", str, "flag", sets="never"),
    "cache": Option("cache", str, "flag", sets="live"),
    "in": Option("inputs", q.read_identifier, "list"),
    "out": Option("outputs", q.read_identifier, "list"),
    "reads": Option("reads", q.read_path, "list"),
    "writes": Option("writes", q.read_path, "list"),
    "metrics": Option("metrics", q.read_identifier, "list"),
    "metric": Option("thresholds", read_threshold, "each", checks_only=True),
    "model": Option("model", q.read_identifier),
    "register": Option("register", q.read_model_name),
    "env": Option("env", q.read_env, "pairs"),
}

#: Option values by field, only those that were written.
Given = dict[str, Any]


def add_option(given: Given, name: str, text: str | None, *, kind: str) -> None:
    """Read one written option into `given`. `text` is None where no value was written. Raises `GrammarError`."""
    option = OPTIONS.get(name)
    if option is None:
        raise GrammarError(
            f"there is no option {q.shown('--' + name)[1:-1]}",
            name=name,
            fix=q.did_you_mean(name, OPTIONS)
            or "The options are " + ", ".join(f"--{known}" for known in OPTIONS) + ".",
        )
    if option.checks_only and kind != "check":
        raise GrammarError(
            f"--{name} is a threshold, and only a check may have one",
            name=name,
            fix="Write it on a %%check; --metrics NAME records a metric of a stage.",
        )
    if (option.shape == "flag") != (text is None):
        needs = "takes no value" if option.shape == "flag" else "needs a value"
        raise GrammarError(f"--{name} {needs}", name=name, fix=f"See docs/reference/magics.md for --{name}.")
    try:
        value = _value(option, text or "")
    except ValueError as error:
        raise GrammarError(f"--{name}: {error}", name=name) from None
    _join(given, option.field, value)


def join(first: Given, second: Given) -> Given:
    """Both together: lists add up, a single value may be said twice but not in two ways. Raises `GrammarError`."""
    given = dict(first)
    for field, value in second.items():
        _join(given, field, value)
    return given


def build(given: Given) -> Options:
    """The options as a value. Raises `GrammarError` where they make no sense together."""
    if "register" in given and "model" not in given:
        raise GrammarError(
            "--register needs --model", name="register", fix="Add --model NAME: the variable to register."
        )
    return Options(**given)


def check_supported(options: Options, stage: str, cell: int | None, *, kind: str) -> None:
    """Raise `UnsupportedError` for an option that a target of this kind cannot honour."""
    asked: Sequence[tuple[str, object, tuple[str, ...]]] = (
        ("image", options.image, ("kubernetes",)),
        ("nodes", options.nodes if options.nodes != 1 else None, ("slurm", "ray")),
    )
    for name, value, needed in asked:
        if value is not None and kind not in needed:
            raise UnsupportedError(
                f"--{name} {value} needs a target of kind {' or '.join(needed)}",
                stage=stage,
                cell=cell,
                name=name,
                fix=f"Name one with --on, or take --{name} off{_INSTEAD.get(name, '')}.",
            )


def _value(option: Option, text: str) -> Any:
    if option.shape == "flag":
        return option.sets
    if option.shape == "pairs":
        return dict((option.read(text),))
    if option.shape == "each":
        return (option.read(text),)
    if option.shape == "list":
        parts = [part.strip() for part in text.split(",")]
        if not all(parts):
            raise ValueError(f"{q.shown(text)} has an empty item")
        return tuple(dict.fromkeys(option.read(part) for part in parts))
    return option.read(text)


def _join(given: Given, field: str, value: Any) -> None:
    before = given.get(field)
    if before is None:
        given[field] = value
    elif isinstance(value, tuple):
        given[field] = (*before, *(item for item in value if item not in before))
    elif isinstance(value, dict):
        for key, item in value.items():
            if before.get(key, item) != item:
                raise GrammarError(f"--env {key} is given twice, with two values", name="env", fix="Keep one of them.")
        given[field] = before | value
    elif before != value:
        flag = next(f"--{name}" for name, option in OPTIONS.items() if option.field == field)
        raise GrammarError(
            "--cache and --no-cache contradict each other"
            if field == "cache"
            else f"{flag} is given twice, with two values",
            name=field,
            fix="Keep one of them.",
        )
