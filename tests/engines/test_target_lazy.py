"""Large results of a cell that ran on a target stay there until a cell uses them; then they are what they would have been."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import nbformat
import pytest
from notebooks import Kernel, kernel
from runs import Site
from sshd import Sshd, install, running_sshd

pytestmark = pytest.mark.engines

_TRAIN = """%%stage train --on box
import numpy as np
net = np.arange(200_000.0)
small = 3
pair = [{'w': bytearray(300_000)}]
other = pair[0]"""

#: The real one, once nobody holds it up.
_RSYNC = """#!/bin/sh
while [ -e {hold} ]; do sleep 0.05; done
exec {real} "$@"
"""


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    install()
    with running_sshd(tmp_path_factory.mktemp("lazy") / "sshd") as running:
        yield running


@pytest.fixture
def there(site: Site, sshd: Sshd) -> Site:
    """A project with the target `box`, which keeps what is larger than 100 kB."""
    _write(site, sshd, lazy="100K")
    return site


def _write(site: Site, sshd: Sshd, **settings: object) -> None:
    given = {"kind": "ssh", "host": "127.0.0.1", "port": sshd.port, "config": f"{sshd.root}/client"}
    given |= {"python": sys.executable, "folder": f"{site.root}/worker", **settings}
    (site.root / "bin").mkdir(exist_ok=True)
    (site.root / "bin" / "rsync").write_text(_RSYNC.format(hold=site.root / "hold", real=shutil.which("rsync")))
    (site.root / "bin" / "rsync").chmod(0o755)
    lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in given.items())
    (site.folder / "nbpipe.toml").write_text(f"[targets.box]\n{lines}")


@pytest.fixture
def live(there: Site) -> Iterator[Kernel]:
    with _kernel(there) as running:
        yield running


def _kernel(there: Site) -> AbstractContextManager[Kernel]:
    environment = there.environment()
    return kernel(there.folder, {**environment, "PATH": f"{there.root}/bin:{environment['PATH']}"})


def _held(live: Kernel) -> str:
    """Names that are bound to handles, asked for in a way that brings none."""
    client = live._client
    asked = "','.join(sorted(n for n, v in globals().items() if type(v).__name__ == 'RemoteValue'))"
    message = client.execute("", user_expressions={"held": asked}, silent=True)
    while True:
        reply = client.get_shell_msg(timeout=30)
        if reply["parent_header"].get("msg_id") == message:
            text: str = reply["content"]["user_expressions"]["held"]["data"]["text/plain"]
            return text.strip("'")


def _objects(there: Site, size: int) -> list[Path]:
    """Objects of the project's store of at least that size."""
    found = (there.folder / ".nbpipe" / "store" / "objects").rglob("*")
    return [path for path in found if path.is_file() and path.stat().st_size >= size]


def test_a_large_result_stays_and_comes_when_a_cell_uses_it(there: Site, live: Kernel) -> None:
    assert live.run(_TRAIN) == "", live.shown()
    assert "<net: numpy.ndarray, 1.6 MB on box; loads when a cell uses it>" in live.shown()
    assert _held(live) == "net,other,pair"
    assert not _objects(there, 100_000)
    assert live.run("print(small)\nx = 1") == ""
    assert _held(live) == "net,other,pair"
    # The same target: nothing is sent.
    assert live.run("%%stage use --on box\ntotal = float(net.sum())") == "", live.shown()
    assert "sent" not in live.shown()
    assert live.value("total") == "19999900000.0"
    assert not _objects(there, 100_000)
    assert _held(live) == "net,other,pair"
    assert live.run("print(float(net.sum()))") == ""
    assert "'net' loaded from box: 1.6 MB" in live.shown()
    assert "19999900000.0" in live.shown()
    assert _held(live) == "other,pair"
    # What shares memory comes together, and shares it.
    assert live.run("print(pair[0] is other, len(other['w']))") == ""
    assert "True 300000" in live.shown()
    assert _held(live) == ""


def test_the_same_cell_finds_what_was_left_and_a_run_what_was_brought(there: Site, live: Kernel) -> None:
    source = "%%stage train --on box\nprint('ran')\nnet = bytes(2_000_000)"
    assert live.run(source) == ""
    with _kernel(there) as second:
        assert second.run(source) == ""
        assert "kept since r1" in second.shown()
        assert _held(second) == "net"
        cells = [nbformat.v4.new_code_cell(text) for text in (source, "%%stage after\nn = len(net)")]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), there.notebook)
        planned = there.command("plan", "n.ipynb", "--json").json["stages"]
        assert [decision["action"] for decision in planned] == ["RUN", "RUN"]
        assert second.value("len(net)").endswith("2000000")
    run = there.run()
    assert run.stages == {"train": "cached", "after": "succeeded"}, run.err
    # Here it is there, too.
    assert live.run(source) == ""
    assert "kept since r1" in live.shown()
    assert _held(live) == ""


