"""Real runs, made again: what is equal, what differs, what cannot be had, and that the project is left alone."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from runs import Done, Site, finish

SAME = (
    "%%params\nlr: float = 0.5",
    "%%setup\nimport os\nfrom pathlib import Path\nimport numpy as np, pandas as pd\nimport helper",
    "%%stage load\ndf = pd.read_csv('data/train.csv')\nplace = Path.cwd() / 'data'\ntext = os.getcwd()\ntags = {'b', 'a'}",
    """%%stage train --metrics acc
w = np.random.rand(3) * lr + helper.f(df['a'].sum())
acc = float(w.sum())
Path('out').mkdir(exist_ok=True)
Path('out/w.json').write_text(str(acc))""",
    """%%stage log
with open('log.txt', 'a') as file:
    file.write(f"{place.name} {len(text) > 0} {sorted(tags)} {acc}")""",
    "%%check good\nassert 'data' in Path('log.txt').read_text() and acc > 100",
)
OTHER = (
    "%%params\nsize: int = 2",
    "%%setup\nimport numpy as np, time",
    "%%stage first\nx = np.arange(4.0)",
    "%%stage near\ny = x + 1e-9 * np.random.default_rng().random(4)",
    "%%stage far --metrics m\nz = y + np.random.default_rng().random(4)\nm = float(z.sum())\nt = {time.time()}",
    "%%stage end\nprint(z, t)\nraise ValueError('as always')",
)


def reproduce(site: Site, *words: str) -> Done:
    """`nbpipe reproduce WORDS --json`, with a folder for temporary files of its own, which must be empty afterwards."""
    place = site.root / "tmp"
    place.mkdir(exist_ok=True)
    done = site.command("reproduce", *words, "--json", TMPDIR=str(place))
    assert list(place.iterdir()) == []
    return done


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file below, caches left out, with its bytes and when it was written."""
    files = [path for path in folder.rglob("*") if path.is_file() and "cache" not in path.relative_to(folder).parts]
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def items(shape: dict[str, Any], stage: str) -> dict[str, dict[str, Any]]:
    """Name -> item, of a stage in the JSON."""
    found = next(each for each in shape["stages"] if each["name"] == stage)
    return {item["name"]: item for item in found["items"]}


def uneven(shape: dict[str, Any]) -> list[dict[str, Any]]:
    """What is not equal, for the message of a failing test."""
    return [item for stage in shape["stages"] for item in stage["items"] if item["verdict"] != "equal"]


@pytest.fixture(scope="module")
def same(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """r1 read data, drew unseeded numbers with seed 3 and wrote files; a check rejected it. Then code and notebook moved on."""
    site = Site(tmp_path_factory.mktemp("same"))
    (site.folder / "data").mkdir()
    (site.folder / "data" / "train.csv").write_text("a,b\n1,2\n3,4\n")
    (site.folder / "helper.py").write_text("def f(x):\n    return x * 2.0\n")
    (site.folder / "log.txt").write_text("begun ")
    site.write(*SAME)
    assert site.run("-p", "lr=0.25", "--seed", "3").code == 8
    (site.folder / "helper.py").write_text("def f(x):\n    return x * 3.0\n")
    site.write("%%params\nlr: float = 0.5", "%%stage load\nprint(lr)")
    yield site
    site.end_all()


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """r1 cannot be repeated: a stage is off by a billionth, another by more; the last one always fails."""
    site = Site(tmp_path_factory.mktemp("other"))
    site.write(*OTHER)
    assert site.run().code == 1
    yield site
    site.end_all()


def test_a_run_made_again_is_equal_to_the_byte_and_leaves_the_project_as_it_was(same: Site) -> None:
    before = tree(same.folder)
    done = reproduce(same, "r1")
    shape = done.json
    assert (done.code, shape["verdict"]) == (0, "equal"), uneven(shape)
    assert [stage["verdict"] for stage in shape["stages"]] == ["equal"] * 4
    assert {"acc", "out/w.json"} <= set(items(shape, "train"))
    # Values that name the folder are compared as places in the project.
    assert {"place", "text", "tags"} <= set(items(shape, "load"))
    assert items(shape, "log")["log.txt"]["verdict"] == "equal"
    assert shape["causes"] == []
    assert tree(same.folder) == before
    assert same.quiet() == []


def test_data_that_has_changed_or_is_gone_is_named_and_nothing_runs(same: Site) -> None:
    data = same.folder / "data" / "train.csv"
    kept = data.read_bytes()
    try:
        data.write_text("a,b\n9,9\n")
        changed = reproduce(same, "1")
        data.unlink()
        gone = same.command("reproduce", "r1")
    finally:
        data.write_bytes(kept)
    assert (changed.code, changed.json["verdict"]) == (3, "impossible")
    assert changed.json["obstacles"] == [{"name": "data/train.csv", "what": "changed since"}]
    assert gone.code == 3
    assert "cannot be reproduced: data/train.csv is gone" in gone.out
    assert gone.err == ""


def test_the_first_stage_that_differs_is_named_with_how_and_why(other: Site) -> None:
    done = reproduce(other, "r1")
    shape = done.json
    assert (done.code, shape["verdict"], shape["first"]) == (1, "differs", "far"), uneven(shape)
    # The last stage failed then and fails now, with the same words.
    assert [stage["verdict"] for stage in shape["stages"]] == ["equal", "close", "differs", "equal"]
    assert 0 < items(shape, "near")["y"]["difference"] < 1e-8
    far = items(shape, "far")
    assert far["z"]["difference"] > 1e-4
    assert "largest difference" in far["z"]["detail"]
    assert "→" in far["m"]["detail"]
    assert far["t"]["verdict"] == "differs"
    assert "pickles are not opened" in far["t"]["detail"]
    assert any("default_rng() is not given a seed" in text for text in shape["causes"])


def test_ctrl_c_stops_the_new_run_and_leaves_nothing(site: Site) -> None:
    place = site.root / "tmp"
    place.mkdir()
    loop = "while os.environ.get('NB_SLOW'):\n    time.sleep(0.05)"
    site.write(f"%%stage slow\nimport time, os\nNOTE('began')\n{loop}")
    assert site.run().code == 0
    before = tree(site.folder)
    process = site.start("reproduce", "r1", TMPDIR=str(place), NB_SLOW="1")
    site.wait_for(lambda: site.ran("began") == 2)
    process.send_signal(signal.SIGINT)
    assert finish(process).code == 130
    assert list(place.iterdir()) == []
    assert site.quiet() == []
    assert tree(site.folder) == before


def test_a_run_that_never_was_is_no_verdict(same: Site) -> None:
    done = same.command("reproduce", "r99", "--json")
    assert done.code == 2
    assert json.loads(done.out)["status"] == "error"
