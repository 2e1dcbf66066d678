"""The value of a secret reaches the code that asks for it, and no byte that nbpipe writes."""

from __future__ import annotations

import json
import os
import tracemalloc
from pathlib import Path

import pytest
from jobs import Bench, ambient
from tracked import nbpipe, wait_until_delivered, write

from nbpipe.credentials import secret, values_of
from nbpipe.errors import SecretError
from nbpipe.job.leaks import scrub, scrub_dead
from nbpipe.job.redact import MASK, Redactor, spellings

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

CANARY = 'c4nary-"quoted"\\slash <tag> & 100%/é'
SHOWS = """%%stage shows
import json, logging, os, subprocess, sys, warnings
import mlflow, nbpipe
from IPython.display import HTML, JSON, display
key = nbpipe.secret("CANARY")
assert len(key) == 36, "the code has the value itself"
print("printed", key, repr(key), json.dumps(key))
for letter in key:
    print(letter, end="", flush=True)
print(key, file=sys.stderr)
logging.warning("logged %s", key)
warnings.warn(key)
display(HTML(f"<b>{key}</b>"), JSON({"k": [key]}))
os.environ["SERVICE_KEY"] = key
subprocess.run(["printenv", "SERVICE_KEY"], check=True)
mlflow.log_param("key", key)
mlflow.set_tag("key", key)
mlflow.log_text(key, "key.txt")
length = len(key)
key"""
READS = "%%stage reads\nimport os\nprint(os.environ['SERVICE_KEY'] == nbpipe.secret('CANARY'), length, len(key))"
RAISES = "%%stage raises\nimport nbpipe\nraise ValueError(nbpipe.secret('CANARY'))"


def leaks(folder: Path) -> list[str]:
    """Files below the folder that hold the canary in any spelling or encoding."""
    needles = [text.encode(code) for text in spellings(CANARY) for code in ("utf-8", "utf-16-le", "utf-32-le")]
    paths = [path for path in folder.rglob("*") if path.is_file()]
    assert paths
    return [str(path) for path in paths if any(needle in path.read_bytes() for needle in needles)]


def test_a_secret_is_in_no_file_after_everything_was_done_to_show_it(tmp_path: Path) -> None:
    write(tmp_path, "n.ipynb", SHOWS, READS)
    code, told = nbpipe(tmp_path, "run", "n.ipynb", CANARY=CANARY)
    assert code == 0, told
    write(tmp_path, "bad.ipynb", RAISES)
    failed, error = nbpipe(tmp_path, "run", "bad.ipynb", CANARY=CANARY)
    assert (failed, error["error"]["message"]) == (1, f"ValueError: {MASK}")
    wait_until_delivered(tmp_path)
    assert leaks(tmp_path) == []
    log = (tmp_path / ".nbpipe" / "runs" / "r1" / "jobs" / "shows.1" / "log.jsonl").read_text()
    assert f"printed {MASK} " in log
    assert "True 36 36" in (tmp_path / ".nbpipe" / "runs" / "r1" / "jobs" / "reads.1" / "log.jsonl").read_text()


def test_a_missing_secret_is_named_before_anything_runs(tmp_path: Path) -> None:
    write(tmp_path, "n.ipynb", "%%stage one\nopen('ran', 'w').close()", RAISES)
    code, told = nbpipe(tmp_path, "run", "n.ipynb")
    assert code == 2
    assert (told["error"]["code"], told["error"]["name"]) == ("secret", "CANARY")
    assert "environment variable CANARY" in told["error"]["fix"]
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / ".nbpipe" / "runs").exists()


def test_a_parameter_that_holds_a_secret_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "n.ipynb", "%%params\nkey: str = ''", RAISES)
    code, told = nbpipe(tmp_path, "run", "n.ipynb", "-p", f"key=Bearer {CANARY}", CANARY=CANARY)
    assert (code, told["error"]["code"], told["error"]["name"]) == (2, "parameter", "key")
    assert CANARY not in json.dumps(told, ensure_ascii=False)
    assert not (tmp_path / ".nbpipe" / "runs").exists()


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv("CANARY", CANARY)
    monkeypatch.setenv("NBPIPE_FORK", "0")
    return Bench(tmp_path)


@pytest.mark.parametrize(
    "value",
    [
        "nbpipe.secret('CANARY') + '!'",
        "[1, {'k': nbpipe.secret('CANARY')}]",
        "__import__('numpy').array([nbpipe.secret('CANARY')])",
        "__import__('pandas').DataFrame({'k': [nbpipe.secret('CANARY')]})",
        "__import__('types').SimpleNamespace(key=nbpipe.secret('CANARY'))",
    ],
    ids=["text", "nested", "array", "frame", "object"],
)
def test_a_value_that_holds_a_secret_is_not_stored(bench: Bench, value: str) -> None:
    outcome = bench.run(f"import nbpipe\nx = {value}", outputs=("x",), secrets=("CANARY",))
    assert outcome.failure is not None
    assert (outcome.failure.code, outcome.failure.name) == ("unserializable", "x")
    assert "secret CANARY" in outcome.failure.message
    assert leaks(bench.root) == []


