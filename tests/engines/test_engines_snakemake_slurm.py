"""Snakemake on a Slurm cluster: each rule of an export is a job of its own, and the results are those of `nbpipe run`."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import engines
import pytest
from conformance_page import hold, row
from engines import PROFILES, Site, conformance, environment_of
from slurmd import Slurm, install, running_slurm

pytestmark = [pytest.mark.engines, pytest.mark.timeout(3600)]

_PACKAGES = ("snakemake==9.27.1", "snakemake-executor-plugin-slurm==2.8.0")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Slurm]:
    install()
    # Sockets have short names.
    with tempfile.TemporaryDirectory(prefix="slurm-") as short, running_slurm(Path(short) / "s") as running:
        yield running


@pytest.mark.parametrize("notebook", ["weather.ipynb", "digits.ipynb"])
def test_every_rule_is_a_job_of_the_cluster_and_gives_what_a_native_run_gives(
    notebook: str,
    cluster: Slurm,
    natives: Callable[[str], Site],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    bin_ = environment_of("snakemake-slurm", *_PACKAGES)
    native = natives(notebook)
    site = engines.made(tmp_path / "exported", notebook)
    folder = site.export("snakemake", *PROFILES.get(notebook, ()))
    more = {name: cluster.environment[name] for name in ("SLURM_CONF", "PATH")}
    # The plugin's own srun is given few variables SLURM_*, and this cluster has no file in /etc that says where it is.
    srun = tmp_path / "srun"
    srun.write_text(f'#!/bin/sh\nSLURM_CONF={more["SLURM_CONF"]} exec {shutil.which("srun")} "$@"\n')
    srun.chmod(0o755)
    more["PATH"] = f"{tmp_path}:{bin_}:{more['PATH']}"
    words = ("--executor", "slurm", "--jobs", "2", "--slurm-logdir", str(tmp_path / "logs"))
    often = ("--seconds-between-status-checks", "2", "--slurm-init-seconds-before-status-checks", "2")
    resources = ("--default-resources", "mem_mb=500", "runtime=10", "slurm_account=root", "slurm_partition=short")
    before = jobs(cluster)
    done = site.call(bin_ / "snakemake", *words, *often, *resources, cwd=folder, more=more)
    said = "".join(log.read_text() for log in sorted((tmp_path / "logs").rglob("*.log")))
    assert done.returncode == 0, done.stdout + said
    record = site.latest()
    assert record.status == "succeeded", done.stdout
    compared = conformance(native.native, site.results(record.id, site.store))
    made = row("snakemake", _PACKAGES[0], f"{Path(notebook).stem}, on Slurm", compared)
    record_property("conformance", made)
    assert compared
    assert all(equal for equal, _ in compared.values()), compared
    hold(made)
    # A job per stage, and one that records the run.
    assert jobs(cluster)[len(before) :] == ["COMPLETED"] * (len(compared) + 1)


def jobs(cluster: Slurm) -> list[str]:
    """The state of each that was ever submitted, the oldest first."""
    return cluster.call(
        "sacct", "--noheader", "--parsable2", "--allocations", "--starttime=2020-01-01", "--format=State"
    ).split()
