"""Whole runs with stages on a machine that ssh reaches."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from executing import gone
from runs import Site, finish
from sshd import Sshd, install, running_sshd

pytestmark = pytest.mark.engines

_CELLS = (
    "%%stage load\nimport helper\nrows = [int(line) for line in open('data.csv')]",
    """%%stage train --on box --metrics total
total = float(sum(helper.double(row) for row in rows))
with open("model.txt", "w") as file:
    file.write(str(total))
print("trained")
kept = {1: {2}}""",
    "%%stage after\nprint(open('model.txt').read(), kept)",
)
_SLOW = (
    "%%stage train --on box --metrics x\nimport os, time\nprint(f'pid={os.getpid()};', flush=True)\n"
    "for n in range(60):\n    print('step', n, flush=True)\n    time.sleep(0.25)\n    if os.path.exists({go!r}):\n        break\nx = n"
)


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    install()
    with running_sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture
def there(site: Site, sshd: Sshd) -> Site:
    """A project with the target `box`."""
    (site.folder / "helper.py").write_text("def double(x):\n    return 2 * x\n")
    (site.folder / "data.csv").write_text("1\n2\n")
    (site.folder / "nbpipe.toml").write_text(
        f'[targets.box]\nkind = "ssh"\nhost = "127.0.0.1"\nport = {sshd.port}\npython = "{sys.executable}"\n'
        f'config = "{sshd.root}/client"\nfolder = "{site.root}/worker"\n'
    )
    return site


def _log(site: Site, run: str) -> str:
    return "".join(path.read_text() for path in site.project.runs.glob(f"{run}/jobs/train.*/log.jsonl"))


def test_a_stage_runs_there_and_its_results_are_used_and_reused_here(there: Site) -> None:
    there.write(*_CELLS)
    done = there.run()
    assert done.code == 0, done.err
    run = done.json["run"]
    assert there.printed(run) == "trained\n6.0 {1: {2}}\n"
    assert (there.folder / "model.txt").read_text() == "6.0"
    assert done.json["metrics"] == {"total": 6.0}
    assert {stage["name"]: stage["on"] for stage in done.json["stages"]}["train"] == "box"
    assert '"box"' in (there.project.runs / run / "environment.json").read_text()
    (there.folder / "model.txt").unlink()
    there.write(*(cell.replace(" --on box", "") for cell in _CELLS))
    assert set(there.run().stages.values()) == {"cached"}
    assert (there.folder / "model.txt").read_text() == "6.0"
    (there.folder / "data.csv").write_text("5\n")
    there.write(*_CELLS)
    assert there.run().json["metrics"] == {"total": 10.0}


def test_a_failure_there_is_the_users_own_and_undoes_nothing_here(there: Site) -> None:
    there.write("%%stage train --on box\nopen('model.txt', 'w').write('half')\n1 / 0")
    done = there.run()
    assert done.code == 1
    assert done.json["error"]["line"] == 3
    assert "ZeroDivisionError" in done.err
    assert not (there.folder / "model.txt").exists()


def test_a_run_whose_process_was_killed_is_taken_up_where_it_is(there: Site) -> None:
    go = there.root / "go"
    there.write(_SLOW.replace("{go!r}", repr(str(go))))
    first = there.start("run", "n.ipynb", "--json")
    there.wait_for(lambda: "step 2" in _log(there, "r1"), 60)
    pid = int(_log(there, "r1").partition("pid=")[2].partition(";")[0])
    first.send_signal(signal.SIGKILL)
    finish(first)
    assert not gone(pid, 2)
    second = there.start("run", "n.ipynb", "--json")
    there.wait_for(lambda: "step 4" in _log(there, "r2"), 60)
    go.touch()
    done = finish(second)
    assert done.code == 0, done.err
    assert _log(there, "r2").count(f"pid={pid};") == 1
    assert done.json["metrics"]["x"] > 3
    assert not list((there.folder / ".nbpipe" / "afield").iterdir())
    assert not list((there.root / "worker" / "work").iterdir())


def test_a_job_for_code_that_was_edited_since_is_stopped(there: Site) -> None:
    there.write(_SLOW.replace("{go!r}", repr(str(there.root / "go"))))
    first = there.start("run", "n.ipynb", "--json")
    there.wait_for(lambda: "step 2" in _log(there, "r1"), 60)
    pid = int(_log(there, "r1").partition("pid=")[2].partition(";")[0])
    first.send_signal(signal.SIGKILL)
    finish(first)
    there.write("%%stage train --on box --metrics x\nx = 1")
    assert there.run().code == 0
    assert gone(pid, 10)


def test_stopping_a_run_stops_what_it_started_there(there: Site) -> None:
    there.write(_SLOW.replace("{go!r}", repr(str(there.root / "go"))))
    run = there.start("run", "n.ipynb", "--json")
    there.wait_for(lambda: "step 2" in _log(there, "r1"), 60)
    pid = int(_log(there, "r1").partition("pid=")[2].partition(";")[0])
    started = time.monotonic()
    run.send_signal(signal.SIGINT)
    assert gone(pid, 4)
    assert time.monotonic() - started < 4
    assert finish(run).code == 130


def test_what_would_go_wrong_is_said_before_anything_runs(there: Site, sshd: Sshd) -> None:
    there.write("%%stage train --on box --gpus 99\nx = 1")
    done = there.run()
    assert done.code == 4
    assert "99 GPUs" in done.err + done.out
    assert there.project.run_ids() == []
    doctor = there.command("target", "doctor", "box", "--notebook", "n.ipynb", "--json")
    assert doctor.code == 4
    checks = {item["name"]: item["status"] for item in doctor.json["targets"][0]["checks"]}
    assert checks["gpus"] == "failed"
    assert checks["python"] == checks["nbpipe"] == checks["rsync"] == "ok"
    assert there.command("target", "test", "box").code == 0
    assert "ready" in there.command("target", "list").out
    wrong = Path(there.folder / "nbpipe.toml").read_text().replace(f'"{sys.executable}"', '"/no/such/python"')
    (there.folder / "nbpipe.toml").write_text(wrong)
    tried = there.command("target", "test", "box")
    assert tried.code == 4
    assert "/no/such/python" in tried.out


_LONG = (
    "%%stage load\nrows = [1, 2]",
    (
        "%%stage train --on box --metrics total\nimport os, nbpipe\nkey = nbpipe.secret('A_KEY')\n"
        "print(f'pid={os.getpid()};')\nslow = sum(rows)"
    ),
    "%%stage train\nslow += 1\ntotal = float(slow) / 0",
    "%%stage after\nprint('after', total)\nlate = total + 1",
)
_MENDED = (*_LONG[:2], _LONG[2].replace(" / 0", ""), _LONG[3])


@pytest.fixture
def keeps(there: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Its target keeps the kernels of failed stages."""
    monkeypatch.setenv("A_KEY", "the first value")
    settings = there.folder / "nbpipe.toml"
    settings.write_text(settings.read_text() + 'keep_failed = "10m"\n')
    return there


