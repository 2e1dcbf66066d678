"""A stage that failed goes on from its checkpoints; nobody goes on from checkpoints of something else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nbpipe.checkpoints import checkpoint_dir
from nbpipe.job.checkpoints import Checkpoints, folder_of

if TYPE_CHECKING:
    from kernels import Live
    from runs import Site

_TRAIN = """%%stage train --retries 1
import nbpipe, os
rows = open('data.csv').read()
kept = nbpipe.checkpoint_dir() / 'step'
first = int(kept.read_text()) if kept.exists() else 0
for step in range(first, 4):
    NOTE(f'step {{step}}')
    kept.write_text(str(step + 1))
    if not os.path.exists({go!r}) and step == first:
        raise ValueError('preempted')"""


def test_a_retry_and_the_next_run_go_on_and_changed_data_begins_anew(site: Site) -> None:
    site.write(_TRAIN.format(go=str(site.root / "go")))
    (site.folder / "data.csv").write_text("1\n")
    assert site.run().code == 1
    assert site.noted.read_text() == "step 0\nstep 1\n"
    places = list((site.folder / ".nbpipe" / "checkpoints").iterdir())
    assert len(places) == 1
    (site.folder / "data.csv").write_text("2\n")
    assert site.run().code == 1
    assert site.noted.read_text() == "step 0\nstep 1\nstep 0\nstep 1\n"
    (site.root / "go").touch()
    site.noted.write_text("")
    done = site.run()
    assert done.code == 0, done.err
    assert site.noted.read_text() == "step 2\nstep 3\n"
    assert not list((site.folder / ".nbpipe" / "checkpoints").iterdir())
    assert site.run("--fresh").code == 0
    assert site.noted.read_text().startswith("step 2\nstep 3\nstep 0\n")


def test_checkpoints_made_with_another_file_are_removed_and_an_unsent_one_proves_nothing(tmp_path: Path) -> None:
    place = str(tmp_path / "place")
    first = Checkpoints(place)
    first.begin(str)
    first.made(folder_of(place), {"a.csv": "1"})
    Path(folder_of(place)).mkdir()
    assert not first.read("b.csv", "2")
    second = Checkpoints(place)
    second.begin({"a.csv": "1", "b.csv": ""}.__getitem__)
    assert Path(folder_of(place)).is_dir()
    assert not second.read("b.csv", "2")
    assert second.read("b.csv", "3")
    third = Checkpoints(place)
    third.begin({"a.csv": "9", "b.csv": "2"}.__getitem__)
    assert not Path(place).exists()


def test_in_a_live_notebook_they_are_the_stages_own_until_its_cell_succeeds(live: Live) -> None:
    cell = "%%stage train\nimport nbpipe\nkept = nbpipe.checkpoint_dir() / 'x'\nseen = kept.exists()\nkept.touch()\n"
    live.run(cell + "1 / 0", "%%stage other\ny = 1", cell)
    names = live.shell.user_ns
    assert names["seen"]
    live.run(cell)
    assert not names["seen"]
    assert checkpoint_dir() == live.root / ".nbpipe" / "checkpoints" / "live" / "code"
