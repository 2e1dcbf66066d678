"""`verify`: run a notebook natively and its export on the export's own engine, in copies of the project, and compare.

Neither the project nor its store is touched: both runs start with nothing computed.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgspec

from nbpipe.errors import PipelineError, UnsupportedError, UsageError
from nbpipe.export.base import Exporter
from nbpipe.export.registry import exporter as find_exporter
from nbpipe.export.seen import Seen, metrics_only, seen_in
from nbpipe.export.verification import Trial, Verification, environment_of, of
from nbpipe.pipeline.contents import HIDDEN
from nbpipe.run.project import find_project, relative

#: Lines of an engine's output that are shown where it fails.
_SHOWN = 30
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One stage on both sides. `different` names what is not equal: an artifact, a file, a metric, the verdict."""

    stage: str
    verdict: str
    compared: int
    different: tuple[str, ...] = ()


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    scheduler: str
    #: What was installed to run it.
    engine: tuple[str, ...]
    rows: tuple[Row, ...]
    #: Parameter that a run gets its date by, and what it was on both sides; "" for none.
    date_param: str = ""
    date: str = ""
    #: The end of the engine's output, where a side differs.
    output: str = ""

    @property
    def equal(self) -> bool:
        """The export gave what the native run gave."""
        return bool(self.rows) and not any(row.different for row in self.rows)


def refuse(scheduler: Exporter) -> Verification:
    """How its exports are run here. Raises UnsupportedError for one whose engine cannot run on this machine."""
    found = of(scheduler)
    if found is None:
        raise UnsupportedError(
            f"an export for {scheduler.title} cannot be run here: --verify has no engine for it",
            name="verify",
            fix="Export without --verify, and look at its first run.",
        )
    absent = [name for name in found.needs if shutil.which(name) is None]
    if absent:
        raise UnsupportedError(
            f"an export for {scheduler.title} is verified on the cluster that {absent[0]} hands jobs to, and there is none here",
            name="verify",
            fix="Do it on a node from which jobs are submitted.",
        )
    return found


def verify(
    notebook: Path,
    *,
    to: str,
    words: tuple[str, ...] = (),
    run_words: tuple[str, ...] = (),
    date_param: str = "",
    date: str = "",
) -> Report:
    """Compare them. `words` are further options of `nbpipe export`, `run_words` of `nbpipe run`.

    `date_param` gets the date of a run: on both sides `date`, YYYY-MM-DD, or today's where it is none.
    Raises UnsupportedError where the engine cannot run here, UsageError where it cannot be installed, PipelineError where the
    notebook cannot be run or exported.
    """
    scheduler = find_exporter(to)
    how = refuse(scheduler)
    # Of a moment of its own, each side could have another.
    date = (date if _DATE.fullmatch(date) else f"{datetime.now(timezone.utc):%Y-%m-%d}") if date_param else ""
    if date:
        words = (*words, "--logical-date-param", date_param)
        run_words = (*run_words, "--param", f"{date_param}={date}")
    project = find_project(notebook)
    path = relative(notebook, project.root)
    with tempfile.TemporaryDirectory(prefix="nbpipe-verify-") as scratch:
        root = Path(scratch).resolve()
        try:
            bin_ = environment_of(to, how.packages)
        except (OSError, subprocess.CalledProcessError) as error:
            raise UsageError(
                f"{scheduler.title} cannot be installed: {error}", fix="It is installed with uv: pip install uv."
            ) from error
        sides = [root / "native", root / "exported"]
        for side in sides:
            shutil.copytree(project.root, side / "project", symlinks=True, ignore=_left_out)
            (side / "project" / "nbpipe.toml").touch()
        environment = _environment(root)
        done = _nbpipe(sides[0], environment, "run", path, *run_words)
        native = seen_in(sides[0] / "project", environment)
        if native is None:
            raise PipelineError("the notebook cannot be run natively", fix=done.stdout.strip()[-2000:])
        folder = sides[1] / "project" / "exports" / "verified"
        place = (sides[1] / "store").as_uri() if scheduler.remote else str(sides[1] / "store")
        store = ("--store", place) if not how.reports else ()
        exported = _nbpipe(sides[1], environment, "export", path, "--to", to, "-o", str(folder), *store, *words)
        if exported.returncode:
            raise PipelineError("the notebook cannot be exported", fix=exported.stdout.strip()[-2000:])
        (sides[1] / "engine").mkdir()
        trial = Trial(
            root=sides[1] / "engine",
            folder=folder,
            project=sides[1] / "project",
            store=sides[1] / "store",
            cwd=(sides[1] / "project" / path).parent,
            name=Path(path).stem,
            bin=bin_,
            environment=environment,
            date=date,
        )
        ran = how.run(trial)
        if how.reports:
            other: Seen | None = _reported(trial, native, ran.returncode)
        else:
            other = seen_in(sides[1] / "project", environment)
        rows = compare(native, other or Seen())
        good = how.succeeded(ran) == (native.exit_code == 0)
        if not good:
            rows = (
                *rows,
                Row(stage="(the run)", verdict=f"exit code {ran.returncode}", compared=1, different=("verdict",)),
            )
        bad = not good or any(row.different for row in rows)
        output = "\n".join(ran.stdout.splitlines()[-_SHOWN:]) if bad else ""
        return Report(scheduler=to, engine=how.packages, rows=rows, output=output, date_param=date_param, date=date)