def _failed(site: Site) -> int:
    """Run what fails in its second cell; the kernel that stays."""
    site.write(*_LONG)
    failed = site.run()
    assert failed.code == 1, failed.err
    assert failed.json["error"]["cell"] == 4
    assert "box keeps the kernel (until " in failed.err
    assert "nbpipe run n.ipynb --continue\n" in failed.err
    assert failed.err.count("nbpipe target release box") == 1
    pid = int(_log(site, failed.json["run"]).partition("pid=")[2].partition(";")[0])
    assert Path(f"/proc/{pid}").exists()
    return pid


def test_a_failed_stage_goes_on_at_its_cell_where_it_is_asked_to_and_nobody_takes_that_for_its_result(
    keeps: Site,
) -> None:
    keeps.write(*_LONG)
    assert "has kept the kernel" in keeps.run("--continue").err
    pid = _failed(keeps)
    keeps.write(*_MENDED)
    done = keeps.run("--continue")
    assert done.code == 0, done.err
    # What the failed cell had done before it failed stays: 1 + 2, and 1 twice.
    assert done.json["metrics"] == {"total": 5.0}
    assert gone(pid, 10)
    stages = {stage["name"]: stage for stage in done.json["stages"]}
    assert [stages[name]["continued"] for name in ("load", "train", "after")] == [[], ["train"], ["train"]]
    assert "continued at cell 4" in stages["train"]["reason"]
    assert "goes on at cell 4" in _log(keeps, done.json["run"])
    assert any("was continued at cell 4" in text for text in done.json["warnings"])
    assert not list((keeps.root / "worker" / "work").iterdir())
    again = keeps.run()
    assert again.stages == {"load": "cached", "train": "succeeded", "after": "succeeded"}
    assert again.json["metrics"] == {"total": 4.0}
    assert set(keeps.run().stages.values()) == {"cached"}


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        ((_LONG[0], _LONG[1].replace("sum(rows)", "sum(rows) + 0"), *_MENDED[2:]), "code:1 is not what it was"),
        (("%%stage load\nrows = [2, 2]", *_MENDED[1:]), "input:rows is not what it was"),
        ((_MENDED[0], "print('new')", *_MENDED[1:]), "cells above it were moved"),
        (_MENDED, "the value of a secret is not what it was"),
    ],
    ids=["cell", "input", "moved", "secret"],
)
def test_it_begins_anew_where_anything_before_the_failed_cell_is_another(
    keeps: Site, monkeypatch: pytest.MonkeyPatch, cells: tuple[str, ...], why: str
) -> None:
    pid = _failed(keeps)
    if "secret" in why:
        monkeypatch.setenv("A_KEY", "another value")
    keeps.write(*cells)
    done = keeps.run("--continue")
    assert done.code == 0, done.err
    stages = {stage["name"]: stage for stage in done.json["stages"]}
    assert why in stages["train"]["reason"]
    assert stages["after"]["continued"] == []
    assert gone(pid, 10)
    assert set(keeps.run().stages.values()) == {"cached"}


