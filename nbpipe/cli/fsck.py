"""`nbpipe fsck`: whether every byte is what it was when it was stored."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from nbpipe.cli.arguments import json_option, store_option
from nbpipe.errors import EXIT_CODES

if TYPE_CHECKING:
    from nbpipe.store.fsck import Report


@click.command("fsck")
@click.option("--repair", is_flag=True, help="Put corrupt objects aside and remove abandoned files.")
@store_option()
@json_option()
def command(store: str | None, *, repair: bool, as_json: bool) -> None:
    """Check every byte of the store.

    Hashes every object again and reads every result. What is corrupt is never served, with or without --repair: a run
    that wants it computes it again. Exit code 0: sound, or repaired; 6: not.

    \b
    Examples:
      nbpipe fsck
      nbpipe fsck --repair
      nbpipe fsck --store s3://bucket/store
    """  # noqa: D301 - click's mark
    from nbpipe.cli.places import store_of_project
    from nbpipe.store.fsck import fsck

    place = store_of_project(store)
    found = fsck(place, repair=repair)
    # What cannot be repaired is a result without its bytes; it is a miss, and the next run makes it again.
    code = EXIT_CODES["ok"] if found.sound or repair else EXIT_CODES["store"]
    if as_json:
        click.echo(json.dumps(_shape(found, place.location, code)))
    else:
        _print_text(found, place.location, repair=repair)
    raise click.exceptions.Exit(code)


def _shape(found: Report, location: str, exit_code: int) -> dict[str, object]:
    return {
        "schema": 1,
        "store": location,
        "sound": found.sound,
        "exit_code": exit_code,
        "objects": found.objects,
        "traces": found.traces,
        "corrupt": found.corrupt,
        "missing": found.missing,
        "untrusted": found.untrusted,
        "abandoned": found.abandoned,
        "repaired": found.repaired,
    }


def _print_text(found: Report, location: str, *, repair: bool) -> None:
    from nbpipe.cli.text import count, line

    for digest in found.corrupt:
        click.echo(f"{click.style('corrupt', fg='red')}    object {digest}")
    for digest, stages in found.missing.items():
        click.echo(
            f"{click.style('missing', fg='yellow')}    object {digest[:16]}… of {', '.join(sorted(set(stages)))}"
        )
    for name in found.untrusted:
        click.echo(f"{click.style('untrusted', fg='yellow')}  {line(name)}: not signed with your key; never served")
    for name in found.abandoned:
        click.echo(f"{click.style('abandoned', fg='yellow')}  {line(name)}")
    for what in found.repaired:
        click.echo(f"{click.style('repaired', fg='green')}   {line(what)}")
    said = f"{count(found.objects, 'object')}, {count(found.traces, 'result')} in {line(location)}"
    if found.sound:
        click.echo(f"{click.style('sound', fg='green')}: {said}")
    elif repair:
        click.echo(f"repaired: {said}; the next run computes again what is gone")
    else:
        click.echo(f"not sound: {said}. Mend it with: nbpipe fsck --repair")
