"""Whether a worker has what the pipeline was exported with: its results are kept under keys that say so."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

from nbpipe.errors import PipelineError
from nbpipe.model import Pipeline, Stage
from nbpipe.pipeline.code import definitions_of
from nbpipe.pipeline.modules import distributions_reached


def refuse_others(pipeline: Pipeline, stages: Iterable[Stage]) -> None:
    """Raise PipelineError where Python, or a package that one of the stages imports, is of another version here."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if pipeline.python is not None and pipeline.python != here:
        raise PipelineError(
            f"Python is {here} here, and was {pipeline.python} when it was exported",
            name="python",
            fix=f"Let NBPIPE_PYTHON name a Python {pipeline.python}, or export again.",
        )
    for stage in stages:
        for name in distributions_reached(pipeline, stage, definitions_of(pipeline, stage)):
            wanted, found = pipeline.distributions[name], _version(name)
            # How it was built, as in 2.11.0+cpu, is the machine's own.
            if wanted.partition("+")[0] != found.partition("+")[0]:
                raise PipelineError(
                    f"{name} is {found or 'not installed'} here, and was {wanted} when it was exported",
                    stage=stage.name,
                    name=name,
                    fix="Install what was exported: pip install -r requirements.txt; or export again.",
                )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
