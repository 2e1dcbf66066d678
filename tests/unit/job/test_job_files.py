"""Files a stage reads and writes are seen, and its writes can be undone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from jobs import Bench

from nbpipe.job.folder import AT_REST, read_verdict
from nbpipe.job.undo import undo
from nbpipe.model import Outcome
from nbpipe.pipeline.contents import digest_file, source_digest
from nbpipe.store import open_store


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    (bench.project / "a.csv").write_text("x,y\n1,2\n")
    (bench.project / "sub").mkdir()
    return bench


def _paths(outcome: Outcome) -> tuple[list[str], list[str]]:
    assert outcome.status == "succeeded", outcome.failure
    return [file.path for file in outcome.files_read], [file.path for file in outcome.files_written]


@pytest.mark.parametrize(
    ("body", "read", "written"),
    [
        ("open('a.csv').read()", ["a.csv"], []),
        ("import pandas as pd; pd.read_csv('a.csv')", ["a.csv"], []),
        ("open('b.txt', 'w').write('1')", [], ["b.txt"]),
        ("open('b.txt', 'w').write('1'); open('b.txt').read()", [], ["b.txt"]),
        ("open('a.csv', 'a').write('3,4')", ["a.csv"], ["a.csv"]),
        ("open('a.csv', 'w').write('3,4')", [], ["a.csv"]),
        ("import os; os.rename('a.csv', 'c.csv')", ["a.csv"], ["a.csv", "c.csv"]),
        ("import os; os.remove('a.csv')", [], ["a.csv"]),
        ("import numpy as np; np.save('n.npy', np.ones(3))", [], ["n.npy"]),
        ("import os; os.listdir('.')", ["./"], []),
        ("import glob; glob.glob('*.csv')", ["./"], []),
        ("import tempfile; tempfile.NamedTemporaryFile().write(b'1')", [], []),
        ("import shutil; shutil.copy('a.csv', 'd.csv')", ["a.csv"], ["d.csv"]),
        ("import os; os.path.exists('none.csv')", ["none.csv"], []),
        ("import os; os.stat('a.csv').st_size", ["a.csv"], []),
        ("import glob; glob.glob('none/*.csv')", ["none/"], []),
        ("import os; os.path.isdir('sub')", ["sub/./"], []),
        ("from pathlib import Path; Path('sub').exists()", ["sub/./"], []),
        ("import os; os.makedirs('sub', exist_ok=True); open('sub/b.txt', 'w').write('1')", [], ["sub/b.txt"]),
        ("import os; os.makedirs('new/one', exist_ok=True); os.path.isdir('new/one')", [], []),
        ("import pandas as pd; pd.DataFrame().to_csv('sub/b.csv')", [], ["sub/b.csv"]),
        ("import shutil; shutil.copy('a.csv', 'sub'); shutil.move('a.csv', 'e.csv')",
         ["a.csv"], ["a.csv", "e.csv", "sub/a.csv"]),
        ("import os; os.access('none.csv', os.R_OK)", ["none.csv"], []),
        ("import os; sum(each.stat().st_size for each in os.scandir() if each.is_file())", ["./", "a.csv"], []),
        ("import os; [each.name for each in os.scandir('.')]", ["./"], []),
        ("import os; os.listdir(os.open('sub', os.O_RDONLY))", ["sub/"], []),
        ("import os; os.access('none', os.R_OK, dir_fd=os.open('sub', os.O_RDONLY))", ["sub/none"], []),
        ("import os; os.open('b', os.O_WRONLY | os.O_CREAT | os.O_TRUNC, dir_fd=os.open('sub', os.O_RDONLY))", [], ["sub/b"]),
        ("import os, shutil; os.makedirs('own/deep'); open('own/deep/f', 'w').close(); shutil.rmtree('own')", [], []),
        ("import os, pickle; assert pickle.loads(pickle.dumps((os.stat, os.open))) == (os.stat, os.open)", [], []),
        ("open('link.csv').read()", ["a.csv", "link.csv"], []),
        ("import glob; [open(name) for name in glob.glob('linked/*')]",
         ["linked/", "linked/b.csv", "sub/", "sub/b.csv"], []),
        ("from PIL import Image; Image.new('L', (2, 2)).save('p.png')", [], ["p.png"]),
        ("import os; os.path.exists('p.png')\nfrom PIL import Image; Image.new('L', (2, 2)).save('p.png')",
         ["p.png"], ["p.png"]),
    ],
)  # fmt: skip
def test_what_a_stage_does_with_files_is_seen(bench: Bench, body: str, read: list[str], written: list[str]) -> None:
    if "link" in body:
        (bench.project / "link.csv").symlink_to("a.csv")
        (bench.project / "linked").symlink_to("sub")
        (bench.project / "sub" / "b.csv").write_text("1")
    assert _paths(bench.run(body)) == (read, written)


@pytest.mark.parametrize(
    ("body", "cleared"),
    [
        ("import shutil; shutil.rmtree('sub')", ("sub",)),
        ("import shutil; shutil.rmtree('none', ignore_errors=True)", ("none",)),
        ("import os, shutil\nif os.path.exists('none'):\n    shutil.rmtree('none')\nos.mkdir('none')", ("none",)),
        ("import shutil\nfrom pathlib import Path\nif Path('none').is_dir():\n    shutil.rmtree('none')", ("none",)),
        ("import os\nif not os.path.exists('none'):\n    os.mkdir('none')", ()),
        ("import tempfile; tempfile.TemporaryDirectory().cleanup()", ()),
    ],
)
def test_a_folder_that_a_stage_clears_or_would_clear_is_seen(bench: Bench, body: str, cleared: tuple[str, ...]) -> None:
    outcome = bench.run(body)
    assert outcome.status == "succeeded", outcome.failure
    assert outcome.cleared == cleared


@pytest.mark.parametrize(
    "body",
    [
        "import multiprocessing as m; p = m.get_context('spawn').Process(target=print); p.start(); p.join()",
        "from joblib import Parallel, delayed; Parallel(n_jobs=2)(delayed(abs)(n) for n in (1, 2))",
        "import subprocess, concurrent.futures as f\nf.ThreadPoolExecutor().submit(subprocess.check_output, ['true']).result()",
    ],
)
def test_what_processes_that_are_no_forks_read_cannot_be_seen(bench: Bench, body: str) -> None:
    assert "another program" in bench.run(body).uncacheable[0]
    assert bench.run("import multiprocessing; multiprocessing.RLock()").uncacheable == ()


def test_the_digest_is_of_the_bytes_that_were_read(bench: Bench) -> None:
    before = digest_file(bench.project / "a.csv")
    outcome = bench.run("open('a.csv').read(); open('a.csv', 'w').write('new')")
    assert outcome.files_read[0].digest == before
    assert outcome.files_written[0].digest == digest_file(bench.project / "a.csv") != before


def test_local_modules_are_modules_and_not_files(bench: Bench) -> None:
    (bench.project / "helper.py").write_text("N = 1\n")
    outcome = bench.run("import helper")
    assert _paths(outcome) == ([], [])
    assert outcome.modules == {"helper": ("helper.py", source_digest(b"N = 1"))}


_WATCH = """
import sys
from pathlib import Path
from nbpipe.job.files import Files
files = Files(Path("."), Path("../job"))
files.start()
{}
read, written = files.finish(None)
print(files.uncacheable, [(file.path, file.digest) for file in read], written)
"""


def _watched(project: Path, body: str) -> str:
    """What is seen of code that runs in a process of its own, with a folder for temporary files of its own."""
    for name in ("job", "temporary"):
        (project.parent / name).mkdir(exist_ok=True)
    env = {**os.environ, "TMPDIR": str(project.parent / "temporary")}
    command = [sys.executable, "-c", _WATCH.format(body)]
    return subprocess.run(command, cwd=project, env=env, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize(
    "body",
    [
        "sys.path.append('../lib'); import tool",
        "import os; sys.path.append(os.path.abspath('../lib')); import tool",
        "import runpy; runpy.run_path('../lib/tool.py')",
        "exec(open('../lib/tool.py').read())",
        "import importlib.util as u; s = u.spec_from_file_location('t', '../lib/tool.py'); s.loader.load_module('t')",
    ],
)
def test_code_from_outside_the_project_is_a_file_that_was_read(tmp_path: Path, body: str) -> None:
    project, tool = tmp_path / "project", tmp_path / "lib" / "tool.py"
    project.mkdir()
    tool.parent.mkdir()
    tool.write_text("N = 1\n")
    for _ in range(2):  # the second time Python reads what it has compiled
        assert _watched(project, body) == f"[] {[(str(tool.resolve()), digest_file(tool))]} ()"


def test_a_module_of_the_project_that_python_does_not_know_is_a_file(bench: Bench) -> None:
    (bench.project / "tool.py").write_text("N = 1\n")
    load = "s = util.spec_from_file_location('t', 'tool.py'); s.loader.exec_module(util.module_from_spec(s))"
    assert _paths(bench.run(f"from importlib import util; {load}")) == (["tool.py"], [])


def test_what_is_removed_with_a_folder_is_not_a_file_of_the_same_name_elsewhere(bench: Bench) -> None:
    (bench.project / "sub" / "a.csv").write_text("old")
    outcome = bench.run("import os, shutil; shutil.rmtree('sub'); os.mkdir('sub'); open('sub/n.csv', 'w').write('1')")
    assert _paths(outcome) == ([], ["sub/a.csv", "sub/n.csv"])
    assert [file.digest for file in outcome.files_written if file.path == "sub/a.csv"] == [""]


def test_undo_puts_everything_back_even_after_a_kill(bench: Bench) -> None:
    outcome = bench.run(
        "import os, signal\nopen('a.csv', 'w').write('broken'); open('new.txt', 'w').write('1')\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert outcome.status == "lost"
    undo(bench.folders[-1])
    undo(bench.folders[-1])
    assert {path.name: path.read_text() for path in bench.project.iterdir() if path.is_file()} == {
        "a.csv": "x,y\n1,2\n"
    }


@pytest.mark.parametrize(
    "body",
    [
        "%%bash\ncat a.csv",
        "%%script cat\nx",
        "%%bash --bg --out said\ncat a.csv",
        "%%capture shown\n%%sh\ncat a.csv",
        "def show():\n    get_ipython().run_cell_magic('bash', '', 'cat a.csv')\nshow()",
    ],
)
def test_what_a_script_magic_reads_cannot_be_seen(bench: Bench, body: str) -> None:
    outcome = bench.run(body)
    assert outcome.status == "succeeded", outcome.failure
    assert [reason.partition(" (")[0] for reason in outcome.uncacheable] == ["it starts another program"]


def test_a_script_magic_whose_files_are_declared_gives_what_it_gives(bench: Bench) -> None:
    outcome = bench.run('%%bash\necho "$0" $(cat a.csv) > made.txt\necho said', declared=True)
    assert (outcome.uncacheable, _paths(outcome)[1]) == ((), ["made.txt"])
    assert bench.printed() == "said\n"


def test_files_written_by_another_program_are_outputs_and_the_result_is_not_reused(bench: Bench) -> None:
    outcome = bench.run("!echo hello > made.txt")
    assert _paths(outcome)[1] == ["made.txt"]
    assert outcome.uncacheable
    assert bench.run("!echo hello > made.txt", declared=True).uncacheable == ()


def test_what_a_stage_reads_of_a_file_that_another_program_made_for_it_is_its_own(bench: Bench) -> None:
    assert _paths(bench.run("!echo hello > made.txt\nprint(open('made.txt').read())")) == ([], ["made.txt"])


def test_where_ipython_looks_for_a_shell_is_no_file_of_the_stage(bench: Bench) -> None:
    """It asks along the whole path where no variable names the shell."""
    place = "import os; os.environ.pop('SHELL', 0); os.environ['PATH'] = f'sub{os.pathsep}{os.environ[\"PATH\"]}'\n"
    assert _paths(bench.run(f"{place}!echo hello > made.txt")) == ([], ["made.txt"])
    asked = _paths(bench.run(f"{place}import shutil; shutil.which('some-program')"))[0]
    assert "sub/some-program" in asked


_ENDS = {
    "left open": "f = open('out.txt', 'w'); f.write('hello')",
    "of a module": "import helper; helper.log.write('hello')",
    "in a circle": "class A: pass\na = A(); a.a = a; a.f = open('out.txt', 'w'); a.f.write('hello')",
    "at exit": "import atexit\natexit.register(lambda: open('out.txt', 'w').write('hello'))",
    "in __del__": "class A:\n    def __del__(self): open('out.txt', 'w').write('hello')\na = A()",
    "a logger": "import logging.handlers\ntarget = logging.FileHandler('out.txt', delay=True)\ntarget.terminator = ''\n"
    "logging.getLogger().addHandler(logging.handlers.MemoryHandler(9, target=target))\nlogging.warning('hello')",
    "in __del__ of what a list holds": "import helper\nthem = [helper.Writer()]",
    "in a generator that waits": "def wait():\n    try: yield\n    finally: open('out.txt', 'w').write('hello')\n"
    "them = [wait()]; next(them[0])",
    "a thread that reads names": "import threading, time\nf = open('out.txt', 'w')\n"
    "def late():\n    time.sleep(0.5)\n    f.write('hello')\nthreading.Thread(target=late).start()",
    "a thread": "import threading, time\n"
    "def late():\n    time.sleep(0.5)\n    open('out.txt', 'w').write('hello')\nthreading.Thread(target=late).start()",
}


@pytest.mark.parametrize("body", _ENDS.values(), ids=_ENDS)
def test_a_file_is_what_it_is_once_the_kernel_has_ended(bench: Bench, body: str) -> None:
    writer = "class Writer:\n    def __del__(self): open('out.txt', 'w').write('hello')\n"
    (bench.project / "helper.py").write_text(writer + ("log = open('out.txt', 'w')\n" if "helper.log" in body else ""))
    outcome = bench.run(body)
    assert _paths(outcome)[1] == ["out.txt"]
    (state,) = outcome.files_written
    assert (state.late, state.size, (bench.project / "out.txt").read_text()) == (True, 5, "hello")
    assert state.digest == digest_file(bench.project / "out.txt")
    assert open_store(bench.root / "store").objects.local_path(state.object).read_text() == "hello"
    assert any("to its end only when the kernel ended" in text for text in outcome.warnings)


@pytest.mark.parametrize(
    "body",
    ["f = open('out.txt', 'w'); f.write('hello'); f.flush()", "f = open('out.txt', 'w'); f.write('hello'); f.close()"],
)
def test_a_file_that_was_whole_before_is_not_late(bench: Bench, body: str) -> None:
    outcome = bench.run(body)
    assert [(state.late, state.size) for state in outcome.files_written] == [(False, 5)]
    assert outcome.warnings == ()


def test_a_file_that_a_stage_above_leaves_open_must_not_be_read(bench: Bench) -> None:
    (bench.project / "out.txt").write_text("hello")
    outcome = bench.run("try:\n    open('out.txt').read()\nexcept Exception: pass", late=("out.txt",))
    assert outcome.failure is not None
    assert (outcome.status, outcome.failure.name) == ("failed", "out.txt")
    assert "leaves open" in outcome.failure.message
    assert bench.run("open('out.txt', 'w').write('anew')", late=("out.txt",)).status == "succeeded"


def test_a_file_whose_end_is_lost_with_its_kernel_is_no_success(bench: Bench) -> None:
    body = "import atexit, os\nf = open('out.txt', 'w'); f.write('hello')\natexit.register(os._exit, 3)"
    outcome = bench.run(body)
    assert outcome.failure is not None
    assert (outcome.status, outcome.failure.name) == ("lost", "out.txt")


def test_a_secret_in_a_file_written_late_is_found(bench: Bench) -> None:
    body = "import os\nf = open('out.txt', 'w'); f.write(os.environ['TOKEN'])"
    outcome = bench.run(body, env={"TOKEN": "a-very-secret-value"}, secrets=("TOKEN",))
    assert outcome.failure is not None
    assert (outcome.status, outcome.failure.code) == ("failed", "security")


def test_a_secret_written_late_is_not_stored_where_the_kernel_is_lost(bench: Bench) -> None:
    body = "import atexit, os\nf = open('out.txt', 'w'); f.write(os.environ['TOKEN'])\n"
    body += "def end():\n    f.flush()\n    os._exit(3)\natexit.register(end)"
    outcome = bench.run(body, env={"TOKEN": "a-very-secret-value"}, secrets=("TOKEN",))
    assert outcome.status == "lost"
    kept = [path for path in (bench.root / "store").rglob("*") if path.is_file()]
    assert not [path for path in kept if b"a-very-secret-value" in path.read_bytes()]


def test_what_a_job_keeps_in_its_store_is_no_file_of_its_stage(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    folder, spec = bench.write("x = list(range(10))\nprint('one')", outputs=("x",))
    # The store lies neither in the project nor among temporary files, as on another machine.
    environment = {**os.environ, "TMPDIR": str(tmp_path / "own")}
    subprocess.run([sys.executable, "-m", "nbpipe.job", folder], env=environment, check=True)
    outcome = read_verdict(folder, spec.token)
    assert outcome is not None
    assert _paths(outcome) == ([], [])
    assert outcome.uncacheable == ()


_LEFT = {
    "a file": "f = open('/dev/shm/nbpipe-left-open', 'w')",
    "a handler": "import atexit\natexit.register(print)",
    "a thread": "import threading, time\nthreading.Thread(target=time.sleep, args=(0.2,), daemon=True).start()",
    "a process": "import subprocess\nsubprocess.Popen(['sleep', '0.2'])",
    "a temporary folder": "import tempfile\nfolder = tempfile.TemporaryDirectory()",
    "a class": "class A:\n    def __del__(self): pass",
    "an object": "import io\nf = io.StringIO()",
}


@pytest.mark.parametrize("body", _LEFT.values(), ids=_LEFT)
def test_a_kernel_that_has_something_left_to_do_ends_by_itself(bench: Bench, body: str) -> None:
    assert bench.run(body).status == "succeeded"
    assert not (bench.folders[-1] / AT_REST).exists()


def test_a_forked_kernel_that_has_nothing_left_to_do_goes_at_once(bench: Bench) -> None:
    assert bench.run("import json, decimal\nclass A: pass\na = A(); b = [a, 1.5]").status == "succeeded"
    forked = sys.platform == "linux" and os.environ.get("NBPIPE_FORK") != "0"
    assert (bench.folders[-1] / AT_REST).exists() == forked


def test_a_file_that_came_meanwhile_is_put_aside_where_the_work_of_the_stage_is_taken_back(bench: Bench) -> None:
    # As a person does who saves a file while the stage runs: no hook of the job's sees it.
    body = "import os\nos.system('echo mine > notes.txt')\nopen('made.txt', 'w').write('1')"
    assert bench.run(body).status == "succeeded"
    told = undo(bench.folders[-1])
    assert sorted(path.name for path in bench.project.glob("*.txt")) == []
    (aside,) = (bench.folders[-1] / "undo" / "aside").iterdir()
    assert aside.read_text() == "mine\n"
    assert len(told) == 1
    assert "notes.txt" in told[0]
    assert str(aside) in told[0]
    (bench.project / "notes.txt").write_text("again")
    undo(bench.folders[-1])
    assert sorted(path.read_text() for path in aside.parent.iterdir()) == ["again", "mine\n"]


def test_folders_are_told_and_undone(bench: Bench) -> None:
    (bench.project / "old").mkdir()
    (bench.project / "moved/deep").mkdir(parents=True)
    (bench.project / "moved/deep/f").write_text("f")
    outcome = bench.run(
        "import os\nos.makedirs('out/deep')\nos.makedirs('old', exist_ok=True)\nos.rename('moved', 'new')\n"
        "os.mkdir('brief')\nos.rmdir('brief')\nopen('old/x', 'w').write('1')"
    )
    left = {
        "out": True,
        "out/deep": True,
        "old": True,
        "moved": False,
        "moved/deep": False,
        "new": True,
        "new/deep": True,
    }
    assert outcome.folders == left
    assert outcome.found == ("moved", "moved/deep")
    assert outcome.uncacheable == ()
    assert _paths(outcome) == (["moved/deep/f"], ["moved/deep/f", "new/deep/f", "old/x"])
    undo(bench.folders[-1])
    undo(bench.folders[-1])
    assert (bench.project / "moved/deep/f").read_text() == "f"
    assert {name for name in ("out", "new", "brief", "old/x") if (bench.project / name).exists()} == set()


def test_a_folder_that_is_only_there_is_told_where_the_stage_goes_by_it(bench: Bench) -> None:
    for name in ("asked", "listed", "entered", "written", "unused"):
        (bench.project / name).mkdir()
    outcome = bench.run(
        "import os\nos.path.isdir('asked'); os.listdir('listed'); open('written/x', 'w').close(); os.chdir('entered')"
    )
    assert (outcome.found, outcome.folders) == (("asked", "entered", "listed", "written"), {})


def test_a_link_to_a_folder_that_is_renamed_is_no_folder(bench: Bench) -> None:
    (bench.project / "real").mkdir()
    (bench.project / "real/f").write_text("f")
    (bench.project / "link").symlink_to("real")
    outcome = bench.run("import os\nos.rename('link', 'other')")
    assert (outcome.folders, outcome.uncacheable) == ({}, ())
    assert "real/f" not in _paths(outcome)[1]