def test_a_kept_kernel_ends_when_the_stage_begins_anew_or_somebody_releases_it(keeps: Site) -> None:
    first = _failed(keeps)
    second = _failed(keeps)
    assert gone(first, 10)
    told = keeps.command("target", "doctor", "box")
    assert "1 kernel of a failed stage is kept" in told.out
    released = keeps.command("target", "release", "box")
    assert "ended 1 kernel" in released.out
    assert "keeps the kernel" not in keeps.command("show", "latest").out
    assert gone(second, 10)
    keeps.write(*_MENDED)
    assert "has kept the kernel" in keeps.run("--continue").err
    done = keeps.run()
    assert done.code == 0, done.err
    assert done.json["metrics"] == {"total": 4.0}


def test_a_client_that_dies_while_the_stage_goes_on_loses_nothing_and_leaves_nothing(keeps: Site) -> None:
    pid = _failed(keeps)
    go = keeps.root / "go"
    slow = f"%%stage train\nimport time\nprint('waits', flush=True)\nwhile not os.path.exists({str(go)!r}):\n    time.sleep(0.05)"
    keeps.write(*_LONG[:2], f"{slow}\ntotal = float(slow)", _LONG[3])
    first = keeps.start("run", "n.ipynb", "--json", "--continue")
    keeps.wait_for(lambda: "waits" in _log(keeps, "r2"))
    first.kill()
    first.communicate()
    second = keeps.start("run", "n.ipynb", "--json", "--continue")
    keeps.wait_for(lambda: "waits" in _log(keeps, "r3"))
    go.touch()
    done = finish(second)
    assert done.code == 0, done.err
    # Neither anew nor twice: 1 + 2, and 1 of the cell that had failed.
    assert done.json["metrics"] == {"total": 4.0}
    assert {stage["name"]: stage["continued"] for stage in done.json["stages"]}["train"] == ["train"]
    assert gone(pid, 10)
    assert not list((keeps.root / "worker" / "work").iterdir())


def test_a_kernel_in_which_somebody_goes_on_is_theirs(keeps: Site) -> None:
    _failed(keeps)
    go = keeps.root / "go"
    slow = f"%%stage train\nimport time\nprint('waits', flush=True)\nwhile not os.path.exists({str(go)!r}):\n    time.sleep(0.05)"
    keeps.write(*_LONG[:2], f"{slow}\ntotal = float(slow)", _LONG[3])
    first = keeps.start("run", "n.ipynb", "--json", "--continue")
    keeps.wait_for(lambda: "waits" in _log(keeps, "r2"))
    keeps.write(*_LONG[:2], "%%stage train\ntotal = slow + 0.5", _LONG[3])
    for words in (("--continue",), ()):
        done = keeps.run(*words, "--fresh")
        assert done.code == 0, done.err
        assert done.json["metrics"] == {"total": 3.5}
        assert {stage["name"]: stage["continued"] for stage in done.json["stages"]}["train"] == []
    go.touch()
    done = finish(first)
    assert done.code == 0, done.err
    assert done.json["metrics"] == {"total": 4.0}


def test_folders_are_there_as_they_are_here_and_those_made_there_come_home(there: Site) -> None:
    (there.folder / "results").mkdir()
    made = "%%stage made --on box\nimport os\nos.makedirs('out/deep', exist_ok=True)\nos.makedirs('empty')"
    used = "%%stage used --on box\nopen('out/deep/x', 'w').write('1')\nopen('results/y', 'w').write('2')"
    seen = "%%stage seen\nimport os\nprint(sorted(os.listdir('.')), os.listdir('empty'))"
    there.write(made, used, seen)
    done = there.run()
    assert done.code == 0, done.err
    assert "'empty'" in there.printed(done.json["run"])
    assert (there.folder / "out/deep/x").read_text() + (there.folder / "results/y").read_text() == "12"
    (there.folder / "out/deep/x").unlink()
    (there.folder / "out/deep").rmdir()
    (there.folder / "empty").rmdir()
    there.write(made, used.replace("'1'", "'3'"), seen)
    assert there.run().code == 0
    assert (there.folder / "empty").is_dir()
    assert (there.folder / "out/deep/x").read_text() == "3"
