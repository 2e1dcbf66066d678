"""Every run that began has an end on record, whatever happened between."""

from __future__ import annotations

from pathlib import Path

import pytest
from rig import Rig

from nbpipe.errors import StoreError
from nbpipe.executors.base import Capacity
from nbpipe.executors.faulty import FaultyExecutor, Scripted
from nbpipe.model import Event, JobSpec
from nbpipe.run import record as records
from nbpipe.run.api import run_notebook
from nbpipe.run.journal import JOURNAL, read

_CELLS = ("%%stage a\na = [len('x')]", "%%stage b\nprint(a)")


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    monkeypatch.setenv("NBPIPE_TRACKING", "off")
    return Rig(tmp_path, _CELLS)


class _Refuses(FaultyExecutor):
    """A target that cannot start jobs."""

    def submit(self, job_dir: Path, spec: JobSpec) -> str:
        raise OSError(12, f"no more processes for {spec.stage}", str(job_dir))


def _executor(rig: Rig) -> FaultyExecutor:
    return FaultyExecutor({name: [Scripted(rig.succeed())] for name in "ab"}, Capacity(cpus=2))


def _record(rig: Rig) -> records.Record:
    found = records.read(rig.project.runs / "r1")
    assert found is not None
    return found


def _last(rig: Rig) -> Event:
    return list(read(rig.project.runs / "r1" / JOURNAL))[-1]


def test_a_run_leaves_its_record_its_journal_its_bundle_and_its_notebook(rig: Rig) -> None:
    result = run_notebook(rig.notebook, executor=_executor(rig))
    folder = rig.project.runs / "r1"
    assert (result.status, result.exit_code) == ("succeeded", 0)
    assert [stage.status for stage in result.stages] == ["succeeded", "succeeded"]
    left = {path.name for path in folder.iterdir()}
    assert left == {"run.json", "journal.jsonl", "bundle", "environment.json", "n.ipynb", "jobs"}
    record = _record(rig)
    assert (record.status, record.version, set(record.keys)) == ("succeeded", result.version, {"a", "b"})
    assert rig.project.root / record.executed == result.notebook == folder / "n.ipynb"
    assert record.created <= record.ended


@pytest.mark.parametrize(
    ("error", "status", "code"), [(KeyboardInterrupt, "cancelled", 130), (ValueError, "failed", 1)]
)
def test_an_error_that_is_not_the_run_s_own_ends_it_too(
    rig: Rig, error: type[BaseException], status: str, code: int
) -> None:
    def listen(event: Event) -> None:
        if event.kind == "stage-started":
            raise error

    with pytest.raises(error):
        run_notebook(rig.notebook, executor=_executor(rig), listener=listen)
    assert (_last(rig).kind, _last(rig).data["status"]) == ("run-finished", status)
    assert (_record(rig).status, _record(rig).exit_code) == (status, code)
    assert list(rig.store.documents.names("leases")) == []


def test_a_target_that_refuses_a_job_ends_the_run_with_a_named_error(rig: Rig) -> None:
    result = run_notebook(rig.notebook, executor=_Refuses())
    assert (result.status, result.exit_code) == ("failed", 6)
    assert result.failure is not None
    assert "no more processes" in result.failure.message
    assert (_record(rig).status, _last(rig).kind) == ("failed", "run-finished")
    assert list(rig.store.documents.names("leases")) == []


def test_a_run_whose_folder_cannot_be_made_is_a_store_error(rig: Rig) -> None:
    rig.project.state.mkdir()
    (rig.project.state / "runs").write_text("a file in its place")
    with pytest.raises(StoreError) as raised:
        run_notebook(rig.notebook, executor=_executor(rig))
    assert raised.value.fix


def test_the_executed_copy_that_cannot_be_written_fails_the_run_and_keeps_its_results(rig: Rig) -> None:
    def listen(event: Event) -> None:
        if event.kind == "run-started":
            (rig.project.runs / "r1" / "n.ipynb").mkdir()

    result = run_notebook(rig.notebook, executor=_executor(rig), listener=listen)
    assert (result.status, result.exit_code, _record(rig).executed) == ("failed", 6, "")
    again = run_notebook(rig.notebook, executor=_executor(rig))
    assert (again.status, {stage.status for stage in again.stages}) == ("succeeded", {"cached"})


def test_up_to_date_makes_no_run(rig: Rig) -> None:
    run_notebook(rig.notebook, executor=_executor(rig))
    executor = _executor(rig)
    again = run_notebook(rig.notebook, executor=executor)
    assert (again.status, again.run, again.exit_code, executor.submitted) == ("up-to-date", "r1", 0, [])
    assert rig.project.run_ids() == ["r1"]
