"""The exporters there are: the built-in ones, and those that other distributions name."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from nbpipe.errors import UsageError
from nbpipe.notebook.quantities import did_you_mean

if TYPE_CHECKING:
    from nbpipe.export.base import Exporter

#: Group of entry points, `NAME = "module:EXPORTER"`.
GROUP = "nbpipe.exporters"
#: The built-in ones, named the same way.
BUILTIN = {
    "airflow": "nbpipe.export.airflow:EXPORTER",
    "snakemake": "nbpipe.export.snakemake:EXPORTER",
    "prefect": "nbpipe.export.prefect:EXPORTER",
    "dvc": "nbpipe.export.dvc:EXPORTER",
    "dagster": "nbpipe.export.dagster:EXPORTER",
    "metaflow": "nbpipe.export.metaflow:EXPORTER",
    "kfp": "nbpipe.export.kfp:EXPORTER",
    "flyte": "nbpipe.export.flyte:EXPORTER",
    "slurm": "nbpipe.export.slurm:EXPORTER",
    "github-actions": "nbpipe.export.github_actions:EXPORTER",
    "cron": "nbpipe.export.cron_tab:EXPORTER",
    "systemd": "nbpipe.export.systemd:EXPORTER",
    "script": "nbpipe.export.script:EXPORTER",
    "argo": "nbpipe.export.argo:EXPORTER",
    "kubernetes": "nbpipe.export.kubernetes:EXPORTER",
    "valohai": "nbpipe.export.valohai:EXPORTER",
}


@lru_cache(maxsize=1)
def exporters() -> dict[str, Exporter]:
    """All by name: the built-in ones, then those of other distributions, which cannot replace them."""
    found: dict[str, Exporter] = {name: _resolve(target) for name, target in BUILTIN.items()}
    for entry in entry_points(group=GROUP):
        if entry.name not in found:
            found[entry.name] = entry.load()
    return found


def exporter(name: str) -> Exporter:
    """The exporter for a scheduler. Raises UsageError for a name that nobody has."""
    known = exporters()
    if name not in known:
        fix = did_you_mean(name, known) or f"There is one for: {', '.join(known)}."
        raise UsageError(f"there is no exporter {name[:60]!r}", name=name[:60], fix=fix)
    return known[name]


def _resolve(target: str) -> Exporter:
    module, _, attribute = target.partition(":")
    found: Exporter = getattr(import_module(module), attribute)
    return found
