"""A stage goes on in a kept kernel only where all up to the failed cell is the same; anything else is named."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jobs import Bench

from nbpipe.job.folder import KEPT, write_durably
from nbpipe.job.kept import Kept
from nbpipe.model import Artifact, JobSpec
from nbpipe.plan.resolve import Wanted
from nbpipe.run import kept
from nbpipe.run.attempt import WANTED
from nbpipe.targets.settings import Target

_TARGET = Target(name="gpu", kind="ssh", host="gpu01", keep_failed=60.0)
_PARTS = {
    "code:1": "a",
    "code:2": "b",
    "~code:2": "cell 2",
    "param:lr": "0.1",
    "dist:numpy": "2",
    "option:metrics": "[]",
}
_LOOKED = {"data.csv": "d1", "/etc/hosts": "h1"}


class Case:
    """A stage of two cells that failed in its second, and what it is now."""

    def __init__(self, root: Path) -> None:
        self.bench = Bench(root)
        folder, self.spec = self.bench.write("x = 1", "1 / 0", params={"lr": 0.1}, env={"A": "1"})
        self.left = kept.Left(pipeline="n", stage="train", target="gpu", folder=str(folder))
        write_durably(folder / WANTED, msgspec.json.encode({"key": "k", "parts": _PARTS}))
        self.note()

    def note(self, **fields: Any) -> None:
        given = {"token": self.spec.token, "code": 1, "cell": 2, "index": 1, "until": time.time() + 60, "job": "t-0"}
        note = Kept(**{**given, "target": _TARGET.fingerprint, "looked": _LOOKED, **fields})
        write_durably(Path(self.left.folder) / KEPT, msgspec.json.encode(note))

    def differs(self, spec: JobSpec | None = None, *, target: Target = _TARGET, data: str = "d1", **parts: str) -> str:
        named = {label.replace("_", ":"): text for label, text in parts.items()}
        now = Wanted(stage="train", key="k2", parts={**_PARTS, **named})
        digests = {"data.csv": data, "/etc/hosts": "of here"}
        return kept.differs(self.left, spec or self.spec, now, target, digests.__getitem__)


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def test_the_failed_cell_and_those_below_it_may_be_others(case: Case) -> None:
    assert case.differs() == ""
    mended = case.bench.spec(
        "x = 1", "y = 2", "z = 3", params={"lr": 0.1}, env={"A": "1"}, outputs=("y",), metrics=("z",)
    )
    assert case.differs(mended, code_2="c", code_3="d", option_metrics='["z"]') == ""


def test_anything_else_is_named(case: Case) -> None:
    assert case.differs(code_1="other") == "code:1 is not what it was"
    assert case.differs(param_lr="0.2") == "param:lr is not what it was"
    assert case.differs(dist_numpy="3") == "dist:numpy is not what it was"
    assert case.differs(module_helper="new") == "module:helper is not what it was"
    assert case.differs(data="d2") == "data.csv is not what it was"
    assert "settings" in case.differs(target=msgspec.structs.replace(_TARGET, env={"A": "2"}))
    assert case.differs(msgspec.structs.replace(case.spec, env={})) == "env is not what it was"
    assert "gone" in case.differs(msgspec.structs.replace(case.spec, cells=case.spec.cells[:1]))
    moved = tuple(msgspec.structs.replace(code, cell=code.cell + 1) for code in case.spec.cells)
    assert "moved" in case.differs(msgspec.structs.replace(case.spec, cells=moved))
    state = {"@random": Artifact(digest="r", format="json", type="x", objects=())}
    assert "state" in case.differs(msgspec.structs.replace(case.spec, ambient=state))
    case.note(until=time.time() - 1)
    assert "no longer" in case.differs()


def test_of_a_stage_the_latest_counts_until_it_is_forgotten(case: Case) -> None:
    project = case.bench.project
    assert not kept.any_left(project)
    kept.remember(project, case.left)
    assert kept.recall(project, "n", "train") == case.left
    assert kept.recall(project, "n", "other") is None
    case.note(job="t-1")
    found = kept.recall(project, "n", "train")
    assert found is not None
    assert found.kept is not None
    assert found.kept.job == "t-1"
    (Path(case.left.folder) / KEPT).unlink()
    assert kept.recall(project, "n", "train") is None
    kept.remember(project, case.left)
    kept.forget(project, "n", "train")
    kept.forget(project, "n", "train")
    assert not kept.any_left(project)


def test_only_what_was_named_as_ended_is_forgotten(case: Case) -> None:
    project = case.bench.project
    kept.remember(project, case.left)
    kept.forget_all(project, "gpu", ["another-0"])
    assert kept.recall(project, "n", "train") == case.left
    kept.forget_all(project, "gpu", ["t-0"])
    assert not kept.any_left(project)
