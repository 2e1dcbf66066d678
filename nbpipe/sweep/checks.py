"""What is wrong with a sweep is said before anything runs."""

from __future__ import annotations

import re
from collections.abc import Iterable

from nbpipe.errors import ParameterError, UsageError
from nbpipe.model import Pipeline
from nbpipe.notebook.quantities import did_you_mean
from nbpipe.pipeline.params import resolve_params
from nbpipe.sweep.goals import Bound, Goal
from nbpipe.sweep.searcher import grid_size
from nbpipe.sweep.study import Spec

#: Code that may log metrics whose names stand nowhere else.
_LOGS = re.compile(r"mlflow|log_metric|autolog")


def check_spec(spec: Spec, pipeline: Pipeline) -> None:
    """Raises UsageError or ParameterError that says what to change."""
    if not spec.space:
        raise UsageError(
            "no parameter varies", name="--param", fix="Name one with several values: --param lr=log:1e-5:1e-1"
        )
    _check_params(spec, pipeline)
    _check_metrics(spec.goals, spec.bounds, pipeline)
    if spec.sampler == "grid" and grid_size(spec.space) is None:
        endless = next(dimension.name for dimension in spec.space if dimension.points is None)
        raise ParameterError(
            f"parameter '{endless}': a grid needs values that can be counted",
            name=endless,
            fix=f"List them, {endless}=0.1,0.01, give a step, {endless}=0:1:0.1, or use another --sampler.",
        )


def check_promotion(goals: Iterable[Goal], pipeline: Pipeline) -> None:
    """Raises UsageError where there will be no one best trial, or none that leaves a model to promote."""
    if len(tuple(goals)) > 1:
        raise UsageError(
            "with several metrics there is no one best trial to promote",
            name="--promote-best",
            fix="Keep one --metric and write the others as --where; or promote a run by hand: nbpipe promote RUN",
        )
    if not any(stage.options.model and stage.options.register for stage in pipeline.stages):
        raise UsageError(
            "no stage registers a model that could be promoted",
            name="--promote-best",
            fix="Add --model VARIABLE --register NAME to the %%stage line that makes it.",
        )


def _check_params(spec: Spec, pipeline: Pipeline) -> None:
    names = [dimension.name for dimension in spec.space]
    read = {name for stage in pipeline.stages for name in stage.flow.params}
    for name in names:
        if name not in read:
            raise ParameterError(
                f"no stage reads the parameter '{name}': varying it changes nothing",
                name=name,
                fix="Leave it out, or use it in a stage.",
            )
    # A required parameter that nothing gives, and a profile that is not there.
    points = {dimension.name: dimension.choices[0] if dimension.choices else dimension.low for dimension in spec.space}
    types = {dimension.name: dimension.kind for dimension in spec.space}
    sample = {name: int(value) if types[name] == "int" else value for name, value in points.items()}
    resolve_params(pipeline.params, {**spec.fixed, **sample}, spec.profile, pipeline.profiles)


def _check_metrics(goals: Iterable[Goal], bounds: Iterable[Bound], pipeline: Pipeline) -> None:
    """A metric that is nowhere declared, in a notebook where nothing logs any, is a slip of the pen."""
    declared = {name for stage in pipeline.stages for name in stage.options.metrics}
    code = [cell.body for stage in pipeline.stages for cell in stage.cells]
    code += [snippet.source for snippet in pipeline.snippets]
    if pipeline.modules or any(_LOGS.search(text) for text in code):
        return
    wanted: list[Goal | Bound] = [*goals, *bounds]
    for item in wanted:
        if item.metric not in declared:
            names = ", ".join(sorted(declared)) or "none"
            raise UsageError(
                f"no stage gives a metric '{item.metric[:80]}'",
                name=item.metric[:80],
                fix=did_you_mean(item.metric, sorted(declared)) or f"Declared with --metrics: {names}.",
            )
