"""1 GB of inputs to a target over ssh on loopback, in turn with rsync over the same kind of connection and a shared folder."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import Figure

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from sshd import install, running_sshd

from nbpipe.executors.ssh.link import Link
from nbpipe.executors.ssh.transfer import send_objects
from nbpipe.store.base import hash_file
from nbpipe.store.local import LocalObjects
from nbpipe.store.shared import SharedObjects

_PIECES, _SIZE = 4, 1 << 28


def remote_inputs(repeats: int) -> tuple[str, str, list[Figure]]:
    """Objects of 256 MiB each, sent and sent again, left in a folder and taken from it; and rsync of files of that size."""
    theirs, ours, shared, again = (
        Figure("rsync, 1 GiB"),
        Figure("nbpipe, 1 GiB of inputs"),
        Figure("nbpipe, 1 GiB of inputs through a shared folder, both sides"),
        Figure("nbpipe, the same once more"),
    )
    install()
    with tempfile.TemporaryDirectory() as scratch, running_sshd(Path(scratch, "sshd")) as sshd:
        here = Path(scratch, "here")
        here.mkdir()
        ssh = f"ssh -F {sshd.root}/client -p {sshd.port}"
        for number in range(repeats):
            files = [here / str(piece) for piece in range(_PIECES)]
            for file in files:
                file.write_bytes(os.urandom(_SIZE))
            objects = {hash_file(file): file for file in files}
            link = Link(sshd.target(sys.executable, folder=f"{scratch}/worker-{secrets.token_hex(4)}"), lambda _: None)
            link.connect()
            folder = Path(scratch, f"shared-{number}")
            folder.mkdir()
            for figure in (theirs, ours, shared) if number % 2 else (shared, ours, theirs):
                started = time.perf_counter()
                if figure is ours:
                    send_objects(link, objects)
                elif figure is shared:
                    place, there = SharedObjects(str(folder)), LocalObjects(Path(scratch, f"there-{number}"))
                    if place.put(objects) or place.take(objects, there):
                        raise RuntimeError("they were to arrive")
                else:
                    words = [
                        "rsync",
                        "-r",
                        "--whole-file",
                        "--rsh",
                        ssh,
                        f"{here}/",
                        f"127.0.0.1:{scratch}/plain-{number}/",
                    ]
                    subprocess.run(words, check=True)
                figure.seconds.append(time.perf_counter() - started)
            started = time.perf_counter()
            missing = link.call("missing", objects=sorted(objects))
            again.seconds.append(time.perf_counter() - started)
            if missing:
                raise RuntimeError("they were to travel once")
            link.close()
    note = (
        f"Random bytes, over ssh to this machine. nbpipe's speed is {theirs.median / ours.median:.0%} of rsync's; through "
        f"a folder on the same disk, hashed on both sides, {theirs.median / shared.median:.0%}."
    )
    return "Inputs to a target", note, [theirs, ours, shared, again]
