"""Stages of an exported pipeline, each in a process of its own: together they are one run, or one of them says why not."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlparse

import msgspec
import pytest
from rig import Rig, fail

from nbpipe.errors import NbpipeError, ParameterError, PipelineError, UsageError
from nbpipe.executors.faulty import FaultyExecutor, Scripted
from nbpipe.export.api import export_notebook
from nbpipe.history.difference.curves import curves_of_job
from nbpipe.history.difference.run_view import RunView
from nbpipe.model import FileState
from nbpipe.notebook.reader import read_notebook
from nbpipe.pipeline.contents import digest_file
from nbpipe.run.journal import JOURNAL
from nbpipe.run.journal import read as read_journal
from nbpipe.run.record import read as read_record
from nbpipe.run.state import RunState, replay
from nbpipe.stage.api import Ask, run_stage
from nbpipe.stage.book import Amended, Begun, Entry, FolderBook, StoreBook
from nbpipe.stage.finish import finish
from nbpipe.stage.packages import refuse_others
from nbpipe.stage.site import Site, site_of
from nbpipe.store.gc import gc
from nbpipe.tracking.recorded import read_run
from nbpipe.tracking.spool import Point, write_curves

_CELLS = (
    "%%params\nn: int = 1\nrate: float = 0.5",
    "%%stage make\ndata = [n]",
    "%%stage first\nprint(data)",
    "%%stage second --metrics m\nm = len(data)",
    "%%check good\nassert m == 1",
    "%%stage last\nprint(m)",
)


class Scheduler:
    """Runs stages of an exported pipeline one by one, as a scheduler's workers do, with jobs that end as a script says."""

    def __init__(self, root: Path, *cells: str) -> None:
        self.rig = Rig(root, cells or _CELLS)
        self.folder = root / "exports" / "x"
        self.export()

    def export(self, **given: Any) -> None:
        export_notebook(read_notebook(self.rig.notebook), to="airflow", out=self.folder, **given)

    @contextlib.contextmanager
    def site(self) -> Iterator[Site]:
        with site_of(self.folder, None) as site:
            yield site

    def stage(self, stage: str, answer: Any = None, *, run: str = "one", book: Any = None, **ask: Any) -> Entry:
        self.executor = FaultyExecutor({stage: [Scripted(answer or self.rig.succeed())]})
        with self.site() as site:
            pages = book or StoreBook(self.rig.store, "n", run)
            return run_stage(
                site,
                self.rig.store,
                pages,
                Ask(stage=stage, label=run, **ask),
                lambda _event, _folder: None,
                executor=self.executor,
            )

    def finish(self, run: str = "one", book: Any = None) -> int:
        with self.site() as site:
            pages = book or StoreBook(self.rig.store, "n", run)
            return finish(site, self.rig.store, pages, Ask(stage="", label=run))


@pytest.fixture
def scheduler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scheduler:
    monkeypatch.setenv("NBPIPE_TRACKING", "off")
    return Scheduler(tmp_path)


def test_stages_of_a_run_find_what_those_above_them_gave_and_make_one_run(scheduler: Scheduler) -> None:
    for stage in ("make", "second", "first", "good", "last"):
        assert scheduler.stage(stage, scheduler.rig.succeed(metrics={"m": 1.0})).exit_code == 0
    assert scheduler.executor.submitted[0].inputs.keys() == {"m"}
    assert scheduler.finish() == 0
    record = read_record(scheduler.rig.project.runs / "r1")
    assert record is not None
    assert (record.status, sorted(record.keys)) == ("succeeded", ["first", "good", "last", "make", "second"])


