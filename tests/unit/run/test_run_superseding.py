"""What a stage was seen to do changes what later stages should have seen: those that ran too early run again."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import msgspec
import pytest
from rig import Rig, fail

from nbpipe.errors import PipelineError
from nbpipe.executors.faulty import Scripted
from nbpipe.model import AmbientState, Event, FileState, JobSpec, Outcome
from nbpipe.pipeline.contents import digest_file
from nbpipe.run.beside import Lane
from nbpipe.run.engine import Engine
from nbpipe.store.base import hash_bytes
from nbpipe.store.local import LocalDocuments

#: `first` changes `data` in a way that no analysis sees; `second` and `third` read it.
_CELLS = (
    "%%stage make\ndata = [len('x')]",
    "%%stage first\nprint(data)",
    "%%stage second\nprint(data, 2)",
)
_APART = tuple(f"%%stage {name}\nprint('{name}')" for name in ("one", "two", "three"))


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path, _CELLS)


def test_a_stage_that_read_a_value_before_it_was_changed_in_place_runs_again(rig: Rig) -> None:
    changes = rig.succeed(observed={"data": rig.artifact(["changed"])})
    assert rig.run({"first": [Scripted(changes, polls=10)]}) == "succeeded"
    assert rig.story("second") == ["started", "succeeded", "superseded", "started", "succeeded"]
    (taken_back,) = (event for event in rig.events if event.kind == "stage-superseded")
    assert taken_back.data == {"reasons": ["what it read has changed"]}
    last = rig.executor.submitted[-1]
    assert (last.stage, rig.store.load_values(last.inputs, {})) == ("second", {"data": ["changed"]})


def test_what_was_seen_is_known_to_the_next_plan(rig: Rig) -> None:
    """The cells are the same, but nothing is reused: the second stage waits from the start."""
    from nbpipe.pipeline.extract import extract

    changes = rig.succeed(observed={"data": rig.artifact(["changed"])})
    rig.run({"first": [Scripted(changes, polls=10)]})
    edges = extract(rig.notebook, observed=rig.store.hints.observed).edges
    assert ("first", "second") in {(edge.source, edge.target) for edge in edges}


def test_a_stage_that_ran_before_a_seed_was_set_above_it_runs_again(tmp_path: Path) -> None:
    rig = Rig(tmp_path, _APART)
    seeded = AmbientState(name="@random", before="", after="s", read=False, artifact=rig.artifact("state"))
    draws = AmbientState(name="@random", before="", after="t", read=True, artifact=rig.artifact("later"))
    after = msgspec.structs.replace(draws, before=rig.artifact("state").digest)
    status = rig.run(
        {
            "one": [Scripted(rig.succeed(ambient=(seeded,)), polls=10)],
            "two": [rig.succeed(ambient=(draws,)), rig.succeed(ambient=(after,))],
        }
    )
    assert status == "succeeded"
    assert rig.story("two") == ["started", "succeeded", "superseded", "started", "succeeded"]
    assert "random state changed" in str([event.data for event in rig.events if event.kind == "stage-superseded"])


def _written(rig: Rig, text: str) -> FileState:
    data = text.encode()
    kept = rig.store.objects.put_bytes(data)
    assert kept == hash_bytes(data)
    path = rig.root / "f.txt"
    before = path.read_bytes() if path.exists() else None
    path.write_bytes(data)
    state = FileState(path="f.txt", digest=digest_file(path), size=len(data), object=kept)
    if before is None:
        path.unlink()
    else:
        path.write_bytes(before)
    return state


def test_a_stage_that_read_a_file_before_it_was_written_above_runs_again(tmp_path: Path) -> None:
    rig = Rig(tmp_path, _APART)
    state = _written(rig, "new")
    missing = FileState(path="f.txt", digest="")
    status = rig.run(
        {
            "one": [Scripted(rig.succeed(files_written=(state,)), polls=10)],
            "two": [rig.succeed(files_read=(missing,)), rig.succeed(files_read=(state,))],
        }
    )
    assert status == "succeeded"
    assert rig.story("two") == ["started", "succeeded", "superseded", "started", "succeeded"]
    assert (rig.root / "f.txt").read_text() == "new"


def test_the_result_of_another_process_of_the_run_stands_whatever_its_files_hold_by_now(tmp_path: Path) -> None:
    rig = Rig(tmp_path, _APART)
    missing = FileState(path="f.txt", digest="")
    rig.run({"one": [rig.succeed(files_read=(missing,), uncacheable=("it asks the clock",))]}, until="one")
    (made,) = rig.engines[-1].traces.values()
    (rig.root / "f.txt").write_text("new")
    assert rig.run(until="two", prepare=lambda engine: engine.adopt(made)) == "succeeded"
    assert (rig.story("one"), rig.submitted) == ([], ["two"])
    assert rig.engines[-1].traces["one"] == made


def test_what_a_stage_wrote_before_it_was_taken_back_is_undone(tmp_path: Path) -> None:
    rig = Rig(tmp_path, _APART[:2])
    state = _written(rig, "new")
    (rig.root / "own.txt").write_text("before")
    seen: list[str] = []

    def writes(spec: JobSpec) -> Outcome:
        seen.append((rig.root / "own.txt").read_text())
        _keeps(rig, f"two.{spec.attempt}", "own.txt")
        (rig.root / "own.txt").write_text("after")
        read = FileState(path="f.txt", digest="") if spec.attempt == 1 else state
        return rig.succeed(files_read=(read,))(spec)

    assert rig.run({"one": [Scripted(rig.succeed(files_written=(state,)), polls=10)], "two": [writes]}) == "succeeded"
    assert (rig.story("two").count("started"), seen) == (2, ["before", "before"])


def test_what_is_undone_is_told_to_another_run_that_uses_the_file(tmp_path: Path) -> None:
    rig = Rig(tmp_path, _APART[:2])
    state, own = _written(rig, "new"), rig.root / "own.txt"
    own.write_text("before")
    other = Lane(tmp_path / "beside")
    job = tmp_path / "job of the other"

    def writes(spec: JobSpec) -> Outcome:
        if spec.attempt == 1:
            _keeps(rig, "two.1", "own.txt")
            own.write_text("after")
        return rig.succeed(files_read=(FileState(path="f.txt", digest="") if spec.attempt == 1 else state,))(spec)

    def prepare(engine: Engine) -> None:
        engine._disk.lane = Lane(tmp_path / "beside")

    def hear(event: Event) -> None:
        # What `two` wrote has been told to those who ran then; from now on this one runs, too.
        if (event.kind, event.stage) == ("stage-succeeded", "one"):
            other.started(job, lambda _: [])

    one = Scripted(rig.succeed(files_written=(state,)), polls=10)
    assert rig.run({"one": [one], "two": [writes]}, prepare=prepare, hear=hear) == "succeeded"
    assert other.used(job, [own]) == own


def _keeps(rig: Rig, job: str, name: str) -> None:
    """The copy that a job takes before it first writes a file."""
    undo = rig.project.runs / "r1" / "jobs" / job / "undo"
    undo.mkdir()
    (undo / "copy").write_bytes((rig.root / name).read_bytes())
    (undo / "index.jsonl").write_bytes(msgspec.json.encode({"path": str(rig.root / name), "copy": "copy"}) + b"\n")


def test_files_that_a_cached_stage_wrote_are_put_back_before_anything_below_runs(tmp_path: Path) -> None:
    rig = Rig(tmp_path, _APART)
    state = _written(rig, "kept")
    script = {"one": [rig.succeed(files_written=(state,))]}
    rig.run(script)
    (rig.root / "f.txt").unlink()
    rig.run(script)
    assert (rig.submitted, (rig.root / "f.txt").read_text()) == ([], "kept")


def test_a_failure_before_the_stages_above_had_finished_is_looked_at_again(tmp_path: Path) -> None:
    rig = Rig(tmp_path, _APART)
    slow = Scripted(rig.succeed(), polls=10)
    assert rig.run({"one": [slow], "two": [fail(message="no such file"), rig.succeed()]}) == "succeeded"
    assert rig.story("two") == ["started", "superseded", "started", "succeeded"]


def test_a_stage_that_never_settles_ends_the_run_with_a_way_out(tmp_path: Path) -> None:
    rig = Rig(tmp_path, ("%%stage one --no-cache\nprint(1)", *_APART[1:]))
    (rig.root / "f.txt").write_text("as it is")
    other = FileState(path="f.txt", digest="never this")
    with pytest.raises(PipelineError, match="does not settle") as raised:
        rig.run({"two": [rig.succeed(files_read=(other,))]})
    assert raised.value.stage == "two"
    assert "--after" in (raised.value.fix or "")


def test_an_outcome_that_cannot_be_reused_stands_within_its_run_and_is_run_again_by_the_next(tmp_path: Path) -> None:
    rig = Rig(tmp_path, ("%%stage one\nx = [len('x')]", "%%stage two\nprint(x)"))
    assert rig.run({"one": [rig.succeed(uncacheable=("it starts another program",))]}) == "succeeded"
    assert rig.submitted == ["one", "two"]
    assert any("another program" in event.data.get("text", "") for event in rig.events)
    rig.run()
    assert rig.submitted == ["one"]


def test_a_local_module_that_was_edited_while_it_ran_makes_the_result_unfit_for_others(tmp_path: Path) -> None:
    rig = Rig(tmp_path, _APART)

    def imported(spec: JobSpec) -> Outcome:
        return rig.succeed(modules={"helpers": ("helpers.py", "0" * 64)})(spec)

    rig.run({"one": [imported]})
    assert [trace.stage for trace in rig.store.traces.all() if trace.stage == "one"] == []
    assert any("helpers.py was edited" in event.data.get("text", "") for event in rig.events)


def test_a_commit_that_the_store_refuses_undoes_the_stage_s_files_and_gives_the_lease_back(tmp_path: Path) -> None:
    from nbpipe.errors import StoreError

    rig = Rig(tmp_path, _APART[:1])
    (rig.root / "log.txt").write_text("before")

    def appends(spec: JobSpec) -> Outcome:
        _keeps(rig, "one.1", "log.txt")
        (rig.root / "log.txt").write_text("before and after")
        return rig.succeed(executed="0" * 64)(spec)

    with pytest.raises(StoreError):
        rig.run({"one": [appends]})
    assert (rig.root / "log.txt").read_text() == "before"
    assert list(rig.store.documents.names("leases")) == []


def test_a_late_attempt_whose_lease_was_taken_over_does_not_commit(tmp_path: Path) -> None:
    """It was frozen, others thought it dead and computed the same: theirs is the result, its own stays with its run."""
    rig = Rig(tmp_path, _APART[:1])

    def late(spec: JobSpec) -> Outcome:
        (name,) = rig.store.documents.names("leases")
        rig.store.documents.write(name, b'{"token": "of another", "owner": "r9"}')
        return rig.succeed()(spec)

    assert rig.run({"one": [late]}) == "succeeded"
    assert list(rig.store.traces.all()) == []
    assert len(rig.store.documents.names("leases")) == 1


def test_a_result_that_another_run_committed_meanwhile_is_taken_instead_of_computed(tmp_path: Path) -> None:
    rig = Rig(tmp_path, ("%%stage one\nx = [len('x')]",))
    rig.run()
    (done,) = rig.store.traces.all()
    for name in rig.store.documents.names("traces"):
        rig.store.documents.delete(name)
    other = rig.store.leases.claim(done.key, "r9")
    assert other is not None

    def hear(event: Event) -> None:
        if event.kind == "stage-waiting":
            rig.store.traces.commit(done)
            other.release()

    assert rig.run(hear=hear) == "succeeded"
    assert rig.submitted == []
    assert rig.story("one") == ["waiting", "cached"]


def test_a_result_that_came_between_the_look_and_the_claim_is_taken(tmp_path: Path) -> None:
    rig = Rig(tmp_path, ("%%stage one\nx = [len('x')]",))
    rig.run()
    (done,) = rig.store.traces.all()
    for name in rig.store.documents.names("traces"):
        rig.store.documents.delete(name)

    class Racing(LocalDocuments):
        """Another run commits right before this one claims the key."""

        def create(self, name: str, data: bytes, *, durably: bool = True) -> bool:
            rig.store.traces.commit(done)
            return super().create(name, data, durably=durably)

    def race(engine: Engine) -> None:
        store = dataclasses.replace(rig.store, documents=Racing(Path(rig.store.location)))
        engine.place = dataclasses.replace(engine.place, store=store)

    assert rig.run(prepare=race) == "succeeded"
    assert rig.submitted == []
    assert rig.store.documents.names("leases") == []
