"""Arguments and options that several commands share, and how a shell completes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from nbpipe.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])
_SUFFIXES = (".ipynb", ".py", ".md", ".Rmd")
_OFFERED = 50


def notebook_argument(*, required: bool = True) -> Callable[[F], F]:
    """`NOTEBOOK`: its path. That it exists and can be read is for the reader to say."""
    return click.argument(
        "notebook", required=required, type=click.Path(path_type=Path), shell_complete=complete_notebook
    )


def run_argument(*, required: bool = False) -> Callable[[F], F]:
    """`RUN`: `r43`, `43` or `latest`."""
    # A required argument must not be given a default, not even None: click would take it for the value.
    given: dict[str, Any] = {"required": True} if required else {"required": False, "default": "latest"}
    return click.argument("run", shell_complete=complete_run, **given)


def json_option(help_text: str = "Print JSON for programs.") -> Callable[[F], F]:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help=help_text)


def params_option() -> Callable[[F], F]:
    """`-p NAME=VALUE`, as often as needed."""
    return click.option("-p", "--param", "params", multiple=True, metavar="NAME=VALUE", help="Set a parameter.")


def params_from_option() -> Callable[[F], F]:
    """`--params-from RUN`."""
    said = "Take what this run was given; -p wins over it."
    return click.option("--params-from", metavar="RUN", shell_complete=complete_run, help=said)


def profile_option() -> Callable[[F], F]:
    """`--profile NAME`."""
    return click.option("--profile", metavar="NAME", help="Take the values of a %%params profile first.")


def store_option() -> Callable[[F], F]:
    """`--store PLACE`."""
    return click.option(
        "--store", metavar="PLACE", envvar="NBPIPE_STORE", help="Folder or URL of the store [default: the project's]."
    )


def fresh_option() -> Callable[[F], F]:
    """`--fresh`."""
    return click.option("--fresh", is_flag=True, help="Reuse nothing: run every stage.")


def seed_option() -> Callable[[F], F]:
    """`--seed N`."""
    return click.option(
        "--seed",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        metavar="N",
        help="Seed for what the notebook does not seed itself.",
    )


def selection_options(function: F) -> F:
    """`--only`, `--from`, `--until`."""
    only = click.option("--only", metavar="STAGE", help="Run this stage; take what it needs as it was computed before.")
    start = click.option("--from", "from_", metavar="STAGE", help="Run this stage and all that depend on it again.")
    until = click.option("--until", metavar="STAGE", help="Run this stage and what it needs, nothing else.")
    return only(start(until(function)))


def read_params(words: tuple[str, ...]) -> dict[str, str]:
    """Names and texts of `-p` options; the last one counts. Types are for the pipeline to check."""
    return read_pairs(words, said="-p ", fix="Write, say, -p lr=0.01")


def read_pairs(words: tuple[str, ...], *, said: str, fix: str) -> dict[str, str]:
    """Names and texts of words such as `name=text`; the last one counts. Raises UsageError, which begins with `said`."""
    values: dict[str, str] = {}
    for word in words:
        name, equals, text = word.partition("=")
        name = name.strip()
        if not equals or not name:
            raise UsageError(f"{said}{word!r} does not say NAME=VALUE", name=word, fix=fix)
        values[name] = text
    return values


def complete_notebook(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Notebooks and folders that begin like this."""
    start = Path(incomplete)
    folder = start if incomplete.endswith("/") else start.parent
    prefix = "" if incomplete.endswith("/") else start.name
    try:
        paths = sorted(path for path in folder.iterdir() if path.name.startswith(prefix))
    except OSError:
        return []
    found = [path for path in paths if path.is_file() and path.suffix in _SUFFIXES]
    folders = [path for path in paths if path.is_dir() and not path.name.startswith(".")]
    return [CompletionItem(str(path)) for path in found] + [CompletionItem(f"{path}/") for path in folders]


def complete_run(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Runs of the project at hand, newest first."""
    from nbpipe.history.query import runs
    from nbpipe.run.project import find_project

    found = runs(find_project(Path()), limit=_OFFERED)
    return [
        CompletionItem(item.run, help=f"{item.status} {item.name}") for item in found if item.run.startswith(incomplete)
    ]
