"""Figures are shown as a notebook shows them, however the kernel was started."""

from __future__ import annotations

from pathlib import Path

import pytest
from jobs import Bench, ambient

FIRST_IMPORT = "import matplotlib as mpl"
SHOW = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()"
END_OF_CELL = "import matplotlib.pyplot as plt\nplt.plot([1, 2]);"
OFF = "import matplotlib.pyplot as plt\nplt.plot([1]); plt.show()\nplt.ioff()"
ASK = "import matplotlib.pyplot as plt\nplt.figure()\nprint(plt.isinteractive())"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def images(bench: Bench) -> int:
    return sum("image/png" in line.get("data", {}) for line in bench.log())


@pytest.mark.parametrize("fork", ["1", "0"])
def test_a_figure_is_shown_at_show_and_at_the_end_of_a_cell(
    bench: Bench, fork: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NBPIPE_FORK", fork)
    outcome = bench.run(FIRST_IMPORT, SHOW, END_OF_CELL)
    assert outcome.status == "succeeded", outcome.failure
    assert images(bench) == 2
    assert not [state.name for state in outcome.ambient if state.artifact is not None]


def test_interactive_drawing_switched_off_stays_off_in_the_next_stage(bench: Bench) -> None:
    given = ambient(bench.run(OFF))
    bench.run(ASK)
    assert bench.printed() == "True\n"
    bench.run(ASK, ambient=given)
    assert bench.printed() == "False\n"


def test_formats_chosen_by_a_call_hold_in_the_next_stage(bench: Bench) -> None:
    choose = (
        "import matplotlib.pyplot as plt\nplt.figure()\nfrom matplotlib_inline.backend_inline import "
        "set_matplotlib_formats as choose\nchoose('svg', facecolor='red')"
    )
    given = ambient(bench.run(choose))
    assert list(given) == ["@matplotlib.inline"]
    bench.run(END_OF_CELL, ambient=given)
    assert images(bench) == 0
    assert [line["data"]["image/svg+xml"].count("#ff0000") for line in bench.log() if "image/svg+xml" in str(line)] != [
        0
    ]


def test_only_the_settings_that_were_changed_are_carried(bench: Bench) -> None:
    first = bench.run("import matplotlib as mpl\nmpl.rcParams['image.cmap'] = 'gray'\nmpl.rcParams['font.size'] = 9")
    (state,) = [state for state in first.ambient if state.artifact is not None]
    assert state.artifact is not None
    assert state.artifact.summary["len"] == 2
    bench.run("import matplotlib as mpl\nprint(mpl.rcParams['image.cmap'])", ambient=ambient(first))
    assert bench.printed() == "gray\n"