def test_what_a_run_gave_is_found_in_the_store_by_a_diff_and_by_what_is_delivered(scheduler: Scheduler) -> None:
    scheduler.stage("make", scheduler.rig.succeed(7))
    rest = ("first", "second", "good", "last")
    for stage in rest:
        scheduler.stage(stage, scheduler.rig.succeed(metrics={"m": 1.0}))
    assert scheduler.finish() == 0
    project = scheduler.rig.project
    view = RunView(project, "r1")
    found = {stage: view.outcome(stage) for stage in ("make", *rest)}
    assert None not in found.values()
    assert view.notes == []
    delivered = read_run(project.runs / "r1", project.root)
    assert {stage.name: stage.outcome for stage in delivered.stages} == found
    assert {stage.status for stage in delivered.stages} == {"succeeded"}


def test_keys_are_those_of_a_native_run_so_each_reuses_what_the_other_computed(scheduler: Scheduler) -> None:
    assert scheduler.rig.run() == "succeeded"
    native = scheduler.rig.engines[-1].traces
    for stage in ("make", "first", "second"):
        entry = scheduler.stage(stage)
        assert scheduler.executor.submitted == []
        assert entry.trace == native[stage]


def test_fresh_runs_what_the_store_already_has(scheduler: Scheduler) -> None:
    scheduler.stage("make")
    scheduler.stage("make", run="two", fresh=True)
    assert [spec.stage for spec in scheduler.executor.submitted] == ["make"]


def test_a_stage_does_not_start_before_those_above_it(scheduler: Scheduler) -> None:
    with pytest.raises(PipelineError, match="'make' has no result in this run"):
        scheduler.stage("first")
    scheduler.stage("make")
    with pytest.raises(PipelineError, match="'make' has no result"):
        scheduler.stage("first", run="another")


@pytest.mark.parametrize(
    ("status", "code", "exit_code"),
    [("failed", "user-code", 1), ("rejected", "rejected", 8), ("timeout", "timeout", 5)],
)
def test_a_failure_ends_the_process_with_its_own_code_and_the_run_says_so(
    scheduler: Scheduler, status: Any, code: str, exit_code: int
) -> None:
    entry = scheduler.stage("make", fail(status, code))
    assert (entry.status == "rejected", entry.exit_code) == (exit_code == 8, exit_code)
    with pytest.raises(PipelineError, match="has no result"):
        scheduler.stage("first")
    assert scheduler.finish() == exit_code
    record = read_record(scheduler.rig.project.runs / "r1")
    assert record is not None
    assert (record.status, record.exit_code) == ("rejected" if exit_code == 8 else "failed", exit_code)


def test_a_retry_of_the_scheduler_goes_on_after_a_failure(scheduler: Scheduler) -> None:
    assert scheduler.stage("make", fail()).exit_code == 1
    assert scheduler.stage("make").exit_code == 0
    assert scheduler.stage("first").exit_code == 0


def test_retries_of_its_own_are_for_schedulers_that_have_none(tmp_path: Path) -> None:
    scheduler = Scheduler(tmp_path, "%%stage one --retries 5\nx = 1")
    assert scheduler.stage("one", fail()).exit_code == 1
    assert len(scheduler.executor.submitted) == 1
    assert scheduler.stage("one", fail(), retries=2).exit_code == 1
    assert len(scheduler.executor.submitted) == 3


def test_a_value_that_a_stage_beside_it_changed_in_place_is_never_used_as_it_was(scheduler: Scheduler) -> None:
    """`second` has read `data` when `first`, which stands above it, turns out to have changed it."""
    rig = scheduler.rig
    scheduler.stage("make")
    scheduler.stage("second", rig.succeed(metrics={"m": 1.0}))
    scheduler.stage("first", rig.succeed(observed={"data": rig.artifact(["changed"])}))
    with pytest.raises(PipelineError, match="does not hold any more: what it read has changed") as refused:
        scheduler.stage("good")
    assert refused.value.stage == "second"
    with pytest.raises(PipelineError, match="does not hold any more"):
        scheduler.finish()
    record = read_record(rig.project.runs / "r1")
    assert record is not None
    assert record.status == "failed"


