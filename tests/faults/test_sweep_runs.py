"""Sweeps on real kernels: what is shared, what fails, what is stopped early, what survives being killed."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from runs import Done, Site, finish

import nbpipe
from nbpipe.errors import UsageError
from nbpipe.run.journal import JOURNAL, read
from nbpipe.sweep.study import Study

PARAMS = "%%params\nlr: float = 0.5\nmodel: str = 'good'\nslow: float = 0.0"
LOAD = "%%stage load\nNOTE('load')\ndata = [1, 2, 3]"
TRAIN = """%%stage train --metrics acc
NOTE(f'train-{lr:g}')
if lr == 0.3:
    raise ValueError('it diverged')
acc = lr * sum(data)
size = 10 * lr"""
CHECK = "%%check small --metric 'acc <= 2.4'\npass"


def sweep(site: Site, *words: str) -> Done:
    return site.command("sweep", "n.ipynb", "--metric", "acc:max", "--json", *words)


def study(site: Site, name: str = "s1") -> Study:
    found: Study = nbpipe.sweeps(name, project=site.folder)
    return found


def journal(site: Site, name: str) -> list[tuple[str, int]]:
    path = site.project.state / "sweeps" / name / JOURNAL
    return [(event.kind, event.data.get("number", 0)) for event in read(path)]


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Done]]:
    """Five trials, two at once: one fails, one is rejected."""
    site = Site(tmp_path_factory.mktemp("grid"))
    site.write(PARAMS, LOAD, TRAIN, CHECK)
    yield site, sweep(site, "-p", "lr=0.1,0.3,0.5,0.7,0.9", "-p", "model=good", "--parallel", "2")
    site.end_all()


def test_only_stages_below_a_varied_parameter_run_per_trial(grid: tuple[Site, Done]) -> None:
    site, _ = grid
    assert site.ran("load") == 1
    assert {lr: site.ran(f"train-{lr}") for lr in ("0.1", "0.3", "0.5", "0.7", "0.9")} == dict.fromkeys(
        ("0.1", "0.3", "0.5", "0.7", "0.9"), 1
    )


def test_a_trial_that_fails_is_recorded_and_the_sweep_goes_on(grid: tuple[Site, Done]) -> None:
    site, done = grid
    assert done.code == 1, done.err
    told = {trial["params"]["lr"]: trial for trial in done.json["trials"]}
    assert {lr: trial["status"] for lr, trial in told.items()} == {
        0.1: "complete", 0.3: "failed", 0.5: "rejected", 0.7: "rejected", 0.9: "rejected",
    }  # fmt: skip
    assert "it diverged" in told[0.3]["reason"]
    assert [trial["params"] for trial in done.json["best"]] == [{"lr": 0.1}]
    assert "best of 5" in done.err
    assert [trial.status for trial in study(site).trials] == [trial["status"] for trial in done.json["trials"]]


def test_each_trial_is_an_ordinary_run_that_says_which_sweep_it_is_of(grid: tuple[Site, Done]) -> None:
    site, done = grid
    rows = nbpipe.search(project=site.folder, tags={"sweep": "s1"}).rows
    assert {(row.run, row.tags["trial"], row.params["lr"]) for row in rows} == {
        (trial["run"], str(trial["number"]), trial["params"]["lr"]) for trial in done.json["trials"]
    }
    assert Counter(row.status for row in rows) == {"succeeded": 1, "failed": 1, "rejected": 3}


def test_the_trials_are_a_frame(grid: tuple[Site, Done]) -> None:
    site, _ = grid
    frame = study(site).dataframe()
    assert list(frame["params.lr"]) == [0.1, 0.3, 0.5, 0.7, 0.9]
    assert frame.loc[frame["best"], "metrics.acc"].tolist() == [pytest.approx(0.6)]


def test_the_same_sweep_again_runs_nothing_but_what_failed(grid: tuple[Site, Done]) -> None:
    site, _ = grid
    again = sweep(site, "-p", "lr=0.1,0.3", "--study", "again", "--fail-fast", "--trials", "2")
    assert again.code == 1
    assert site.ran("train-0.1") == 1
    assert site.ran("load") == 1


@pytest.mark.parametrize(
    ("params", "more", "said"),
    [
        ({"lr": "log:0:1"}, {}, "begins above 0"),
        ({"slow": "0:1"}, {}, "no stage reads the parameter 'slow'"),
        ({"lr": "1"}, {}, "no parameter varies"),
        ({"lr": "0:1"}, {"sampler": "grid"}, "values that can be counted"),
        ({"lr": "0:1"}, {"metrics": ["acu:max"]}, "Did you mean 'acc'"),
        ({"lr": "0:1"}, {"where": ["acc"]}, "compared with a number"),
        ({"lr": "0:1"}, {"promote_best": "champion"}, "no stage registers a model"),
        ({"lr": "0:1"}, {"metrics": ["acc:max", "acc2:min"], "promote_best": "champion"}, "no one best"),
        ({"lr": "0:1"}, {"metrics": ["acc:max", "acc:min"]}, "given twice"),
        ({"lr": "0:1"}, {"metrics": ["acc:max", "size:min"], "pruner": "median"}, "no trial is stopped early"),
        ({"lr": "0:1"}, {"study": "s1"}, "with another --param"),
        ({"lr": "0:1"}, {"profile": "smoke"}, "no profile 'smoke'"),
        ({}, {"study": "s7", "metrics": ()}, "no sweep 's7'"),
        ({}, {"study": "s1", "metrics": (), "where": ["acc < 1"]}, "with another --where"),
        ({}, {"study": "s1", "metrics": (), "sampler": "tpe", "seed": 3}, "with another --sampler, --seed"),
        ({}, {"study": "s1", "metrics": (), "pruner": "halving", "startup": 3}, "with another --pruner, --startup"),
    ],
)
def test_what_is_wrong_is_said_before_anything_runs(
    grid: tuple[Site, Done], params: dict[str, str], more: dict[str, Any], said: str
) -> None:
    site, _ = grid
    before = site.project.run_ids(), nbpipe.sweeps(project=site.folder)
    with pytest.raises(UsageError) as caught:
        nbpipe.sweep(site.notebook, params=params, **{"metrics": ["acc:max"], **more})
    assert said in str(caught.value)
    assert (site.project.run_ids(), nbpipe.sweeps(project=site.folder)) == before


def test_a_sweep_of_a_notebook_that_has_changed_since_is_refused(grid: tuple[Site, Done]) -> None:
    site, _ = grid
    kept = site.notebook.read_bytes()
    try:
        site.write(PARAMS, LOAD, TRAIN.replace("sum(data)", "max(data)"), CHECK)
        done = site.command("sweep", "n.ipynb", "--study", "s1", "--trials", "9")
        assert done.code == 2
        assert "has changed since the sweep 's1' began" in done.err.replace("\n        ", " ")
    finally:
        site.notebook.write_bytes(kept)


USING = """%%stage train --metrics acc
import helper, os, time
NOTE(f'began-{lr:g}')
while lr == 1 and not os.path.exists('go'):
    time.sleep(0.02)
