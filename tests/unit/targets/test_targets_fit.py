"""What would go wrong on a target is said before a run, with what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from nbpipe.errors import TargetError
from nbpipe.pipeline.closure import required_by
from nbpipe.targets import tested
from nbpipe.targets.fit import Need, compare, refuse, store_check, unlike
from nbpipe.targets.settings import Target

TARGET = Target(name="gpu", kind="ssh", host="gpu01")
GPU = {"index": "0", "name": "NVIDIA H200", "memory.total": "143771", "memory.free": "143000", "driver_version": "580"}
FACTS: dict[str, Any] = {
    "host": "gpu01", "system": "Linux", "machine": "x86_64", "python": "3.11.9", "executable": "/e/python", "cpus": 16,
    "memory": 128 << 30, "disk": 10**12, "rsync": "/usr/bin/rsync", "gpus": [GPU], "devices": ["0"],
    "packages": {"nbpipe": "0.1.0", "torch": "2.11.0+cu130", "pandas": "2.2.0"},
}  # fmt: skip
NEED = Need(python="3.11", nbpipe="0.1.0", distributions={"torch": "2.11.0+cpu", "pandas": "2.2.0"}, gpus=1)


def wrong(need: Need = NEED, target: Target = TARGET, **facts: Any) -> dict[str, str]:
    """Name -> detail and fix, of what fails."""
    found = compare(target, FACTS | facts, need)
    return {item.name: f"{item.detail} | {item.fix}" for item in found if item.status == "failed"}


def test_a_machine_that_has_everything_fits_though_its_torch_is_built_for_gpus() -> None:
    assert wrong() == {}
    assert unlike(FACTS, NEED) == ""
    assert any("NVIDIA H200" in item.detail for item in compare(TARGET, FACTS, NEED))


@pytest.mark.parametrize(
    ("facts", "name", "said"),
    [
        ({"system": "Darwin"}, "system", "Linux"),
        ({"python": "3.12.3"}, "python", "Python 3.12.3 there, 3.11 here"),
        ({"packages": FACTS["packages"] | {"nbpipe": ""}}, "nbpipe", "/e/python -m pip install nbpipe==0.1.0"),
        ({"packages": FACTS["packages"] | {"nbpipe": "0.2.0"}}, "nbpipe", "nbpipe 0.2.0 there, 0.1.0 here"),
        ({"packages": {"nbpipe": "0.1.0", "torch": "2.11.0"}}, "packages", "pip install pandas==2.2.0"),
        ({"packages": FACTS["packages"] | {"pandas": "2.1.0"}}, "packages", "pandas 2.1.0 (here 2.2.0)"),
        ({"devices": [], "gpus": []}, "gpus", "asks for 1 GPU, and there are none"),
        ({"packages": FACTS["packages"] | {"torch": "2.11.0+cpu"}}, "torch", "sees no GPU"),
        ({"rsync": ""}, "rsync", "no rsync"),
    ],
)
def test_what_lacks_is_named_with_what_to_do(facts: dict[str, Any], name: str, said: str) -> None:
    found = wrong(**facts)
    assert list(found) == [name]
    assert said in found[name]
    with pytest.raises(TargetError, match="'gpu' does not fit") as caught:
        refuse(TARGET, compare(TARGET, FACTS | facts, NEED))
    assert caught.value.fix


def test_other_versions_may_be_allowed_and_then_results_are_not_reused() -> None:
    other = FACTS | {"packages": FACTS["packages"] | {"pandas": "2.1.0"}}
    allowed = Target(name="gpu", kind="ssh", host="gpu01", versions="any")
    assert not [item for item in compare(allowed, other, NEED) if item.status == "failed"]
    assert unlike(other, NEED) == "packages differ: pandas 2.1.0 (here 2.2.0)"


def test_memory_that_is_asked_for_must_be_there() -> None:
    assert "memory" in wrong(Need(memory=256 << 30))


def test_a_test_counts_for_the_settings_it_was_made_with(tmp_path: Path) -> None:
    assert tested.noted(tmp_path, TARGET) is None
    tested.note(tmp_path, TARGET, ready=True, detail="fine")
    found = tested.noted(tmp_path, TARGET)
    assert found is not None
    assert (found.state, found.detail) == ("ready", "fine")
    assert tested.noted(tmp_path, Target(name="gpu", kind="ssh", host="gpu02")) is None


def test_packages_that_come_with_others_are_compared_and_refuse_nothing() -> None:
    assert "numpy" in required_by({"pandas": ""})
    assert "pandas" not in required_by({"pandas": ""})
    need = structs.replace(NEED, indirect={"numpy": "2.0.0", "six": "1.0"})
    facts = FACTS | {"packages": FACTS["packages"] | {"numpy": "1.26.0"}}
    (said,) = (item for item in compare(TARGET, facts, need) if item.name == "indirect")
    assert (said.status, "numpy 1.26.0 (here 2.0.0)" in said.detail) == ("warning", True)
    assert not [item for item in compare(TARGET, FACTS, need) if item.name == "indirect"]


def test_what_is_to_be_built_is_not_missed() -> None:
    target = structs.replace(TARGET, environment="build")
    assert wrong(target=target, packages={"nbpipe": ""}) == {}


def test_a_shared_store_that_cannot_be_used_is_said_and_refuses_nothing() -> None:
    target = structs.replace(TARGET, store="s3://b")
    found = [
        store_check(target, {"gpu01": "it came back"}),
        store_check(target, {"a": "it came back", "b": "it came back"}),
        store_check(target, {"a": "it came back", "b": ""}),
        store_check(target, {}, "from there: no"),
    ]
    assert [(item.status, item.detail) for item in found] == [
        ("ok", "s3://b: it came back"),
        ("ok", "s3://b: a: it came back; b: it came back"),
        ("ok", "s3://b is first tried by a job: nothing there can ask before"),
        ("warning", "from there: no"),
    ]
    assert "over the connection" in found[-1].fix
    refuse(target, found)
