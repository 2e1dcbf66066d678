"""systemd: a timer and a service of a user. The whole pipeline runs on one machine, as with `nbpipe run`."""

from __future__ import annotations

from typing import Literal

from nbpipe.errors import UsageError
from nbpipe.export.base import Definition, Deployment
from nbpipe.export.cron_tab import NATIVE, notes, params_json, script
from nbpipe.export.names import dashed

_DAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_CARRIES = {
    **NATIVE,
    "--param": "`params.json`",
    "--schedule": "`OnCalendar`",
    "--logical-date-param": "date of the start",
    "secrets": "`EnvironmentFile`",
}


class SystemdExporter:
    """Writes a timer, a service, `run.sh` and `params.json`."""

    name = "systemd"
    title = "systemd timer"
    proof: Literal["validated"] = "validated"
    remote = False
    carries = _CARRIES
    instead = dict.fromkeys(("image", "--image"), "A systemd service runs no image: take it off, or export to argo.")

    def definition(self, deployment: Deployment) -> Definition:
        """The units. Raises UsageError without a schedule."""
        if deployment.schedule is None:
            raise UsageError("a timer needs a schedule", name="schedule", fix="Every day at 6: --schedule '0 6 * * *'")
        name = f"nbpipe-{dashed(deployment.pipeline.name, longest=50)}"
        # `%f` is the instance: the unit is linked as NAME@FOLDER, so that no path of one machine stands in it.
        service = [
            "[Unit]",
            f"Description=nbpipe pipeline {name.removeprefix('nbpipe-')} {deployment.pipeline.version[:7]}",
            "",
            "[Service]",
            "Type=oneshot",
            "WorkingDirectory=%f",
            # A missing file is no error: most pipelines have no secrets.
            "EnvironmentFile=-%f/environment",
            "ExecStart=/bin/sh run.sh",
        ]
        timer = [
            "[Unit]",
            f"Description=Runs {name}",
            "",
            "[Timer]",
            *(f"OnCalendar={text}" for text in calendar(deployment.schedule)),
            "Persistent=true",
            "",
            "[Install]",
            "WantedBy=timers.target",
        ]
        files = {
            f"{name}@.service": "\n".join(service) + "\n",
            f"{name}@.timer": "\n".join(timer) + "\n",
            "run.sh": script(deployment),
            "params.json": params_json(deployment),
        }
        start = (
            f"mkdir -p ~/.config/systemd/user && cp {name}@.* ~/.config/systemd/user/",
            f'systemctl --user daemon-reload && systemctl --user enable --now "{name}@$(systemd-escape --path "$PWD").timer"',
        )
        return Definition(
            main=f"{name}@.timer",
            files=files,
            steps=(
                (
                    "Install what the stages need; another Python than `python3` is named in a file `environment` here:",
                    "pip install -r requirements.txt",
                ),
                ("Try it:", "sh run.sh"),
                ("Start the timer:", "\n".join(start)),
            ),
            notes=notes(
                deployment,
                "set these in a file `environment` in this folder, NAME=VALUE a line, and keep it out of git",
            ),
        )


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
