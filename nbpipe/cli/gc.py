"""`nbpipe gc`: free space."""

from __future__ import annotations

import json

import click

from nbpipe.cli.arguments import json_option, store_option


@click.command("gc")
@click.option("--older-than", metavar="TIME", help="Also forget results older than this, such as 30d or 12h.")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@store_option()
@json_option()
def command(older_than: str | None, store: str | None, *, dry_run: bool, as_json: bool) -> None:
    """Free the space of results that nothing needs.

    Without --older-than only bytes go that no result needs: left by runs that were killed, say. Nothing younger than a
    day is touched, so it may run beside others. Results that are gone are computed again when a run wants them;
    executed notebooks and the history stay.

    \b
    Examples:
      nbpipe gc --dry-run
      nbpipe gc --older-than 30d
    """  # noqa: D301 - click's mark
    from nbpipe.cli.places import store_of_project
    from nbpipe.cli.text import count, size
    from nbpipe.store.gc import gc

    seconds = _seconds(older_than) if older_than is not None else None
    done = gc(store_of_project(store), older_than=seconds, dry_run=dry_run)
    if as_json:
        shape = {
            "schema": 1,
            "dry_run": dry_run,
            "objects": done.objects,
            "traces": done.traces,
            "bytes": done.bytes,
            "kept": done.kept,
        }
        click.echo(json.dumps(shape))
        return
    verb = "would free" if dry_run else "freed"
    what = f"{count(done.objects, 'object')}, {count(done.traces, 'result')}"
    click.echo(f"{verb} {size(done.bytes)}: {what}; {count(done.kept, 'object')} in use")


def _seconds(text: str) -> float:
    from nbpipe.errors import UsageError

    units = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
    number, unit = text[:-1], text[-1:]
    try:
        value = float(number) * units[unit]
    except (ValueError, KeyError):
        raise UsageError(f"--older-than {text!r} is not a time", name=text, fix="Write, say, 12h or 30d.") from None
    if not 0 <= value < float("inf"):
        raise UsageError(f"--older-than {text!r} is not a time", name=text, fix="Write, say, 12h or 30d.")
    return value
