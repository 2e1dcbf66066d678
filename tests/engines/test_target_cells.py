"""A cell of a notebook that runs elsewhere: on a machine that ssh reaches, and where a scheduler says."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
from executing import gone
from notebooks import Kernel, kernel
from runs import Site

from nbpipe.run import record as records

pytestmark = pytest.mark.engines

_SLOW = """%%stage train --on box --metrics x
import os, time
print(f'pid={{os.getpid()}};', flush=True)
for n in range(200):
    print('step', n, flush=True)
    time.sleep(0.1)
    if os.path.exists({go!r}):
        break
x = n + rows[0]
"""


class Place(NamedTuple):
    """Settings of a target, and the environment in which it is reached."""

    settings: Mapping[str, object]
    environment: Mapping[str, str]


def _ssh(root: Path, stack: ExitStack) -> Place:
    from sshd import install, running_sshd

    install()
    sshd = stack.enter_context(running_sshd(root / "sshd"))
    return Place(
        {"host": "127.0.0.1", "port": sshd.port, "config": f"{sshd.root}/client", "folder": f"{root}/worker"}, {}
    )


def _slurm(root: Path, stack: ExitStack) -> Place:
    from slurmd import install, running_slurm

    install()
    slurm = stack.enter_context(running_slurm(root / "slurm"))
    return Place({"folder": f"{root}/worker"}, {name: slurm.environment[name] for name in ("SLURM_CONF", "PATH")})


def _ray(root: Path, stack: ExitStack) -> Place:
    from raylets import running_ray

    # The cluster has a folder of its own for temporary files; what lies in that of here would be an input of the stage.
    settings = {"address": stack.enter_context(running_ray()).address, "folder": f"{root}/worker"}
    return Place({**settings, "env.TMPDIR": tempfile.gettempdir()}, {})


def _kubernetes(root: Path, stack: ExitStack) -> Place:
    from kubes import IMAGES, running_kubernetes

    cluster = stack.enter_context(running_kubernetes(root / "kubernetes"))
    settings = {"folder": f"{cluster.root}/shared", "claim": "data", "image": f"{IMAGES}digits:1"}
    return Place(settings, cluster.environment)


@pytest.fixture(scope="module", params=[_ssh, _slurm, _ray, _kubernetes], ids=["ssh", "slurm", "ray", "kubernetes"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with ExitStack() as stack:
        found = request.param(tmp_path_factory.mktemp("place"), stack)
        kind = request.param.__name__.removeprefix("_")
        yield found._replace(settings={"kind": kind, "python": sys.executable, **found.settings})


@pytest.fixture
def there(site: Site, place: Place, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A project with the target `box`."""
    for name, text in place.environment.items():
        monkeypatch.setenv(name, text)
    lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in place.settings.items())
    (site.folder / "nbpipe.toml").write_text(f"[targets.box]\n{lines}")
    return site


@pytest.fixture
def live(there: Site) -> Iterator[Kernel]:
    with kernel(there.folder, there.environment()) as running:
        yield running


def _pid(live: Kernel) -> int:
    live.until("step 3")
    return int(live.shown().partition("pid=")[2].partition(";")[0])


def test_output_streams_into_the_cell_and_the_stop_button_stops_the_job_there(there: Site, live: Kernel) -> None:
    live.run("%%stage load\nrows = [1, 2]")
    live.send(_SLOW.format(go=str(there.root / "go")))
    pid = _pid(live)
    live.until("step 8", 10)
    started = time.monotonic()
    live.interrupt()
    assert gone(pid)
    assert time.monotonic() - started < 2
    assert live.end() == "KeyboardInterrupt"
    assert live.value("'x' in globals()") == "False"
    assert live.run("%%stage quick --on box\nfrom IPython.display import display\ny = rows[1]\ndisplay(y)") == ""
    assert live.value("y") == "2"
    (there.folder / "data.csv").write_text("5\n")
    assert live.run("%%stage file --on box\nz = int(open('data.csv').read())\nopen('out.txt', 'w').write('a')") == ""
    assert live.value("z") == "5"
    assert (there.folder / "out.txt").read_text() == "a"
    assert live.run("%%stage bad --on box\n1 / 0") == "ZeroDivisionError"


def test_a_large_result_stays_there_for_the_next_cell_and_comes_for_one_that_runs_here(
    there: Site, live: Kernel, place: Place
) -> None:
    with (there.folder / "nbpipe.toml").open("a") as file:
        file.write('lazy = "100K"\n')
    assert live.run("%%stage train --on box\nimport numpy as np\nnet = np.ones(200_000)") == "", live.shown()
    assert "<net: numpy.ndarray, 1.6 MB on box; loads when a cell uses it>" in live.shown()
    assert live.run("%%stage use --on box\ntotal = float(net.sum())") == "", live.shown()
    assert "sent" not in live.shown()
    assert live.value("total") == "200000.0"
    assert live.value("float(net.sum())").endswith("\n200000.0")
    assert "'net' loaded from box" in live.shown()


def test_a_retry_there_goes_on_from_its_checkpoint_and_ranks_start_there_too(
    there: Site, live: Kernel, place: Place
) -> None:
    source = """%%stage train --on box --retries 1 --nproc 2
import nbpipe, os
kept = nbpipe.checkpoint_dir() / os.environ['RANK']
step = len(list(kept.parent.iterdir())) if kept.exists() else 0
kept.touch()
assert step, 'preempted'"""
    assert live.run(source) == "", live.shown()
    assert live.value("step") == "2"
    assert not list(Path(str(place.settings["folder"]), "checkpoints").iterdir())
    assert (there.folder / ".nbpipe/runs/r1/jobs/train.2/rank-1.log").exists()


def test_a_job_outlives_the_kernel_and_the_same_cell_takes_it_up(there: Site, live: Kernel) -> None:
    live.run("%%stage load\nrows = [1, 2]")
    source = _SLOW.format(go=str(there.root / "go"))
    live.send(source)
    pid = _pid(live)
    live.kill()
    time.sleep(1)
    assert Path(f"/proc/{pid}").exists()
    with kernel(there.folder, there.environment()) as second:
        second.run("%%stage load\nrows = [1, 2]")
        second.send(source)
        second.until("step 5")
        assert f"pid={pid};" in second.shown()
        (there.root / "go").touch()
        assert second.end() == ""
        assert int(second.value("x")) > 4
        assert second.run(source) == ""
        assert "kept since" in second.shown()
        assert second.shown().count("pid=") == 1
    found = [records.read(there.project.runs / run) for run in there.project.run_ids()]
    assert [record.status for record in found if record is not None] == ["succeeded", "succeeded", "interrupted"]


@pytest.mark.parametrize(
    ("options", "kinds", "given"),
    [("--image IMAGEother:2", ["kubernetes"], "None"), ("--nodes 2", ["slurm", "ray"], "2")],
    ids=["image", "nodes"],
)
def test_an_image_and_several_nodes_are_had_on_targets_that_have_them_and_refused_on_others(
    live: Kernel, place: Place, options: str, kinds: list[str], given: str
) -> None:
    from kubes import IMAGES

    line = f"%%stage train --on box {options.replace('IMAGE', IMAGES)}"
    error = live.run(f"{line}\nimport os\nsize = os.environ.get('WORLD_SIZE')")
    if place.settings["kind"] in kinds:
        assert error == "", live.shown()
        assert live.value("size") == given
    else:
        assert error == "UnsupportedError"
        assert f"needs a target of kind {' or '.join(kinds)}" in str(live.messages)
