"""Logs by offset: nothing twice, nothing left out, whatever is appended between two questions."""

from __future__ import annotations

import json
from pathlib import Path

from nbpipe.history.chunks import Told, chunk
from nbpipe.job.folder import LOG


def write(folder: Path, job: str, *texts: str, torn: str = "") -> None:
    """Append outputs to the log of a job."""
    path = folder / "jobs" / job / LOG
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        for text in texts:
            file.write(json.dumps({"t": 1.0, "cell": 1, "type": "stream", "name": "stdout", "text": text}) + "\n")
        file.write(torn)


def read(
    told: Told, folder: Path, offset: int = 0, limit: int = 10_000, stage: str | None = None
) -> tuple[str, int, bool]:
    told.look(folder, stage, ["load", "train"])
    part = chunk(told, offset, limit)
    return part.text, part.next, part.more


def test_a_log_is_told_in_pieces_of_at_least_a_line(tmp_path: Path) -> None:
    lines = [f"line {n}\n" for n in range(50)]
    write(tmp_path, "train.1", *lines)
    told, text, at, more = Told(), "", 0, True
    while more:
        part, at, more = read(told, tmp_path, at, 10)
        assert part.count("\n") == 1
        text += part
    assert text == "".join(lines)
    assert read(told, tmp_path, at) == ("", at, False)


def test_what_is_appended_is_told_and_half_a_line_waits(tmp_path: Path) -> None:
    told = Told()
    write(tmp_path, "train.1", "a\n", torn='{"t": 1, "type": "str')
    text, at, _ = read(told, tmp_path)
    assert text == "a\n"
    assert read(told, tmp_path, at) == ("", at, False)
    write(tmp_path, "train.1", torn='eam", "name": "stdout", "text": "b\\n"}\n')
    assert read(told, tmp_path, at)[0] == "b\n"


def test_stages_side_by_side_are_told_as_they_come_with_their_names(tmp_path: Path) -> None:
    told = Told()
    write(tmp_path, "train.1", "t1\n")
    write(tmp_path, "load.1", "l1\n")
    text, at, _ = read(told, tmp_path)
    assert text == "── load\nl1\n── train\nt1\n"
    write(tmp_path, "load.1", "l2\n")
    more, at, _ = read(told, tmp_path, at)
    assert more == "── load\nl2\n"
    write(tmp_path, "train.2", "again\n")
    assert read(told, tmp_path, at)[0] == "── train, attempt 2\nagain\n"
    # From the start it is told in the same order, and a stage alone without the others.
    assert read(told, tmp_path)[0] == text + more + "── train, attempt 2\nagain\n"
    assert read(Told(), tmp_path, stage="load")[0] == "l1\nl2\n"


def test_offsets_of_a_forgotten_order_lead_nowhere_wrong(tmp_path: Path) -> None:
    write(tmp_path, "load.1", "a\n", "b\n")
    _, at, _ = read(Told(), tmp_path)
    assert read(Told(), tmp_path, at) == ("", at, False)
    assert read(Told(), tmp_path, at + 1000) == ("", at + 1000, False)
    assert read(Told(), tmp_path / "nothing") == ("", 0, False)


def test_one_output_that_is_too_long_is_cut_and_says_so(tmp_path: Path) -> None:
    write(tmp_path, "load.1", "x" * 300_000, "after\n")
    told = Told()
    text, at, more = read(told, tmp_path, 0, 100)
    assert text.endswith("x\n… 37856 characters more\n")
    assert more
    assert read(told, tmp_path, at)[0] == "after\n"