def test_a_stage_that_starts_after_the_change_reads_the_changed_value(scheduler: Scheduler) -> None:
    rig = scheduler.rig
    scheduler.stage("make")
    scheduler.stage("first", rig.succeed(observed={"data": rig.artifact(["changed"])}))
    scheduler.stage("second", rig.succeed(metrics={"m": 1.0}))
    assert rig.store.load_values(scheduler.executor.submitted[0].inputs, {}) == {"data": ["changed"]}
    assert scheduler.stage("good", rig.succeed()).exit_code == 0


def test_a_change_that_happens_while_a_stage_runs_makes_it_run_again(scheduler: Scheduler) -> None:
    rig, runs = scheduler.rig, []
    scheduler.stage("make")
    (rig.root / "log.txt").write_text("before")

    def meanwhile(spec: Any) -> Any:
        runs.append(rig.store.load_values(spec.inputs, {}))
        # As a job does: a copy of what was there, then the write.
        undo = Path(urlparse(spec.tracking["MLFLOW_TRACKING_URI"]).path).parent / "undo"
        undo.mkdir()
        shutil.copy(rig.root / "log.txt", undo / "0")
        (undo / "index.jsonl").write_text(json.dumps({"path": str(rig.root / "log.txt"), "copy": "0"}) + "\n")
        (rig.root / "log.txt").write_text((rig.root / "log.txt").read_text() + " line")
        if len(runs) == 1:
            mine = scheduler.executor
            scheduler.stage("first", rig.succeed(observed={"data": rig.artifact(["changed"])}))
            scheduler.executor = mine
        return rig.succeed(metrics={"m": 1.0})(spec)

    assert scheduler.stage("second", meanwhile).exit_code == 0
    assert runs[-1] == {"data": ["changed"]}
    assert len(runs) == 2
    assert (rig.root / "log.txt").read_text() == "before line"


def test_a_part_of_a_run_that_is_run_again_does_not_trip_over_what_is_to_come(scheduler: Scheduler) -> None:
    """As Airflow's "clear": `make` gives something else now, and `second` is asked before `first`."""
    rig = scheduler.rig
    for stage in ("make", "first", "second"):
        scheduler.stage(stage, rig.succeed(metrics={"m": 1.0}))
    scheduler.stage("make", rig.succeed(value="new"), fresh=True)
    with pytest.raises(PipelineError, match="does not hold any more"):
        scheduler.stage("good")
    scheduler.stage("second", rig.succeed(metrics={"m": 1.0}))
    assert scheduler.stage("good").exit_code == 0
    with pytest.raises(PipelineError, match="does not hold any more") as refused:
        scheduler.finish()
    assert refused.value.stage == "first"


def test_what_was_seen_once_is_said_before_the_next_run_computes_it_again_and_a_new_export_knows_it(
    scheduler: Scheduler,
) -> None:
    rig = scheduler.rig
    scheduler.stage("make")
    scheduler.stage("first", rig.succeed(observed={"data": rig.artifact(["changed"])}))
    scheduler.stage("make", run="two")
    with pytest.raises(PipelineError, match="was seen to need what 'first' gives") as refused:
        scheduler.stage("second", run="two")
    assert "Export again" in (refused.value.fix or "")
    scheduler.export()
    with scheduler.site() as site:
        assert site.manifest.order["second"] == ("first",)


def test_two_stages_in_no_order_that_touch_one_file_are_refused(scheduler: Scheduler) -> None:
    rig = scheduler.rig
    path = rig.root / "f.txt"
    path.write_text("x")
    state = FileState(path="f.txt", digest=digest_file(path), size=1, object=rig.store.objects.put_file(path))
    scheduler.stage("make")
    scheduler.stage("second", rig.succeed(files_written=(state,), metrics={"m": 1.0}))
    scheduler.stage("first", rig.succeed(files_read=(state,)))
    with pytest.raises(PipelineError, match=r"writes f\.txt, which 'first' uses too"):
        scheduler.finish()


