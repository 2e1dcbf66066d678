"""`nbpipe explain` on real runs whose metric is known to the last digit: what each difference did, and what it cost."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from runs import Done, Site, finish

from nbpipe.explain.api import explain_runs
from nbpipe.model import Event
from nbpipe.run import record as records

pytestmark = pytest.mark.long

PARAMS = "%%params\nlr: int = 1\nk: int = 2"
SCALE = "def scale(x):\n    return x * 2"
LOAD = "%%stage load\nNOTE('load')\ntotal = sum(int(word) for word in open('data.txt').read().split())"
TRAIN = "%%stage train --metrics acc\nNOTE('train')\nacc = scale(total) + lr * k"
REPORT = "%%stage report\nNOTE('report')\nopen('report.txt', 'w').write(str(acc))"


def explain(site: Site, before: str, after: str, *words: str, code: int = 0, metric: str = "acc") -> Any:
    """What it says with --json; its folders are made below the site."""
    done = command(site, before, after, *words, metric=metric)
    assert done.code == code, done.err
    return done.json


def command(site: Site, before: str, after: str, *words: str, metric: str = "acc") -> Done:
    return site.command("explain", before, after, "--metric", metric, "--json", *words, TMPDIR=str(site.root))


def left(site: Site) -> list[Path]:
    """Folders that it left behind."""
    return list(site.root.glob("nbpipe-explain-*"))


def parts(found: Any) -> dict[str, float]:
    """Label -> contribution, in order, of what was measured."""
    return {part["label"]: part["contribution"] for part in found["parts"] if part["status"] == "measured"}


def adds_up(found: Any) -> bool:
    amounts = [*(part["contribution"] for part in found["parts"]), found["remainder"]]
    return math.isclose(math.fsum(amounts), found["movement"], abs_tol=1e-9)


def run(site: Site, *words: str) -> str:
    done = site.run(*words)
    assert done.code == 0, done.err
    return str(done.json["run"])


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """r1: 2 * 6 + 1 * 2 = 14. r2: 3 * 6 + 10 * 2 + 5 = 43; a function, a stage and a parameter differ."""
    site = Site(tmp_path_factory.mktemp("moved"))
    (site.folder / "data.txt").write_text("1 2 3")
    site.write(PARAMS, SCALE, LOAD, TRAIN, REPORT)
    assert run(site) == "r1"
    site.write(
        PARAMS, SCALE.replace("2", "3"), LOAD, f"# better\n{TRAIN} + 5".replace("# better\n", ""), REPORT + "\n2"
    )
    assert run(site, "-p", "lr=10") == "r2"
    yield site
    site.end_all()


@pytest.fixture(scope="module")
def first(moved: Site) -> tuple[Any, dict[str, int]]:
    """The first explanation, and how often stages ran for it."""
    before = {word: moved.ran(word) for word in ("load", "train", "report")}
    found = explain(moved, "r1", "r2")
    return found, {word: moved.ran(word) - number for word, number in before.items()}


def test_each_difference_gets_what_it_did_in_the_order_of_the_swaps(first: tuple[Any, dict[str, int]]) -> None:
    found, _ = first
    assert list(parts(found).items()) == [
        ("scale: definition changed, cell 3", 6.0),
        ("train: code, cell 5", 5.0),
        ("lr 1 → 10", 18.0),
    ]
    assert [part["value"] for part in found["parts"][:3]] == [20.0, 25.0, 43.0]
    assert (found["movement"], found["remainder"], found["reasons"], found["complete"]) == (29.0, 0.0, [], True)


def test_what_the_metric_does_not_depend_on_is_named_without_being_run(first: tuple[Any, dict[str, int]]) -> None:
    found, ran = first
    (quiet,) = (part for part in found["parts"] if part["status"] == "no-effect")
    assert (quiet["label"], quiet["contribution"], quiet["ran"]) == ("report: code", 0.0, [])
    assert ran["report"] == 0


def test_only_what_a_swap_touches_runs(first: tuple[Any, dict[str, int]]) -> None:
    found, ran = first
    # The two ends are in the store: only the two pipelines between them are new.
    assert ran == {"load": 0, "train": 2, "report": 0}
    assert [part["ran"] for part in found["parts"][:3]] == [["train"], ["train"], []]


def test_asked_again_nothing_runs(moved: Site, first: tuple[Any, dict[str, int]]) -> None:
    before = moved.ran("train")
    again = explain(moved, "1", "latest")
    assert (parts(again), moved.ran("train")) == (parts(first[0]), before)


def test_another_order_goes_another_way_to_the_same_end(moved: Site, first: tuple[Any, dict[str, int]]) -> None:
    found = explain(moved, "r1", "r2", "--order", "params,data,code")
    assert list(parts(found)) == ["lr 1 → 10", *list(parts(first[0]))[:2]]
    assert adds_up(found)
    assert found["remainder"] == 0.0


def test_project_history_and_disk_are_as_before(moved: Site, first: tuple[Any, dict[str, int]]) -> None:
    assert first
    assert moved.project.run_ids() == ["r2", "r1"]
    assert sorted(path.name for path in moved.folder.iterdir()) == [".nbpipe", "data.txt", "n.ipynb", "report.txt"]
    assert (moved.folder / "report.txt").read_text() == "43"
    assert left(moved) == []
    # The next plan does not speak of pipelines that nobody asked for.
    plan = moved.command("plan", "n.ipynb", "-p", "lr=11", "--json").json
    assert [stage["reasons"] for stage in plan["stages"] if stage["name"] == "train"] == [["`lr` 10 → 11"]]


def test_pipelines_between_the_runs_are_not_tracked(moved: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (moved.environment() | {"NBPIPE_TRACKING": "on"}).items():
        monkeypatch.setenv(name, value)
    heard: list[tuple[str, str]] = []

    def hear(event: Event) -> None:
        heard.append((event.kind, os.environ["NBPIPE_TRACKING"]))

    explain_runs(moved.project, "r1", "r2", "acc", listener=hear)
    assert ("run-finished", "off") in heard
    assert {word for _, word in heard} == {"off"}
    assert os.environ["NBPIPE_TRACKING"] == "on"


def test_without_time_everything_is_left_over_and_nothing_runs(moved: Site) -> None:
    before = moved.ran("train")
    found = explain(moved, "r2", "r1", "--budget", "0")
    assert [part["status"] for part in found["parts"]] == ["unmeasured"] * 3 + ["no-effect"]
    assert (found["remainder"], found["movement"], found["complete"]) == (-29.0, -29.0, False)
    assert found["reasons"] == ["the budget is used up"]
    assert moved.ran("train") == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("r1", "r2", "--metric", "acd"), ("no metric 'acd'", "Did you mean 'acc'?")),
        (("r1", "r2", "--metric", "f1"), ("r1 (succeeded) has no metric 'f1'", "It has: acc.")),
        (("r1", "1", "--metric", "acc"), ("compared with itself", "nbpipe history")),
        (("r1", "r9", "--metric", "acc"), ("there is no run r9", "nbpipe history")),
        (("r1", "r2", "--metric", "acc", "--budget", "soon"), ("--budget: 'soon' is not a duration", "90s")),
        (("r1", "r2", "--metric", "acc", "--order", "code,data"), ("does not name each kind once", "params,code,data")),
    ],
)
def test_a_question_that_has_no_answer_says_what_to_ask(
    moved: Site, words: tuple[str, ...], said: tuple[str, ...]
) -> None:
    done = moved.command("explain", *words, "--json")
    assert done.code == 2
    assert said[0] in done.json["error"]["message"]
    assert said[1] in done.json["error"]["fix"]


def test_a_run_that_is_not_finished_is_refused(moved: Site) -> None:
    folder = moved.project.runs / "r7"
    folder.mkdir()
    try:
        pid = os.getpid()
        going = records.Record(id="r7", notebook="n.ipynb", name="n", version="", pid=pid)
        going.process_started = records.process_start(pid)
        records.write(folder, going)
        error = explain(moved, "r1", "r7", code=2)["error"]
        assert (error["message"], error["fix"]) == ("r7 is still running", "Wait for its end: nbpipe logs -f r7")
    finally:
        (folder / "run.json").unlink()
        folder.rmdir()


def test_people_see_a_waterfall(moved: Site, first: tuple[Any, dict[str, int]]) -> None:
    assert first
    done = moved.command("explain", "r1", "r2", "--metric", "acc", COLUMNS="100")
    assert done.out.splitlines() == [
        "acc 14 (r1) → 43 (r2)",
        "  scale: definition changed, cell 3  +6   ▓▓▓",
        "  train: code, cell 5                +5   ▓▓▓",
        "  lr 1 → 10                          +18  ▓▓▓▓▓▓▓▓▓▓",
        "  not attributed                      0",
        "  no effect: report: code",
    ]
    assert done.err.splitlines()[-1] == "3/3  lr 1 → 10"


# ---------------------------------------------------------------------------------------------- what may differ


def test_stages_that_only_run_together_are_one_part_with_the_reason(site: Site) -> None:
    (site.folder / "data.txt").write_text("1 2 3")
    site.write(PARAMS, LOAD, TRAIN.replace("scale(total)", "total"))
    run(site)
    site.write(PARAMS, LOAD.replace("total", "amount"), TRAIN.replace("scale(total)", "amount * 7"))
    run(site, "-p", "lr=3")
    found = explain(site, "r1", "r2")
    assert parts(found) == {"load: code, cell 3 + train: code, cell 4": 36.0, "lr 1 → 3": 4.0}
    assert "'total'" in found["parts"][0]["reason"]
    assert found["parts"][0]["reason"].startswith("not told apart: ")
    assert [item["stage"] for item in found["parts"][0]["differences"]] == ["load", "train"]


def test_a_renamed_stage_a_new_one_and_one_that_is_gone(site: Site) -> None:
    (site.folder / "data.txt").write_text("1 2 3")
    old = "%%stage old\nNOTE('old')\nlift = 1"
    site.write(PARAMS, LOAD, old, TRAIN.replace("scale(total)", "total + lift"))
    run(site)
    new = "%%stage new\nNOTE('new')\nbonus = 40"
    fit = TRAIN.replace("stage train", "stage fit").replace("scale(total)", "total + bonus")
    site.write("%%params\nlr: int = 1\nk: int = 2\nwarm: int = 3", LOAD, new, f"{fit} + warm")
    run(site)
    found = explain(site, "r1", "r2")
    # 'warm' is only in the second notebook: it comes with the code that reads it.
    assert parts(found) == {
        "new: stage new, cell 4": 0.0,
        "train → fit: code, cell 5": 42.0,
        "old: stage gone, cell 4": 0.0,
    }
    assert adds_up(found)
    assert found["remainder"] == 0.0


def test_the_order_of_the_stages_is_a_difference_of_its_own(site: Site) -> None:
    start, double, add = "%%stage start\nx = [3]", "%%stage double\nx[0] *= 2", "%%stage add\nx[0] += 10"
    last = "%%stage last --metrics acc\nacc = x[0] * k"
    site.write(PARAMS, start, double, add, last)
    run(site)
    site.write(PARAMS, start, add.replace("10", "20"), double, last)
    run(site, "-p", "k=3")
    found = explain(site, "r1", "r2")
    assert list(parts(found).items()) == [
        ("add: code, cell 4", 20.0),
        ("order of the cells", 40.0),
        ("k 2 → 3", 46.0),
    ]
    assert found["remainder"] == 0.0


def test_modules_data_that_the_store_has_and_new_files_in_a_listed_folder_are_swapped(site: Site) -> None:
    folder = site.folder / "given"
    folder.mkdir()
    (site.folder / "helpers.py").write_text("def lift(x):\n    return x + 1\n")
    (folder / "1.txt").write_text("6")
    load = "%%stage load\nfrom glob import glob\ntotal = sum(int(open(path).read()) for path in glob('given/*.txt'))"
    site.write(load, "%%stage train --metrics acc\nimport helpers\nacc = helpers.lift(total)")
    run(site)
    site.store.objects.put_file(folder / "1.txt")
    (folder / "1.txt").write_text("10")
    (folder / "2.txt").write_text("5")
    (site.folder / "helpers.py").write_text("def lift(x):\n    return x * 2\n")
    run(site)
    found = explain(site, "r1", "r2")
    assert list(parts(found).items()) == [
        ("given/1.txt: contents", 4.0),
        ("given/2.txt: contents", 5.0),
        ("helpers.py: code", 14.0),
    ]
    assert (found["remainder"], found["reasons"]) == (0.0, [])
    assert (site.folder / "helpers.py").read_text().endswith("x * 2\n")
    assert [path.read_text() for path in sorted(folder.iterdir())] == ["10", "5"]


def test_data_that_is_gone_is_told_from_the_recorded_value(site: Site) -> None:
    (site.folder / "data.txt").write_text("1 2 3")
    site.write(PARAMS, SCALE, LOAD, TRAIN)
    run(site)
    (site.folder / "data.txt").write_text("1 2 3 4")
    run(site, "-p", "lr=2")
    found = explain(site, "r1", "r2")
    assert list(parts(found).items()) == [("data.txt: contents", 8.0), ("lr 1 → 2", 2.0)]
    assert found["parts"][0]["reason"].startswith("what r1 read is gone")
    back = explain(site, "r2", "r1")
    assert list(parts(back).items()) == [("lr 2 → 1", -2.0), ("data.txt: contents", -8.0)]
    assert (back["remainder"], site.ran("load")) == (0.0, 2)


def test_what_cannot_be_swapped_is_named_with_what_is_left_over(site: Site) -> None:
    (site.folder / "data.txt").write_text("1 2 3")
    site.write(PARAMS, LOAD, "%%stage train --metrics acc\nimport os\nacc = total * lr + int(os.environ['LIFT'])")
    site.run(LIFT="100")
    (site.folder / "data.txt").write_text("1 2 3 4")
    site.run("-p", "lr=2", LIFT="200")
    found = site.command("explain", "r1", "r2", "--metric", "acc", "--json", LIFT="200").json
    assert parts(found) == {"lr 1 → 2": 10.0}
    assert (found["movement"], found["remainder"]) == (114.0, 104.0)
    assert found["reasons"] == [
        "environment variable LIFT had another value",
        "data.txt: contents: what r1 read is gone",
        "r1 gives 210 when it is run again, not 106",
    ]


def test_a_notebook_that_changes_its_folder_is_refused(site: Site) -> None:
    site.write(
        PARAMS, "%%stage train --metrics acc\nimport os\nos.makedirs('sub', exist_ok=True)\nos.chdir('sub')\nacc = lr"
    )
    run(site)
    run(site, "-p", "lr=2")
    error = explain(site, "r1", "r2", code=3)["error"]
    assert (error["code"], error["stage"]) == ("unsupported", "train")


# ---------------------------------------------------------------------------------------------- time, and stopping


@pytest.fixture
def slow(site: Site) -> Site:
    """Between the two runs lies a pipeline that takes a minute."""
    train = "%%stage train --metrics acc\nimport time\nif (lr, k) == (9, 2):\n    NOTE('slow')\n    time.sleep(60)\nacc = lr * k"
    site.write(PARAMS, train)
    run(site)
    run(site, "-p", "lr=9", "-p", "k=5")
    return site


def test_the_budget_ends_what_takes_too_long(slow: Site) -> None:
    found = explain(slow, "r1", "r2", "--budget", "4s")
    assert [(part["label"], part["status"]) for part in found["parts"]] == [
        ("lr 1 → 9", "unmeasured"),
        ("k 2 → 5", "unmeasured"),
    ]
    assert (found["remainder"], found["complete"], found["reasons"]) == (43.0, False, ["the budget is used up"])
    assert found["seconds"] < 40
    assert left(slow) == []
    assert slow.quiet() == []


def test_ctrl_c_ends_it_and_leaves_nothing(slow: Site) -> None:
    process = slow.start("explain", "r1", "r2", "--metric", "acc", "--json", TMPDIR=str(slow.root))
    slow.wait_for(lambda: slow.ran("slow"))
    process.send_signal(signal.SIGINT)
    done = finish(process)
    assert (done.code, done.json["error"]["code"]) == (130, "interrupted")
    assert left(slow) == []
    assert slow.quiet() == []
    assert slow.project.run_ids() == ["r2", "r1"]


def test_what_stages_write_elsewhere_is_put_back(site: Site) -> None:
    # Beside the folder for temporary files, in which nothing is watched.
    outside, temporary = site.root / "elsewhere.txt", site.root / "tmp"
    temporary.mkdir()
    site.write(PARAMS, f"%%stage train --metrics acc\nacc = lr * k\nopen({str(outside)!r}, 'w').write(str(acc))")
    site.run(TMPDIR=str(temporary))
    site.run("-p", "lr=9", "-p", "k=5", TMPDIR=str(temporary))
    outside.write_text("mine")
    found = site.command("explain", "r1", "r2", "--metric", "acc", "--json", TMPDIR=str(temporary)).json
    assert parts(found) == {"lr 1 → 9": 16.0, "k 2 → 5": 27.0}
    assert outside.read_text() == "mine"


def test_a_check_that_rejects_what_lies_between_joins_two_parameters(site: Site) -> None:
    """And a file is there that only native code reads, which nobody sees."""
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({"x": [1, 2]}), site.folder / "t.parquet")
    site.write(
        "%%params\nsize: int = 5\nlimit: int = 10",
        "%%check sane\nassert size <= limit, 'too large'",
        "%%stage load\nimport pyarrow.parquet as pq\nrows = pq.read_table('t.parquet').num_rows",
        "%%stage train --metrics acc\nimport random\nacc = size * rows + random.random()",
    )
    run(site)
    run(site, "-p", "size=50", "-p", "limit=100", "--seed", "3")
    found = explain(site, "r1", "r2")
    assert list(parts(found)) == ["size 5 → 50 + limit 10 → 100", "seed 0 → 3"]
    assert found["parts"][0]["contribution"] == pytest.approx(90.0)
    assert found["parts"][0]["reason"].startswith("not told apart: stage 'sane'")
    assert adds_up(found)


def test_chance_is_called_chance(site: Site) -> None:
    site.write("%%stage train --no-cache --metrics acc\nimport time\nacc = time.time()", PARAMS)
    run(site)
    run(site, "-p", "k=3")
    found = explain(site, "r1", "r2")
    assert [part["status"] for part in found["parts"]] == ["no-effect"]
    assert found["remainder"] == found["movement"]
    assert found["reasons"] == ["up to the stage that gives acc the runs are the same: chance, or the world outside"]