acc = helper.f(lr)"""


@pytest.mark.long
def test_no_trial_that_an_edit_of_a_module_may_have_reached_is_counted(site: Site) -> None:
    helper = site.folder / "helper.py"
    helper.write_text("def f(x):\n    return x\n")
    site.write(PARAMS, USING)
    process = site.start(
        "sweep", "n.ipynb", "--metric", "acc:max", "-p", "lr=9,1,2,3", "--parallel", "2", "--study", "e"
    )
    site.wait_for(lambda: site.ran("began-1") and [t.status for t in study(site, "e").trials].count("complete") >= 2)
    helper.write_text("def f(x):\n    return x + 100\n")
    (site.folder / "go").touch()
    done = finish(process)
    assert done.code == 2, done.out
    assert "a local module was edited while the sweep ran" in done.err
    assert site.quiet() == []
    found = study(site, "e")
    assert found.status == "stopped"
    assert all(trial.metrics["acc"] == trial.params["lr"] for trial in found.trials if trial.is_over)
    assert [trial.status for trial in found.trials if trial.params["lr"] == 1] == ["waiting"]
    helper.write_text("def f(x):\n    return x\n")
    assert site.command("sweep", "n.ipynb", "--study", "e").code == 0
    assert [(t.params["lr"], t.metrics["acc"]) for t in study(site, "e").trials] == [(9, 9), (1, 1), (2, 2), (3, 3)]


SLOW = """%%stage train --metrics acc
import pathlib, time
NOTE(f'began-{lr:g}')
while lr > 1 and not pathlib.Path(f'../go-{lr:g}').exists():
    time.sleep(0.02)