def test_stages_of_one_run_with_other_parameters_or_another_version_are_refused(scheduler: Scheduler) -> None:
    scheduler.stage("make", params={"n": 2})
    with pytest.raises(PipelineError, match="other parameters"):
        scheduler.stage("first", params={"n": 3})
    scheduler.rig.write(*_CELLS, "%%stage more\nz = 1")
    scheduler.export()
    with pytest.raises(PipelineError, match="another version"):
        scheduler.stage("first", params={"n": 2})


def test_parameters_are_typed_and_a_value_that_is_the_default_is_none(scheduler: Scheduler) -> None:
    scheduler.stage("make", params={"n": 1, "rate": 0.5})
    scheduler.stage("first")
    with pytest.raises(ParameterError, match="is not a"):
        scheduler.stage("make", run="two", params={"n": "many"})
    with pytest.raises(ParameterError, match="no parameter"):
        scheduler.stage("make", run="two", params={"a=1;open('x')": 1})
    scheduler.stage("make", run="two", texts={"n": "5"})
    assert scheduler.executor.submitted[0].params == {"n": 5}


def test_an_attempt_that_ends_late_does_not_count(scheduler: Scheduler) -> None:
    late = StoreBook(scheduler.rig.store, "n", "one")
    late.read("make")
    entry = scheduler.stage("make")
    assert late.write(entry) == entry
    late = StoreBook(scheduler.rig.store, "n", "two")
    late.read("make")
    other = scheduler.stage("make", scheduler.rig.succeed(value="another"), run="two", fresh=True)
    with pytest.raises(PipelineError, match="came late"):
        late.write(entry)
    assert StoreBook(scheduler.rig.store, "n", "two").read("make") == other


def test_what_was_not_signed_with_the_key_is_no_result(scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch) -> None:
    scheduler.stage("make")
    monkeypatch.setenv("NBPIPE_STORE_KEY", "the key of somebody else")
    with pytest.raises(PipelineError, match="do not share a key"):
        StoreBook(scheduler.rig.store, "n", "one").begin(Begun(version="v"))
    assert StoreBook(scheduler.rig.store, "n", "one").read("make") is None


def test_a_receipt_has_the_same_bytes_as_long_as_the_stage_gives_the_same(scheduler: Scheduler, tmp_path: Path) -> None:
    book = FolderBook(tmp_path / "receipts", scheduler.rig.store)
    scheduler.stage("make", book=book)
    first = (tmp_path / "receipts" / "make.json").read_bytes()
    scheduler.stage("make", book=book, fresh=True)
    assert (tmp_path / "receipts" / "make.json").read_bytes() == first
    scheduler.stage("make", book=book, params={"n": 2})
    assert (tmp_path / "receipts" / "make.json").read_bytes() != first
    with pytest.raises(PipelineError, match="does not hold any more"):
        scheduler.stage("first", book=book)


def test_a_stage_that_ran_again_and_gave_something_else_makes_a_run_of_its_own(
    scheduler: Scheduler, tmp_path: Path
) -> None:
    book = FolderBook(tmp_path / "receipts", scheduler.rig.store)
    for stage in ("make", "first", "second", "good", "last"):
        scheduler.stage(stage, scheduler.rig.succeed(metrics={"m": 1.0}), book=book)
    ids = scheduler.rig.project.run_ids
    assert (scheduler.finish(book=book), ids()) == (0, ["r1"])
    scheduler.stage("last", scheduler.rig.succeed(metrics={"m": 1.0}), book=book, fresh=True)
    assert (scheduler.finish(book=book), ids()) == (0, ["r1"])
    scheduler.stage("last", scheduler.rig.succeed(metrics={"m": 2.0}), book=book, fresh=True)
    assert (scheduler.finish(book=book), ids()) == (0, ["r2", "r1"])
    told = {stage.name: (stage.status, stage.source) for stage in _told(scheduler, "r2").stages}
    assert told == dict.fromkeys(("make", "first", "second", "good"), ("cached", "r1")) | {"last": ("succeeded", "")}


