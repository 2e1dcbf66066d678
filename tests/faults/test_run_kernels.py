"""Whatever a kernel does to itself, the run says so: verdict, exit code, stage and cell; what comes after does not run."""

from __future__ import annotations

import pytest
from runs import Done, Site

_AFTER = "%%stage after\nNOTE('after')\nprint(done)"


def _run(site: Site, body: str, *, options: str = "", kind: str = "stage") -> Done:
    site.write(f"%%{kind} bad{options}\ndone = len('x')\nNOTE('bad')\n{body}", _AFTER)
    return site.run()


@pytest.mark.parametrize(
    ("body", "status", "exit_code", "code"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "lost", 4, "kernel-lost"),
        ("import ctypes; ctypes.string_at(0)", "lost", 4, "kernel-lost"),
        ("import os; os._exit(0)", "failed", 1, "early-exit"),
        ("import sys; sys.exit()", "failed", 1, "user-code"),
        ("raise MemoryError", "failed", 1, "user-code"),
        ("1 / 0", "failed", 1, "user-code"),
        ("import sys; sys.stdout.close(); print('lost')", "failed", 1, "user-code"),
        ("import os; os.close(1); os.close(2); os.write(1, b'lost')", "failed", 1, "user-code"),
    ],
    ids=["killed", "segfault", "_exit", "sys.exit", "memory", "exception", "closed stdout", "closed descriptor"],
)
def test_a_stage_that_breaks_fails_the_run(site: Site, body: str, status: str, exit_code: int, code: str) -> None:
    done = _run(site, body)
    assert (done.code, done.json["exit_code"]) == (exit_code, exit_code)
    assert done.stages == {"bad": status, "after": "skipped"}
    error = done.json["error"]
    assert (error["stage"], error["cell"], error["code"]) == ("bad", 2, code)
    assert "nbpipe: stage 'bad' (cell 2" in done.err
    assert "/nbpipe/job" not in done.err
    assert site.ran("after") == 0
    assert site.detail("r1").state.status == "failed"
    assert list(site.store.traces.all()) == []
    assert site.quiet() == []


def test_a_stage_that_hangs_ends_at_its_timeout(site: Site) -> None:
    done = _run(site, "import time; time.sleep(600)", options=" --timeout 3s")
    assert done.code == 5
    assert done.stages == {"bad": "timeout", "after": "skipped"}
    assert (done.json["error"]["cell"], done.json["error"]["code"]) == (2, "timeout")
    assert "3 s" in done.err
    assert site.quiet() == []


def test_a_check_that_says_no_is_a_rejection_not_a_failure(site: Site) -> None:
    done = _run(site, "assert done == 2, 'too small'", kind="check")
    assert (done.code, done.json["status"]) == (8, "rejected")
    assert done.stages == {"bad": "rejected", "after": "skipped"}
    assert "too small" in done.err


def test_memory_that_runs_out_fails_the_stage_and_not_the_machine(site: Site) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))"
    done = _run(site, f"{limit}; x = bytearray(1 << 31)")
    assert (done.code, done.stages["bad"]) == (1, "failed")
    assert "MemoryError" in done.err


@pytest.mark.parametrize(
    "body",
    ["import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "raise RuntimeError('not yet')"],
    ids=["lost", "failed"],
)
def test_a_retry_that_works_saves_the_run(site: Site, body: str) -> None:
    first = f"if len(open({str(site.noted)!r}).read().split()) < 2:\n    {body}"
    done = _run(site, first, options=" --retries 2")
    assert done.code == 0, done.err
    assert done.stages == {"bad": "succeeded", "after": "succeeded"}
    assert (site.ran("bad"), site.ran("after")) == (2, 1)
    assert site.kinds("r1", "bad") == ["stage-started", "stage-retry", "stage-started", "stage-succeeded"]


def test_a_stage_that_was_retried_in_vain_fails_with_its_last_failure(site: Site) -> None:
    done = _run(site, "raise RuntimeError('never')", options=" --retries 1")
    assert (done.code, site.ran("bad"), site.ran("after")) == (1, 2, 0)
    assert "never" in done.err


def test_what_a_failed_stage_wrote_is_put_back(site: Site) -> None:
    kept = site.folder / "kept.txt"
    kept.write_text("before")
    _run(site, "open('kept.txt', 'w').write('after'); open('new.txt', 'w').write('new'); 1 / 0")
    assert kept.read_text() == "before"
    assert not (site.folder / "new.txt").exists()


def test_a_failure_counts_only_once_the_stages_above_are_finished_and_those_are_reused(site: Site) -> None:
    """The failing stage ran beside the slow one: perhaps it failed because it did not see what that one leaves."""
    slow = "%%stage slow\nNOTE('slow')\nimport time; time.sleep(1)\ng = len('x')"
    site.write(slow, "%%stage bad\nimport os\nif not os.environ.get('GOOD'):\n    1 / 0", "%%stage last\nprint(g)")
    done = site.run("--jobs", "2")
    assert (done.code, done.stages["slow"], done.stages["bad"]) == (1, "succeeded", "failed")
    assert site.kinds("r1", "bad") == ["stage-started", "stage-superseded", "stage-started", "stage-ended"]
    again = site.run(GOOD="1")
    assert (again.code, again.stages["slow"], again.stages["bad"]) == (0, "cached", "succeeded")
    assert site.ran("slow") == 1
