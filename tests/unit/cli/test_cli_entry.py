"""Commands that only look are answered by the warm parent: the same words, the same codes, and nothing is begun there."""

from __future__ import annotations

import contextlib
import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from nbpipe.cli import entry

#: `nbpipe`, which waits for who answers however busy the machine is.
_ENTRY = "from nbpipe.cli import entry; entry._PATIENCE = 60.0; entry.main()"
_COMMAND = (sys.executable, "-X", "importtime", "-c", _ENTRY)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="nothing is forked elsewhere")


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A project with a run, and a parent that has been kept since."""
    folder = Path(tempfile.mkdtemp(prefix="nb"))
    cells = [nbformat.v4.new_code_cell(f"%%stage {name}\n{name} = 1\n") for name in ("one", "two")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "nb.ipynb")
    (folder / "pyproject.toml").write_text('[project]\nname = "p"\n')
    (folder / "runtime").mkdir()
    ran = _nbpipe(folder, "run", "nb.ipynb")
    assert ran.returncode == 0, ran.stderr
    yield folder
    for place in folder.rglob("*.sock"):
        place.unlink()
    shutil.rmtree(folder)


def _environment(folder: Path, **more: str) -> dict[str, str]:
    # What goes to MLflow goes there after the run, and would write into a folder that is being removed.
    tracking = {"NBPIPE_TRACKING": "off"}
    return {**os.environ, **tracking, "XDG_RUNTIME_DIR": str(folder / "runtime"), "NBPIPE_KEEP_WARM": "100", **more}


def _nbpipe(folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    command = [*_COMMAND, *words]
    return subprocess.run(
        command, cwd=folder, env=_environment(folder, **more), capture_output=True, text=True, check=False
    )


def _said(ran: subprocess.CompletedProcess[str]) -> tuple[int, str, list[str]]:
    return ran.returncode, ran.stdout, [line for line in ran.stderr.splitlines() if not line.startswith("import time:")]


def _itself(ran: subprocess.CompletedProcess[str]) -> bool:
    """Whether the process did it itself, and so imported what does."""
    return any(line.split("|")[-1].strip() == "nbpipe.cli.main" for line in ran.stderr.splitlines())


@pytest.mark.parametrize(
    "words",
    [
        ("run", "nb.ipynb"),
        ("run", "nb.ipynb", "--json"),
        ("run", "nb.ipynb", "--quiet"),
        ("run", "gone.ipynb"),
        ("run", "nb.ipynb", "--nonsense"),
        ("run", "nb.ipynb", "-p", "x=1"),
        ("plan", "nb.ipynb"),
        ("plan", "nb.ipynb", "--json"),
    ],
    ids=" ".join,
)
def test_the_answer_is_what_the_process_itself_says(home: Path, words: tuple[str, ...]) -> None:
    answered, own = _nbpipe(home, *words, COLUMNS="70"), _nbpipe(home, *words, COLUMNS="70", NBPIPE_KEEP_WARM="off")
    assert (_itself(answered), _itself(own)) == (False, True)
    assert _said(answered) == _said(own)


def test_a_run_that_has_something_to_do_is_made_by_the_process_itself(home: Path) -> None:
    (home / "other.ipynb").write_text((home / "nb.ipynb").read_text().replace("= 1", "= 3"))
    first, again = _nbpipe(home, "run", "other.ipynb"), _nbpipe(home, "run", "other.ipynb")
    assert first.returncode == again.returncode == 0
    assert _itself(first)
    assert not _itself(again)
    assert "up to date" in again.stdout
    (home / "other.ipynb").write_text((home / "other.ipynb").read_text().replace("= 3", "= 2"))
    assert _itself(_nbpipe(home, "run", "other.ipynb"))


@pytest.mark.parametrize(
    "words", [("history",), ("plan", "--help"), ("run", "nb.ipynb", "--fresh"), ("run", "nb.ipynb", "--detach")]
)
def test_what_does_more_than_look_is_never_asked(home: Path, words: tuple[str, ...]) -> None:
    assert _itself(_nbpipe(home, *words))


def test_a_parent_of_another_environment_is_not_asked(home: Path) -> None:
    assert _itself(_nbpipe(home, "plan", "nb.ipynb", OMP_NUM_THREADS="7"))


@pytest.mark.parametrize(
    "says", [b"", b"77\n", b"77\n{", b'77\n{"code": "x"}\n'], ids=["nothing", "half", "torn", "no code"]
)
def test_what_does_not_answer_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: bytes) -> None:
    with _listening(tmp_path) as (listener, env):

        def serve() -> None:
            channel, _ = listener.accept()
            channel.recv(1 << 20)
            channel.sendall(says)
            channel.close()

        served = threading.Thread(target=serve)
        served.start()
        ran = _nbpipe(tmp_path, "plan", "gone.ipynb", XDG_RUNTIME_DIR=env["XDG_RUNTIME_DIR"])
        served.join(20)
        assert not served.is_alive()
    assert _itself(ran)
    assert ran.returncode == 3
    assert "does not exist" in ran.stderr


@contextlib.contextmanager
def _listening(tmp_path: Path) -> Iterator[tuple[socket.socket, dict[str, str]]]:
    """A socket where a command looks for a parent, and the environment in which it does."""
    runtime = Path(tempfile.mkdtemp(prefix="nb"))
    (runtime / "nbpipe").mkdir(mode=0o700)
    try:
        own = _environment(tmp_path, XDG_RUNTIME_DIR=str(runtime))
        found = [sys.executable, "-c", "from nbpipe.job import sockets; print(sockets.name(1.0))"]
        name = subprocess.run(found, capture_output=True, text=True, check=True, env=own).stdout.strip()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(runtime / "nbpipe" / name))
            listener.listen(1)
            yield listener, own
    finally:
        shutil.rmtree(runtime)


def test_a_command_in_a_folder_that_is_gone_has_the_words_for_it(home: Path) -> None:
    """Also where its `PYTHONPATH` is relative, and nobody can say what to."""
    said = []
    for keep in ("100", "off"):
        (home / "gone").mkdir()
        command = [sys.executable, "-c", "import os; os.rmdir(os.getcwd())\nfrom nbpipe.cli.entry import main; main()"]
        env = _environment(home, NBPIPE_KEEP_WARM=keep)
        ran = subprocess.run(
            [*command, "plan", "/gone.ipynb"], cwd=home / "gone", env=env, capture_output=True, text=True, check=False
        )
        said.append((ran.returncode, ran.stdout, ran.stderr))
    assert said[0] == said[1]
    assert said[0][0] != 0
    assert "Traceback" not in said[0][2]


def test_a_parent_that_does_not_answer_holds_nobody_up(tmp_path: Path) -> None:
    """Not the command, and not who reads what it writes."""
    with _listening(tmp_path) as (listener, env):
        ran = subprocess.run(
            [sys.executable, "-m", "nbpipe", "plan", "gone.ipynb"],
            env=env,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=120,
        )
        assert ran.returncode == 3
        assert "does not exist" in ran.stderr
        assert listener.fileno() > 0


def test_a_ctrl_c_counts_where_the_one_that_answers_has_just_ended(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with _listening(tmp_path) as (listener, env):
        child = subprocess.Popen(
            [sys.executable, "-m", "nbpipe", "run", "nb.ipynb"], env=env, stderr=subprocess.PIPE, text=True
        )
        channel, _ = listener.accept()
        channel.sendall(b"%d\n" % gone.pid)
        # Its files have come: it waits for the answer.
        said = b""
        while not said.endswith(b"."):
            said += channel.recv(1 << 20)
        child.send_signal(signal.SIGINT)
        _, words = child.communicate(timeout=120)
        channel.close()
    assert child.returncode == 130, words
    assert "interrupted" in words


def test_the_terminal_is_the_callers(home: Path) -> None:
    main, other = pty.openpty()
    command = [sys.executable, "-m", "nbpipe", "run", "nb.ipynb"]
    child = subprocess.Popen(command, cwd=home, env=_environment(home), stdin=other, stdout=other, stderr=other)
    os.close(other)
    said = b""
    while b"up to date" not in said:
        said += os.read(main, 4096)
    assert child.wait(30) == 0
    os.close(main)


def test_ctrl_c_reaches_who_answers(home: Path) -> None:
    """It waits for the notebook, which is a pipe that nobody writes to."""
    notebook = home / "waits.ipynb"
    os.mkfifo(notebook)
    command = [*_COMMAND, "plan", str(notebook)]
    child = subprocess.Popen(command, cwd=home, env=_environment(home), stderr=subprocess.PIPE, text=True)
    writer = _opened(notebook)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=120)
    assert child.returncode == 130, said
    assert "interrupted" in said
    assert "nbpipe.cli.main" not in said
    with pytest.raises(BrokenPipeError):
        os.write(writer, b"{}")
    os.close(writer)


def test_ctrl_c_that_does_not_break_a_wait_reaches_who_answers(tmp_path: Path) -> None:
    """As one that comes just before the wait: another thread hears of it."""
    with tempfile.TemporaryDirectory(prefix="nb") as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{folder}/s")
        listener.listen()
        who = subprocess.Popen([sys.executable, "-c", "print(1, flush=True)\nimport time\ntime.sleep(600)"], stdout=-1)
        assert who.stdout is not None
        who.stdout.readline()

        def answer() -> None:
            channel, _ = listener.accept()
            with channel:
                channel.recv(1 << 20)
                channel.sendall(b"%d\n" % who.pid)
                _, files, _, _ = socket.recv_fds(channel, 1, 3)
                for given in files:
                    os.close(given)
                time.sleep(0.5)
                signal.pthread_kill(threading.get_ident(), signal.SIGINT)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    who.wait(20)
                channel.sendall(b'{"code": 130}\n')

        thread = threading.Thread(target=answer)
        thread.start()
        assert entry._ask(f"{folder}/s", ["plan"]) == 130
        thread.join()
        with who:
            who.kill()
        assert who.returncode == -signal.SIGINT


def _opened(pipe: Path) -> int:
    """Once somebody reads from it."""
    deadline = time.monotonic() + 120
    while True:
        try:
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.02)