def compare(native: Seen, other: Seen) -> tuple[Row, ...]:
    """A row per stage of either side, in the order of the native one."""
    rows = []
    for stage in dict.fromkeys([*native.stages, *other.stages]):
        one, two = native.stages.get(stage, {}), other.stages.get(stage, {})
        if ("metrics" in one) != ("metrics" in two) and one and two:
            one, two = (facts if "metrics" in facts else metrics_only(facts) for facts in (one, two))
        names = sorted(name for name in one.keys() | two.keys() if one.get(name) != two.get(name))
        verdict = str(one.get("verdict", "not run"))
        rows.append(Row(stage=stage, verdict=verdict, compared=len(one.keys() | two.keys()), different=tuple(names)))
    return tuple(rows)


def _reported(trial: Trial, native: Seen, exit_code: int) -> Seen:
    """What an engine says in a report of its own: values per stage, and metrics; files are looked at here."""
    try:
        told: dict[str, dict[str, Any]] = json.loads((trial.root / "report.json").read_text())
    except (OSError, ValueError):
        return Seen(exit_code=exit_code)
    metrics = told.pop("metrics", {})
    from nbpipe.pipeline.contents import digest_file

    stages: dict[str, dict[str, object]] = {}
    for stage, facts in native.stages.items():
        if stage not in told:
            continue
        found: dict[str, object] = {"verdict": "succeeded"}
        for name in facts:
            kind, _, what = name.partition(" ")
            if kind == "value":
                found[name] = told[stage].get(what)
            elif kind == "file":
                found[name] = digest_file(trial.project / what)
            elif kind == "metric":
                found[name] = metrics.get(what)
        stages[stage] = found
    failed = next((stage for stage in native.stages if stage not in stages), None)
    if exit_code and failed is not None:
        stages[failed] = {"verdict": "rejected" if exit_code == 8 else "failed"}  # noqa: PLR2004 - nbpipe's own
    return Seen(stages=stages, exit_code=exit_code)


def _environment(root: Path) -> dict[str, str]:
    """What both sides are started with: a key and a cache of their own, no tracking."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("AIRFLOW", "PREFECT", "DVC"))}
    for name in ("NBPIPE_STORE", "NBPIPE_PROJECT", "NBPIPE_FRESH", "NBPIPE_RUN", "MLFLOW_TRACKING_URI"):
        kept.pop(name, None)
    import nbpipe

    beside = str(Path(nbpipe.__file__).parents[1])
    return kept | {
        "NBPIPE_TRACKING": "off",
        "NBPIPE_STORE_KEY": secrets.token_hex(16),
        "NBPIPE_PYTHON": sys.executable,
        "PYTHONPATH": os.pathsep.join(filter(None, (beside, kept.get("PYTHONPATH", "")))),
        "XDG_CACHE_HOME": str(root / "cache"),
    }


def _nbpipe(side: Path, environment: Mapping[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "nbpipe", *words],
        cwd=side / "project",
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def _left_out(folder: str, names: list[str]) -> set[str]:
    """What is no part of a project: state, caches, environments, exports."""
    here = Path(folder)
    gone = {name for name in names if name in HIDDEN or name in {"node_modules", "site-packages"}}
    return gone | {n for n in names if (here / n / "pyvenv.cfg").exists() or (here / n / "nbpipe-export.json").exists()}
