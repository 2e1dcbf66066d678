"""Kill -9 of the process that drives a run, at every named point: the next run finishes, and nothing is lost or doubled."""

from __future__ import annotations

import signal

import pytest
from runs import Site

from nbpipe.run.faults import POINTS
from nbpipe.store.fsck import fsck

_DIAMOND = (
    "%%params\nextra = 0",
    "%%stage a\nNOTE('a')\na = [len('xyz')]\nopen('left.txt', 'w').write('a was here')",
    "%%stage b\nNOTE('b')\nb = a[0] * 10",
    "%%stage c\nNOTE('c')\nc = a[0] * 100",
    "%%stage d\nNOTE('d')\nd = [b + c + extra, open('left.txt').read()]",
    "%%stage e\nNOTE('e')\nprint(*d)",
)
_STAGES = ("a", "b", "c", "d", "e")
_RESTORING = ("restore.before_file", "restore.after_file")
_CASES = [f"{point}:1" for point in POINTS if point not in _RESTORING]
#: The same points, met again later in the run.
_LATER = ["journal.after_write:2", "journal.after_write:8", "journal.after_write:12", "attempt.after_spec:3"]
_LATER += ["attempt.after_submit:3", "commit.before_trace:3", "commit.after_trace:4", "commit.after_event:2"]
_LONG = [pytest.param(fault, marks=pytest.mark.long) for fault in _LATER]


@pytest.mark.parametrize("fault", [*_CASES, *_LONG])
def test_a_killed_run_is_finished_by_the_next_one(site: Site, fault: str) -> None:
    site.write(*_DIAMOND)
    killed = site.run(NBPIPE_FAULT=fault)
    assert killed.code == -signal.SIGKILL
    assert site.quiet() == []
    _shown_honestly(site)
    finished = {event.stage for event in site.events("r1") if event.kind == "stage-succeeded"}
    published = finished | {trace.stage for trace in site.store.traces.all()}
    before = {stage: site.ran(stage) for stage in _STAGES}

    again = site.run()
    assert again.code == 0, again.err
    _sound(site)
    for stage in published:
        assert site.ran(stage) == before[stage] == 1, f"{stage} was finished and ran again"
    assert all(site.ran(stage) <= 2 for stage in _STAGES)
    last = again.json["run"]
    assert site.value(last, "d", "d") == [330, "a was here"]
    assert site.printed(last) == "330 a was here\n"
    assert (site.folder / "left.txt").read_text() == "a was here"


@pytest.mark.parametrize("fault", [f"{point}:1" for point in _RESTORING])
def test_a_kill_while_a_file_is_put_back_leaves_it_whole_or_away(site: Site, fault: str) -> None:
    site.write(*_DIAMOND)
    assert site.run().code == 0
    left = site.folder / "left.txt"
    left.unlink()
    killed = site.run("-p", "extra=1", NBPIPE_FAULT=fault)
    assert killed.code == -signal.SIGKILL
    assert site.quiet() == []
    assert not left.exists() or left.read_text() == "a was here"

    again = site.run("-p", "extra=1")
    assert again.code == 0, again.err
    assert again.stages == {"a": "cached", "b": "cached", "c": "cached", "d": "succeeded", "e": "succeeded"}
    assert site.value(again.json["run"], "d", "d") == [331, "a was here"]
    assert left.read_text() == "a was here"
    assert [path.name for path in site.folder.iterdir() if path.name.startswith(".left")] == []
    _sound(site)


@pytest.mark.long
def test_a_run_that_is_always_killed_before_its_first_commit_still_gets_on(site: Site) -> None:
    """What a job finished while nobody watched is taken over by the next run."""
    site.write(*_DIAMOND)
    kills = 0
    while (done := site.run(NBPIPE_FAULT="commit.before_trace:1")).code != 0:
        assert done.code == -signal.SIGKILL
        kills += 1
        assert kills <= len(_STAGES)
    assert all(site.ran(stage) <= 2 for stage in _STAGES)
    assert site.value(done.json["run"], "d", "d") == [330, "a was here"]
    assert site.quiet() == []
    _sound(site)


def _shown_honestly(site: Site) -> None:
    """Between the kill and the next command: what anybody sees of the run."""
    if not site.events("r1"):
        return
    state = site.detail("r1").state
    ended = site.events("r1")[-1].kind == "run-finished"
    assert state.status == ("succeeded" if ended else "interrupted")
    for stage in state.stages:
        if stage.status == "succeeded":
            assert "stage-succeeded" in site.kinds("r1", stage.name)
        if not ended:
            assert stage.status != "running"


def _sound(site: Site) -> None:
    """Nothing is half written, and every result is there once."""
    report = fsck(site.store)
    assert report.sound
    found = [(trace.key, trace.outcome.token) for trace in site.store.traces.all()]
    assert len(found) == len(set(found)) == len({key for key, _ in found})
    for run in site.project.run_ids():
        raw = (site.project.runs / run / "journal.jsonl").read_bytes()
        events = site.events(run)
        assert raw.count(b"\n") == len(events)
        assert raw.endswith(b"\n") or not raw
        assert not events or events[-1].kind == "run-finished"
    assert list(site.store.documents.names("leases")) == []
