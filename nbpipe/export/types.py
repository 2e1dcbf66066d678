"""The types of a notebook's variables, as its latest run has seen them: for signatures that people read."""

from __future__ import annotations

from nbpipe.errors import NbpipeError
from nbpipe.run import record as records
from nbpipe.run.journal import JOURNAL, read
from nbpipe.run.project import Project
from nbpipe.run.renames import stays
from nbpipe.store import open_store

#: Newest runs among which one of the notebook is looked for.
_LATEST = 20


def latest_types(project: Project, notebook: str) -> dict[str, str]:
    """Variable -> qualified name of its type; empty where no run of the notebook is known. Loads no value."""
    had = stays(project, notebook)
    for run in project.run_ids()[:_LATEST]:
        record = records.read(project.runs / run)
        if record is None or record.status != "succeeded" or not any(stay.path == record.notebook for stay in had):
            continue
        began = next((event.time for event in read(project.runs / run / JOURNAL)), 0.0)
        if not any(stay.covers(record.notebook, began) for stay in had):
            continue
        try:
            traces = open_store(record.store or project.store).traces
            outcomes = [trace.outcome for key in record.keys.values() for trace in traces.lookup(key)[:1]]
        except NbpipeError:
            return {}
        found: dict[str, set[str]] = {}
        for outcome in outcomes:
            for name, artifact in {**outcome.outputs, **outcome.observed}.items():
                found.setdefault(name, set()).add(artifact.type)
        return {name: types.pop() for name, types in sorted(found.items()) if len(types) == 1 and "" not in types}
    return {}
