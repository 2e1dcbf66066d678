"""Trials compared with each other, with a run and with the notebook as it is now."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from compared import TRAIN
from runs import Site

from nbpipe.history.diff import compute
from nbpipe.history.trials import trial_folder
from nbpipe.store.digest import digest
from nbpipe.tracking.trial import Seen, Trial

STREAM = {"output_type": "stream", "name": "stdout", "text": "acc 5.4\n"}


@pytest.fixture
def site(compared: Site) -> Iterator[Site]:
    """The shared project, with trials that go away again."""
    yield compared
    for path in trial_folder(compared.project).glob("*.json"):
        path.unlink()


def record(site: Site, number: int, **more: Any) -> str:
    folder = trial_folder(site.project)
    folder.mkdir(exist_ok=True)
    known: dict[str, Any] = {
        "stage": "train",
        "kernel": "k",
        "source": TRAIN,
        "started": 1.0,
        "seconds": 0.5,
        "status": "succeeded",
        "params": {"lr": 0.2},
        "metrics": {"acc": 5.4},
        "outputs": (STREAM,),
        "notebook": "n.ipynb",
        "environment": {"python": "3.0.0", "system": "Plan 9"},
        "packages": {"numpy": "0.1"},
    }
    trial = Trial(id=f"t{number}", **{**known, **more})
    (folder / f"t{number}.json").write_bytes(msgspec.json.encode(trial))
    return trial.id


def test_two_trials_of_one_cell_differ_in_code_parameters_metrics_inputs_and_outputs(site: Site) -> None:
    record(site, 1, inputs={"x": Seen(type="int", digest=digest(1), value=1)})
    record(
        site,
        2,
        source=TRAIN.replace("settings", "options"),
        params={"lr": 0.3},
        metrics={"acc": 5.5},
        outputs=({**STREAM, "text": "acc 5.5\n"},),
        inputs={"x": Seen(type="int", digest=digest(2), value=2)},
    )
    found = compute(site.project, "t1", "t2")
    assert found.counts == {"code": 1, "params": 1, "metrics": 1, "environment": 0, "data": 1, "outputs": 1}
    assert (found.a.kind, found.a.label, found.a.stage) == ("trial", "t1", "train")
    (value,) = found.data
    assert (value.name, value.a and value.a.preview, value.b and value.b.preview) == ("x", "1", "2")
    assert found.code[0].hunks[0].b_line == 3


def test_a_trial_equals_itself_whatever_its_comments(site: Site) -> None:
    record(site, 1)
    record(site, 2, source=TRAIN + "\n# done")
    assert compute(site.project, "t1", "t1").same
    (code,) = compute(site.project, "t1", "t2").code
    assert code.meaning == "format"


def test_a_trial_is_compared_with_its_own_cell_of_a_run(site: Site) -> None:
    record(site, 1, packages={"numpy": "0.1", "unheard": "1"})
    found = compute(site.project, "r1", "t1")
    assert [(stage.name, stage.change) for stage in found.stages] == [("train", "changed")]
    assert not found.code
    assert [(param.name, param.a and param.a.value, param.b and param.b.value) for param in found.params] == [
        ("lr", 0.1, 0.2)
    ]
    assert [(metric.name, metric.a, metric.b) for metric in found.metrics] == [("acc", 2.2, 5.4)]
    assert [output.a_cell for output in found.outputs] == [5]
    facts = {fact.name: (fact.a, fact.b) for fact in found.environment}
    assert facts["numpy"][1] == "0.1"
    assert facts["os"][1] == "Plan 9"


def test_inputs_of_a_trial_are_compared_with_those_of_the_run(site: Site) -> None:
    job = site.project.runs / "r2" / "jobs" / "train.1" / "job.json"
    ran = msgspec.json.decode(job.read_bytes())["inputs"]["values"]["digest"]
    record(site, 1, inputs={"values": Seen(type="numpy.ndarray", digest=ran)})
    record(site, 2, inputs={"values": Seen(type="numpy.ndarray", digest="0" * 64)})
    record(site, 3, inputs={"values": Seen(type="numpy.ndarray")})
    assert not compute(site.project, "r2", "t1", parts=("data",)).data
    assert [value.name for value in compute(site.project, "r2", "t2", parts=("data",)).data] == ["values"]
    blind = compute(site.project, "r2", "t3", parts=("data",))
    assert not blind.data
    assert "'values' was not digested in t3" in blind.notes[0].text


def test_a_trial_of_a_stage_that_was_renamed_since_is_found_by_its_code(site: Site) -> None:
    record(site, 1, stage="fit", source=TRAIN.replace("%%stage train", "%%stage fit"))
    (stage,) = compute(site.project, "t1", "r1").stages
    assert (stage.change, stage.a, stage.b) == ("renamed", "fit", "train")
    record(site, 2, stage="other", source="%%stage other\nprint('nothing of the kind')")
    assert [stage.change for stage in compute(site.project, "t2", "r1").stages] == ["removed"]


def test_a_trial_is_compared_with_the_notebook_as_it_is_now(site: Site) -> None:
    record(site, 1)
    found = compute(site.project, "t1", "now")
    assert [(code.name, code.meaning) for code in found.code] == [("train", "code")]
    assert found.b.label == "now"
