"""From a plan, and from a proposal of stages, to what is shown of them."""

from __future__ import annotations

from pathlib import Path

from nbpipe.model import Decision, Notebook, Pipeline, Plan
from nbpipe.run.project import Project
from nbpipe.suggest.api import Suggestion
from nbpipe.ui.notebooks import pipeline_view
from nbpipe.ui.pipelines import PlanStageView, PlanView, SuggestedCell, SuggestView
from nbpipe.ui.rows import clip


def plan_view(plan: Plan, pipeline: Pipeline, up_to_date: str | None) -> PlanView:
    """Per stage what a run would do."""
    kinds = {stage.name: stage.kind for stage in pipeline.stages}
    stages = tuple(
        PlanStageView(
            name=item.stage,
            kind=kinds.get(item.stage, "stage"),
            action="hit" if item.action == "HIT" else "unknown" if item.tentative else "run",
            reason=_reason(item),
            expected=item.expected,
            source=item.source or None,
        )
        for item in plan.decisions
    )
    return PlanView(up_to_date=up_to_date, stages=stages, warnings=tuple(map(clip, plan.warnings)))


def suggest_view(suggestion: Suggestion, notebook: Notebook, folder: Path, project: Project) -> SuggestView:
    """The proposal as lines to put in front of cells, and the pipeline it gives."""
    ids = {cell.number: cell.id or "" for cell in notebook.cells}
    left = set(suggestion.left_out)
    cells = [
        SuggestedCell(
            cell=number,
            id=ids.get(number, ""),
            line=f"%%stage {stage.name}",
            role="stage",
            name=stage.name,
            why=stage.why,
        )
        for stage in suggestion.stages
        for number in stage.cells
        if number not in left
    ]
    notes = ["Stages are joined where a value between them cannot be stored."]
    if left:
        notes.append(f"Cells that only show something stay out: {', '.join(map(str, sorted(left)))}.")
    return SuggestView(
        cells=tuple(sorted(cells, key=lambda cell: cell.cell)),
        pipeline=pipeline_view(suggestion.tagged(notebook), folder, project),
        metadata={"mergeable": True},
        notes=tuple(notes),
    )


def _reason(item: Decision) -> str:
    if item.action == "HIT":
        return f"from {item.source}" if item.source else ""
    return clip("; ".join(item.reasons))
