"""`nbpipe run --detach`: the same run in a process of its own, which outlives the terminal."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from nbpipe.errors import EXIT_CODES


def detach(notebook: Path, more: list[str], *, as_json: bool) -> int:
    """Start `nbpipe run` with the words of this process, and `more`, in the background; print the run; return the exit code.

    Returns once the run has begun, or with its own error where it cannot.
    """
    from nbpipe.run.detached import start_detached
    from nbpipe.run.project import find_project

    words = [word for word in sys.argv[1:] if word != "--detach"]
    started = start_detached(find_project(notebook), [*words, *more])
    if started.code is not None:
        _repeat(started.said, started.code, as_json=as_json)
        return started.code
    run = started.run
    if as_json:
        from nbpipe.cli.shapes import SCHEMA, print_json

        pid = started.process.pid
        print_json({"schema": SCHEMA, "run": run, "status": "running", "pid": pid, "folder": str(started.folder)})
    else:
        click.echo(f"{run} ● running in the background   follow: nbpipe logs {run} -f   stop: nbpipe stop {run}")
    return EXIT_CODES["ok"]


def _repeat(text: str, code: int, *, as_json: bool) -> None:
    """What the process said, as if this one had said it: with `as_json` its last line goes to standard output."""
    lines = text.splitlines()
    last = lines.pop() if as_json and lines else None
    for line in lines:
        click.echo(line, err=bool(code))
    if last is not None:
        click.echo(last)
