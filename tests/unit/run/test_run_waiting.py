"""A kernel is ended for a person while nobody goes on in it, and is known of until that is sure."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jobs import Bench

from nbpipe.errors import TargetError, UsageError
from nbpipe.job.folder import KEPT, write_durably
from nbpipe.job.kept import Kept
from nbpipe.run import fleets, kept
from nbpipe.run.project import Project
from nbpipe.run.state import RunState
from nbpipe.run.waiting import release
from nbpipe.targets.settings import Target

_STATE = RunState(id="r1", name="n")


class There:
    """The target: notes what it is asked to end, and whether a run could go on in it meanwhile."""

    def __init__(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        self.project = project
        self.asked: list[tuple[str, str]] = []
        self.away = False
        folder = project.runs.resolve() / "r1" / "jobs" / "train.1"
        self.left = kept.Left(pipeline="n", stage="train", target="gpu", folder=str(folder))
        folder.mkdir(parents=True)
        given: Any = {"token": "t", "code": 1, "cell": 2, "index": 1, "until": time.time() + 60}
        write_durably(folder / KEPT, msgspec.json.encode(Kept(job="t-0", host="h", **given)))
        kept.remember(project.root, self.left)
        monkeypatch.setattr(fleets, "targets_of", lambda _: {"gpu": Target(name="gpu", kind="ssh", host="h")})
        monkeypatch.setattr(fleets, "asked", lambda _: self)

    def release(self, job: str, host: str) -> list[str]:
        self.asked.append((job, host))
        assert not kept.change(self.project.root, self.left, "k")
        if self.away:
            raise TargetError("h cannot be reached", name="gpu")
        return [job]

    def close(self) -> None:
        pass


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> There:
    return There(Project(Bench(tmp_path).project), monkeypatch)


def test_nobody_goes_on_in_a_kernel_that_is_being_ended(there: There) -> None:
    assert release(there.project, _STATE, "train") is True
    assert there.asked == [("t-0", "h")]
    assert not kept.any_left(there.project.root)


def test_a_kernel_whose_target_does_not_answer_waits_on(there: There) -> None:
    there.away = True
    with pytest.raises(TargetError):
        release(there.project, _STATE, "train")
    assert kept.recall(there.project.root, "n", "train", "gpu") == there.left
    there.away = False
    assert release(there.project, _STATE, "train") is True


def test_a_kernel_in_which_a_run_goes_on_is_not_ended(there: There) -> None:
    assert kept.change(there.project.root, there.left, "k")
    with pytest.raises(UsageError):
        release(there.project, _STATE, "train")
    assert there.asked == []
