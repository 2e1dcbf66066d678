"""`nbpipe sweep`: many runs with other parameters, to find the best."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nbpipe.cli.arguments import json_option, notebook_argument, profile_option, read_pairs, seed_option, store_option

if TYPE_CHECKING:
    from nbpipe.sweep.api import SweepResult


@click.command("sweep")
@notebook_argument()
@click.option("-p", "--param", "params", multiple=True, metavar="NAME=VALUES", help="Vary a parameter, or set it.")
@click.option(
    "--metric", "metrics", multiple=True, metavar="NAME:max|min", help="What the best is, as often as needed."
)
@click.option("--where", multiple=True, metavar="CONDITION", help="What a trial has to meet, such as latency < 0.1.")
@click.option("--trials", type=click.IntRange(min=1), metavar="N", help="How many [default: the whole grid, else 20].")
@click.option(
    "--study", metavar="NAME", help="Its name; one that is there goes on where it stopped [default: s1, s2, …]."
)
@click.option(
    "--sampler",
    type=click.Choice(["auto", "tpe", "random", "grid"]),
    default="auto",
    help="How points are chosen [default: auto, a grid where it is small, else tpe].",
)
@click.option(
    "--pruner",
    type=click.Choice(["median", "halving", "hyperband", "none"]),
    help="How weak trials are found and stopped [default: median].",
)
@click.option(
    "--startup",
    type=click.IntRange(min=0),
    metavar="N",
    help="Trials before sampler and pruner learn [default: theirs].",
)
@click.option("--on", metavar="TARGET", help="Where the stages run that name no target themselves [default: local].")
@click.option("--parallel", type=click.IntRange(min=1), default=1, metavar="N", help="Trials at once [default: 1].")
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Stages at once here [default: the CPUs].")
@click.option("--timeout", metavar="TIME", help="Begin no trial after this time, such as 2h or 30m.")
@click.option("--fail-fast", is_flag=True, help="Stop at the first trial that fails.")
@profile_option()
@seed_option()
@click.option("--sampler-seed", type=click.IntRange(min=0), metavar="N", help="Seed of the sampler [default: --seed].")
@store_option()
@click.option("--promote-best", metavar="ALIAS", help="Let this alias name the best trial's model, such as champion.")
@click.option("--quiet", is_flag=True, help="Print only errors and the last line.")
@json_option("Trials go to standard error; the last line on standard output is JSON.")
def command(
    notebook: Path,
    *,
    params: tuple[str, ...],
    metrics: tuple[str, ...],
    where: tuple[str, ...],
    timeout: str | None,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Run a notebook many times and find the best parameters.

    Each trial is a run; only stages below a parameter that varies run each time. Weak trials are stopped early by what
    they log while they run. Ctrl-C stops in good order; the same --study goes on where it stopped.

    \b
    Values: lr=log:1e-5:1e-1  n=1:10  dropout=0:0.5:0.1  model=cnn,mlp  flag=*  epochs=5

    Exit code 0: found; 1: a trial failed; 8: no trial met the conditions; 130: interrupted.

    \b
    Examples:
      nbpipe sweep digits.ipynb -p lr=log:1e-5:1e-1 -p model=cnn,mlp --metric acc:max --trials 50
      nbpipe sweep digits.ipynb -p lr=0.1,0.01 --metric loss:min --parallel 2 --promote-best champion
      nbpipe sweep digits.ipynb -p width=8:64 --metric acc:max --metric latency:min
      nbpipe sweep digits.ipynb --study s1 --trials 80
    """  # noqa: D301 - click's mark
    import sys

    from nbpipe.cli.sweep_lines import Lines
    from nbpipe.errors import UsageError
    from nbpipe.sweep.api import sweep_notebook

    varied = read_pairs(params, said="-p ", fix="Write, say, -p lr=log:1e-5:1e-1")
    names = [word.partition("=")[0].strip() for word in params]
    for name in {name for name in names if names.count(name) > 1}:
        raise UsageError(f"-p {name} is given twice", name=name, fix=f"Write all its values in one: -p {name}=0.1,0.2")
    lines = Lines(sys.stderr if as_json else sys.stdout, quiet=quiet)
    result = sweep_notebook(
        notebook,
        params=varied,
        metrics=metrics,
        where=where,
        timeout=_seconds(timeout),
        begun=lines.begin,
        listener=lines.hear,
        **options,
    )
    lines.end(result)
    if options["promote_best"] and result.promoted is None:
        click.echo(f"nbpipe: nothing was promoted: {_why_not(result)}", err=True)
    if as_json:
        from nbpipe.cli.shapes import print_json
        from nbpipe.cli.sweep_shape import sweep_shape

        print_json(sweep_shape(result))
    raise click.exceptions.Exit(result.exit_code)


def _why_not(result: SweepResult) -> str:
    if result.stopped_for or result.study.status == "interrupted":
        return "the sweep was stopped before its end"
    return "no trial succeeded and met the conditions"


def _seconds(text: str | None) -> float | None:
    """A duration as in `--timeout` of a stage. Raises UsageError."""
    if text is None:
        return None
    from nbpipe.errors import UsageError
    from nbpipe.notebook.quantities import read_duration

    try:
        return read_duration(text)
    except ValueError as error:
        raise UsageError(f"--timeout: {error}", name="--timeout", fix="Write, say, 90s, 30m or 2h.") from None
