"""`nbpipe run --detach`: the same run in a process of its own, which outlives the terminal."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import click

from nbpipe.errors import EXIT_CODES

#: Where the detached process writes what it would have shown.
OUTPUT = "driver.log"
_PATIENCE = 30.0


def start_detached(notebook: Path, more: list[str], *, as_json: bool) -> int:
    """Start `nbpipe run` with the words of this process, and `more`, in the background; print the run; return the exit code.

    Returns once the run has begun, or with its own error where it cannot.
    """
    from nbpipe.run.journal import JOURNAL
    from nbpipe.run.project import find_project

    project = find_project(notebook)
    run = project.new_run()
    folder = project.runs / run
    words = [word for word in sys.argv[1:] if word != "--detach"]
    with (folder / OUTPUT).open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "nbpipe.cli.main", *words, *more, "--run-id", run],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    journal = folder / JOURNAL
    until = time.monotonic() + _PATIENCE
    while child.poll() is None and not _begun(journal) and time.monotonic() < until:
        time.sleep(0.02)
    if child.returncode and not _begun(journal):
        _repeat((folder / OUTPUT).read_text(errors="replace"), as_json=as_json)
        _forget(folder)
        return child.returncode
    if as_json:
        from nbpipe.cli.shapes import SCHEMA, print_json

        print_json({"schema": SCHEMA, "run": run, "status": "running", "pid": child.pid, "folder": str(folder)})
    else:
        click.echo(f"{run} ● running in the background   follow: nbpipe logs {run} -f   stop: nbpipe stop {run}")
    return EXIT_CODES["ok"]


def _repeat(text: str, *, as_json: bool) -> None:
    """What the process said, as if this one had said it: with `as_json` its last line goes to standard output."""
    lines = text.splitlines()
    last = lines.pop() if as_json and lines else None
    for line in lines:
        click.echo(line, err=True)
    if last is not None:
        click.echo(last)


def _begun(journal: Path) -> bool:
    return journal.is_file() and journal.stat().st_size > 0


def _forget(folder: Path) -> None:
    """A run that never began leaves no empty folder in the history."""
    (folder / OUTPUT).unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()
