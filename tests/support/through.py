"""What a target that shares a store with this machine is tried with. A test module takes all of it with `from through import *`.

The module gives a fixture `through`, with a target whose shared store can be looked at and spoilt.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from executing import Ground, Job
from jobs import Bench
from runs import Site

from nbpipe.executors.ssh.executor import SshExecutor
from nbpipe.executors.ssh.link import Link
from nbpipe.executors.ssh.passing import Passing
from nbpipe.model import Artifact
from nbpipe.store import open_store
from nbpipe.store.shared import SharedObjects
from nbpipe.targets.settings import Target

__all__ = [
    "test_a_damaged_object_there_is_never_taken_and_is_replaced",
    "test_a_pipeline_passes_its_values_through_the_store_and_not_over_the_connection",
    "test_a_result_that_was_damaged_there_comes_over_the_connection_and_is_replaced",
    "test_a_store_that_goes_away_meanwhile_costs_a_line_in_the_log",
    "test_what_is_gone_from_the_store_before_the_job_takes_it_is_sent",
    "test_what_travels_goes_through_the_store_once_and_not_over_the_connection",
]

CODE = "y = a[::-1].copy()"
#: What a target is told of in a project's settings.
_SETTINGS = ("kind", "host", "port", "config", "python", "folder", "store", "address", "env")


@dataclass
class Through:
    """A target with its shared store, the objects of which can be looked at and spoilt."""

    target: Target
    ground: Ground
    look: Callable[[], dict[str, bytes]]
    write: Callable[[str, bytes], None]
    #: Makes it unusable for everybody.
    end: Callable[[], None]
    #: What rsync was called with: what went over the connection but for a little.
    rsynced: list[list[str]]
    #: Text that stands in no file of either side.
    secret: str = ""

    @property
    def worker(self) -> Path:
        """The target's own folder."""
        return Path(self.target.folder)

    @property
    def settings(self) -> str:
        """The target as a project names it: `box`."""
        given = {name: getattr(self.target, name) for name in _SETTINGS}
        lines = [f"{name} = {_toml(value)}\n" for name, value in given.items() if value]
        return "[targets.box]\n" + "".join(lines)

    def given(self) -> dict[str, Artifact]:
        """An input of 2.4 MB."""
        return open_store(self.ground.bench.root / "store").save_values({"a": np.arange(300_000.0)}, stage="s")

    def run(self, code: str = CODE) -> Job:
        """A job that turns it round, and what came home of it is right."""
        job = self.ground.submit(code, inputs=self.given(), outputs=("y",))
        job.wait(120)
        assert job.outcome.status == "succeeded", job.outcome
        self.check(job)
        return job

    def check(self, job: Job) -> None:
        """The result came home as it should be."""
        assert np.array_equal(self.ground.bench.load(job.outcome.outputs)["y"], np.arange(300_000.0)[::-1])

    def forget(self) -> None:
        """Neither side has anything of what was sent and computed."""
        for folder in (self.worker / "store", self.ground.bench.root / "store"):
            shutil.rmtree(folder / "objects")
            (folder / "objects").mkdir()


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{name} = {json.dumps(text)}" for name, text in value.items()) + " }"
    return json.dumps(value)


@contextmanager
def through_folder(root: Path, make: Callable[..., Target], patch: pytest.MonkeyPatch) -> Iterator[Through]:
    """Through a folder below `root`; `make` gives a target with these settings."""
    folder = root / "shared" / "objects"
    folder.parent.mkdir()

    def write(name: str, data: bytes) -> None:
        path = folder / name[:2] / name
        path.unlink(missing_ok=True)
        path.write_bytes(data)

    def found() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in folder.glob("??/*")}

    made = make(store=str(folder.parent), folder=str(root / "worker"))
    with through_place(root, made, found, write, lambda: shutil.rmtree(folder.parent), patch) as through:
        yield through


@contextmanager
def through_place(
    root: Path,
    target: Target,
    look: Callable[[], dict[str, bytes]],
    write: Callable[[str, bytes], None],
    end: Callable[[], None],
    patch: pytest.MonkeyPatch,
) -> Iterator[Through]:
    """Through the place that the target names."""
    rsynced: list[list[str]] = []
    plain = Link.rsync

    def listening(link: Link, words: list[str], text: str = "") -> None:
        rsynced.append(words)
        plain(link, words, text)

    patch.setattr(Link, "rsync", listening)
    ground = Ground(Bench(root), lambda: SshExecutor(target, here=lambda _: ""))
    yield Through(target, ground, look, write, end, rsynced)
    ground.close()


