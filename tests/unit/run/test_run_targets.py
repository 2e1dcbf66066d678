"""Stages run where they say; what is asked of targets is refused before anything runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from rig import Rig
from runs import Done, Site

from nbpipe.executors.ssh.executor import SshExecutor
from nbpipe.model import Event
from nbpipe.run import afield
from nbpipe.run.afield import Afield
from nbpipe.run.api import run_notebook
from nbpipe.run.fleets import assemble
from nbpipe.run.planning import plan_notebook
from nbpipe.sweep.shared import SharedExecutor
from nbpipe.targets.settings import Target

_TARGETS = (
    '[targets.two]\nkind = "local"\ncpus = 2\n[targets.gpu]\nkind = "ssh"\nhost = "127.0.0.1"\nport = 1\npatience = 1\n'
    '[targets.pods]\nkind = "kubernetes"\nimage = "r/x:1"\nclaim = "data"\nfolder = "/nowhere"\n'
)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Done]]:
    """A run of two stages, of which one names a target of this machine."""
    site = Site(tmp_path_factory.mktemp("site"))
    (site.folder / "nbpipe.toml").write_text(_TARGETS)
    site.write("%%stage one\na = 1", "%%stage two --on two\nb = a + 1\nprint(b)")
    yield site, site.run()
    site.end_all()


def test_a_stage_runs_on_the_target_it_names(ran: tuple[Site, Done]) -> None:
    site, done = ran
    assert done.code == 0, done.err
    assert {stage["name"]: stage["on"] for stage in done.json["stages"]} == {"one": None, "two": "two"}
    assert "on two" in done.err
    assert site.printed(done.json["run"]) == "2\n"


def test_where_it_ran_is_no_part_of_its_key(ran: tuple[Site, Done]) -> None:
    site, done = ran
    site.write("%%stage one\na = 1", "%%stage two\nb = a + 1\nprint(b)")
    assert set(site.run().stages.values()) == {"cached"}
    planned = site.command("plan", "n.ipynb", "--json", "--fresh").json
    assert {stage["on"] for stage in planned["stages"]} == {None}
    site.write("%%stage one\na = 1", "%%stage two --on two\nb = a + 1\nprint(b)")
    assert "on two" in site.command("plan", "n.ipynb", "--fresh").out
    assert site.command("show", done.json["run"], "--stage", "two").out.count("two") >= 2


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--on", "gpi"), 2, "Did you mean 'gpu'?"),
        (("--on", "-rf"), 2, "there is no target '-rf'"),
        (("--on", "gpu", "--fresh"), 4, "127.0.0.1 cannot be reached"),
    ],
)
def test_a_target_that_is_not_there_is_refused_before_anything_runs(
    ran: tuple[Site, Done], words: tuple[str, ...], code: int, said: str
) -> None:
    site, _ = ran
    before = site.project.run_ids()
    done = site.run(*words)
    assert done.code == code
    assert said in done.err + done.out
    assert site.project.run_ids() == before


@pytest.mark.parametrize("line", ["--image x/y:1", "--on two --nodes 2", "--on pods --nodes 2"])
def test_what_the_target_cannot_do_is_refused_before_anything_runs(ran: tuple[Site, Done], line: str) -> None:
    site, _ = ran
    before = site.project.run_ids()
    site.write(f"%%stage one {line}\na = 1")
    done = site.run()
    assert done.code == 3
    assert "needs a target of kind" in done.err
    assert site.project.run_ids() == before


def test_what_is_all_cached_asks_no_target(ran: tuple[Site, Done]) -> None:
    site, _ = ran
    site.write("%%stage one --on gpu\na = 1", "%%stage two --on gpu\nb = a + 1\nprint(b)", "%%stage more\nc = 3")
    done = site.run()
    assert done.code == 0, done.err
    assert done.stages == {"one": "cached", "two": "cached", "more": "succeeded"}


def test_what_runs_unexpectedly_on_a_target_that_was_not_compared_is_not_reused(tmp_path: Path) -> None:
    rig = Rig(tmp_path, ("%%stage one --on gpu\na = 1",))
    gpu = Target(name="gpu", kind="ssh", host="127.0.0.1", port=1)
    given = {"places": {"one": gpu}, "runs": (), "local": rig.executor, "default": "local"}
    fleet, _ = assemble(rig.project, rig.store, rig.pipeline(), **given)  # type: ignore[arg-type]
    executor = fleet.of("gpu")
    assert isinstance(executor, SshExecutor)
    assert "were not compared" in executor.unlike
    fleet.close()


def test_the_kernels_of_trials_are_not_kept(tmp_path: Path) -> None:
    rig = Rig(tmp_path, ("%%stage one\na = 1",))
    target = Target(name="box", kind="ssh", host="nowhere", keep_failed=60.0)
    given: Any = {"places": {"one": target}, "runs": (), "default": "box"}
    for local, seconds in ((rig.executor, 60.0), (SharedExecutor(rig.executor), 0.0)):
        fleet, _ = assemble(rig.project, rig.store, rig.pipeline(), local=local, **given)
        assert cast("Any", fleet.of("box")).target.keep_failed == seconds


def test_targets_are_listed_without_being_connected_to(ran: tuple[Site, Done]) -> None:
    site, _ = ran
    listed = {row["name"]: row["state"] for row in site.command("target", "list", "--json").json["targets"]}
    assert listed == {"local": "ready", "two": "ready", "gpu": "unknown", "pods": "unknown"} | (
        {"gpu": "unreachable"} if listed["gpu"] == "unreachable" else {}
    )
    tried = site.command("target", "test", "gpu", "--json")
    assert tried.code == 4
    assert tried.json["targets"][0]["checks"][0]["name"] == "connection"
    assert "unreachable" in site.command("target", "list").out
    assert site.command("target", "doctor", "local", "--notebook", "n.ipynb").code == 0


def test_a_job_elsewhere_is_remembered_until_it_is_collected(tmp_path: Path) -> None:
    job = Afield(target="gpu", token="1f", stage="train")  # noqa: S106 - it opens nothing
    afield.remember(tmp_path, "k", job)
    assert afield.recall(tmp_path, "k", "gpu") == "1f"
    assert afield.recall(tmp_path, "k", "other") is None
    assert json.loads(next((tmp_path / ".nbpipe" / "afield").iterdir()).read_text())["stage"] == "train"
    assert afield.outdated(tmp_path, "k", job) == {}
    assert afield.outdated(tmp_path, "edited", job) == {"k": job}
    assert afield.outdated(tmp_path, "edited", Afield(target="gpu", token="2e", stage="load")) == {}  # noqa: S106 - as above
    afield.forget(tmp_path, "k")
    assert afield.recall(tmp_path, "k", "gpu") is None


def test_a_stage_that_gets_no_gpu_here_says_so_in_the_plan_and_before_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    said = "stage 'two' asks for 1 GPU, and this machine has none: it runs without; --on TARGET runs it elsewhere"
    rig = Rig(tmp_path, ["%%stage one\na = 1", "%%stage two --gpus 1\nb = a + 1"])
    assert plan_notebook(rig.notebook).warnings == (said,)
    events: list[Event] = []
    assert run_notebook(rig.notebook, listener=events.append).warnings == (said,)
    told = [event.kind for event in events]
    assert told.index("warning") < told.index("stage-started")
    rig.write("%%stage one\na = 1", "%%stage two --gpus 1\nb = a + 1", "%%stage three\nc = a")
    assert plan_notebook(rig.notebook).warnings == run_notebook(rig.notebook).warnings == ()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert not plan_notebook(rig.notebook, fresh=True).warnings
