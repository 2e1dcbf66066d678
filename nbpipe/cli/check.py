"""`nbpipe check`: errors and warnings, before anything runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nbpipe.cli.arguments import json_option, notebook_argument, params_option, profile_option, read_params
from nbpipe.errors import EXIT_CODES, NbpipeError

if TYPE_CHECKING:
    from nbpipe.check.findings import Finding
    from nbpipe.model import Pipeline


@click.command("check")
@notebook_argument()
@params_option()
@profile_option()
@json_option()
def command(notebook: Path, params: tuple[str, ...], profile: str | None, *, as_json: bool) -> None:
    """Find every problem that can be found without running.

    Nothing of the notebook is executed. Exit code 0: sound, perhaps with warnings; 3: problems; 2: only the parameters
    are wrong.

    \b
    Examples:
      nbpipe check digits.ipynb
      nbpipe check digits.ipynb -p lr=0.01
      nbpipe check digits.ipynb --json
    """  # noqa: D301 - click's mark
    from nbpipe.check.findings import error_of
    from nbpipe.check.preflight import examine_file

    given = read_params(params)
    found = examine_file(notebook)
    problems = [error_of(item) for item in found.findings if item.severity == "error"]
    if found.pipeline is not None:
        problems += _parameter_problems(found.pipeline, given, profile)
    warnings = tuple(_text(item) for item in found.findings if item.severity != "error")
    code = problems[0].exit_code if problems else EXIT_CODES["ok"]
    if as_json:
        _print_json(found.pipeline, problems, warnings, code)
    else:
        _print_text(notebook, found.pipeline, problems, warnings)
    raise click.exceptions.Exit(code)


def _text(item: Finding) -> str:
    from nbpipe.cli.failure import place

    where = place(item.stage or None, item.cell, item.line)
    return f"{where} {item.message}" if where else item.message


def _parameter_problems(pipeline: Pipeline, given: dict[str, str], profile: str | None) -> list[NbpipeError]:
    from nbpipe.errors import ParameterError
    from nbpipe.pipeline.params import resolve_params

    required = any(param.required for param in pipeline.params)
    if required and not given and profile is None:
        # A notebook that wants a value is sound; only a run without the value is not.
        return []
    try:
        resolve_params(pipeline.params, given, profile, pipeline.profiles)
    except ParameterError as error:
        return [error]
    return []


def _print_json(
    pipeline: Pipeline | None, problems: list[NbpipeError], warnings: tuple[str, ...], exit_code: int
) -> None:
    from nbpipe.cli.failure import error_object

    whole = {
        "schema": 1,
        "status": "error" if problems else "ok",
        "exit_code": exit_code,
        "pipeline": pipeline.name if pipeline else None,
        "version": pipeline.version if pipeline else None,
        "stages": [stage.name for stage in pipeline.stages] if pipeline else [],
        "warnings": list(warnings),
        "problems": [error_object(problem) for problem in problems],
    }
    click.echo(json.dumps(whole, ensure_ascii=False))


def _print_text(
    notebook: Path, pipeline: Pipeline | None, problems: list[NbpipeError], warnings: tuple[str, ...]
) -> None:
    from nbpipe.cli.failure import print_error
    from nbpipe.cli.text import count, line

    for problem in problems:
        print_error(problem, as_json=False)
    for warning in warnings:
        click.echo(f"{click.style('warning:', fg='yellow')} {line(warning)}")
    name = line(str(notebook))
    if problems:
        click.echo(f"{name}: {count(len(problems), 'problem')}")
    elif pipeline is not None:
        said = ", ".join(
            count(number, noun)
            for number, noun in (
                (sum(stage.kind == "stage" for stage in pipeline.stages), "stage"),
                (sum(stage.kind == "check" for stage in pipeline.stages), "check"),
                (len(pipeline.params), "parameter"),
                (len(warnings), "warning"),
            )
            if number
        )
        click.echo(f"{name}: no problem found: {said}   {pipeline.version[:7]}")
