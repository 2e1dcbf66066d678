"""The journal: what was appended is there, in order, whatever happened to the process or the disk."""

from __future__ import annotations

import resource
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from nbpipe.model import Event
from nbpipe.run.journal import JOURNAL, Journal, cut_torn_line, follow, read


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path)


def _kinds(folder: Path) -> list[tuple[int, str]]:
    return [(event.seq, event.kind) for event in read(folder / JOURNAL)]


def test_events_come_back_numbered_in_order(journal: Journal, tmp_path: Path) -> None:
    journal.append("run-started", id="r1")
    journal.append("stage-started", stage="a", attempt=2, reasons=["first run"])
    first, second = read(tmp_path / JOURNAL)
    assert (first.seq, second.seq) == (1, 2)
    assert (second.stage, second.attempt, second.data) == ("a", 2, {"reasons": ["first run"]})
    assert first.time <= second.time


def test_there_may_be_no_journal_yet(tmp_path: Path) -> None:
    assert list(read(tmp_path / JOURNAL)) == []


def test_a_listener_hears_an_event_after_it_is_durable(tmp_path: Path) -> None:
    heard = []
    journal = Journal(tmp_path, lambda event: heard.append((event.kind, len(_kinds(tmp_path)))))
    journal.append("one")
    journal.append("two")
    assert heard == [("one", 1), ("two", 2)]


@pytest.mark.parametrize("left", [b"{", b'{"seq":2,"time":1.0,"kind":"two"}', b"\x00\x00", b'{"seq":2,"ki'])
def test_half_a_line_is_not_an_event_and_the_next_one_is_not_glued_to_it(
    journal: Journal, tmp_path: Path, left: bytes
) -> None:
    journal.append("one")
    journal.close()
    with (tmp_path / JOURNAL).open("ab") as file:
        file.write(left)
    assert _kinds(tmp_path) == [(1, "one")]
    again = Journal(tmp_path)
    again.append("two")
    assert _kinds(tmp_path) == [(1, "one"), (2, "two")]


def test_a_journal_that_is_opened_again_goes_on_counting(journal: Journal, tmp_path: Path) -> None:
    journal.append("one")
    journal.close()
    journal.close()
    Journal(tmp_path).append("two")
    assert _kinds(tmp_path) == [(1, "one"), (2, "two")]


@pytest.mark.parametrize("line", [b"not json\n", b'{"seq":9,"time":1.0,"kind":"x"}\n', b'{"seq":"2"}\n', b"\n"])
def test_what_follows_a_line_that_is_not_the_next_event_is_not_believed(
    journal: Journal, tmp_path: Path, line: bytes
) -> None:
    journal.append("one")
    with (tmp_path / JOURNAL).open("ab") as file:
        file.write(line + b'{"seq":2,"time":1.0,"kind":"two"}\n')
    assert _kinds(tmp_path) == [(1, "one")]


def test_a_reader_may_ask_for_what_is_new(journal: Journal, tmp_path: Path) -> None:
    for kind in ("one", "two", "three"):
        journal.append(kind)
    assert [event.kind for event in read(tmp_path / JOURNAL, after=1)] == ["two", "three"]


def test_fields_that_a_newer_version_added_are_ignored(tmp_path: Path) -> None:
    (tmp_path / JOURNAL).write_bytes(b'{"seq":1,"time":1.0,"kind":"one","colour":"blue"}\n')
    assert _kinds(tmp_path) == [(1, "one")]


def test_a_disk_that_refuses_leaves_the_journal_as_it_was(tmp_path: Path) -> None:
    program = (
        "import resource, sys; from pathlib import Path; from nbpipe.run.journal import Journal\n"
        "from nbpipe.errors import StoreError\n"
        "journal = Journal(Path(sys.argv[1])); journal.append('one')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200, resource.RLIM_INFINITY))\n"
        "try: journal.append('two', text='x' * 1000)\n"
        "except StoreError as error: print(error.exit_code)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))\n"
        "journal.append('three')\n"
    )
    if resource.getrlimit(resource.RLIMIT_FSIZE)[1] != resource.RLIM_INFINITY:
        pytest.skip("the limit cannot be raised again here")
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout == "6\n"
    assert _kinds(tmp_path) == [(1, "one"), (2, "three")]


def test_followers_see_events_as_they_come_until_the_end(journal: Journal, tmp_path: Path) -> None:
    journal.append("one")

    def write() -> None:
        journal.append("two")
        journal.append("run-finished")
        journal.append("never told")

    thread = threading.Timer(0.1, write)
    thread.start()
    found = [event.kind for event in follow(tmp_path / JOURNAL, alive=lambda: True, interval=0.01)]
    thread.join()
    assert found == ["one", "two", "run-finished"]


def test_followers_stop_when_nobody_writes_any_more(journal: Journal, tmp_path: Path) -> None:
    journal.append("one")
    assert [event.kind for event in follow(tmp_path / JOURNAL, alive=lambda: False)] == ["one"]


def test_cutting_leaves_whole_lines_alone(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    cut_torn_line(path)
    assert not path.exists()
    path.write_bytes(b"one\ntwo\nthr")
    cut_torn_line(path)
    cut_torn_line(path)
    assert path.read_bytes() == b"one\ntwo\n"


def test_an_event_is_never_half_seen_by_a_reader_beside_the_writer(journal: Journal, tmp_path: Path) -> None:
    stop = threading.Event()
    seen: list[list[Event]] = []

    def watch() -> None:
        while not stop.is_set():
            seen.append(list(read(tmp_path / JOURNAL)))

    thread = threading.Thread(target=watch)
    thread.start()
    for number in range(50):
        journal.append("event", text="x" * 5000, number=number)
    stop.set()
    thread.join()
    assert all([event.data["number"] for event in found] == list(range(len(found))) for found in seen)
