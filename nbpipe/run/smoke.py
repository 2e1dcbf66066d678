"""The quick pass before the full one: which parameters its profile sets."""

from __future__ import annotations

from pathlib import Path

from nbpipe.errors import ParameterError
from nbpipe.notebook.reader import read_notebook
from nbpipe.notebook.stages import outline
from nbpipe.pipeline.params import extract_params

SMOKE = "smoke"


def smoke_names(path: Path) -> frozenset[str]:
    """Parameters that the notebook's profile `smoke` sets. Raises ParameterError where it has no such profile."""
    _, profiles = extract_params(outline(read_notebook(path)))
    if SMOKE not in profiles:
        raise ParameterError(
            f"there is no profile '{SMOKE}' to run first",
            name=SMOKE,
            fix=f"Add a cell %%params {SMOKE} with small values, such as epochs = 1.",
        )
    return frozenset(profiles[SMOKE])
