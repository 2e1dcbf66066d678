"""The connection to another machine ends, and says so, whatever comes over it."""

from __future__ import annotations

import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nbpipe.errors import TargetError
from nbpipe.executors.ssh import link as links
from nbpipe.executors.ssh.link import Link, LinkDown
from nbpipe.targets.settings import Target

_AGENT = """#!{python}
import json, sys, time
if "-T" not in sys.argv:
    time.sleep(200)
    sys.exit(255)
print('{{"nbpipe": 1}}', flush=True)
sys.stdin.readline()
asked = json.loads(sys.stdin.readline())
print(json.dumps({{"id": asked["id"], "ok": "/there"}}), flush=True)
sys.stdin.readline()
print({said!r}, flush=True)
time.sleep(200)
"""


@pytest.fixture
def link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Link]:
    """Connected to a program that answers once, then says what the test wants."""
    ssh = tmp_path / "ssh"
    ssh.write_text(_AGENT.format(python=sys.executable, said=getattr(request, "param", "")))
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    made = Link(Target(name="box", kind="ssh", host="box"), lambda message: message["at"])
    made.connect()
    yield made
    made.drop()
    made.close()


@pytest.mark.parametrize("link", ["You have new mail.", "5", "[1]", '{"id": []}', '{"job": "x"}'], indirect=True)
def test_what_the_agent_would_never_say_breaks_the_connection_instead_of_being_waited_out(link: Link) -> None:
    started = time.monotonic()
    with pytest.raises(LinkDown):
        link.call("ping", timeout=150)
    assert not link.up
    assert time.monotonic() - started < 100


def test_a_machine_that_refuses_the_folder_has_no_connection_for_who_asks_next(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    target = Target(name="box", kind="ssh", python=sys.executable, folder=f"{tmp_path}/file/worker")
    refused = Link(target, lambda _: None)
    try:
        for _ in range(2):
            with pytest.raises(TargetError, match="NotADirectoryError"):
                refused.connect()
            assert not refused.up
    finally:
        refused.close()


@pytest.mark.parametrize("odd", ["plain", "a b", "it's", "50%users", "d" * 90])
def test_the_socket_of_ssh_lies_where_ssh_can_have_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odd: str
) -> None:
    (tmp_path / odd).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / odd))
    made = Link(Target(name="box", kind="ssh", host="box"), lambda _: None)
    try:
        (path,) = (word.partition("=")[2] for word in made._options(master=True) if word.startswith("ControlPath="))
        assert re.fullmatch(r"[A-Za-z0-9/_.-]+", path)
        assert len(f"{path}.0123456789abcdef") < 104
        assert Path(path).parent.stat().st_mode & 0o777 == 0o700
    finally:
        made.close()
    assert not Path(path).parent.exists()


@pytest.mark.parametrize("full", ["there", "here"])
def test_it_is_said_on_which_machine_no_space_is_left(
    link: Link, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: str
) -> None:
    rsync = tmp_path / "rsync"
    rsync.write_text("#!/bin/sh\necho 'rsync: [receiver] write failed: No space left on device (28)' >&2\nexit 11\n")
    rsync.chmod(0o755)
    ends = [f"{tmp_path}/home/", link.path("/there/store/")]
    with pytest.raises(TargetError) as caught:
        link.rsync(ends if full == "there" else ends[::-1])
    assert str(caught.value.fix).startswith(f"Free space {full}: ")
    assert link.up


def test_files_that_do_not_move_are_not_waited_for_without_end(
    link: Link, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "_SILENCE", 1)
    started = time.monotonic()
    with pytest.raises(LinkDown):
        link.rsync([link.path("/there/"), f"{tmp_path}/home/"])
    assert time.monotonic() - started < 100
