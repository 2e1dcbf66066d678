"""Each kind of change makes the stages that depend on it run, says why in a line, and leaves the others alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from planned import Book, artifact

from nbpipe.model import AmbientState, FileState
from nbpipe.plan.constraints import holds
from nbpipe.plan.explain import changes
from nbpipe.plan.planner import make_plan

CELLS = (
    "%%params\nepochs: int = 3\nother = 1",
    "%%setup\nSEED = 0",
    "%%stage load\nimport helpers\nrows = helpers.read()\n# a remark\nn = len(rows)",
    "def scale(x):\n    return x * 2",
    "%%stage train\nnet = [scale(n) for _ in range(epochs)]",
    "%%stage report\nprint(net)",
)
HELPERS = "import math\n\n\ndef read():\n    return [1, 2]\n"


@pytest.fixture
def book(tmp_path: Path) -> Book:
    (tmp_path / "helpers.py").write_text(HELPERS)
    made = Book(tmp_path, *CELLS)
    assert made.settle() == ["load", "train", "report"]
    return made


def edited(book: Book, index: int, text: str) -> None:
    cells = list(CELLS)
    cells[index] = text
    book.write(*cells)


def test_a_file_below_a_folder_that_it_clears_is_a_reason_unless_it_is_its_own(book: Book, tmp_path: Path) -> None:
    trace = next(iter(book.store.traces.lookup(book.wanted("load", {}).key)))
    own = (FileState(path="out/deep/a.txt", digest="d"), FileState(path="out/gone.txt", digest=""))
    outcome = msgspec.structs.replace(trace.outcome, cleared=("out",), files_written=own)
    trace = msgspec.structs.replace(trace, outcome=outcome)
    (tmp_path / "out" / "deep").mkdir(parents=True)
    for name in ("deep/a.txt", "gone.txt"):
        (tmp_path / "out" / name).touch()
    (tmp_path / "out" / "latest").symlink_to("deep")
    assert holds(trace, book.wanted("load", {}), book.files.digest) is None
    (tmp_path / "out" / "deep" / "mine.txt").touch()
    said = holds(trace, book.wanted("load", {}), book.files.digest)
    assert said == "out/deep/mine.txt is new, and it clears out/"


def test_nothing_changed_is_a_hit_that_names_its_run(book: Book) -> None:
    found = book.decisions()
    assert {item.action for item in found.values()} == {"HIT"}
    assert {item.source for item in found.values()} == {"r1"}
    assert all(item.reasons == () for item in found.values())


@pytest.mark.parametrize(
    "text",
    [
        "%%stage load\nimport helpers\nrows   =   helpers.read()\nn = len( rows )   # counted",
        "%%stage load\nimport helpers\nrows = (\n    helpers.read()\n)\n\n\nn = len(rows)",
        "%%stage load --retries 3 --timeout 5m --memory 2GB\nimport helpers\nrows = helpers.read()\nn = len(rows)",
    ],
)
def test_comments_spaces_and_where_it_runs_do_not_count(book: Book, text: str) -> None:
    edited(book, 2, text)
    assert book.why() == {}


def test_a_cell_added_above_moves_nothing(book: Book) -> None:
    book.write("print('an exploration cell')", *CELLS)
    assert book.why() == {}


def test_a_changed_line_is_named_and_what_is_below_waits_for_it(book: Book) -> None:
    edited(book, 2, "%%stage load\nimport helpers\nrows = helpers.read()\n# another remark\nn = len(rows) + 1")
    assert book.why() == {
        "load": ("cell 3 line 5 changed",),
        "train": ("load runs",),
        "report": ("train runs",),
    }
    found = book.decisions()
    assert [found[name].tentative for name in ("load", "train", "report")] == [False, True, True]
    assert found["load"].expected == 2.0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("%%stage report\nprint(net)\nprint(1)", "cell 6 line 3 changed"),
        ("%%stage report\nnet\nprint(net)", "cell 6 line 2 changed"),
        ("%%stage report\nprint(net);", "cell 6 line 2 changed"),
    ],
)
def test_added_and_changed_lines_are_named(book: Book, text: str, reason: str) -> None:
    edited(book, 5, text)
    assert book.why() == {"report": (reason,)}


def test_a_removed_last_line_names_the_cell(book: Book) -> None:
    edited(book, 5, "%%stage report\nprint(net)\nprint(2)\nprint(3)")
    book.settle()
    edited(book, 5, "%%stage report\nprint(net)\nprint(2)")
    assert book.why() == {"report": ("cell 6 changed",)}


def test_a_parameter_concerns_only_stages_that_reach_it(book: Book) -> None:
    assert book.why({"epochs": "5"}) == {"train": ("`epochs` 3 → 5",), "report": ("train runs",)}
    assert book.why({"other": "5"}) == {}


def test_a_definition_of_an_exploration_cell_is_named_with_its_line(book: Book) -> None:
    edited(book, 3, "def scale(x):\n    # doubled\n    return x * 3")
    assert book.why() == {"train": ("`scale` changed, cell 4 line 3",), "report": ("train runs",)}


def test_setup_concerns_every_stage(book: Book) -> None:
    edited(book, 1, "%%setup\nSEED = 1")
    assert book.why() == {
        "load": ("%%setup: cell 2 line 2 changed",),
        "train": ("load runs",),
        "report": ("train runs",),
    }


def test_a_helper_module_is_named_with_its_line(book: Book, tmp_path: Path) -> None:
    (tmp_path / "helpers.py").write_text(HELPERS.replace("import math", "import math  # unused"))
    assert book.why() == {}
    (tmp_path / "helpers.py").write_text(HELPERS.replace("[1, 2]", "[1, 2, 3]"))
    assert book.why()["load"] == ("helpers.py changed, line 5",)


def test_a_module_that_a_module_imports_counts_too(book: Book, tmp_path: Path) -> None:
    (tmp_path / "deep.py").write_text("x = 1\n")
    (tmp_path / "helpers.py").write_text(f"import deep\n{HELPERS}")
    assert book.why()["load"] == ("deep.py is new", "helpers.py changed, line 1")
    book.settle()
    (tmp_path / "deep.py").write_text("\n\nx = 2\n")
    assert book.why()["load"] == ("deep.py changed, line 3",)


def test_several_reasons_stand_in_the_order_of_their_likelihood_and_are_at_most_four(book: Book) -> None:
    edited(book, 4, "%%stage train --metrics n\nimport math\nnet = [scale(n) + other for _ in range(epochs)]")
    assert book.why({"epochs": "4", "other": "2"})["train"] == (
        "`epochs` 3 → 4",
        "`other` is new",
        "cell 5 line 2 changed",
        "--metrics changed",
    )


def test_a_file_counts_by_its_content_and_not_by_its_time(book: Book, tmp_path: Path) -> None:
    data = tmp_path / "data.csv"
    data.write_text("a\n1\n")
    edited(book, 2, CELLS[2] + "\nopen('data.csv')")
    book.settle(reads={"load": ["data.csv"]})
    os.utime(data, (1, 1))
    assert book.why() == {}
    data.write_text("a\n2\n")
    assert book.why()["load"] == ("data.csv changed (content)",)
    data.unlink()
    assert book.why()["load"] == ("data.csv is gone",)


def test_a_file_that_was_looked_for_in_vain_counts_when_it_appears(book: Book, tmp_path: Path) -> None:
    edited(book, 2, CELLS[2] + "\nopen('more.csv')")
    book.settle(reads={"load": ["more.csv"]})
    assert book.why() == {}
    (tmp_path / "more.csv").write_text("a\n")
    assert book.why()["load"] == ("more.csv is new",)


def test_a_file_added_to_a_listed_folder_counts(book: Book, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").touch()
    edited(book, 2, CELLS[2] + "\nlist('data')")
    book.settle(reads={"load": ["data/"]})
    assert book.why() == {}
    (tmp_path / "data" / "b.csv").touch()
    assert book.why()["load"] == ("data/ has other files in it",)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("@matplotlib.rcParams", "matplotlib's rcParams changed in a stage above"),
        ("@environ", "environment variables changed in a stage above"),
        ("@module:helpers", "the state of module helpers changed in a stage above"),
    ],
)
def test_ambient_state_that_a_stage_above_sets_counts(tmp_path: Path, name: str, reason: str) -> None:
    state = AmbientState(name=name, after="s", artifact=artifact("s"))
    book = Book(tmp_path, "%%stage style\nx = sum([1])", "%%stage plot\nprint(x)")
    digest = artifact("s").digest
    book.settle(ambient={"style": (state,), "plot": (AmbientState(name=name, before=digest),)})
    assert book.why() == {}
    other = Book(tmp_path, "%%stage style\nx = sum([1])", "%%stage plot\nprint(x)")
    other.settle(ambient={"style": (state,), "plot": (AmbientState(name=name, before="another"),)})
    assert other.why() == {"plot": (reason,)}


def test_versions_of_packages_python_and_kernel_count(book: Book) -> None:
    pipeline = book.pipeline
    changed = msgspec.structs.replace(
        pipeline,
        distributions={"fastmath": "2.0"},
        provided_by={"helpers": ("fastmath",)},
        python="3.99",
    )

    def reasons(candidate: Any) -> tuple[str, ...]:
        plan = make_plan(candidate, {}, book.store.traces, file_digest=book.files.digest)
        return plan.decisions[0].reasons

    assert reasons(pipeline) == ()
    assert reasons(changed) == ("fastmath none → 2.0", f"Python {pipeline.python} → 3.99")
    book.write(*CELLS, kernel="other")
    assert book.why()["load"] == ("the kernel python3 → other",)


@pytest.mark.parametrize(("option", "reason"), [("--env A=1", "--env changed"), ("--metrics n", "--metrics changed")])
def test_options_that_can_change_results_count(book: Book, option: str, reason: str) -> None:
    edited(book, 2, CELLS[2].replace("%%stage load", f"%%stage load {option}"))
    assert book.why()["load"] == (reason,)


def test_a_stage_that_gives_the_same_again_leaves_what_is_below_alone(book: Book) -> None:
    book.settle(gives={"n": "2"})
    edited(book, 2, CELLS[2].replace("helpers.read()", "list(helpers.read())"))
    assert book.settle(gives={"n": "2"})[0] == "load"
    edited(book, 2, CELLS[2].replace("helpers.read()", "tuple(helpers.read())"))
    assert book.settle(gives={"n": "2"}) == ["load"]
    assert book.why() == {}


def test_an_input_that_changed_is_named(book: Book) -> None:
    edited(book, 2, CELLS[2].replace("len(rows)", "len(rows) + 1"))
    book.settle(gives={"net": "same"})
    latest = book.store.traces.latest("train")
    assert latest is not None
    old = latest.parts | {"input:n": "another"}
    assert changes(old, latest.parts) == ("`n` changed",)


def test_no_cache_a_first_run_and_a_lost_result_say_so(tmp_path: Path) -> None:
    book = Book(tmp_path, "%%stage a --no-cache\nx = 1", "%%stage b\ny = 2")
    assert book.why() == {"a": ("--no-cache",), "b": ("first run",)}
    book.settle()
    assert book.why() == {"a": ("--no-cache",)}
    assert book.decisions(forced=frozenset({"b"}))["b"].reasons == ("asked for",)
