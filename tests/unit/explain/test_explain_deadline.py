"""The end of a budget interrupts what runs inside it, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from nbpipe.cli.text import origin
from nbpipe.explain.copies import Copies
from nbpipe.explain.deadline import Deadline
from nbpipe.job.leftovers import held_folder, remove_abandoned


def test_it_interrupts_what_is_watched() -> None:
    deadline = Deadline(0.05)
    with pytest.raises(KeyboardInterrupt), deadline.watched():
        time.sleep(10)
    assert deadline.fired
    assert deadline.left == 0.0


def test_it_leaves_alone_what_ended_in_time() -> None:
    deadline = Deadline(60)
    with deadline.watched():
        pass
    deadline._fire()  # as a timer that could not be stopped any more
    assert not deadline.fired


def test_in_another_thread_it_only_counts() -> None:
    deadline = Deadline(0.01)
    seen: list[bool] = []

    def work() -> None:
        with deadline.watched():
            time.sleep(0.05)
        seen.append(deadline.fired)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]
    assert deadline.left == 0.0


def test_a_file_is_copied_once_and_given_out_as_links(tmp_path: Path) -> None:
    source = tmp_path / "data.txt"
    source.write_text("mine")
    copies = Copies(tmp_path / "copies")
    copies.put(source, tmp_path / "one" / "data.txt", "data.txt")
    copies.put(source, tmp_path / "two" / "data.txt", "data.txt")
    assert (tmp_path / "one" / "data.txt").samefile(tmp_path / "two" / "data.txt")
    assert not (tmp_path / "one" / "data.txt").samefile(source)


def test_a_copy_that_somebody_wrote_into_is_not_given_out_again(tmp_path: Path) -> None:
    source = tmp_path / "data.txt"
    source.write_text("mine")
    copies = Copies(tmp_path / "copies")
    copies.put(source, tmp_path / "one", "data.txt")
    with (tmp_path / "one").open("a") as file:
        file.write(" and theirs")
    copies.put(source, tmp_path / "two", "data.txt")
    assert ((tmp_path / "two").read_text(), source.read_text()) == ("mine", "mine")


def test_a_file_that_stages_write_is_a_copy_of_its_own(tmp_path: Path) -> None:
    source = tmp_path / "data.txt"
    source.write_text("mine")
    copies = Copies(tmp_path / "copies", private={"data.txt"})
    copies.put(source, tmp_path / "one", "data.txt")
    copies.put(source, tmp_path / "two", "data.txt")
    assert not (tmp_path / "one").samefile(tmp_path / "two")


def test_a_folder_that_a_killed_process_left_is_removed_by_the_next_and_one_in_use_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    code = "import os, signal\nfrom nbpipe.job.leftovers import held_folder\n"
    code += "with held_folder('nbpipe-t-'):\n    os.kill(os.getpid(), signal.SIGKILL)"
    subprocess.run([sys.executable, "-c", code], check=False)
    (left,) = tmp_path.iterdir()
    (tmp_path / "nbpipe-t-somebodys").mkdir()
    (tmp_path / "nbpipe-t-link").symlink_to(left)
    with held_folder("nbpipe-t-") as first, held_folder("nbpipe-t-") as second:
        remove_abandoned("nbpipe-t-")
        assert first.is_dir()
        assert second.is_dir()
        assert not left.exists()
    assert {path.name for path in tmp_path.iterdir()} == {"nbpipe-t-somebodys", "nbpipe-t-link"}


def test_a_result_that_an_answer_needed_says_which() -> None:
    assert origin("explain-r41-r43") == "nbpipe explain r41 r43"
    assert origin("r41") == "r41"
