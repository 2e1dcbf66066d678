"""What the latest run of a project gave, stage by stage, in a form in which two runs can be compared."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from nbpipe.job.folder import VERDICT
from nbpipe.model import Outcome
from nbpipe.run import record as records
from nbpipe.run.journal import read
from nbpipe.run.project import Project
from nbpipe.run.state import replay
from nbpipe.store import open_store


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """Stage -> "verdict", "value NAME", "file PATH", "metric NAME" -> what can be compared."""

    stages: dict[str, dict[str, object]] = {}
    exit_code: int = 0


def seen_in(project: Path, environment: Mapping[str, str]) -> Seen | None:
    """The latest run of a project; None where there is none. `environment` has the key of its store."""
    place = Project(project)
    runs = place.run_ids()
    record = records.read(place.runs / runs[0]) if runs else None
    if record is None:
        return None
    stages: dict[str, dict[str, object]] = {}
    with _key(environment["NBPIPE_STORE_KEY"]):
        traces = open_store(record.store or place.state / "store").traces
        for stage in replay(read(place.runs / record.id / "journal.jsonl")).stages:
            status = "succeeded" if stage.status == "cached" else str(stage.status)
            if status in ("waiting", "skipped", "pending"):
                continue
            facts: dict[str, object] = {"verdict": status}
            made = record.results.get(stage.name)
            kept = [trace for trace in traces.lookup(record.keys.get(stage.name, "-")) if trace.outcome.token == made]
            outcome = (
                kept[0].outcome if kept else _verdict(place.runs / record.id / "jobs" / f"{stage.name}.{stage.attempt}")
            )
            if outcome is not None and status == "succeeded":
                facts |= given(outcome)
            elif status == "succeeded":
                facts["metrics"] = dict(stage.metrics)
            stages[stage.name] = facts
    return Seen(stages=stages, exit_code=record.exit_code)


def _verdict(job: Path) -> Outcome | None:
    """Of a result that was not kept for reuse, where its job is at hand."""
    try:
        return msgspec.json.decode((job / VERDICT).read_bytes(), type=Outcome)
    except (OSError, msgspec.MsgspecError):
        return None


def metrics_only(facts: Mapping[str, object]) -> dict[str, object]:
    """What can be said of a stage of which nothing but its metrics is known."""
    metrics = {name.removeprefix("metric "): value for name, value in facts.items() if name.startswith("metric ")}
    return {"verdict": facts["verdict"], "metrics": metrics}


def given(outcome: Outcome) -> dict[str, object]:
    """Digests of values and of files, and metrics."""
    values = {**outcome.outputs, **outcome.observed}
    return {
        **{f"value {name}": item.digest for name, item in values.items()},
        **{f"file {state.path}": state.digest for state in outcome.files_written},
        **{f"metric {name}": value for name, value in outcome.metrics.items()},
    }


@contextmanager
def _key(text: str) -> Iterator[None]:
    """The key of another store, for a while."""
    before = os.environ.get("NBPIPE_STORE_KEY")
    os.environ["NBPIPE_STORE_KEY"] = text
    try:
        yield
    finally:
        os.environ.pop("NBPIPE_STORE_KEY")
        if before is not None:
            os.environ["NBPIPE_STORE_KEY"] = before
