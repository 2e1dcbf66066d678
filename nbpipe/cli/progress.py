"""Progress of a run while it runs: a live table on a terminal, a line per event anywhere else."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TextIO

import click

from nbpipe.cli.expected import expected_text
from nbpipe.cli.render import DIM, PLAIN, Part, header, paint, reasons_text, stage_detail, stage_lines, status_parts
from nbpipe.cli.text import count, line, pad, width
from nbpipe.run.state import RunState, SoFar, StageState

if TYPE_CHECKING:
    from nbpipe.model import Event

_REFRESH = 8
#: Rows of a terminal that are not the table's: header, fold lines, the shell's prompt.
_RESERVED = 4


class Progress:
    """Hears the events of a run and shows them on `out`. Silent until a stage starts: "up to date" stands alone.

    Responsibilities: keeps the state that the events tell; draws it. Must not decide anything, nor print a result.
    """

    def __init__(
        self,
        out: TextIO,
        *,
        live: bool,
        quiet: bool = False,
        color: bool | None = None,
        expected: Callable[[], Mapping[str, float]] = dict,
    ) -> None:
        self._told = SoFar()
        self._left = 0
        #: What stages are expected to take together, once it is known which may run.
        self.estimate = ""
        self._expected = expected
        self._out = out
        self._color = color
        self._quiet = quiet
        self._begun = False
        self._held: list[Event] = []
        self._lock = threading.Lock()
        self._screen: Any = _Screen(self, out) if live else None

    def hear(self, event: Event) -> None:
        """Take in the next event."""
        with self._lock:
            self._told.add(event)
        if not event.stage:
            self._left = max((width(item.name) for item in self.state.stages), default=0)
        if self._quiet:
            return
        if event.kind == "stage-started" and not self._begun:
            self._begin()
        if not self._begun:
            self._held.append(event)
        elif self._screen is None:
            self._tell(event)

    def close(self) -> None:
        """Stop drawing; leave the finished table where a live one was. Safe to repeat."""
        screen, self._screen = self._screen, None
        if screen is not None and self._begun:
            screen.stop()
            self._say(paint(header(self.state)))
            for text in stage_lines(self.state.stages, columns=self._columns()):
                self._say(text)

    @property
    def state(self) -> RunState:
        """The run as its events tell it by now."""
        return self._told.state

    def snapshot(self) -> RunState:
        """The state as it is now, from any thread."""
        with self._lock:
            return self.state

    def _begin(self) -> None:
        self._begun = True
        past = self._expected()
        may_run = [stage.name for stage in self.state.stages if stage.status in ("waiting", "running")]
        self.estimate = expected_text({name: past.get(name) for name in may_run})
        if self._screen is not None:
            self._screen.start()
            return
        self._say(paint(self.head(self.state)))
        for event in self._held:
            self._tell(event)

    def head(self, state: RunState) -> list[Part]:
        """The first line."""
        return [*header(state), (f"   {self.estimate}" if self.estimate else "", DIM)]

    def _tell(self, event: Event) -> None:
        stage = self._told.stage(event.stage)
        if stage is None:
            return
        parts = _told(event, stage)
        if parts:
            self._say(paint([("  " + pad(line(stage.name), self._left) + "  ", PLAIN), *parts]))

    def _say(self, text: str) -> None:
        try:
            click.echo(text, file=self._out, color=self._color)
        except OSError:
            # Nobody reads any more (`nbpipe run NB | head`), or the file is on a full disk: the run goes on.
            self._quiet = True

    def _columns(self) -> int:
        return shutil.get_terminal_size().columns


def _told(event: Event, stage: StageState) -> list[Part]:
    if event.kind == "stage-started":
        why = reasons_text(stage.reasons)
        on = f" on {line(stage.on)} " if stage.on else " "
        return [*status_parts("running"), (f"{on}{why}", DIM)]
    if event.kind == "stage-retry":
        return [("⟳ again", {"fg": "yellow"}), (f"   {reasons_text(event.data.get('reasons', ()))}", DIM)]
    if event.kind == "stage-superseded":
        return [("⟳ again", {"fg": "yellow"}), (f"   {reasons_text(stage.reasons)}", DIM)]
    if event.kind == "stage-cached":
        return [*status_parts("cached"), (" ", PLAIN), *stage_detail(stage, event.time)]
    if event.kind in ("stage-succeeded", "stage-ended"):
        shown = StageState(
            name=stage.name,
            status=stage.status,
            seconds=stage.seconds,
            on=stage.on,
            metrics=stage.metrics,
            failure=stage.failure,
        )
        return [*status_parts(stage.status), (" ", PLAIN), *stage_detail(shown, event.time)]
    return []


class _Screen:
    """The live table. The only place that imports rich, and only once something runs on a terminal."""

    def __init__(self, progress: Progress, out: TextIO) -> None:
        self._progress = progress
        self._out = out
        self._live: Any = None

    def start(self) -> None:
        """Begin to draw, several times a second."""
        from rich.console import Console
        from rich.live import Live

        console = Console(file=self._out, highlight=False)
        self._live = Live(
            get_renderable=self._frame,
            console=console,
            refresh_per_second=_REFRESH,
            transient=True,
            redirect_stdout=False,
        )
        self._live.start()

    def stop(self) -> None:
        """Take the table away."""
        self._live.stop()

    def _frame(self) -> Any:
        from rich.text import Text

        size = shutil.get_terminal_size()
        state = self._progress.snapshot()
        lines = [paint(self._progress.head(state), size.columns)]
        above, shown, below = folded(state.stages, max(size.lines - _RESERVED, 3))
        left = max((width(stage.name) for stage in state.stages), default=0)
        if above:
            lines.append(paint([(f"  … {count(above, 'stage')} done", DIM)], size.columns))
        lines += stage_lines(shown, now=time.time(), columns=size.columns, left=left)
        if below:
            lines.append(paint([(f"  … {count(below, 'stage')} to come", DIM)], size.columns))
        return Text.from_ansi("\n".join(lines), no_wrap=True)


def folded(stages: tuple[StageState, ...], rows: int) -> tuple[int, tuple[StageState, ...], int]:
    """The part of the stages that fits into `rows` and shows what happens now; how many stand above and below it."""
    if len(stages) <= rows:
        return 0, stages, 0
    busy = [n for n, stage in enumerate(stages) if stage.status in ("running", "failed", "rejected", "timeout", "lost")]
    first = min(busy, default=0)
    start = max(min(first - 1, len(stages) - rows), 0)
    return start, stages[start : start + rows], len(stages) - start - rows
