"""How long stages are expected to take: what they took in the latest runs of the notebook."""

from __future__ import annotations

from nbpipe.run import record as records
from nbpipe.run.journal import JOURNAL, read
from nbpipe.run.project import Project
from nbpipe.run.renames import stays

_LATEST = 5
#: Runs, of any notebook, among which those are looked for.
_MOST = 50


def expected_seconds(project: Project, notebook: str, profile: str | None = None) -> dict[str, float]:
    """Stage -> seconds of its latest success in the latest runs of `notebook`, a path as the records have it.

    Only runs with this profile say how long one takes: a quick pass takes no time, and the full run would seem to.
    """
    found: dict[str, float] = {}
    looked_at = 0
    had = stays(project, notebook)
    for run in project.run_ids()[:_MOST]:
        record = records.read(project.runs / run)
        if record is None or record.profile != profile or not any(stay.path == record.notebook for stay in had):
            continue
        events = list(read(project.runs / run / JOURNAL))
        if not events or not any(stay.covers(record.notebook, events[0].time) for stay in had):
            continue
        latest = {
            event.stage: float(event.data.get("seconds", 0.0)) for event in events if event.kind == "stage-succeeded"
        }
        found = {**latest, **found}
        looked_at += 1
        if looked_at == _LATEST:
            break
    return found
