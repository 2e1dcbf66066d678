"""Progress and results, drawn from the events that a run writes."""

from __future__ import annotations

import errno
import io
import re
import time

import pytest

from nbpipe.cli.progress import Progress, folded
from nbpipe.cli.render import Part, bar, metrics_text, stage_lines, table
from nbpipe.cli.text import width
from nbpipe.model import Event, Failure
from nbpipe.run.state import StageState

START = 1_000_000.0


class Script:
    """Events with the numbers and times that a journal would give them."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def say(self, kind: str, stage: str = "", *, attempt: int = 1, **data: object) -> Script:
        number = len(self.events) + 1
        self.events.append(
            Event(seq=number, time=START + number, kind=kind, stage=stage, attempt=attempt, data=dict(data))
        )
        return self

    def begin(self, *stages: str) -> Script:
        shapes = [{"name": name, "kind": "stage"} for name in stages]
        return self.say("run-started", id="r2", name="digits", number=7, version="3f9c2e1aa", stages=shapes)


def shown(script: Script, *, quiet: bool = False) -> str:
    out = io.StringIO()
    progress = Progress(out, live=False, quiet=quiet, color=False)
    for event in script.events:
        progress.hear(event)
    progress.close()
    return out.getvalue()


def usual() -> Script:
    script = Script().begin("load", "train", "report")
    script.say("stage-cached", "load", source="r1")
    script.say("stage-started", "train", reasons=["`lr` 0.001 → 0.01"], expected=60.0)
    script.say("stage-succeeded", "train", seconds=72.0, metrics={"acc": 0.921})
    script.say("stage-started", "report", reasons=["what it read has changed"])
    return script.say("stage-succeeded", "report", seconds=0.4)


def test_away_from_a_terminal_every_event_is_a_line() -> None:
    assert shown(usual()).splitlines() == [
        "digits v7 · 3f9c2e1   3 stages",
        "  load    ⚡ cached    from r1",
        "  train   ●  running   `lr` 0.001 → 0.01",
        "  train   ✓  succeeded    1:12   acc 0.921",
        "  report  ●  running   what it read has changed",
        "  report  ✓  succeeded   0.4 s",
    ]


def test_a_run_with_nothing_to_do_shows_nothing() -> None:
    assert shown(Script().begin("load").say("stage-cached", "load", source="r1")) == ""


def test_quiet_shows_nothing_but_knows_everything() -> None:
    out = io.StringIO()
    progress = Progress(out, live=False, quiet=True)
    for event in usual().events:
        progress.hear(event)
    assert out.getvalue() == ""
    assert [stage.status for stage in progress.snapshot().stages] == ["cached", "succeeded", "succeeded"]


def test_a_failure_names_its_cell_and_line_and_a_retry_its_reason() -> None:
    script = Script().begin("train")
    script.say("stage-started", "train").say("stage-retry", "train", reasons=["the kernel died"])
    script.say("stage-started", "train", attempt=2)
    failure = {"code": "user-code", "message": "ValueError: no", "cell": 4, "line": 2}
    lines = shown(
        script.say("stage-ended", "train", attempt=2, status="failed", seconds=1.0, failure=failure)
    ).splitlines()
    assert "⟳ again   the kernel died" in lines[2]
    assert lines[-1].endswith("1.0 s   cell 4, line 2: ValueError: no")


def test_names_and_reasons_cannot_move_the_cursor() -> None:
    script = Script().begin("train").say("stage-started", "train", reasons=["\x1b[2J\x1b]0;x\x07helpers.py\nchanged"])
    text = shown(script)
    assert "\x1b" not in text
    assert "helpers.py changed" in text


@pytest.mark.parametrize("error", [BrokenPipeError(), OSError(errno.ENOSPC, "No space left on device")])
def test_an_output_that_takes_no_more_does_not_stop_the_run(error: OSError) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:  # noqa: ARG002 - the stream's signature
            raise error

    progress = Progress(Gone(), live=False, color=False)
    for event in usual().events:
        progress.hear(event)
    assert progress.snapshot().stages[1].status == "succeeded"


def uncoloured(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_the_table_is_redrawn_and_the_last_one_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    out = Terminal()
    progress = Progress(out, live=True, color=False)
    script = usual()
    for event in script.events[:4]:
        progress.hear(event)
    until = time.monotonic() + 60
    while "○  waiting" not in out.getvalue():
        assert time.monotonic() < until
        time.sleep(0.02)
    for event in script.events[4:]:
        progress.hear(event)
    progress.close()
    progress.close()
    last = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue()).rsplit("digits v7", 1)[1]
    assert "✓  succeeded" in last
    assert "running" not in last


def test_a_run_that_fails_before_anything_starts_leaves_a_terminal_as_it_was() -> None:
    out = Terminal()
    Progress(out, live=True).close()
    assert out.getvalue() == ""


def test_a_running_stage_has_a_bar_and_says_how_long_it_will_take() -> None:
    stage = StageState(name="train", status="running", started=START, expected=100.0, attempt=1)
    (line,) = stage_lines([stage], now=START + 60)
    assert "▓▓▓▓▓▓░░░░" in line
    assert "1:00   ~40 s left" in uncoloured(line)
    (late,) = stage_lines([stage], now=START + 200)
    assert "longer than last time" in late


@pytest.mark.parametrize("columns", [20, 50, 80])
def test_lines_fit_the_terminal_and_colours_take_no_room(columns: int) -> None:
    failure = Failure(code="user-code", message="word " * 50, cell=3)
    stages = [
        StageState(name="a-rather-long-name", status="failed", failure=failure),
        StageState(name="b", status="succeeded", metrics={f"metric{n}": n / 3 for n in range(9)}),
    ]
    assert max(width(line) for line in stage_lines(stages, columns=columns)) <= columns


def test_columns_of_a_table_are_aligned_however_wide_their_characters_are() -> None:
    rows: list[list[list[Part]]] = [[[("日本", {})], [("x", {})]], [[("a", {"fg": "red"})], [("y", {})]]]
    first, second = table(rows)
    assert first.index("x") + 2 == len(uncoloured(second)) - 1


def test_a_tall_pipeline_shows_the_part_where_something_happens() -> None:
    stages = tuple(StageState(name=f"s{n}", status="succeeded" if n < 50 else "waiting") for n in range(100))
    stages = (*stages[:50], StageState(name="s50", status="running"), *stages[51:])
    above, part, below = folded(stages, 10)
    assert (above, len(part), below) == (49, 10, 41)
    assert "s50" in [stage.name for stage in part]
    assert folded(stages[:5], 10) == (0, stages[:5], 0)


def test_many_metrics_are_counted_not_listed() -> None:
    assert metrics_text({f"m{n}": 1.0 for n in range(9)}) == "m0 1  m1 1  m2 1  m3 1  +5 more"


@pytest.mark.parametrize(("share", "full"), [(-1.0, 0), (0.0, 0), (0.5, 5), (1.0, 10), (7.0, 10)])
def test_a_bar_is_always_ten_wide(share: float, full: int) -> None:
    assert bar(share) == "▓" * full + "░" * (10 - full)
