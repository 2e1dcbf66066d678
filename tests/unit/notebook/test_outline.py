"""Cells by role: magics, tags, metadata and Kale's tags, and how they may contradict each other."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from nbpipe.errors import GrammarError, PipelineError, UnsupportedError
from nbpipe.model import Cell, Notebook, Options, Outline
from nbpipe.notebook.grammar import check_supported, parse_cell
from nbpipe.notebook.stages import outline


def cell(source: str, *tags: str, number: int = 1, kind: Any = "code", **metadata: Any) -> Cell:
    return Cell(number=number, kind=kind, source=source, tags=tags, metadata=metadata)


def outlined(*cells: Cell | str, **metadata: Any) -> Outline:
    numbered = tuple(
        Cell(number=i, kind="code", source=c)
        if isinstance(c, str)
        else Cell(number=i, kind=c.kind, source=c.source, tags=c.tags, metadata=c.metadata)
        for i, c in enumerate(cells, 1)
    )
    return outline(Notebook(path="a.ipynb", sha256="", cells=numbered, metadata=metadata))


def test_cells_are_sorted_by_role_in_notebook_order() -> None:
    out = outlined(
        "%load_ext nbpipe",
        "%%params\nlr = 1",
        "%%params smoke\nlr = 2",
        "%%setup\nimport os",
        "df.head()",
        "%%stage a\nx = 1",
        "%%check c\nassert x",
        cell("text", kind="markdown"),
        "%%stage a\ny = 2",
        "%nbpipe run",
    )
    assert [c.cell for c in out.params] == [2]
    assert out.profiles["smoke"].body == "lr = 2"
    assert [c.cell for c in out.setup] == [4]
    assert [c.cell for c in out.exploration] == [5]
    assert [(s.name, s.kind, [c.cell for c in s.cells]) for s in out.stages] == [
        ("a", "stage", [6, 9]),
        ("c", "check", [7]),
    ]
    assert out.warnings == ()
    assert not out.mergeable
    assert outlined("%%stage a\nx", nbpipe={"mergeable": True}).mergeable


@pytest.mark.parametrize(
    ("source", "line", "body"), [("%%stage a\nx\ny", 2, "x\ny"), ("\n\n%%stage a\nx", 4, "x"), ("%%stage a", 2, "")]
)
def test_the_body_starts_below_the_magic_line(source: str, line: int, body: str) -> None:
    code = parse_cell(cell(source)).code
    assert (code.line, code.body) == (line, body)
    assert parse_cell(cell("x = 1", "stage:a")).code.line == 1


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("# comment\n%%stage a\nx", 2),
        ("x = 1\n\n%%stage a", 3),
        ("  %%stage a\n  x", 1),
        ("%%time\n%%stage a\nx", 2),
        ("%%time\n\n%%stage a\nx", 3),
        ("%%stage a\nx = 1\n%%stage b\ny = 2", 3),
        ("%%setup\n%%params", 2),
        ("%%stage a\n!ls '''\nx = '''a'''\n%%check b", 4),
    ],
)
def test_a_stage_line_that_is_not_the_first_is_an_error_with_its_line(source: str, line: int) -> None:
    with pytest.raises(GrammarError, match="must be the first line") as caught:
        parse_cell(cell(source, number=7))
    assert (caught.value.cell, caught.value.line) == (7, line)


@pytest.mark.parametrize(
    "source",
    ["text = '''\n%%stage a\n'''", "%%writefile x.py\nimport a\n%%stage a\n", "# see %%stage a", "x = '%%stage'"],
)
def test_a_stage_line_inside_a_text_is_text(source: str) -> None:
    assert parse_cell(cell(source)).role == "exploration"


def test_another_cell_magic_below_the_stage_line_stays_in_the_body() -> None:
    assert parse_cell(cell("%%stage a\n%%time\nx = 1")).code.body == "%%time\nx = 1"


def test_a_misspelt_magic_is_exploration_with_a_warning() -> None:
    role = parse_cell(cell("%%stages a\nx"))
    assert role.role == "exploration"
    assert "did you mean %%stage?" in role.warnings[0]
    assert parse_cell(cell("%%bash\nls")).warnings == ()


@pytest.mark.parametrize(
    "source", ["%load_ext nbpipe", "# start\n%load_ext nbpipe\n\n%nbpipe plan", "%nbpipe", "%reload_ext nbpipe  # x"]
)
def test_cells_that_only_talk_to_nbpipe_are_skipped(source: str) -> None:
    assert parse_cell(cell(source)).role == "skip"


@pytest.mark.parametrize(
    "source", ["%load_ext nbpipe\nimport os", "%load_ext nbpipe_other", "", "# nbpipe", "%nbpipes"]
)
def test_other_cells_are_not(source: str) -> None:
    assert parse_cell(cell(source)).role == "exploration"


@pytest.mark.parametrize(
    ("tags", "role", "name"),
    [
        (["stage:train"], "stage", "train"),
        (["check:ok"], "check", "ok"),
        (["setup"], "setup", ""),
        (["params"], "params", ""),
        (["parameters"], "params", ""),
        (["parameters", "params"], "params", ""),
        (["profile:smoke"], "profile", "smoke"),
        (["nbpipe:skip"], "skip", ""),
        (["mine", "a:b", "hide-input"], "exploration", ""),
    ],
)
def test_tags_mean_what_the_magics_mean(tags: list[str], role: str, name: str) -> None:
    said = parse_cell(cell("x = 1", *tags))
    assert (said.role, said.name) == (role, name)


def test_options_may_be_tags_and_add_to_those_of_the_line() -> None:
    assert parse_cell(cell("x", "stage:a", "gpus:1", "after:b", "no-cache")).options == Options(
        gpus=1.0, after=("b",), cache="never"
    )
    assert parse_cell(cell("%%stage a --gpus 1\nx", "stage:a", "after:b")).options == Options(gpus=1.0, after=("b",))


def test_a_cell_whose_error_is_expected_says_so() -> None:
    assert parse_cell(cell("%%stage a\n1/0", "raises-exception")).code.may_raise


@pytest.mark.parametrize(
    ("source", "tags"),
    [
        ("%%stage a\nx", ["stage:b"]),
        ("%%stage a\nx", ["check:a"]),
        ("%%stage a\nx", ["setup"]),
        ("%%stage a --gpus 1\nx", ["gpus:2"]),
        ("%%setup\nx", ["gpus:2"]),
        ("x", ["stage:a", "stage:b"]),
        ("x", ["setup", "params"]),
        ("x", ["setup", "gpus:1"]),
        ("x", ["stage:A"]),
        ("x", ["stage:a", "gpus:many"]),
        ("x", ["stage:a", "metric:acc > 1"]),
    ],
)
def test_contradicting_or_wrong_tags_are_an_error_with_the_cell(source: str, tags: list[str]) -> None:
    with pytest.raises(GrammarError) as caught:
        parse_cell(cell(source, *tags, number=4))
    assert caught.value.cell == 4


def test_metadata_counts_where_neither_line_nor_tag_says_anything() -> None:
    said = parse_cell(cell("x", nbpipe={"stage": "train", "options": "--gpus 1 --after load"}))
    assert (said.role, said.name, said.options) == ("stage", "train", Options(gpus=1.0, after=("load",)))
    assert parse_cell(cell("x", nbpipe={"setup": True})).role == "setup"
    assert parse_cell(cell("x", "stage:b", nbpipe={"stage": "a"})).name == "b"
    over = parse_cell(cell("%%stage b\nx", nbpipe={"stage": "a"}))
    assert over.name == "b"
    assert "the line counts" in over.warnings[0]


@pytest.mark.parametrize(
    "meta",
    [
        3,
        "stage",
        {"stage": 1},
        {"stage": "A"},
        {"stage": "a", "check": "b"},
        {"x": 1},
        {"stage": "a", "options": 1},
        {"stage": "a", "options": "--nope"},
        {"setup": True, "options": "--gpus 1"},
    ],
)
def test_wrong_metadata_is_a_grammar_error(meta: Any) -> None:
    with pytest.raises(GrammarError):
        parse_cell(cell("x", nbpipe=meta))


def test_options_on_the_cells_of_one_stage_add_up() -> None:
    out = outlined("%%stage b\n1", "%%stage a --gpus 1 --reads x\n1", "%%stage a --after b --reads y --gpus 1\n2")
    assert out.stages[1].options == Options(gpus=1.0, after=("b",), reads=("x", "y"))


@pytest.mark.parametrize("second", ["--gpus 2", "--cache"])
def test_contradicting_options_on_the_cells_of_one_stage_are_an_error(second: str) -> None:
    with pytest.raises(GrammarError) as caught:
        outlined("%%stage a --gpus 1 --no-cache\n1", f"%%stage a {second}\n2")
    assert (caught.value.cell, caught.value.line, caught.value.stage) == (2, 1, "a")
    assert "cell 1" in caught.value.message


def test_a_stage_and_a_check_cannot_share_a_name() -> None:
    with pytest.raises(GrammarError, match="already the name of the stage in cell 1"):
        outlined("%%stage a\n1", "%%check a\n2")


def test_a_profile_is_written_once() -> None:
    with pytest.raises(GrammarError, match="already written in cell 1"):
        outlined("%%params smoke\nx = 1", "%%params smoke\nx = 2", "%%stage a\n1")


def test_a_notebook_without_stages_says_what_to_do() -> None:
    with pytest.raises(PipelineError, match=r"nbpipe suggest a\.ipynb"):
        outlined("x = 1")
    with pytest.raises(PipelineError):
        outlined()


@pytest.mark.parametrize(
    ("after", "says"), [("laod", "Did you mean 'load'"), ("train", "after itself"), ("last", "stands below")]
)
def test_after_must_name_something_above(after: str, says: str) -> None:
    with pytest.raises(PipelineError, match=says) as caught:
        outlined("%%stage load\n1", f"%%stage train --after {after}\n2", "%%stage last\n3")
    assert (caught.value.cell, caught.value.stage) == (2, "train")


def test_a_stage_without_code_is_a_warning() -> None:
    assert outlined("%%stage a\n\n").warnings == ("stage 'a' has no code (cell 1)",)
    assert outlined("%%stage a --metrics m\nm = 1", '%%check good --metric "m > 0"').warnings == ()


def test_a_command_in_a_message_can_be_copied_whatever_the_notebook_is_called() -> None:
    with pytest.raises(PipelineError) as caught:
        outline(Notebook(path="it's mine.ipynb", sha256="", cells=()))
    assert shlex.split((caught.value.fix or "").split("`")[1]) == ["nbpipe", "suggest", "it's mine.ipynb"]


def test_options_that_its_target_does_not_honour_are_refused_by_name() -> None:
    check_supported(Options(on="gpu", gpus=1.0, nodes=1, nproc=2), "a", 1, kind="local")
    for options, kinds in ((Options(image="x"), ["kubernetes"]), (Options(nodes=2), ["slurm", "ray"])):
        for kind in kinds:
            check_supported(options, "a", 3, kind=kind)
        for kind in {"local", "ssh", "slurm", "ray", "kubernetes"} - set(kinds):
            with pytest.raises(UnsupportedError, match=f"needs a target of kind {' or '.join(kinds)}") as caught:
                check_supported(options, "a", 3, kind=kind)
            assert caught.value.cell == 3
            assert ("--nproc N" in (caught.value.fix or "")) is bool(options.nodes)


def test_kale_tags_are_read_as_they_stand() -> None:
    out = outlined(
        cell("import os", "imports"),
        cell("import re"),
        cell("def f(): pass", "functions"),
        cell("lr = 1", "pipeline-parameters"),
        cell("x = 1", "step:load"),
        cell("x += 1"),
        cell("x.plot()", "skip"),
        cell("x += 2"),
        cell("y = x", "block:train", "prev:load", "limit:nvidia.com/gpu:1"),
        cell("print(y)\ny", "pipeline-metrics"),
    )
    assert [c.cell for c in out.setup] == [1, 2, 3]
    assert [c.cell for c in out.params] == [4]
    assert [(s.name, [c.cell for c in s.cells]) for s in out.stages] == [
        ("load", [5, 6, 8]),
        ("train", [9]),
        ("pipeline-metrics", [10]),
    ]
    assert out.stages[1].options == Options(after=("load",), gpus=1.0)
    assert out.stages[2].options.metrics == ("y",)
    assert out.exploration == ()


def test_untagged_cells_above_the_first_kale_step_run_first_and_say_so() -> None:
    out = outlined(cell("import os"), cell("x = 1", "step:load"))
    assert [c.cell for c in out.setup] == [1]
    assert "cell 1 has no tag" in out.warnings[0]


def test_without_kale_steps_an_untagged_cell_is_exploration_and_kale_words_are_the_users_own() -> None:
    out = outlined(cell("%%stage a\nx"), cell("y"), cell("z", "imports"), cell("%%stage a\nw", "skip"))
    assert [c.cell for c in out.exploration] == [2, 3]
    assert [c.cell for c in out.stages[0].cells] == [1, 4]


@pytest.mark.parametrize(
    "tags", [["step:"], ["step:A"], ["step:a", "step:b"], ["step:a", "imports"], ["step:a", "prev:B"]]
)
def test_wrong_kale_tags_are_grammar_errors(tags: list[str]) -> None:
    with pytest.raises(GrammarError):
        outlined(cell("x", *tags))
