"""The image that the stages of a container scheduler run in."""

from __future__ import annotations

_DOCKERFILE = """\
# The image of every stage. Written by nbpipe export.
ARG PYTHON
FROM python:${{PYTHON}}-slim
COPY requirements.txt /nbpipe/requirements.txt
RUN python -m pip install --no-cache-dir -r /nbpipe/requirements.txt{more}
COPY . /nbpipe
"""


def dockerfile(*packages: str) -> str:
    """A Dockerfile for the exported folder, with further packages, whose names are ours."""
    return _DOCKERFILE.format(more="".join(f" {package}" for package in packages))
