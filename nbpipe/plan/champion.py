"""Which registered model's champion a check compares with."""

from __future__ import annotations

from nbpipe.errors import PipelineError
from nbpipe.model import Pipeline, Stage
from nbpipe.notebook.thresholds import threshold_names


def compared_model(pipeline: Pipeline, stage: Stage) -> str | None:
    """The first model registered below the check, else above it; None if its thresholds name no champion.

    Raises PipelineError when no stage registers a model: such a threshold would never be compared.
    """
    if not any(threshold_names(text)[1] for text in stage.options.thresholds):
        return None
    names = [item.name for item in pipeline.stages]
    below = pipeline.stages[names.index(stage.name) :]
    for item in (*below, *pipeline.stages):
        if item.options.register:
            return item.options.register
    raise PipelineError(
        "compares with the champion, but no stage registers a model",
        stage=stage.name,
        cell=stage.cells[0].cell,
        line=1,
        fix="Add --model VARIABLE --register NAME to the stage that publishes the model.",
    )