NOTE(f'ended-{lr:g}')
acc = lr * sum(data)"""


def test_a_sweep_that_is_killed_and_then_interrupted_loses_nothing_and_repeats_nothing(site: Site) -> None:
    site.write(PARAMS, LOAD, SLOW)
    words = ("sweep", "n.ipynb", "--metric", "acc:max", "-p", "lr=1,2,3", "--study", "mine", "--json")
    for lr, number, code in (("2", signal.SIGKILL, -signal.SIGKILL), ("3", signal.SIGINT, 130)):
        process = site.start(*words)
        site.wait_for(lambda lr=lr: site.ran(f"began-{lr}"))  # type: ignore[misc]
        os.kill(process.pid, number)
        assert finish(process).code == code
        assert site.quiet() == []
        (site.root / f"go-{lr}").touch()
    assert study(site, "mine").status == "interrupted"
    done = site.command("sweep", "n.ipynb", "--study", "mine", "--json")
    assert done.code == 0, done.err
    assert [trial["params"]["lr"] for trial in done.json["trials"]] == [1.0, 2.0, 3.0]
    assert {trial["status"] for trial in done.json["trials"]} == {"complete"}
    assert {lr: site.ran(f"ended-{lr}") for lr in (1, 2, 3)} == dict.fromkeys((1, 2, 3), 1)
    assert site.ran("load") == 1
    kinds = Counter(journal(site, "mine"))
    assert {(kind, n) for (kind, n), times in kinds.items() if times > 1 and n} == {
        ("trial-started", 2),
        ("trial-started", 3),
    }, "nothing is asked for or ended twice; what was in flight is begun again"


QUICK = "%%stage train --metrics acc\nNOTE(f'train-{lr:g}')\nacc = lr * sum(data)"
#: Passages of named places, in the sweep's own journal and in those of its runs: before, in and behind its three trials.
_KILLS = ("journal.after_write:2", "commit.after_trace:3", "finish.after_event:3")
_LATER = ("journal.after_write:3", "journal.after_write:9", "journal.after_write:20", "journal.after_write:29")
_STAGES = ("attempt.after_submit:2", "commit.before_trace:2", "finish.before_notebook:2", "finish.after_notebook:1")


@pytest.mark.parametrize(
    "fault", [*_KILLS, *(pytest.param(fault, marks=pytest.mark.long) for fault in (*_LATER, *_STAGES))]
)
def test_a_sweep_killed_anywhere_ends_with_the_same_trials_when_it_is_taken_up(site: Site, fault: str) -> None:
    site.write(PARAMS, LOAD, QUICK)
    words = ("sweep", "n.ipynb", "--metric", "acc:max", "-p", "lr=1,2,3", "--study", "mine", "--json")
    killed = site.command(*words, NBPIPE_FAULT=fault)
    assert killed.code == -signal.SIGKILL
    assert site.quiet() == []
    over = {trial.number: trial for trial in study(site, "mine").trials if trial.is_over}
    done = site.command(*words)
    assert done.code == 0, done.err
    found = {trial.number: trial for trial in study(site, "mine").trials}
    assert [(n, trial.params["lr"], trial.status) for n, trial in found.items()] == [
        (1, 1.0, "complete"),
        (2, 2.0, "complete"),
        (3, 3.0, "complete"),
    ]
    assert {number: found[number] for number in over} == over, "what had ended before the kill stands"
    assert [found[n].metrics["acc"] for n in found] == [6.0, 12.0, 18.0]
    assert Counter(kind for kind, _ in journal(site, "mine"))["trial-ended"] == 3
    assert all(site.ran(f"train-{lr}") <= 2 for lr in (1, 2, 3))
    assert sum(site.ran(f"train-{lr}") for lr in (1, 2, 3)) <= 4, "only what was in flight runs again"


def test_ctrl_c_behind_the_last_trial_interrupts_nothing(site: Site) -> None:
    site.write(PARAMS, LOAD, QUICK)

    def interrupt(trial: Any) -> None:
        if trial.is_over and trial.params["lr"] == 2:
            os.kill(os.getpid(), signal.SIGINT)

    result = nbpipe.sweep(
        site.notebook, params={"lr": "1,2"}, metrics=["acc:max"], study="mine", jobs=2, listener=interrupt
    )
    assert (result.exit_code, result.study.status) == (0, "finished")
    assert study(site, "mine").status == "finished"


CURVE = """%%stage train --metrics acc
import nbpipe, time
for step in range(40):  # the good one has every step: whenever it is done, the weak one is compared at its next
    acc = lr
    nbpipe.log_metric('acc', acc, step=step)
    time.sleep(0.2 if lr < 1 else 0)
