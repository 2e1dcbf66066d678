"""`nbpipe run`: run a notebook as a pipeline, show how it goes, say what came of it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

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
@selection_options
@fresh_option()
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
    only: str | None,
    from_: str | None,
    until: str | None,
    fresh: bool,
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
      nbpipe run digits.ipynb --params-from r41 -p epochs=20
      nbpipe run digits.ipynb --only train
      nbpipe run digits.ipynb --on gpu
      nbpipe run digits.ipynb --detach && nbpipe logs -f
    """  # noqa: D301 - click's mark
    given = read_params(params)
    if params_from is not None:
        from nbpipe.cli.places import project_of
        from nbpipe.history.query import find_run

        params_from = find_run(project_of(notebook), params_from)
    if detach:
        from nbpipe.cli.detach import detach as start

        # `latest` is the latest now: the detached run itself is a later one.
        more = ["--params-from", params_from] if params_from is not None else []
        raise click.exceptions.Exit(start(notebook, more, as_json=as_json))
    from nbpipe.cli.main import end_quietly, wants_color
    from nbpipe.cli.progress import Progress
    from nbpipe.cli.result import show_result
    from nbpipe.run.api import run_notebook

    out = sys.stderr if as_json else sys.stdout
    progress = Progress(out, live=_can_redraw(out.isatty()), quiet=quiet, color=wants_color())
    with _until_it_ends(progress):
        try:
            result = run_notebook(
                notebook,
                params=given,
                params_from=params_from,
                profile=profile,
                only=only,
                from_=from_,
                until=until,
                fresh=fresh,
                on=on,
                jobs=jobs,
                seed=seed,
                store=store,
                listener=progress.hear,
                run_id=run_id,
            )
        finally:
            progress.close()
        try:
            show_result(result, progress.snapshot(), notebook, out, quiet=quiet, as_json=as_json)
        except BrokenPipeError:
            # The run is over, and how it ended still counts.
            end_quietly()
    raise click.exceptions.Exit(result.exit_code)


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
