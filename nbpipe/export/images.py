"""The image that the stages of a container scheduler run in."""

from __future__ import annotations

_HEAD = """\
# The image of every stage. Written by nbpipe export.
ARG PYTHON
FROM python:${PYTHON}-slim
COPY requirements.txt constraints.txt /nbpipe/
"""
_ALONE = "RUN python -m pip install --no-cache-dir -r /nbpipe/requirements.txt\n"
_BESIDE = """\
# The stages have an environment of their own: no package of theirs has to suit the scheduler's.
RUN python -m venv /stages && /stages/bin/python -m pip install --no-cache-dir -r /nbpipe/requirements.txt
ENV NBPIPE_PYTHON=/stages/bin/python
RUN python -m pip install --no-cache-dir {packages}
"""


def dockerfile(*packages: str) -> str:
    """A Dockerfile for the exported folder; with packages that the scheduler needs, whose names are ours, beside the stages'."""
    installed = _BESIDE.format(packages=" ".join(packages)) if packages else _ALONE
    return f"{_HEAD}{installed}COPY . /nbpipe\n"