time.sleep(600 if lr < 1 else 0)
NOTE(f'ended-{lr:g}')"""


def test_a_weak_trial_is_stopped_early_and_nothing_of_it_is_reused(site: Site) -> None:
    site.write(PARAMS, LOAD, CURVE)
    done = sweep(site, "-p", "lr=2,0.5", "--startup", "1")
    assert done.code == 0, done.err
    good, weak = done.json["trials"]
    assert (good["status"], weak["status"], weak["reason"][:12]) == ("complete", "pruned", "weak at step")
    assert site.ran("ended-0.5") == 0
    assert site.quiet() == []
    row = nbpipe.search(project=site.folder).rows[0]
    assert (row.run, row.status) == (weak["run"], "cancelled")
    plan = site.command("plan", "n.ipynb", "-p", "lr=0.5", "--json").json
    assert {stage["name"]: stage["action"] for stage in plan["stages"]} == {"load": "HIT", "train": "RUN"}
    same = site.command("plan", "n.ipynb", "-p", "lr=2", "--json").json
    assert {stage["action"] for stage in same["stages"]} == {"HIT"}, "logging metrics costs no reuse"


def test_two_goals_give_a_front_and_a_condition_keeps_out_what_misses_it(site: Site) -> None:
    site.write(PARAMS, LOAD, TRAIN.replace("--metrics acc", "--metrics acc,size"))
    done = sweep(site, "-p", "lr=0.1,0.5,0.9", "--metric", "size:min", "--where", "size <= 5")
    assert done.code == 0, done.err
    assert [trial["params"]["lr"] for trial in done.json["best"]] == [0.5, 0.1]
    assert "2 trials of 3 are beaten by no other" in done.err


WRITES = """%%stage train --metrics acc --writes out.txt
with open('out.txt', 'w') as file:
    file.write(str(lr))
