"""`nbpipe target`: the places where stages can run, whether they can be reached, and whether they fit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nbpipe.cli.arguments import json_option
from nbpipe.errors import EXIT_CODES, TargetError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbpipe.run.project import Project
    from nbpipe.targets.fit import Finding, Need
    from nbpipe.targets.settings import Target

_STYLES = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "failed": ("✗", "red")}


@click.command("target")
@click.argument("action", type=click.Choice(["list", "test", "doctor", "release"]), default="list")
@click.argument("name", required=False)
@click.option(
    "--notebook",
    type=click.Path(path_type=Path),
    metavar="NOTEBOOK",
    help="Compare with what its stages need.",
)
@json_option()
def command(action: str, name: str | None, *, notebook: Path | None, as_json: bool) -> None:
    """List the targets, test whether they answer, or find out what a run would lack there.

    Targets are described in pyproject.toml or nbpipe.toml. `list` connects to nothing: it says what the last test
    found. `test` connects. `doctor` compares Python, packages, GPUs, memory and disk with what the notebook needs.
    Without a NAME, all of them. `release` ends the kernels of failed stages that a target keeps (keep_failed).

    \b
    Examples:
      nbpipe target list
      nbpipe target test gpu
      nbpipe target doctor gpu --notebook digits.ipynb
      nbpipe target release gpu
      nbpipe target list --json
    """  # noqa: D301 - click's mark
    from nbpipe.cli.places import project_of
    from nbpipe.run.fleets import targets_of
    from nbpipe.targets.settings import target_named

    project = project_of(notebook)
    targets = targets_of(project)
    chosen = [target_named(targets, name)] if name is not None else list(targets.values())
    if notebook is not None and action != "doctor":
        raise UsageError("--notebook goes with doctor only", fix="Try: nbpipe target doctor NAME --notebook NOTEBOOK")
    if action == "list":
        _list(project, chosen, as_json=as_json)
        return
    if action == "release":
        _release(project, chosen, as_json=as_json)
        return
    rows = [_examined(project, target, notebook, full=action == "doctor") for target in chosen]
    if as_json:
        from nbpipe.cli.shapes import SCHEMA, print_json

        print_json({"schema": SCHEMA, "ok": all(row["ok"] for row in rows), "targets": rows})
    else:
        for row in rows:
            _print(row)
    raise click.exceptions.Exit(EXIT_CODES["ok"] if all(row["ok"] for row in rows) else TargetError.exit_code)


def _list(project: Project, targets: Sequence[Target], *, as_json: bool) -> None:
    from nbpipe.run.fleets import states

    rows = states(project, targets)
    if as_json:
        from nbpipe.cli.shapes import SCHEMA, print_json

        print_json({"schema": SCHEMA, "targets": rows})
        return
    from nbpipe.cli.render import DIM, PLAIN, table
    from nbpipe.cli.text import line

    for text in table(
        [
            [[(row["name"], PLAIN)], [(row["kind"], DIM)], [(row["state"], PLAIN)], [(line(row["detail"]), DIM)]]
            for row in rows
        ],
        indent=0,
    ):
        click.echo(text)


def _release(project: Project, targets: Sequence[Target], *, as_json: bool) -> None:
    """End the kernels that targets keep, and say how many. Raises TargetError for one that cannot be reached."""
    from nbpipe.run.kept import forget_all
    from nbpipe.targets.settings import KEEPING

    ended = {}
    for target in targets:
        if target.kind in KEEPING:
            with _opened(target) as there:
                names = there.release()
            ended[target.name] = len(names)
            forget_all(project.root, target.name, names)
    if as_json:
        from nbpipe.cli.shapes import SCHEMA, print_json

        print_json({"schema": SCHEMA, "ended": ended})
        return
    from nbpipe.cli.text import count

    for name, number in ended.items():
        click.echo(f"{name}: ended {count(number, 'kernel')}" if number else f"{name}: no kernel is kept")


def _examined(project: Project, target: Target, notebook: Path | None, *, full: bool) -> dict[str, Any]:
    """What was found; a target that cannot be reached is a finding, too."""
    from nbpipe.targets import tested

    checks: list[Finding] = []
    each: dict[str, dict[str, Any]] = {}
    seconds: float | None = None
    try:
        need = _need(project, target, notebook)
        with _opened(target) as there:
            each, seconds = there.each(sorted({*need.distributions, *need.indirect})), there.round_trip()
            stored = _stored(there, target)
    except TargetError as error:
        from nbpipe.targets.fit import Finding

        checks = [Finding(name="connection", status="failed", detail=error.message, fix=error.fix or "")]
    else:
        from nbpipe.targets.fit import compare_each

        checks = [*compare_each(target, each, need), *stored]
        if not full:
            checks = [item for item in checks if item.status == "failed" or (item in stored and item.status != "ok")]
    from nbpipe.run.fleets import summaries

    reached = bool(each)
    detail = summaries(each) if reached else checks[0].detail
    if target.kind != "local":
        packages = tested.packages_of(each.values(), need.distributions) if reached else {}
        tested.note(project.state, target, ready=reached, detail=detail, packages=packages)
    return {
        "name": target.name,
        "kind": target.kind,
        "state": "ready" if reached else "unreachable",
        "detail": detail,
        "round_trip": seconds,
        "ok": not any(item.status == "failed" for item in checks),
        "checks": [
            {"name": item.name, "status": item.status, "detail": item.detail, "fix": item.fix or None}
            for item in checks
        ],
    }


def _stored(there: Any, target: Target) -> list[Finding]:
    """Whether both sides can use the store that they share."""
    if not target.store:
        return []
    from nbpipe.targets.fit import store_check

    try:
        return [store_check(target, there.try_store())]
    except TargetError as error:
        return [store_check(target, {}, error.message)]


def _need(project: Project, target: Target, notebook: Path | None) -> Need:
    from nbpipe import __version__
    from nbpipe.pipeline.environment import python_minor
    from nbpipe.targets.fit import Need, need_of

    if notebook is None:
        return Need(nbpipe=__version__, python=python_minor())
    from nbpipe.pipeline.extract import extract
    from nbpipe.run.fleets import places_of

    pipeline = extract(notebook)
    places = places_of(project, pipeline, None)
    own = [stage for stage in pipeline.stages if places[stage.name].name == target.name]
    # Where no stage names it, the question is whether the whole notebook could go there.
    found = need_of(pipeline, own or pipeline.stages, __version__)
    from msgspec.structs import replace

    from nbpipe.pipeline.closure import required_by

    return replace(found, indirect=required_by(found.distributions))


class _opened:  # noqa: N801 - reads as contextlib's, which costs an import
    """The machine of a target, asked about itself."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def __enter__(self) -> Any:
        from nbpipe.run.fleets import asked

        self._there = asked(self._target)
        return self._there

    def __exit__(self, *_: object) -> None:
        self._there.close()


def _print(row: dict[str, Any]) -> None:
    from nbpipe.cli.text import line

    symbol, colour = _STYLES["ok" if row["ok"] else "failed"]
    took = f", answers in {row['round_trip'] * 1000:.1f} ms" if row["round_trip"] is not None else ""
    head = f"{click.style(symbol, fg=colour, bold=True)} {row['name']} ({row['kind']})"
    click.echo(f"{head}  {line(row['detail'])}{took}" if row["state"] == "ready" else head)
    for item in row["checks"]:
        symbol, colour = _STYLES[item["status"]]
        click.echo(f"    {click.style(symbol, fg=colour)} {item['name']:<12} {line(item['detail'])}")
        if item["fix"]:
            click.echo(f"{' ' * 19}{line(item['fix'])}")
