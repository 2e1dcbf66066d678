"""Stages that have to run as one keep what each of them asked for, or it is an error."""

from __future__ import annotations

import pytest

from nbpipe.errors import PipelineError
from nbpipe.model import Cell, Notebook, Options, Outline
from nbpipe.notebook.stages import outline
from nbpipe.pipeline.merging import merge_stages


def notebook(*lines: str) -> Outline:
    cells = tuple(Cell(number=n, kind="code", source=f"{line}\nx{n} = {n}") for n, line in enumerate(lines, 1))
    return outline(Notebook(path="n.ipynb", sha256="", cells=cells, metadata={}))


def merged(*lines: str) -> Options:
    (stage,) = merge_stages(notebook(*lines), [("a", "b")]).stages
    return stage.options


def test_a_group_and_what_stands_between_run_under_the_first_name() -> None:
    found = merge_stages(notebook("%%stage a", "%%stage b", "%%stage c", "%%stage d --after c"), [("a", "c")])
    assert [(stage.name, [code.cell for code in stage.cells]) for stage in found.stages] == [
        ("a", [1, 2, 3]),
        ("d", [4]),
    ]
    assert found.stages[1].options.after == ("a",)


def test_without_groups_nothing_changes() -> None:
    found = notebook("%%stage a", "%%stage b")
    assert merge_stages(found, ()) == found
    assert merge_stages(found, [("a", "gone")]) == found


def test_resources_are_the_largest_and_times_add_up() -> None:
    options = merged(
        "%%stage a --cpus 2 --memory 1GB --timeout 1m --retries 1", "%%stage b --gpus 1 --cpus 4 --timeout 2m"
    )
    assert (options.cpus, options.gpus, options.memory, options.retries) == (4, 1, 2**30, 1)
    assert options.timeout == 180
    assert merged("%%stage a --timeout 1m", "%%stage b").timeout is None


def test_files_metrics_and_environment_come_together() -> None:
    options = merged(
        "%%stage a --reads a.csv --metrics x1 --env A=1 --env B=1",
        "%%stage b --reads b.csv --metrics x2 --env A=1 --env C=2",
    )
    assert (options.reads, options.metrics) == (("a.csv", "b.csv"), ("x1", "x2"))
    assert options.env == {"A": "1", "B": "1", "C": "2"}


def test_one_part_that_is_never_reused_makes_the_whole_so() -> None:
    assert merged("%%stage a", "%%stage b --no-cache").cache == "never"
    assert merged("%%stage a", "%%stage b --after a").after == ()


def test_declared_names_count_only_where_every_part_declares_them() -> None:
    assert merged("%%stage a --out x1", "%%stage b").outputs is None
    assert merged("%%stage a --out x1", "%%stage b --out x2").outputs == ("x1", "x2")


@pytest.mark.parametrize(
    ("second", "why"),
    [
        ("%%stage b --env A=2", "they set A to different values"),
        ("%%stage b --image y", "--image is x in 'a' and y in 'b'"),
        ("%%check b", "'a' is a stage and 'b' a check"),
    ],
)
def test_options_that_cannot_both_be_kept_are_an_error_with_its_cell(second: str, why: str) -> None:
    with pytest.raises(PipelineError, match=why) as caught:
        merged("%%stage a --image x --env A=1", second)
    assert (caught.value.stage, caught.value.cell) == ("b", 2)
    assert caught.value.fix
