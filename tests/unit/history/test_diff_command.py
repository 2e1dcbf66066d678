"""`nbpipe diff` on real runs: what people see, what programs get, and how it ends."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from compared import TRAIN
from runs import Site

from nbpipe.cli.diff import PARTS, command
from nbpipe.cli.diff_lines import lines
from nbpipe.errors import UsageError
from nbpipe.history import diff as history
from nbpipe.history.diff import compute
from nbpipe.history.difference.shape import (
    CodeDiff,
    CodeText,
    CurveDiff,
    Diff,
    EnvironmentDiff,
    MetricDiff,
    Note,
    ParamDiff,
    ParamValue,
    Side,
    StageDiff,
)
from nbpipe.history.difference.shape_values import (
    FieldDiff,
    Figures,
    FileDiff,
    Hunk,
    OutputDiff,
    Stored,
    TableColumn,
    TableDiff,
    TableRow,
    ValueDiff,
)

HUNK = Hunk(a_start=1, a_count=1, b_start=1, b_count=1, lines=("-a\x1b[2J\r", "+b\x07\u202e"))
HOSTILE = "\x1b[2J\x1b]0;pwned\x07\u202e\r\nx"


def invoke(site: Site, *words: str, monkeypatch: pytest.MonkeyPatch) -> Result:
    monkeypatch.chdir(site.folder)
    return CliRunner().invoke(command, list(words), catch_exceptions=False)


def test_every_part_is_shown_under_its_title(compared: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    done = invoke(compared, "r1", "r2", monkeypatch=monkeypatch)
    text = re.sub(r" +", " ", done.output)
    assert done.exit_code == 0
    for expected in (
        "A r1 ✓ succeeded",
        "→ load → ingest renamed",
        "~ train changed code, parameters, metrics, data, outputs",
        "~ lr 0.1 → 0.2 given to r2 read by train",
        "~ train acc 2.2 → 5.4 ▲ 3.2 (+145.5%)",
        "cell 5, line 4",
        "+ more = 1",
        "module helpers helpers.py",
        "comments and spaces only",
        "~ data.csv read by ingest",
        "- acc 2.2",
        "12 pixels differ (100.0%)",
        "no difference in environment",
    ):
        assert expected in text, expected
    titles = [line for line in done.output.splitlines() if line and not line.startswith((" ", "A ", "B ", "no "))]
    assert titles == ["stages", "parameters", "metrics", "code", "data", "outputs"]


def test_one_part_of_one_stage_can_be_asked_for(compared: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    done = invoke(compared, "r1", "r2", "--part", "code", "--stage", "train", monkeypatch=monkeypatch)
    assert "more = 1" in done.output
    assert "data.csv" not in done.output
    assert "ingest" not in done.output


def test_json_is_the_documented_diff(compared: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    done = invoke(compared, "r1", "r2", "--json", "--part", "params", monkeypatch=monkeypatch)
    found = json.loads(done.output)
    assert (found["parts"], found["same"], found["counts"]) == (["params"], False, {"params": 2})


def test_without_names_the_last_two_runs_are_compared(compared: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    done = invoke(compared, monkeypatch=monkeypatch)
    assert re.search(r"A +r2 ", done.output)
    assert re.search(r"B +r3 ", done.output)
    assert done.output.rstrip().endswith("no differences")


def test_with_one_name_the_run_is_compared_with_the_notebook(compared: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    done = invoke(compared, "r2", monkeypatch=monkeypatch)
    assert re.search(r"B +now +as it is saved now", done.output)
    assert "note: now has no metrics" in done.output


def test_the_exit_code_tells_only_where_it_is_asked_to(compared: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    assert invoke(compared, "r1", "r2", monkeypatch=monkeypatch).exit_code == 0
    assert invoke(compared, "r1", "r2", "--exit-code", monkeypatch=monkeypatch).exit_code == 1
    assert invoke(compared, "r2", "r3", "--exit-code", monkeypatch=monkeypatch).exit_code == 0


def test_a_single_run_has_nothing_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(tmp_path)
    (site.folder / "nbpipe.toml").touch()
    with pytest.raises(UsageError, match="there are no runs yet"):
        invoke(site, monkeypatch=monkeypatch)


def test_all_shows_what_is_equal_too(compared: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    done = invoke(compared, "r2", "r3", "--all", monkeypatch=monkeypatch)
    assert "= " in done.output
    assert "ingest" in done.output


@pytest.mark.parametrize("columns", [20, 40, 80])
def test_tables_fit_a_narrow_terminal(compared: Site, columns: int) -> None:
    found = compute(compared.project, "r1", "r2", parts=("params", "metrics", "environment", "data"))
    assert max(len(click.unstyle(line)) for line in lines(found, columns=columns)) <= columns


def test_nothing_from_outside_can_steer_the_terminal() -> None:
    side = Side(label=HOSTILE, kind="run", name=HOSTILE, version="v", status=HOSTILE)
    text = CodeText(name=HOSTILE, text=HOSTILE)
    found = Diff(
        a=side,
        b=side,
        parts=history.PARTS,
        same=False,
        counts={},
        stages=(StageDiff(name=HOSTILE, change="renamed", a=HOSTILE, b=HOSTILE, reasons=(HOSTILE,)),),
        code=(CodeDiff(name=HOSTILE, unit="module", change="renamed", a=text, b=text, stages=(HOSTILE,)),),
        metrics=(
            MetricDiff(
                name=HOSTILE, stage=HOSTILE, change="changed", a=1.0, b=2.0, curve=CurveDiff(a=((0, 1.0), (1, None)))
            ),
        ),
        params=(
            ParamDiff(name=HOSTILE, change="changed", b=ParamValue(value=HOSTILE), stages=(HOSTILE,), reason=HOSTILE),
        ),
        environment=(EnvironmentDiff(group="package", name=HOSTILE, change="changed", a=HOSTILE, b=HOSTILE),),
        data=(
            ValueDiff(
                name=HOSTILE,
                stage=HOSTILE,
                change="changed",
                a=Stored(digest="", type=HOSTILE, dtype=HOSTILE),
                b=Stored(digest="", preview=HOSTILE),
                fields=(
                    FieldDiff(name=HOSTILE, change="added", b=Figures(dtype=HOSTILE, count=1)),
                    FieldDiff(
                        name=HOSTILE,
                        change="changed",
                        a=Figures(dtype=HOSTILE, count=1, min=HOSTILE, top=((HOSTILE, 1),)),
                        b=Figures(dtype="x", count=1),
                    ),
                ),
                hunks=(HUNK,),
                note=HOSTILE,
            ),
        ),
        files=(FileDiff(path=HOSTILE, change="changed", stages=(HOSTILE,)),),
        outputs=(
            OutputDiff(stage=HOSTILE, change="changed", kind="text", mime=HOSTILE, note=HOSTILE, hunks=(HUNK,)),
            OutputDiff(
                stage=HOSTILE,
                change="changed",
                kind="table",
                table=TableDiff(
                    columns=(TableColumn(name=HOSTILE, change="added"),),
                    rows=(TableRow(key=HOSTILE, change="changed", a=(HOSTILE,), b=("x",)),),
                ),
            ),
        ),
        notes=(Note(text=HOSTILE),),
    )
    shown = click.unstyle("\n".join(lines(found)))
    assert not set(shown) & {"\x1b", "\x07", "\r", "\u202e"}


def test_the_options_of_the_command_are_the_parts_of_the_format() -> None:
    assert PARTS == history.PARTS


def test_long_pieces_are_cut_and_say_how_to_see_all(compared: Site) -> None:
    found = compute(compared.project, "r1", "r2", parts=("code",), stage="train")
    many = "\n".join(f"x{n} = {n}" for n in range(200))
    hunk = Hunk(a_start=0, a_count=0, b_start=1, b_count=200, lines=tuple(f"+{line}" for line in many.split("\n")))
    long = Diff(
        a=found.a,
        b=found.b,
        parts=("code",),
        same=False,
        counts={},
        code=(CodeDiff(name="s", unit="stage", change="added", hunks=(hunk,)),),
    )
    assert click.unstyle(lines(long)[-1]).strip() == "… 140 more lines: --all"
    assert any("x199" in line for line in lines(long, short=False))
    assert TRAIN.startswith("%%stage train")