def _told(scheduler: Scheduler, run: str) -> RunState:
    return replay(read_journal(scheduler.rig.project.runs / run / JOURNAL))


def test_a_run_is_as_long_as_its_stages_took_and_has_their_warnings(
    scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    for number, stage in enumerate(("make", "first", "second", "good", "last")):
        with monkeypatch.context() as clock:
            clock.setattr("nbpipe.run.publish.time", SimpleNamespace(time=lambda n=number: now - 100 + 10 * n))
            scheduler.stage(stage, scheduler.rig.succeed(metrics={"m": 1.0}, uncacheable=("it rolls dice",)))
    assert scheduler.finish() == 0
    state = _told(scheduler, "r1")
    assert state.seconds == pytest.approx(100, abs=30)
    assert "stage 'make': it rolls dice: its result is not reused" in state.warnings
    record = read_record(scheduler.rig.project.runs / "r1")
    assert record is not None
    assert record.created == state.started
    recorded = read_run(scheduler.rig.project.runs / "r1", scheduler.rig.project.root)
    assert all(stage.ended >= stage.started for stage in recorded.stages)


def test_where_nothing_comes_after_a_failure_the_stage_itself_records_the_run_without_what_is_left_of_earlier_ones(
    scheduler: Scheduler, tmp_path: Path
) -> None:
    book = FolderBook(tmp_path / "receipts", scheduler.rig.store)
    for stage in ("make", "first", "second", "good", "last"):
        scheduler.stage(stage, scheduler.rig.succeed(metrics={"m": 1.0}), book=book)
    assert scheduler.finish(book=book) == 0
    scheduler.stage("make", scheduler.rig.succeed(2), book=book, params={"n": 2})
    failed = scheduler.stage("second", fail(), book=book, params={"n": 2})
    with scheduler.site() as site:
        ask = Ask(stage="", label="dvc", params={"n": 2})
        assert finish(site, scheduler.rig.store, Amended(book, failed), ask) == 1
    record = read_record(scheduler.rig.project.runs / "r2")
    assert record is not None
    assert (record.status, record.params["n"], sorted(record.keys)) == ("failed", 2, ["make"])


def test_the_seed_of_an_export_is_that_of_a_native_run_with_it(scheduler: Scheduler) -> None:
    seeds = []
    for seed in (0, 7):
        scheduler.export(seed=seed)
        scheduler.stage("make", run=f"run{seed}", fresh=True)
        seeds.append(scheduler.executor.submitted[0].seed)
        for stage in ("first", "second", "good", "last"):
            scheduler.stage(stage, scheduler.rig.succeed(metrics={"m": 1.0}), run=f"run{seed}")
        assert scheduler.finish(f"run{seed}") == 0
    assert seeds[0] != seeds[1]
    record = read_record(scheduler.rig.project.runs / "r2")
    assert record is not None
    assert record.seed == 7


def test_what_cells_logged_step_by_step_is_there_when_the_process_of_the_stage_has_gone(scheduler: Scheduler) -> None:
    succeed = scheduler.rig.succeed()

    def logging(spec: Any) -> Any:
        (job,) = (scheduler.rig.project.state / "attempts").glob(f"*/0/jobs/{spec.stage}.1")
        write_curves(job, {"val/loss": [Point(1, 0.5, 0), Point(2, float("nan"), 1), Point(3, 0.25, 2)]})
        return succeed(spec)

    scheduler.stage("make", logging)
    for stage in ("first", "second", "good", "last"):
        scheduler.stage(stage, scheduler.rig.succeed(metrics={"m": 1.0}))
    assert scheduler.finish() == 0
    curves = curves_of_job(scheduler.rig.project.runs / "r1" / "jobs" / "make.1", scheduler.rig.root, "r1", "make")
    assert curves == {"val/loss": [(0, 0.5), (2, 0.25)]}


def test_the_history_has_a_run_once_however_often_its_end_is_retried(scheduler: Scheduler) -> None:
    for stage in ("make", "first", "second", "good", "last"):
        scheduler.stage(stage, scheduler.rig.succeed(metrics={"m": 1.0}))
    assert [scheduler.finish(), scheduler.finish()] == [0, 0]
    assert scheduler.rig.project.run_ids() == ["r1"]


def test_a_run_that_goes_on_after_a_failure_is_in_the_history_again_and_what_gives_the_same_again_is_not(
    scheduler: Scheduler,
) -> None:
    scheduler.stage("make")
    for _ in range(2):
        assert scheduler.stage("first", fail()).exit_code == 1
        assert [scheduler.finish(), scheduler.finish()] == [1, 1]
    for stage in ("first", "second", "good", "last"):
        scheduler.stage(stage, scheduler.rig.succeed(metrics={"m": 1.0}))
    assert scheduler.finish() == 0
    scheduler.stage("last", scheduler.rig.succeed(metrics={"m": 1.0}), fresh=True)
    assert scheduler.finish() == 0
    records = [read_record(scheduler.rig.project.runs / run) for run in scheduler.rig.project.run_ids()]
    assert [record.status for record in records if record is not None] == ["succeeded", "failed", "failed"]


def test_a_module_that_is_not_as_it_was_exported_stops_the_stage(tmp_path: Path) -> None:
    (tmp_path / "helpers.py").write_text("def f():\n    return 1\n")
    scheduler = Scheduler(tmp_path, "%%stage one\nimport helpers\nx = helpers.f()")
    scheduler.stage("one")
    (tmp_path / "helpers.py").write_text("def f():\n    return 2\n")
    with pytest.raises(PipelineError, match=r"helpers\.py in the project is not as it was exported"):
        scheduler.stage("one", run="two")


def test_a_folder_that_is_no_export_and_a_project_that_is_gone_are_named(scheduler: Scheduler, tmp_path: Path) -> None:
    cases: list[tuple[Path, str | None, type[NbpipeError]]] = [
        (tmp_path, None, UsageError),
        (scheduler.folder, "nowhere", UsageError),
    ]
    for folder, project, error in cases:
        with pytest.raises(error), site_of(folder, project):
            pass
    bundle = scheduler.folder / "bundle" / "pipeline.json"
    bundle.write_bytes(bundle.read_bytes().replace(b'"make"', b'"fake"'))
    with pytest.raises(PipelineError), scheduler.site():
        pass


def test_what_a_run_noted_long_ago_goes_with_the_results_of_then(scheduler: Scheduler) -> None:
    scheduler.stage("make")
    store = scheduler.rig.store
    gc(store, older_than=3600.0)
    names = store.documents.names("scheduled")
    assert len(names) == 2
    for name in names:
        os.utime(Path(store.location) / name, (1.0, 1.0))
    gc(store, older_than=3600.0, dry_run=True)
    assert store.documents.names("scheduled") == names
    gc(store, older_than=3600.0)
    assert store.documents.names("scheduled") == []


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"distributions": {"numpy": "1.0"}}, "and was 1.0 when it was exported"),
        (
            {"distributions": {"no-such-package": "1.0"}, "provided_by": {"numpy": ("no-such-package",)}},
            "not installed",
        ),
        ({"python": "3.9"}, "and was 3.9 when it was exported"),
    ],
)
def test_a_worker_with_other_packages_than_the_export_keeps_no_results_under_its_keys(
    tmp_path: Path, other: dict[str, Any], said: str
) -> None:
    found = Rig(tmp_path, ("%%stage one\nimport numpy", "%%stage two\nx = 1")).pipeline()
    refuse_others(found, found.stages)
    with pytest.raises(PipelineError, match=said):
        refuse_others(msgspec.structs.replace(found, **other), found.stages)
    if "python" not in other:
        refuse_others(msgspec.structs.replace(found, **other), found.stages[1:])
