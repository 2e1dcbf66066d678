"""What cells printed, read back from the logs of jobs."""

from __future__ import annotations

import threading
from pathlib import Path

from nbpipe.history.logs import follow_logs, latest_attempts, read_logs
from nbpipe.job.folder import LOG
from nbpipe.job.outputs import Log
from nbpipe.job.redact import Redactor


def log(folder: Path, job: str) -> Log:
    (folder / "jobs" / job).mkdir(parents=True)
    return Log(folder / "jobs" / job / LOG, Redactor([]))


def test_streams_displays_and_errors_come_back_as_text(tmp_path: Path) -> None:
    out = log(tmp_path, "train.1")
    out.write("cell-start", 3)
    out.stream(3, "stdout", "epoch 1\n")
    out.stream(3, "stderr", "careful\n")
    out.write("display_data", 3, data={"text/plain": "<Figure>", "image/png": "iVBOR"}, metadata={})
    out.write("error", 3, ename="ValueError", evalue="no", traceback=["Traceback", "ValueError: no"])
    out.close()

    found = read_logs(tmp_path)

    assert [(piece.kind, piece.text) for piece in found] == [
        ("mark", ""),
        ("stdout", "epoch 1\n"),
        ("stderr", "careful\n"),
        ("display", "<Figure>\n"),
        ("error", "Traceback\nValueError: no\n"),
    ]
    assert {(piece.stage, piece.attempt, piece.cell) for piece in found} == {("train", 1, 3)}


def test_one_stage_can_be_asked_for_and_attempts_are_told_apart(tmp_path: Path) -> None:
    for job, text in (("train.1", "first\n"), ("train.2", "second\n"), ("load.1", "other\n")):
        out = log(tmp_path, job)
        out.stream(1, "stdout", text)
        out.close()
    found = read_logs(tmp_path, "train")
    assert [(piece.attempt, piece.text) for piece in found] == [(1, "first\n"), (2, "second\n")]
    assert len(read_logs(tmp_path)) == 3


def test_a_line_that_is_not_whole_yet_waits_and_rubbish_is_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / "jobs" / "train.1"
    folder.mkdir(parents=True)
    line = '{"t": 1.0, "cell": 1, "type": "stream", "name": "stdout", "text": "%s"}\n'
    (folder / LOG).write_text("not json\n" + line % "a" + (line % "b")[:20])
    assert [piece.text for piece in read_logs(tmp_path)] == ["a"]


def test_a_folder_without_jobs_printed_nothing(tmp_path: Path) -> None:
    assert read_logs(tmp_path) == []


def test_following_gives_every_piece_once_until_nothing_more_will_come(tmp_path: Path) -> None:
    out = log(tmp_path, "train.1")
    out.stream(1, "stdout", "one\n")
    out.flush()
    ended = threading.Event()
    got = []
    for piece in follow_logs(tmp_path, alive=lambda: not ended.is_set(), interval=0.01):
        got.append(piece.text)
        if piece.text == "one\n":
            out.stream(1, "stdout", "two\n")
            out.flush()
        elif piece.text == "two\n":
            # Printed between the last look and the end: must not be lost.
            ended.set()
            out.stream(1, "stdout", "three\n")
            out.close()
    assert got == ["one\n", "two\n", "three\n"]


def test_the_last_attempt_of_each_stage_is_what_counts(tmp_path: Path) -> None:
    for job, text in (("train.1", "first\n"), ("train.2", "second\n"), ("load.1", "other\n")):
        out = log(tmp_path, job)
        out.stream(1, "stdout", text)
        out.close()
    assert {piece.text for piece in latest_attempts(read_logs(tmp_path))} == {"second\n", "other\n"}
