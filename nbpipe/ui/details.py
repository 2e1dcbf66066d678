"""All that is known of one run, for the view that shows it alone; `docs/formats/rest.md` specifies it."""

from __future__ import annotations

from typing import Any

import msgspec

from nbpipe.history.difference.run_view import RunView
from nbpipe.history.query import RunDetail, detail
from nbpipe.model import Artifact
from nbpipe.run.project import Project
from nbpipe.run.state import StageState
from nbpipe.run.waiting import Waiting, waiting
from nbpipe.ui.rows import MOST, clip, finite

SCHEMA = 1


class ArtifactRow(msgspec.Struct, frozen=True, kw_only=True):
    """A value, or a file, that a stage left."""

    name: str
    #: "value" or "file".
    kind: str
    type: str = ""
    format: str = ""
    size: int = 0
    digest: str = ""
    #: Shape, columns, length: whatever there is to say in short.
    summary: dict[str, Any] = {}


class StageDetail(msgspec.Struct, frozen=True, kw_only=True):
    """A stage of the run."""

    name: str
    kind: str
    status: str
    started: float | None
    seconds: float | None
    reason: str
    key: str
    metrics: dict[str, float]
    failure: str | None
    #: The user's own traceback, redacted.
    traceback: str
    attempt: int
    warnings: tuple[str, ...]
    artifacts: tuple[ArtifactRow, ...]
    #: The kernel that its target keeps for the mended cell.
    kept: Waiting | None = None


class RunDetails(msgspec.Struct, frozen=True, kw_only=True):
    """The run. `notebook` is for the caller to fill: where the executed notebook lies, as it names paths."""

    params: dict[str, Any]
    given: tuple[str, ...]
    environment: dict[str, Any]
    stages: tuple[StageDetail, ...]
    notebook: str | None = None
    #: It has an executed notebook, wherever that lies.
    executed: bool = False
    warnings: tuple[str, ...] = ()
    schema: int = SCHEMA


def run_details(project: Project, run: str) -> tuple[RunDetails, RunDetail]:
    """The view, and what history knows. Raises UsageError where there is no such run."""
    found, view = detail(project, run), RunView(project, run)
    return (
        RunDetails(
            params=found.state.params,
            given=found.state.given,
            environment=_environment(dict(view.environment())),
            stages=tuple(
                _stage(stage, view, waiting(project, found.state, stage.name) if stage.status == "failed" else None)
                for stage in found.state.stages[:MOST]
            ),
            executed=found.executed is not None,
            warnings=found.state.warnings[:MOST],
        ),
        found,
    )


def _environment(recorded: dict[str, Any]) -> dict[str, Any]:
    """Without the uncommitted changes, which may be a megabyte: the diff of two runs shows them."""
    git = recorded.get("git")
    if isinstance(git, dict):
        recorded["git"] = {name: value for name, value in git.items() if name != "diff"}
    return recorded


def _stage(stage: StageState, view: RunView, kept: Waiting | None) -> StageDetail:
    over = stage.status not in ("waiting", "running")
    outcome = view.outcome(stage.name) if over else None
    artifacts: tuple[ArtifactRow, ...] = ()
    if outcome is not None:
        values = [(name, each) for name, each in outcome.outputs.items() if not name.startswith("@")]
        files = [
            ArtifactRow(name=each.path, kind="file", size=each.size, digest=each.digest)
            for each in outcome.files_written[:MOST]
        ]
        artifacts = (*(_value(name, each) for name, each in values[:MOST]), *files)
    cached = stage.status == "cached" and stage.source
    return StageDetail(
        name=stage.name,
        kind=stage.kind,
        status=stage.status,
        started=stage.started or None,
        seconds=stage.seconds if over else None,
        reason=f"from {stage.source}" if cached else clip("; ".join(stage.reasons)),
        key=view.facts(stage.name).identity.partition(" ")[0],
        metrics=finite(stage.metrics),
        failure=clip(stage.failure.message) if stage.failure is not None else None,
        traceback=stage.failure.traceback if stage.failure is not None else "",
        attempt=stage.attempt,
        warnings=outcome.warnings[:MOST] if outcome is not None else (),
        artifacts=artifacts,
        kept=kept,
    )


def _value(name: str, artifact: Artifact) -> ArtifactRow:
    return ArtifactRow(
        name=name,
        kind="value",
        type=artifact.type,
        format=artifact.format,
        size=artifact.size,
        digest=artifact.digest,
        summary=artifact.summary,
    )
