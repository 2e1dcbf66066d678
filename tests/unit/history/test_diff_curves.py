"""Curves: from the job that logged them, from MLflow once the job is gone, thinned without losing a peak."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbpipe.history.difference.curves import MOST_POINTS, curves_of_job, thinned
from nbpipe.history.difference.metrics import metric_diffs
from nbpipe.history.difference.shape import StageDiff
from nbpipe.history.difference.view import Facts
from nbpipe.tracking.mlflow import embedded
from nbpipe.tracking.spool import stage_environment


def log(job: Path, name: str, *values: float | str) -> None:
    """As MLflow's file store writes it."""
    stage_environment(job)
    path = next((job / "mlflow").glob("*/*/metrics")) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{1000 + step} {value} {step}\n" for step, value in enumerate(values)))


def test_a_metric_logged_several_times_is_a_curve(tmp_path: Path) -> None:
    log(tmp_path / "job", "val/loss", 3.0, 2.0, "nan")
    log(tmp_path / "job", "acc", 0.5)
    found = curves_of_job(tmp_path / "job", tmp_path, "r1", "train")
    assert list(found) == ["val/loss"]
    assert found["val/loss"][:2] == [(0, 3.0), (1, 2.0)]


def test_without_a_job_or_a_database_there_are_no_curves(tmp_path: Path) -> None:
    assert curves_of_job(None, tmp_path, "r1", "train") == {}
    database = embedded(tmp_path)
    database.parent.mkdir(parents=True)
    database.write_bytes(b"not a database")
    assert curves_of_job(None, tmp_path, "r1", "train") == {}
    database.unlink()
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE metrics (other INTEGER)")
    assert curves_of_job(None, tmp_path, "r1", "train") == {}


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=3000))
def test_a_thinned_curve_keeps_its_peaks_and_its_order(values: list[float]) -> None:
    curve = list(enumerate(values))
    found = thinned(curve)
    assert len(found) <= MOST_POINTS
    assert min(value for _, value in found) == min(values)
    assert max(value for _, value in found) == max(values)
    assert [step for step, _ in found] == sorted({step for step, _ in found})


class Told:
    """A side that knows metrics alone."""

    def __init__(self, metrics: dict[str, float], curves: dict[str, list[tuple[int, float]]]) -> None:
        self.metrics = metrics
        self.logged = curves

    def facts(self, stage: str) -> Facts:
        return Facts(metrics=self.metrics if stage else {})

    def curves(self, stage: str) -> dict[str, list[tuple[int, float]]]:
        return self.logged if stage else {}


def changes(a: Told, b: Told) -> dict[str, str]:
    stages = [StageDiff(name="s", change="same", a="s", b="s")]
    return {each.name: each.change for each in metric_diffs(a, b, stages, everything=True)}  # type: ignore[arg-type]


def test_another_way_to_the_same_end_is_a_difference() -> None:
    nan = float("nan")
    one = Told({"loss": 1.0, "odd": nan}, {"loss": [(0, 3.0), (1, 1.0)], "odd": [(0, nan), (1, nan)]})
    other = Told({"loss": 1.0, "odd": nan}, {"loss": [(0, 2.0), (1, 1.0)], "odd": [(0, nan), (1, nan)]})
    assert changes(one, one) == {"loss": "same", "odd": "same"}
    assert changes(one, other) == {"loss": "changed", "odd": "same"}


def test_a_metric_on_one_side_alone_was_added_or_removed() -> None:
    one, other = Told({"a": 1.0}, {}), Told({"b": 1.0}, {"c": [(0, 1.0), (1, 5.0)]})
    assert changes(one, other) == {"b": "added", "a": "removed", "c": "added"}


def test_infinite_metrics_are_null_in_the_diff() -> None:
    stages = [StageDiff(name="s", change="same", a="s", b="s")]
    one, other = Told({"a": float("inf")}, {}), Told({"a": 1.0}, {})
    (found,) = metric_diffs(one, other, stages, everything=False)  # type: ignore[arg-type]
    assert (found.a, found.b, found.delta, found.relative) == (None, 1.0, None, None)
    (zero,) = metric_diffs(Told({"a": 0.0}, {}), other, stages, everything=False)  # type: ignore[arg-type]
    assert (zero.delta, zero.relative) == (1.0, None)


def test_the_scale_is_that_of_the_earlier_value() -> None:
    stages = [StageDiff(name="s", change="same", a="s", b="s")]
    (found,) = metric_diffs(Told({"a": -2.0}, {}), Told({"a": -1.0}, {}), stages, everything=False)  # type: ignore[arg-type]
    assert found.delta == 1.0
    assert found.relative == pytest.approx(0.5)