def test_ctrl_c_while_it_loads_keeps_the_handle_and_the_cell_does_not_run(there: Site, live: Kernel) -> None:
    assert live.run("%%stage train --on box\nnet = bytearray(3_000_000)\nran = False") == ""
    (there.root / "hold").touch()
    live.send("ran = True\nprint(len(net))")
    live.until("'net' loads from box: 0 % of 3.0 MB")
    live.interrupt()
    assert live.end() == "KeyboardInterrupt"
    assert _held(live) == "net"
    assert live.value("ran") == "False"
    (there.root / "hold").unlink()
    assert live.value("len(net)").endswith("3000000")


def test_a_target_that_does_not_answer_fails_the_cell_before_it_runs(there: Site, live: Kernel, sshd: Sshd) -> None:
    assert live.run("%%stage train --on box\nnet = bytearray(200_000)\nran = False") == ""
    sshd.stop()
    try:
        assert live.run("ran = True\nnet[0]") == "TargetError"
        assert "cannot be reached" in str(live.messages)
        assert "The cell did not run." in str(live.messages)
        assert live.value("ran") == "False"
        assert _held(live) == "net"
    finally:
        sshd.start()
    assert live.value("len(net)").endswith("200000")


def test_what_is_gone_or_damaged_there_is_said_and_the_cell_brings_it_back(there: Site, live: Kernel) -> None:
    source = "%%stage train --on box\nimport numpy as np\nnet = np.ones(50_000)"
    assert live.run(source) == ""
    (large,) = [
        path for path in (there.root / "worker/store").rglob("*") if path.is_file() and path.stat().st_size > 300_000
    ]
    whole = large.read_bytes()
    large.chmod(0o600)
    large.write_bytes(b"x" + whole[1:])
    assert live.run("net") == "CorruptObject"
    assert _held(live) == "net"
    large.unlink()
    assert live.run("net") == "TargetError"
    assert "'net' was left on box, and is no longer there" in str(live.messages)
    assert "Run the cell again that gave 'net'." in str(live.messages)
    assert live.run("%%stage use --on box\ntotal = float(net.sum())") == "StageError"
    assert "is no longer there" in str(live.messages)
    assert _held(live) == "net"
    assert live.run(source) == ""
    assert "kept since" not in live.shown()
    assert live.value("float(net.sum())").endswith("50000.0")


def test_a_value_is_made_with_the_definitions_of_its_own_time(there: Site, live: Kernel) -> None:
    live.run("class Net:\n    def __init__(self):\n        self.w = bytearray(300_000)\n    kind = 'old'")
    assert live.run("%%stage train --on box\nnet = Net()\nspare = Net()") == "", live.shown()
    assert _held(live) == "net,spare"
    assert live.run("Old = Net\nclass Net:\n    kind = 'new'") == ""
    assert live.value("type(net) is Old, net.kind, Net.kind, len(net.w)").endswith("\nTrue old new 300000")


def test_what_may_be_called_between_cells_and_what_another_target_reads_comes_at_once(
    there: Site, live: Kernel
) -> None:
    with (there.folder / "nbpipe.toml").open("a") as file:
        file.write("[targets.two]\nkind = 'local'\n")
    live.run("import threading\ndef later():\n    return len(net)\nwaiting = [later]")
    assert live.run("%%stage train --on box\nnet = bytearray(200_000)\nbig = bytearray(200_000)") == ""
    assert _held(live) == "big"
    assert live.run("%%stage use --on two\nn = len(big)") == "", live.shown()
    assert "'big' loaded from box" in live.shown()
    assert live.value("n") == "200000"


def test_a_definition_that_is_made_with_it_and_history_do_without_no_value(there: Site, live: Kernel) -> None:
    source = (
        "%%stage train --on box\nnet = bytearray(200_000)\nbig = bytearray({})\ndef size(of=net):\n    return len(of)"
    )
    assert live.run(source.format(300_000)) == "", live.shown()
    assert _held(live) == "big"
    assert live.value("size()") == "200000"
    assert live.run(source.format(300_001)) == "", live.shown()
    for words in (("show", "r1"), ("diff", "r1", "r2"), ("history",), ("fsck",), ("gc",), ("show", "r1", "--json")):
        done = there.command(*words)
        assert done.code == 0, done
    assert "big" in there.command("diff", "r1", "r2").out
    # A handle of an earlier cell is none, either.
    assert _held(live) == "big"
    also = "%%stage also --on box\ndef kind(of=big):\n    return type(of).__name__\nclass Keeper:\n    kept = [big]"
    assert live.run(also) == "", live.shown()
    assert live.value("kind(), len(Keeper.kept[0])").endswith("bytearray 300001")


def test_never_brings_all_and_so_does_a_model_that_is_registered(there: Site, live: Kernel, sshd: Sshd) -> None:
    model = "%%stage train --on box --model net --register digits\nnet = bytearray(200_000)"
    assert live.run(model) == "", live.shown()
    assert _held(live) == ""
    _write(there, sshd, lazy="never")
    assert live.run("%%stage other --on box\nbig = bytearray(900_000)") == "", live.shown()
    assert _held(live) == ""