acc = float(lr)"""
READS = "%%stage use --metrics seen\nseen = float(open('out.txt').read())\nassert seen == acc"


@pytest.mark.long
def test_trials_that_write_files_run_one_at_a_time(site: Site) -> None:
    site.write(PARAMS, WRITES, READS)
    done = sweep(site, "-p", "lr=1,2,3,4", "--parallel", "4")
    assert done.code == 0, done.err
    assert all(trial["metrics"]["seen"] == trial["params"]["lr"] for trial in done.json["trials"])
    assert "one at a time" in done.err


KEEPS = "def save(x):\n    open('out.txt', 'w').write(str(x))\ndef load():\n    return float(open('out.txt').read())\n"
SAVES = """%%stage train --metrics acc
import keeps, os, time
NOTE('train')
if lr == 1:
    raise ValueError('before it wrote anything')
keeps.save(lr)
until = time.monotonic() + 60
while not os.path.exists('go') and time.monotonic() < until:
    time.sleep(0.02)
acc = float(lr)"""
LOADS = "%%stage use --metrics seen\nimport keeps\nacc\nseen = keeps.load()"


@pytest.mark.long
def test_trials_that_were_seen_too_late_to_write_one_file_run_again_alone(site: Site) -> None:
    (site.folder / "keeps.py").write_text(KEEPS)
    site.write(PARAMS, SAVES, LOADS)
    process = site.start("sweep", "n.ipynb", "--metric", "seen:max", "-p", "lr=1,2,3", "--parallel", "2", "--json")
    site.wait_for(lambda: site.ran("train") == 3)
    (site.root / "project/go").touch()
    done = finish(process)
    assert done.code == 1, done.err
    found = {trial["params"]["lr"]: (trial["status"], trial["metrics"]) for trial in done.json["trials"]}
    assert found[1.0][0] == "failed"
    assert {lr: found[lr] for lr in (2.0, 3.0)} == {lr: ("complete", {"acc": lr, "seen": lr}) for lr in (2.0, 3.0)}
    for lr in (2.0, 3.0):
        again = site.run("-p", f"lr={lr}")
        assert again.stages == {"train": "cached", "use": "cached"}
        assert [stage["metrics"] for stage in again.json["stages"]] == [{"acc": lr}, {"seen": lr}]


FAILS = """%%stage train --metrics acc
import keeps, os, time
NOTE(f'train-{lr:g}')
if lr == 1:
    raise ValueError('before it wrote anything')
if lr == 2:
    keeps.save(lr)
until = time.monotonic() + 120
while not os.path.exists('go' if lr == 2 else 'out.txt') and time.monotonic() < until:
    time.sleep(0.02)
if not os.path.exists('go'):
    raise ValueError('another trial is in the way')
acc = float(lr)"""


@pytest.mark.long
def test_a_trial_that_failed_while_another_one_wrote_files_runs_again_alone(site: Site) -> None:
    (site.folder / "keeps.py").write_text(KEEPS)
    site.write(PARAMS, FAILS)
    process = site.start("sweep", "n.ipynb", "--metric", "acc:max", "-p", "lr=1,2,3", "--parallel", "2", "--json")
    site.wait_for(lambda: journal(site, "s1").count(("trial-asked", 3)) == 2)
    (site.root / "project/go").touch()
    done = finish(process)
    assert {trial["params"]["lr"]: trial["status"] for trial in done.json["trials"]} == {
        1.0: "failed", 2.0: "complete", 3.0: "complete",
    }  # fmt: skip
    assert site.ran("train-3") == 2


def test_a_parameter_that_is_varied_twice_is_no_slip_to_pass_over(grid: tuple[Site, Done]) -> None:
    site, _ = grid
    done = sweep(site, "-p", "lr=0.1,0.2", "-p", "lr=0.3,0.4")
    assert done.code == 2
    assert "-p lr is given twice" in done.err


def test_nothing_is_printed_beside_the_json(grid: tuple[Site, Done]) -> None:
    _, done = grid
    lines: list[Any] = done.out.splitlines()
    assert len(lines) == 1
    assert json.loads(lines[0])["study"] == "s1"
