"""Kill -9 of the process that records a run of a scheduler, at every named point: the history has the run once, in the end."""

from __future__ import annotations

import signal

import pytest
from runs import Done, Site, finish

from nbpipe.run import record as records
from nbpipe.run.faults import RECORDING
from nbpipe.run.recovery import recover

pytestmark = pytest.mark.long


def _stage(site: Site, *words: str, **more: str) -> Done:
    """`python -m nbpipe.stage` on the exported pipeline, as a scheduler's worker starts it."""
    told = [str(site.root / "dag"), *words, "--run", "u1"]
    return finish(site.launch("nbpipe.stage", *told, cwd=site.root, given=more))


@pytest.mark.parametrize("recovered", [False, True])
@pytest.mark.parametrize("point", [*(f"{point}:1" for point in RECORDING), "journal.after_write:3"])
def test_a_run_is_recorded_once_whenever_its_recording_is_killed(site: Site, point: str, *, recovered: bool) -> None:
    site.write("%%stage one --metrics m\nm = 1.0")
    assert site.command("export", "n.ipynb", "--to", "airflow", "-o", str(site.root / "dag")).code == 0
    assert _stage(site, "one").code == 0
    assert _stage(site, "--finish", NBPIPE_FAULT=point).code == -signal.SIGKILL
    if recovered:
        # As a run from here does before it begins.
        recover(site.project, site.store)
    last = _stage(site, "--finish")
    assert (last.code, "recorded as" in last.out) == (0, True), last.err
    assert "recorded as" not in _stage(site, "--finish").out
    found = [records.read(site.project.runs / run) for run in site.project.run_ids()]
    assert [record.status if record is not None else "" for record in found] == ["succeeded"]
    assert site.detail(site.project.run_ids()[0]).state.status == "succeeded"
