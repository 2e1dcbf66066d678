"""Where `suggest` cuts, and what it never cuts apart."""

from __future__ import annotations

from nbpipe.model import Cell
from nbpipe.suggest.naming import slug, unique
from nbpipe.suggest.segments import segment


def cells(*sources: str) -> list[Cell]:
    """Code cells; a source that starts with `#` and a space is a Markdown heading."""
    kinds = ["markdown" if source.startswith(("# ", "## ", "### ")) else "code" for source in sources]
    return [
        Cell(number=number, kind=kind, source=source)  # type: ignore[arg-type]
        for number, (kind, source) in enumerate(zip(kinds, sources, strict=True), start=1)
    ]


def cut(*sources: str) -> list[tuple[int, ...]]:
    return [part.cells for part in segment(cells(*sources))]


def test_headings_start_stages_and_name_them() -> None:
    found = segment(cells("# Load", "x = f()", "# Train it", "m = g(x)", "n = 1", "# Report", "show(m)"))
    assert [(part.title, part.cells) for part in found] == [
        ("load", (2,)),
        ("train-it", (4, 5)),
        ("report", (7,)),
    ]


def test_a_title_alone_is_too_coarse_so_the_next_level_is_taken() -> None:
    assert cut("# Title", "## A", "a = f()", "## B", "b = f()", "## C", "c = f()") == [(3,), (5,), (7,)]


def test_without_headings_the_kind_of_work_decides() -> None:
    assert cut("df = pd.read_csv('x')", "X = df[['a']]", "m = Ridge().fit(X, y)", "m.score(X, y)") == [
        (1,),
        (2,),
        (3,),
        (4,),
    ]


def test_leading_imports_join_the_first_stage_that_works() -> None:
    assert cut("import pandas as pd", "# A", "a = f()", "# B", "b = f()", "# C", "c = f()") == [(1, 3), (5,), (7,)]


def test_trailing_definitions_join_the_stage_above() -> None:
    assert cut("# A", "a = f()", "# B", "b = f()", "# C", "def g(): pass") == [(2,), (4, 6)]


def test_an_open_file_is_not_cut_from_its_readers() -> None:
    assert cut("# A", "handle = open('x')", "# B", "b = 1 + f()", "# C", "text = handle.read()", "# D", "d = f()") == [
        (2, 4, 6),
        (8,),
    ]


def test_a_figure_is_not_cut_from_the_cells_that_draw_on_it() -> None:
    assert cut("# A", "fig, ax = plt.subplots()", "# B", "ax.plot(x)", "# C", "c = f()") == [(2, 4), (6,)]


def test_a_name_bound_again_ends_the_life_of_the_fragile_value() -> None:
    assert cut("# A", "ax = plt.gca()", "# B", "ax = f()", "# C", "g(ax)", "# D", "d = f()") == [(2,), (4,), (6,), (8,)]


def test_history_is_not_cut_from_what_it_refers_to() -> None:
    assert cut("# A", "f()", "# B", "y = _ + 1", "# C", "c = f()") == [(2, 4), (6,)]


def test_a_cell_that_runs_other_code_makes_one_stage() -> None:
    assert cut("# A", "%run other.py", "# B", "b = f()", "# C", "c = f()") == [(2, 4, 6)]


def test_a_heading_over_every_cell_does_not_give_a_stage_for_every_cell() -> None:
    book = [text for n in range(20) for text in (f"## Step {n}", f"v{n} = f({n})")]
    found = cut(*book)
    assert len(found) == 10
    assert [number for part in found for number in part] == [2 * n for n in range(1, 21)]


def test_a_star_import_is_no_reason_for_one_stage() -> None:
    assert cut("# A", "from math import *", "a = f()", "# B", "b = sqrt(a)", "# C", "c = f()") == [(2, 3), (5,), (7,)]


def test_comments_and_blank_cells_are_left_alone() -> None:
    assert cut("# A", "a = f()", "#comment only", "", "# B", "b = f()", "# C", "c = f()") == [(2,), (6,), (8,)]


def test_a_heading_inside_a_fenced_block_is_code() -> None:
    book = [
        Cell(number=1, kind="markdown", source="```\n# not a heading\n```"),
        Cell(number=2, kind="code", source="a=f()"),
    ]
    assert [part.title for part in segment(book)] == ["prepare"]


def test_slugs_are_valid_stage_names() -> None:
    assert slug("## 2. Train the *model*!") == "train-the-model"
    assert slug("3.1 Größe & Maß") == "groe-ma" or slug("3.1 Größe & Maß") == "groe-ma"
    assert slug("### [Link](http://x)") == "link"
    assert slug("数据") == ""
    assert len(slug("word " * 60)) <= 32
    assert len(slug("w" * 60)) <= 32


def test_long_headings_give_a_short_phrase_that_does_not_hang_in_the_air() -> None:
    assert slug("What's even in it? (the summary)") == "whats-even-in-it"
    assert slug("Model validation: judging how good a fitted model really is") == "model-validation"
    assert slug("Training and evaluating on the training set") == "training-and-evaluating"
    assert slug("Step 3: Fit") == "fit"
    assert slug("So, which borough has the most noise complaints?") == "which-borough-has-the-most-noise"
    assert slug("(optional)") == "optional"
    assert slug("A look") == "a-look"


def test_names_that_repeat_are_numbered() -> None:
    assert unique(["a", "a", "a-2", "a"]) == ["a", "a-2", "a-2-2", "a-3"]
