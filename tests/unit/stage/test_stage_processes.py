"""The commands that exported definitions start, as real processes on a real notebook."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from runs import Done, Site, finish

from nbpipe.run import record as records
from nbpipe.store import open_store


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A notebook with a local module, which ran natively once."""
    made = Site(tmp_path_factory.mktemp("exported"))
    (made.folder / "helpers.py").write_text("def f(n):\n    return n\n")
    made.write(
        "%%params\nn: int = 1\nname: str = 'x'",
        "%%stage one\nimport helpers\nx = helpers.f(n)\nprint('seen:', name)",
        "%%check good\nassert x > 0, 'not above zero'",
        "%%stage two --metrics m\nm = float(x)\nopen('out.txt', 'w').write(name)",
    )
    assert made.run().code == 0
    return made


def started(site: Site, *words: str | Path, **more: str) -> Done:
    process = subprocess.Popen(
        list(map(str, words)),
        cwd=site.root,
        env=site.environment(NBPIPE_PYTHON=sys.executable, **more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return finish(process)


def test_the_script_of_a_clock_runs_the_whole_pipeline_and_knows_what_nbpipe_run_has_done(project: Site) -> None:
    words = ("--to", "cron", "--schedule", "@daily", "-p", "name=a b 'c' $(id) {{x}}")
    assert project.command("export", "n.ipynb", *words).code == 0
    script = project.folder / "exports" / "n-cron" / "run.sh"
    done = started(project, "sh", script)
    assert done.code == 0, done.err
    assert "seen: a b 'c' $(id) {{x}}" in done.out
    assert (project.folder / "out.txt").read_text() == "a b 'c' $(id) {{x}}"
    assert "up to date (r2)" in started(project, "sh", script).out
    assert project.detail("r2").state.status == "succeeded"
    done = started(project, "sh", script, "--param", "n=-1")
    assert done.code == 8
    assert "not above zero" in done.out
    with (script.parent / "logs" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = started(project, "sh", script)
    assert (done.code, "not started, the run before is still on" in done.err) == (75, True)


def test_runs_of_a_fresh_export_reuse_nothing_unless_they_are_told_to(project: Site) -> None:
    out = project.root / "fresh"
    assert project.command("export", "n.ipynb", "--to", "slurm", "--fresh", "-o", str(out)).code == 0
    assert "reuse nothing" in (out / "README.md").read_text()
    words = (sys.executable, "-m", "nbpipe.stage", out, "one", "--run")
    more = {"NBPIPE_PROJECT": str(project.folder)}
    assert "seen: x" in started(project, *words, "a", **more).out
    done = started(project, *words, "b", NBPIPE_FRESH="0", **more)
    assert (done.code, "seen: x" in done.out) == (0, False)


def test_stages_without_the_project_work_in_a_folder_of_their_own_with_the_keys_of_a_native_run(project: Site) -> None:
    store = project.root / "shared"
    words = ("--to", "argo", "--image", "i", "--store", store.as_uri(), "-o", str(project.root / "image"))
    assert project.command("export", "n.ipynb", *words).code == 0

    def stage(*what: str) -> Done:
        return started(project, sys.executable, "-m", "nbpipe.stage", "image", *what, "--run", "u1", "--param", "n=1")

    for name in ("one", "good", "two"):
        done = stage(name)
        assert done.code == 0, done.err
    done = stage("--finish")
    assert (done.code, "not recorded" in done.out) == (0, True)
    native = records.read(project.project.runs / "r1")
    assert native is not None
    # What the native run computed is what the containers computed: there is a result under each of its keys.
    own = open_store(store)
    assert len({name.split("/")[1] for name in own.documents.names("traces")} & set(native.keys.values())) == 3


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nowhere", "one", "--run", "x"], 2, "is no exported pipeline"),
        (["image", "three", "--run", "x"], 2, "there is no stage 'three'"),
        (["image", "one"], 2, "Give --run or --receipts"),
        (["image", "one", "--run", "x", "--params", "[1]"], 2, "a JSON object"),
        (["image", "one", "--run", "x", "--nonsense"], 2, "--help"),
    ],
)
def test_a_wrong_call_is_answered_in_a_line_and_starts_nothing(
    project: Site, words: list[str], code: int, said: str
) -> None:
    if not (project.root / "image").exists():
        store = (project.root / "shared").as_uri()
        to = ("--to", "argo", "--image", "i", "--store", store, "-o", str(project.root / "image"))
        assert project.command("export", "n.ipynb", *to).code == 0
    done = started(project, sys.executable, "-m", "nbpipe.stage", *words)
    assert (done.code, said in done.err) == (code, True), done.err
    assert "Traceback" not in done.err


def test_a_retry_finds_the_files_as_they_were_before_the_attempt_that_was_killed(tmp_path: Path) -> None:
    site = Site(tmp_path)
    code = "open('log.txt', 'a').write('a line\\n')\nprint('half', flush=True)"
    site.write(f"%%stage one\nimport os, time\n{code}\ntime.sleep(float(os.environ.get('SLOW', '0')))")
    (site.folder / "log.txt").write_text("before\n")
    assert site.command("export", "n.ipynb", "--to", "airflow", "-o", str(site.root / "dag")).code == 0
    words = [sys.executable, "-m", "nbpipe.stage", "dag", "one", "--run", "u1"]
    process = subprocess.Popen(
        words,
        cwd=site.root,
        env=site.environment(SLOW="60"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert "half\n" in iter(process.stdout.readline, "")
        os.kill(process.pid, signal.SIGKILL)
    done = started(site, *words)
    assert done.code == 0, done.err
    assert (site.folder / "log.txt").read_text() == "before\na line\n"
    assert not list((site.project.state / "attempts").iterdir())


def test_what_another_stage_or_the_scheduler_writes_meanwhile_is_not_taken_for_the_work_of_a_stage(
    tmp_path: Path,
) -> None:
    """A stage that ends first, and its process with it, is known to have written its files; the folder is nobody's."""
    site = Site(tmp_path)
    here, gone = str(site.root / "here"), str(site.root / "gone")
    wait = "import time, pathlib\nwhile not pathlib.Path({!r}).exists():\n    time.sleep(0.01)\n"
    site.write(
        f"%%stage writes\n{wait.format(here)}with open('log.txt', 'a') as log:\n    log.write('once ')\nx = 1",
        f"%%stage looks\nopen({here!r}, 'w').close()\nprint('looking', flush=True)\n{wait.format(gone)}y = 1",
    )
    (site.folder / "log.txt").write_text("before ")
    dag = site.folder / "exports" / "dag"
    assert site.command("export", "n.ipynb", "--to", "airflow", "-o", str(dag)).code == 0
    (dag / "scheduler.log").write_text("before")
    call = [sys.executable, "-m", "nbpipe.stage", str(dag)]
    processes = [
        subprocess.Popen(
            [*call, stage, "--run", "u1"],
            cwd=site.root,
            env=site.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for stage in ("writes", "looks")
    ]
    with processes[0], processes[1]:
        output = processes[1].stdout
        assert output is not None
        assert "looking\n" in iter(output.readline, "")
        (dag / "scheduler.log").write_text("changed")
        (dag / "writes.done").touch()
        assert processes[0].wait(120) == 0
        Path(gone).touch()
        assert processes[1].wait(120) == 0
    assert (site.folder / "log.txt").read_text() == "before once "
    looks = site.store.traces.latest("looks")
    assert looks is not None
    assert (looks.outcome.files_written, looks.outcome.uncacheable) == ((), ())
    assert not list((site.project.state / "attempts").iterdir())
