"""`nbpipe run`: run a notebook as a pipeline, show how it goes, say what came of it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nbpipe.cli.arguments import (
    fresh_option,
    json_option,
    notebook_argument,
    params_from_option,
    params_option,
    profile_option,
    read_params,
    seed_option,
    selection_options,
    store_option,
)

if TYPE_CHECKING:
    from nbpipe.cli.progress import Progress


@click.command("run")
@notebook_argument()
@params_option()
@params_from_option()
@profile_option()
@click.option(
    "--smoke-first", is_flag=True, help="Run with the profile smoke first; the full run follows if it went well."
)
@selection_options
@fresh_option()
@click.option(
    "--continue", "resume", is_flag=True, help="Go on at the cell that failed, where its target has kept the kernel."
)
@click.option("--on", metavar="TARGET", help="Where the stages run that name no target themselves [default: local].")
@click.option(
    "--jobs", type=click.IntRange(min=1), metavar="N", help="Run at most N stages at once [default: the CPUs]."
)
@seed_option()
@store_option()
@click.option("--detach", is_flag=True, help="Start the run, print its name and return.")
@click.option("--quiet", is_flag=True, help="Print only errors and the last line.")
@click.option("--run-id", hidden=True, help="Folder made for a detached run.")
@json_option("Progress goes to standard error; the last line on standard output is JSON.")
def command(  # noqa: PLR0913 - one per option
    notebook: Path,
    *,
    params: tuple[str, ...],
    params_from: str | None,
    profile: str | None,
    smoke_first: bool,
    only: str | None,
    from_: str | None,
    until: str | None,
    fresh: bool,
    resume: bool,
    on: str | None,
    jobs: int | None,
    seed: int,
    store: str | None,
    detach: bool,
    quiet: bool,
    run_id: str | None,
    as_json: bool,
) -> None:
    """Run a notebook as a pipeline.

    What has not changed is reused; where nothing has, nothing runs. The notebook itself is never written to: the run
    leaves an executed copy in .nbpipe/runs. Ctrl-C stops the stages that run and keeps what is finished; a second
    Ctrl-C kills them.

    Exit code 0: succeeded or up to date; 1: your code raised; 8: a check said no; see docs/reference/exit-codes.md.

    \b
    Examples:
      nbpipe run digits.ipynb
      nbpipe run digits.ipynb -p lr=0.01 -p epochs=10
      nbpipe run digits.ipynb --profile smoke
      nbpipe run digits.ipynb --smoke-first
      nbpipe run digits.ipynb --params-from r41 -p epochs=20
      nbpipe run digits.ipynb --only train
      nbpipe run digits.ipynb --on gpu
      nbpipe run digits.ipynb --on gpu --continue
      nbpipe run digits.ipynb --detach && nbpipe logs -f
    """  # noqa: D301 - click's mark
    given = read_params(params)
    smoke = _smoke_params(notebook, given, profile, detach=detach) if smoke_first else None
    if params_from is not None:
        from nbpipe.cli.places import project_of
        from nbpipe.history.query import find_run

        params_from = find_run(project_of(notebook), params_from)
    if detach:
        from nbpipe.cli.detach import detach as start

        # `latest` is the latest now: the detached run itself is a later one.
        more = ["--params-from", params_from] if params_from is not None else []
        raise click.exceptions.Exit(start(notebook, more, as_json=as_json))
    asked: dict[str, Any] = {"params_from": params_from, "only": only, "from_": from_, "until": until, "fresh": fresh}
    asked["resume"] = resume
    asked |= {"on": on, "jobs": jobs, "seed": seed, "store": store, "run_id": run_id}
    if smoke is not None:
        # Its result is for programs only where it is the last word.
        code = _run(notebook, {**asked, "params": smoke, "profile": "smoke"}, quiet=quiet, as_json=as_json, last=False)
        if code:
            click.echo("nbpipe: the smoke run did not succeed: the full run was not started", err=True)
            raise click.exceptions.Exit(code)
    raise click.exceptions.Exit(
        _run(notebook, {**asked, "params": given, "profile": profile}, quiet=quiet, as_json=as_json)
    )


def _run(notebook: Path, asked: dict[str, Any], *, quiet: bool, as_json: bool, last: bool = True) -> int:
    """Run, show how it goes and what came of it; the exit code. One that is not the `last` prints JSON only if it failed."""
    from nbpipe.cli.main import end_quietly, wants_color
    from nbpipe.cli.progress import Progress
    from nbpipe.cli.result import show_result
    from nbpipe.run.api import run_notebook

    out = sys.stderr if as_json else sys.stdout
    past = _past(notebook, asked["profile"])
    progress = Progress(out, live=_can_redraw(out.isatty()), quiet=quiet, color=wants_color(), expected=past)
    with _until_it_ends(progress):
        try:
            result = run_notebook(notebook, listener=progress.hear, **asked)
        finally:
            progress.close()
        said = as_json and (last or result.exit_code != 0)
        try:
            show_result(result, progress.snapshot(), notebook, out, quiet=quiet, as_json=said)
        except OSError as error:
            # The run is over, and how it ended still counts.
            end_quietly()
            if not isinstance(error, BrokenPipeError):
                click.echo(f"nbpipe: what {result.run} says could not be written: {error.strerror}", err=True)
    return result.exit_code


def _past(notebook: Path, profile: str | None) -> Callable[[], Mapping[str, float]]:
    """What the stages took in the latest runs, looked up when it is to be shown."""

    def seconds() -> Mapping[str, float]:
        from nbpipe.run.expected import expected_seconds
        from nbpipe.run.project import find_project, relative

        project = find_project(notebook)
        return expected_seconds(project, relative(notebook, project.root), profile)

    return seconds


def _smoke_params(notebook: Path, given: dict[str, str], profile: str | None, *, detach: bool) -> dict[str, str]:
    """Parameters of the smoke run: what its profile sets is not for the full run's values to take back."""
    from nbpipe.errors import UsageError
    from nbpipe.run.smoke import smoke_names

    if profile is not None or detach:
        other = "--detach" if detach else "--profile"
        raise UsageError(f"--smoke-first does not go with {other}", name="--smoke-first", fix="Leave one of them out.")
    names = smoke_names(notebook)
    return {name: text for name, text in given.items() if name not in names}


@contextmanager
def _until_it_ends(progress: Progress) -> Iterator[None]:
    """A Ctrl-C after the last event of the run comes too late to stop it, and must not hide how it ended."""

    def stop(_number: int, _frame: object) -> None:
        if not progress.state.ended:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _can_redraw(terminal: bool) -> bool:  # noqa: FBT001 - the one thing it looks at besides the environment
    import os

    return terminal and os.environ.get("TERM", "") not in ("", "dumb")