def test_a_file_of_the_project_that_holds_a_secret_fails_the_stage_and_is_not_stored(bench: Bench) -> None:
    code = "import nbpipe\nopen('token.txt', 'w').write(nbpipe.secret('CANARY'))"
    outcome = bench.run(code, secrets=("CANARY",))
    assert outcome.failure is not None
    assert (outcome.failure.code, outcome.failure.name) == ("security", "token.txt")
    assert bench.code == 7
    assert leaks(bench.root / "store") + leaks(bench.root / "jobs") == []


def test_an_environment_variable_that_holds_a_secret_travels_by_the_secret_s_name(bench: Bench) -> None:
    code = "import nbpipe, os\nos.environ['A'] = nbpipe.secret('CANARY')\nos.environ['B'] = 'plain'"
    given = ambient(bench.run(code, secrets=("CANARY",)))
    bench.run("import os\nprint(len(os.environ['A']), os.environ['B'])", secrets=("CANARY",), ambient=given)
    assert bench.printed() == "36 plain\n"
    assert leaks(bench.root) == []


def test_a_name_that_stands_nowhere_as_a_literal_is_refused_in_a_run(bench: Bench) -> None:
    outcome = bench.run("import nbpipe\nnbpipe.secret('CAN' + 'ARY')", secrets=())
    assert outcome.failure is not None
    assert (outcome.failure.code, outcome.failure.name) == ("secret", "CANARY")


def test_a_secret_cut_by_the_limit_of_outputs_leaves_no_half(bench: Bench) -> None:
    code = "import nbpipe\nprint('x' * 490 + nbpipe.secret('CANARY'))"
    outcome = bench.run(code, secrets=("CANARY",), output_limit=500)
    assert outcome.status == "succeeded", outcome.failure
    executed = (bench.folders[-1] / "executed.ipynb").read_text()
    assert "x" * 490 in executed
    assert "c4nary" not in executed


def test_a_secret_may_come_from_a_file_as_containers_give_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text("from-a-file\n")
    monkeypatch.setenv("KEY_FILE", str(tmp_path / "key"))
    monkeypatch.delenv("KEY", raising=False)
    assert secret("KEY") == "from-a-file"
    monkeypatch.setenv("KEY", "from-the-environment")
    assert secret("KEY") == "from-the-environment"
    (tmp_path / "key").unlink()
    monkeypatch.delenv("KEY")
    with pytest.raises(SecretError, match="KEY cannot be read"):
        secret("KEY")


@pytest.mark.parametrize("name", ["", "A B", "../x", "A=B", "1A", "A" * 200])
def test_names_that_no_variable_can_have_are_refused(name: str) -> None:
    with pytest.raises(SecretError, match="not the name of a secret"):
        values_of([name], os.environ)


def test_a_value_too_short_to_be_hidden_is_refused() -> None:
    with pytest.raises(SecretError, match="less than 6"):
        values_of(["PIN"], {"PIN": "1234"})


@pytest.mark.parametrize("known", [True, False])
def test_what_a_killed_job_leaves_of_all_its_processes_holds_no_secret(tmp_path: Path, *, known: bool) -> None:
    written = ("kernel.log", "rank-1.log", "rank-1/failure.json", "mlflow/tags/a")
    for name in written:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f'"{CANARY}"')
    scrub_dead(tmp_path, ("TOKEN",), {"TOKEN": CANARY} if known else {})
    (tmp_path / "other").touch()
    assert leaks(tmp_path) == []


def test_large_files_of_a_job_are_not_looked_through_in_memory(tmp_path: Path) -> None:
    redactor, block = Redactor([CANARY]), 1 << 20
    (tmp_path / "rank-1.log").write_bytes(b"step\n" * 8 * block)
    tracemalloc.start()
    try:
        assert scrub(tmp_path, redactor) == []
        assert tracemalloc.get_traced_memory()[1] < 8 * block
    finally:
        tracemalloc.stop()
    # It may begin in one block and end in the next.
    (tmp_path / "rank-2.log").write_bytes(b"." * (block - 3) + CANARY.encode())
    assert scrub(tmp_path, redactor) == ["rank-2.log"]
    assert (tmp_path / "rank-2.log").read_text().endswith("." + MASK)
