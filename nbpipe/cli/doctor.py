"""`nbpipe doctor`: whether a run would work here, and what to do where it would not."""

from __future__ import annotations

import click

from nbpipe.cli.arguments import json_option
from nbpipe.errors import EXIT_CODES

_STYLES = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "failed": ("✗", "red")}


@click.command("doctor")
@json_option()
def command(*, as_json: bool) -> None:
    """Check this machine and this project.

    Python and packages, a kernel that really answers, the store, the key, the disk, MLflow. Exit code 0: a run would
    work; else the code of the first check that failed.

    \b
    Examples:
      nbpipe doctor
      nbpipe doctor --json
    """  # noqa: D301 - click's mark
    from nbpipe.cli.diagnosis import examine
    from nbpipe.cli.places import project_of

    found = []
    for finding in examine(project_of()):
        found.append(finding)
        if not as_json:
            _print(finding.name, finding.status, finding.detail, finding.fix)
    code = next((finding.exit_code for finding in found if finding.status == "failed"), EXIT_CODES["ok"])
    if as_json:
        from nbpipe.cli.shapes import SCHEMA, print_json

        checks = [
            {"name": item.name, "status": item.status, "detail": item.detail, "fix": item.fix or None} for item in found
        ]
        print_json({"schema": SCHEMA, "ok": code == EXIT_CODES["ok"], "exit_code": code, "checks": checks})
    raise click.exceptions.Exit(code)


def _print(name: str, status: str, detail: str, fix: str) -> None:
    from nbpipe.cli.text import line

    symbol, colour = _STYLES[status]
    click.echo(f"{click.style(symbol, fg=colour, bold=status != 'ok')} {name:<12} {line(detail)}")
    if fix:
        click.echo(f"{' ' * 15}{line(fix)}")