def test_what_travels_goes_through_the_store_once_and_not_over_the_connection(through: Through) -> None:
    first = through.run()
    assert "put 1 objects" in first.log
    assert "sent" not in first.log
    assert not through.rsynced
    assert len(through.look()) == 3  # the input, the result, the executed cells
    kept = through.look()
    through.forget()
    second = through.run(CODE + " ")
    assert "put 0 objects, 0 bytes" in second.log
    assert "which had 1 more" in second.log
    assert not through.rsynced
    assert through.look().items() >= kept.items()
    # Who may use the bucket stands in no file of either side.
    for path in [*through.worker.rglob("*"), *(through.ground.bench.root / "jobs").rglob("*")]:
        assert not through.secret or not path.is_file() or through.secret.encode() not in path.read_bytes(), path


@pytest.mark.parametrize("size", [2_400_128, 1000])
def test_a_damaged_object_there_is_never_taken_and_is_replaced(through: Through, size: int) -> None:
    through.run()
    sound = {name: data for name, data in through.look().items() if len(data) > 1 << 20}
    assert len(sound) == 2  # the input and the result
    for name, data in sound.items():
        spoilt = bytes(data[:-1]) + b"\1" if size == len(data) else data[:size]
        assert spoilt != data
        through.write(name, spoilt)
    through.forget()
    job = through.run()
    assert ("1 of 1 objects that were damaged" in job.log) == (size > 1000)
    assert through.look().items() >= sound.items()
    through.forget()
    assert "put 0 objects" in through.run().log


def test_what_is_gone_from_the_store_before_the_job_takes_it_is_sent(
    through: Through, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = Passing.send

    def loses(passing: Passing, cargo: Any, names: Sequence[str], note: Any) -> list[str]:
        left = send(passing, cargo, names, note)
        for name in names:
            SharedObjects(through.target.store).delete(name)
        return left

    monkeypatch.setattr(Passing, "send", loses)
    job = through.run()
    assert "put 1 objects" in job.log
    assert "(on the target); objects go over the connection for now" in job.log
    assert "sent 1 objects, 2,400,128 bytes" in job.log


def test_a_result_that_was_damaged_there_comes_over_the_connection_and_is_replaced(
    through: Through, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring, spoilt = Passing.bring_home, dict[str, bytes]()

    def damages(passing: Passing, *given: Any) -> list[str]:
        spoilt.update({name: data for name, data in through.look().items() if len(data) > 1 << 20})
        for name, data in spoilt.items():
            through.write(name, data[:-1] + b"\1")
        return bring(passing, *given)

    monkeypatch.setattr(Passing, "bring_home", damages)
    job = through.run()
    assert "1 objects are damaged in" in job.log
    assert "1 of 1 objects that were damaged" in job.log
    assert len(through.rsynced) == 1
    assert sum(through.look()[name] == data for name, data in spoilt.items()) == 1  # the input was not looked at


def test_a_store_that_goes_away_meanwhile_costs_a_line_in_the_log(through: Through, tmp_path: Path) -> None:
    job = through.ground.submit(
        f"import os, time\nprint('begun', flush=True)\nwhile not os.path.exists({str(tmp_path / 'go')!r}):\n"
        f"    time.sleep(0.05)\n{CODE}",
        inputs=through.given(),
        outputs=("y",),
    )
    job.await_log("begun", 120)
    assert not through.rsynced
    through.end()
    (tmp_path / "go").touch()
    job.wait(120)
    through.check(job)
    assert "cannot be used" in job.log
    assert through.rsynced
    # The next job does not try again.
    through.forget()
    assert "cannot be used" not in through.run(CODE + " ").log


def test_a_pipeline_passes_its_values_through_the_store_and_not_over_the_connection(
    through: Through, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, calls, real = Site(tmp_path / "site"), tmp_path / "calls", shutil.which("rsync")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "rsync").write_text(f'#!/bin/sh\necho "$*" >> {calls}\nexec {real} "$@"\n')
    (tmp_path / "bin" / "rsync").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    (site.folder / "nbpipe.toml").write_text(through.settings)
    site.write(
        "%%stage load\nimport numpy as np\nrows = np.arange(300_000.0)",
        "%%stage train --on box\nbig = np.tile(rows, 10)",
        "%%stage half --on box --metrics half\nhalf = float(big[: len(big) // 2].sum())",
        "%%stage after --metrics total\ntotal = float(big.sum())",
    )
    done = site.run(prepare=None)
    assert done.code == 0, done.err
    total = float(np.arange(300_000.0).sum())
    assert done.json["metrics"] == {"half": 5 * total, "total": 10 * total}
    train, half = (
        path.read_text()
        for stage in ("train", "half")
        for path in site.project.runs.glob(f"{done.json['run']}/jobs/{stage}.*/log.jsonl")
    )
    assert f"put 1 objects, 2,400,128 bytes, into {through.target.store}" in train
    assert "sent" not in train + half
    assert not calls.exists()
    assert sorted(len(data) for data in through.look().values() if len(data) > 1 << 20) == [2_400_128, 24_000_128]
