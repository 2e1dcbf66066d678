"""systemd: a timer or a path unit, and a service of a user. The whole pipeline runs on one machine, as with `nbpipe run`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Literal

from nbpipe.errors import UnsupportedError, UsageError
from nbpipe.export.base import Definition, Deployment
from nbpipe.export.cron_tab import NATIVE, notes, params_json, script
from nbpipe.export.names import dashed

_DAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_CARRIES = {
    **NATIVE,
    "--param": "`params.json`",
    "--schedule": "`OnCalendar`",
    "--trigger-file": "`PathChanged` of a path unit",
    "--logical-date-param": "date of the start",
    "secrets": "`EnvironmentFile`",
}


class SystemdExporter:
    """Writes a timer, a path unit, or both; a service, `run.sh` and `params.json`."""

    name = "systemd"
    title = "systemd timer"
    proof: Literal["validated"] = "validated"
    remote = False
    carries = _CARRIES
    instead = dict.fromkeys(("image", "--image"), "A systemd service runs no image: take it off, or export to argo.")

    def definition(self, deployment: Deployment) -> Definition:
        """The units. Raises UsageError where nothing starts them, UnsupportedError for a path that systemd cannot watch."""
        if not deployment.starts_itself:
            raise UsageError(
                "a timer needs a schedule",
                name="schedule",
                fix="Every day at 6: --schedule '0 6 * * *'; or when a file changes: --trigger-file PATH",
            )
        name = f"nbpipe-{dashed(deployment.pipeline.name, longest=50)}"
        # `%f` is the instance: the unit is linked as NAME@FOLDER, so that no path of one machine stands in it. Only a path
        # unit names a place outside the folder, and takes no `..`: there the instance is the project.
        within = _within(deployment) if deployment.trigger_files else ""
        units = {
            "service": [
                "[Unit]",
                f"Description=nbpipe pipeline {name.removeprefix('nbpipe-')} {deployment.pipeline.version[:7]}",
                "",
                "[Service]",
                "Type=oneshot",
                f"WorkingDirectory=%f{within}",
                # A missing file is no error: most pipelines have no secrets.
                f"EnvironmentFile=-%f{within}/environment",
                "ExecStart=/bin/sh run.sh",
            ]
        }
        if deployment.schedule is not None:
            events = [f"OnCalendar={text}" for text in calendar(deployment.schedule)]
            units["timer"] = _starter(name, "Timer", [*events, "Persistent=true"], wanted="timers")
        if deployment.trigger_files:
            paths = dict.fromkeys(_watched(path) for path in deployment.trigger_files)
            units["path"] = _starter(name, "Path", [f"PathChanged=%f{path}" for path in paths], wanted="paths")
        files = {f"{name}@.{kind}": "\n".join(lines) + "\n" for kind, lines in units.items()}
        main = next(kind for kind in ("timer", "path") if kind in units)
        return Definition(
            main=f"{name}@.{main}",
            files={**files, "run.sh": script(deployment), "params.json": params_json(deployment)},
            steps=(
                (
                    "Install what the stages need; another Python than `python3` is named in a file `environment` here:",
                    "pip install -r requirements.txt",
                ),
                ("Try it:", "sh run.sh"),
                (f"Start the {main}:" if len(units) == 2 else "Start both:", _start(name, units, deployment)),  # noqa: PLR2004
            ),
            notes=notes(
                deployment,
                "set these in a file `environment` in this folder, NAME=VALUE a line, and keep it out of git",
            ),
        )


def _starter(name: str, section: str, lines: list[str], *, wanted: str) -> list[str]:
    return [
        "[Unit]",
        f"Description=Runs {name}",
        "",
        f"[{section}]",
        *lines,
        "",
        "[Install]",
        f"WantedBy={wanted}.target",
    ]


def _start(name: str, units: Mapping[str, object], deployment: Deployment) -> str:
    """Shell commands."""
    place = f"$(realpath {shlex.quote(deployment.project or '.')})" if "path" in units else "$PWD"
    instance = f'$(systemd-escape --path "{place}")'
    starters = " ".join(f'"{name}@{instance}.{kind}"' for kind in units if kind != "service")
    return (
        f"mkdir -p ~/.config/systemd/user && cp {name}@.* ~/.config/systemd/user/\n"
        f"systemctl --user daemon-reload && systemctl --user enable --now {starters}"
    )


def _within(deployment: Deployment) -> str:
    """The exported folder, from the project."""
    if deployment.folder.startswith("/"):
        raise UnsupportedError(
            "systemd looks at files of the project, and the exported folder is outside of it",
            name="out",
            fix="Export to a folder of the project.",
        )
    return f"/{_escaped(deployment.folder)}" if deployment.folder != "." else ""


def _watched(path: str) -> str:
    """What is watched: the file; for a pattern of names, the folder that they are in."""
    folder, _, name = path.rpartition("/")
    if "*" in folder:
        raise UnsupportedError(
            f"systemd cannot express --trigger-file {path}: it looks at one folder, and not at what is below it",
            name="trigger-file",
            fix="Name each folder: --trigger-file 'data/2024/*.csv'",
        )
    found = folder if "*" in name else path
    return f"/{_escaped(found)}" if found else ""


def _escaped(path: str) -> str:
    """A path in a unit. `%` begins a specifier; a quote or a space in the middle stands for itself."""
    if not path.isprintable() or "\\" in path or path != path.strip():
        raise UnsupportedError(f"systemd cannot express the path {path!a}", name=path[:80], fix="Rename it.")
    return path.replace("%", "%%")


def calendar(cron: str) -> tuple[str, ...]:
    """A cron expression as calendar events, of which any starts the timer.

    In cron a day counts if the day of the month *or* that of the week fits, where both are restricted; one that begins
    with `*`, as `*/2` does, restricts nothing in that sense, and then both have to fit.
    """
    minute, hour, day, month, weekday = cron.split()
    time = f"{_field(hour, 0)}:{_field(minute, 0)}:00"
    months = _field(month, 1)
    by_day = f"*-{months}-{_field(day, 1)} {time}"
    by_weekday = f"{_weekdays(weekday)} *-{months}-* {time}"
    if weekday == "*":
        return (by_day,)
    if day.startswith("*") or weekday.startswith("*"):
        return (f"{_weekdays(weekday)} {by_day}",)
    return (by_day, by_weekday)


def _field(text: str, first: int) -> str:
    return ",".join(_part(part, first) for part in text.split(","))


def _part(text: str, first: int) -> str:
    span, slash, step = text.partition("/")
    if span == "*":
        return f"{first}/{step}" if slash else "*"
    low, dash, high = span.partition("-")
    return low + (f"..{high}" if dash else "") + (f"/{step}" if slash else "")


def _weekdays(text: str) -> str:
    """Named one by one: ranges may cross the end of the week."""
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        low, dash, high = ("0", "-", "6") if span == "*" else span.partition("-")
        last = int(high) if dash else (6 if step else int(low))
        found |= {number % 7 for number in range(int(low), last + 1, int(step or 1))}
    return ",".join(_DAYS[number] for number in sorted(found))


EXPORTER = SystemdExporter()
