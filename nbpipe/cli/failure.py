"""Errors as people and programs read them. What, where, why, what next; never a traceback of nbpipe's own."""

from __future__ import annotations

import os
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import click

from nbpipe.cli.text import plain
from nbpipe.errors import NbpipeError

if TYPE_CHECKING:
    from nbpipe.model import Failure
    from nbpipe.run.project import Project
    from nbpipe.run.state import RunState

#: Exit code of a mistake in nbpipe itself (`EX_SOFTWARE` of sysexits.h).
INTERNAL = 70
_INDENT = " " * len("nbpipe: ")
_WIDEST = 120


def place(stage: str | None, cell: int | None, line: int | None) -> str:
    """`stage 'train' (cell 7, line 3)`; without a stage `cell 7, line 3`; empty when there is no place."""
    spot = ", ".join(f"{word} {number}" for word, number in (("cell", cell), ("line", line)) if number is not None)
    if stage is None:
        return spot
    return f"stage '{stage}' ({spot})" if spot else f"stage '{stage}'"


def error_text(error: NbpipeError) -> str:
    """The message, its fix, and where the documentation speaks of it; wrapped to the terminal."""
    where = place(error.stage, error.cell, error.line)
    columns = min(_columns(), _WIDEST)
    head = plain(f"{where}: {error.message}" if where else error.message).rstrip(".")
    lines = _wrapped(f"nbpipe: {head}" + ("" if head.endswith("?") else "."), columns, first="")
    docs = f"docs: nbpipe help {error.code}"
    if error.fix:
        lines += _wrapped(plain(error.fix), columns, first=_INDENT)
        if len(lines[-1]) + 4 + len(docs) <= columns:
            return "\n".join([*lines[:-1], lines[-1] + docs.rjust(columns - len(lines[-1]))])
    return "\n".join([*lines, _INDENT + docs])


def error_object(error: NbpipeError) -> dict[str, Any]:
    """The same for programs; see `docs/formats/cli-json.md`."""
    return {
        "code": error.code,
        "message": error.message,
        "stage": error.stage,
        "cell": error.cell,
        "line": error.line,
        "name": error.name,
        "fix": error.fix,
    }


def failure_error(failure: Failure, stage: str | None, exit_code: int) -> NbpipeError:
    """The failure of a stage as an error, so that both are shown alike."""
    error = NbpipeError(
        failure.message,
        stage=stage,
        cell=failure.cell,
        line=failure.line,
        name=failure.name,
        fix=failure.fix or None,
    )
    error.code, error.exit_code = failure.code, exit_code
    return error


def how_to_go_on(error: NbpipeError, project: Project, state: RunState, stage: str | None) -> NbpipeError:
    """The error with what to do next where the target of its stage keeps the kernel: the commands, ready to be typed."""
    from nbpipe.run.waiting import waiting

    found = waiting(project, state, stage) if stage is not None else None
    if found is None:
        return error
    import shlex
    import time

    from nbpipe.cli.text import size

    notebook = str(project.root / state.notebook)
    words = [
        f"--{name.replace('_', '-')}" + ("" if given is True else f"={given}") for name, given in found.start.items()
    ]
    held = [size(found.memory)] if found.memory else []
    held += [f"GPUs {', '.join(found.gpus)}"] if found.gpus else []
    until = ", ".join([time.strftime("%H:%M", time.localtime(found.until)), *held])
    error.fix = "\n".join(
        [
            f"{found.target} keeps the kernel (until {until}). Mend cell {found.cell}, then go on there, or end it:",
            shlex.join(["nbpipe", "run", min(os.path.relpath(notebook), notebook, key=len), *words]),
            shlex.join(["nbpipe", "target", "release", found.target]),
        ]
    )
    return error


def print_error(error: NbpipeError, *, as_json: bool) -> None:
    """Print the text on standard error; with `as_json` also one line on standard output."""
    from nbpipe.cli.main import wants_color

    text = error_text(error)
    click.echo(
        click.style("nbpipe:", fg="red", bold=True) + text.removeprefix("nbpipe:"), err=True, color=wants_color()
    )
    if as_json:
        _print_object(error_object(error), error.exit_code)


def print_unexpected(error: Exception, *, as_json: bool, debug: bool) -> int:
    """Say that nbpipe itself failed and where the report lies; returns the exit code."""
    import traceback

    details = "".join(traceback.format_exception(error))
    if debug:
        click.echo(details, err=True)
    kind = type(error).__name__
    path = _write_report(details)
    where = f"A report is in {path}" if path else "No report could be written"
    columns = min(_columns(), _WIDEST)
    lines = _wrapped(f"nbpipe: this is a mistake in nbpipe: {kind}: {plain(str(error))}", columns, first="")
    after = f"{where}. Nothing that was committed is lost. --debug shows the traceback."
    click.echo("\n".join([*lines, *_wrapped(after, columns, first=_INDENT)]), err=True)
    if as_json:
        message = f"{kind}: {error}"
        _print_object({"code": "internal", "message": message, "report": path, "fix": None}, INTERNAL)
    return INTERNAL


def _print_object(error: dict[str, Any], exit_code: int) -> None:
    import json

    whole = {"schema": 1, "run": None, "status": "error", "exit_code": exit_code, "notebook": None, "version": None}
    click.echo(json.dumps(whole | {"warnings": [], "stages": [], "error": error}, ensure_ascii=False))


def _wrapped(text: str, columns: int, *, first: str) -> list[str]:
    """Long lines broken at spaces; the text's own line breaks stay."""
    wrapper = textwrap.TextWrapper(columns, subsequent_indent=_INDENT, break_long_words=False, break_on_hyphens=False)
    lines: list[str] = []
    for number, part in enumerate(text.splitlines() or [""]):
        wrapper.initial_indent = first if number == 0 else _INDENT
        lines += wrapper.wrap(part) or [""]
    return lines


def _columns() -> int:
    import shutil

    return max(shutil.get_terminal_size((_WIDEST, 24)).columns, 40)


def _write_report(details: str) -> str | None:
    """Leave the traceback in a file only its owner can read. Values of arguments are left out: they may be secret."""
    import platform
    import tempfile

    from nbpipe import __version__

    words = [word if not word.startswith("-") else word.partition("=")[0] for word in sys.argv[1:2]]
    try:
        handle, path = tempfile.mkstemp(prefix="nbpipe-report-", suffix=".txt")
        with os.fdopen(handle, "w", errors="backslashreplace") as file:
            file.write(f"nbpipe {__version__}, Python {platform.python_version()}, {platform.platform()}\n")
            file.write(f"command: nbpipe {' '.join(words)} ...\n\n{details}")
    except OSError:
        return None
    return path
