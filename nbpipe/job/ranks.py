"""The processes of a stage with `--nproc N`: rank 0 is its kernel, the others run beside it, as torchrun would start them.

With `--nodes` so many run on each node. In a Slurm job `srun` starts them there. In one of Ray, each other node runs
`python -m nbpipe.job.ranks NODE JOB_DIR`, which waits for `ranks.json` and starts its own. Logs, verdicts and the ends of those come
through the folder that all nodes see.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from nbpipe.job.folder import FAILURE, rank_folder, read_sentinel, read_spec, write_whole
from nbpipe.job.launch import HASH_SEED, with_this
from nbpipe.model import Failure, JobSpec, Outcome

#: What a rank is told, by the names that `torch.distributed` and its friends look for.
NAMES = (
    *("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "GROUP_WORLD_SIZE"),
    *("MASTER_ADDR", "MASTER_PORT", "OMP_NUM_THREADS"),
)
#: Seconds that rank 0 may take to notice that another one has failed.
_GRACE = 5.0
#: Seconds that processes on other nodes have to end by themselves.
_FAREWELL = 2.0
_TAIL = 8000
#: Set where the job's other nodes wait for what they shall run.
WAITING = "NBPIPE_NODES_WAIT"
#: What all ranks get, for the other nodes; there is no such file any more once they shall end.
_ORDER = "ranks.json"
_PAUSE = 0.05


def count(spec: JobSpec) -> int:
    """How many processes run its cells."""
    return (spec.nproc or 1) * spec.nodes


def environment(spec: JobSpec, environ: Mapping[str, str]) -> dict[str, str]:
    """What all ranks have in common, and rank 0 has; others have numbers of their own."""
    # Others than those of this machine have to find it.
    here = "127.0.0.1" if spec.nodes == 1 else environ.get("MASTER_ADDR", socket.gethostname())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    found = {
        "WORLD_SIZE": str(count(spec)),
        "LOCAL_WORLD_SIZE": str(spec.nproc or 1),
        "GROUP_WORLD_SIZE": str(spec.nodes),
    }
    found |= {"MASTER_ADDR": here, "MASTER_PORT": str(port), **_numbered(0, spec)}
    # One thread each, unless somebody says otherwise: so does torchrun, or the processes fight for the cores.
    return found | {"OMP_NUM_THREADS": environ.get("OMP_NUM_THREADS", "1")}


def _numbered(rank: int, spec: JobSpec) -> dict[str, str]:
    node, local = divmod(rank, spec.nproc or 1)
    return {"RANK": str(rank), "LOCAL_RANK": str(local), "GROUP_RANK": str(node)}


def _on_node(number: int, environ: Mapping[str, str]) -> list[str]:
    """What starts a process on another node of the same Slurm job; nothing for that of the kernel."""
    if not number:
        return []
    cpus = environ.get("SLURM_CPUS_PER_TASK")
    words = ["srun", "--quiet", "--nodes=1", "--ntasks=1", f"--relative={number}", "--overlap", "--export=ALL"]
    return [*words, *([f"--cpus-per-task={cpus}"] if cpus else [])]


class Ranks:
    """The ranks beside the kernel.

    Responsibilities: each writes to a log of its own, and none outlives the job. Must not judge the stage.
    """

    def __init__(self, folder: Path, spec: JobSpec, env: Mapping[str, str]) -> None:
        self._folder = folder
        self._failed_at = 0.0
        self._running: dict[int, subprocess.Popen[bytes] | _Far] = {}
        self._elsewhere = spec.nodes > 1
        waiting = self._elsewhere and WAITING in os.environ
        for rank in range(1, count(spec)):
            node = rank // (spec.nproc or 1)
            if waiting and node:
                self._running[rank] = _Far(folder, rank)
            else:
                self._running[rank] = _begin(folder, rank, spec, env, _on_node(node, os.environ))
        if waiting:
            write_whole(folder / _ORDER, json.dumps(dict(env)).encode())

    def failed(self) -> int | None:
        """The first rank that has ended otherwise than well."""
        return next((rank for rank, process in self._running.items() if process.poll()), None)

    def overdue(self) -> bool:
        """Whether one failed, and rank 0 has had the time to notice: it may wait for it for ever."""
        if self.failed() is None:
            return False
        self._failed_at = self._failed_at or time.monotonic()
        return time.monotonic() - self._failed_at > _GRACE

    def ended(self) -> bool:
        """Whether all have ended."""
        return all(process.poll() is not None for process in self._running.values())

    def failure(self) -> Failure | None:
        """Why the first failed one did: in its own words, with the end of its log."""
        rank = self.failed()
        if rank is None:
            return None
        with (self._folder / f"rank-{rank}.log").open("rb") as log:
            log.seek(max(log.seek(0, os.SEEK_END) - _TAIL, 0))
            tail = log.read(_TAIL).decode("utf-8", "replace")
        try:
            told = msgspec.json.decode((rank_folder(self._folder, rank) / FAILURE).read_bytes(), type=Failure)
        except (OSError, msgspec.DecodeError):
            code = self._running[rank].poll()
            told = Failure(code="user-code", message=f"its process ended with exit code {code}")
        return msgspec.structs.replace(told, message=f"rank {rank}: {told.message}", traceback=tail)

    def kill(self) -> None:
        """End all of them, and what they started."""
        (self._folder / _ORDER).unlink(missing_ok=True)
        # `srun` passes the first on to other nodes; what is left there ends with the job.
        for number, patience in ((signal.SIGTERM, _FAREWELL if self._elsewhere else 0), (signal.SIGKILL, None)):
            for process in self._running.values():
                if not isinstance(process, _Far):
                    _kill(process, number)
            until = time.monotonic() + (patience or 0)
            for process in self._running.values():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(None if patience is None else max(0.0, until - time.monotonic()))


class _Far:
    """A rank on a node that waits, asked as a process here is. It ends with the order."""

    def __init__(self, folder: Path, rank: int) -> None:
        self._end = rank_folder(folder, rank) / "end.json"

    def poll(self) -> int | None:
        """Its exit code, once it has ended and that is seen here."""
        try:
            return int(json.loads(self._end.read_bytes())["code"])
        except OSError:
            return None

    def wait(self, patience: float | None) -> None:
        """Until it has ended, but for so many seconds only: its node may be gone."""
        until = time.monotonic() + (patience or 0)
        while self.poll() is None and time.monotonic() < until:
            time.sleep(_PAUSE)


def _begin(
    folder: Path, rank: int, spec: JobSpec, env: Mapping[str, str], before: Iterable[str] = ()
) -> subprocess.Popen[bytes]:
    with (folder / f"rank-{rank}.log").open("ab") as log:
        return subprocess.Popen(
            [*before, sys.executable, "-m", "nbpipe.job.rank", str(folder), str(rank)],
            cwd=folder,
            env={**HASH_SEED, **os.environ, **env, **_numbered(rank, spec)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=with_this(signal.SIGKILL),  # noqa: PLW1509
        )


def _kill(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def run_node(folder: Path, node: int, parent: int) -> None:
    """Run the ranks of this node from when the order is there to when it is gone, or `parent` is; note how each ended."""
    while not (folder / _ORDER).exists():
        if os.getppid() != parent:
            return
        time.sleep(_PAUSE)
    spec, env = read_spec(folder), json.loads((folder / _ORDER).read_bytes())
    nproc = spec.nproc or 1
    running = {rank: _begin(folder, rank, spec, env) for rank in range(node * nproc, (node + 1) * nproc)}
    while running:
        over = os.getppid() != parent or not (folder / _ORDER).exists()
        for rank, process in list(running.items()):
            if over or process.poll() is not None:
                # What it started ends with it.
                _kill(process, signal.SIGKILL)
                code = process.wait()
                del running[rank]
                with contextlib.suppress(OSError):  # the folder may be gone
                    rank_folder(folder, rank).mkdir(exist_ok=True)
                    write_whole(rank_folder(folder, rank) / "end.json", json.dumps({"code": code}).encode())
        time.sleep(_PAUSE)


def told(folder: Path, spec: JobSpec) -> list[Outcome]:
    """What the ranks beside the kernel say of themselves, when all have ended well."""
    found = (read_sentinel(rank_folder(folder, rank), spec.token) for rank in range(1, count(spec)))
    return [outcome for outcome in found if outcome is not None]


def merged(own: Outcome, others: Iterable[Outcome]) -> Outcome:
    """The outcome of rank 0 with what the others read and wrote: the stage depends on that, too."""
    others = list(others)
    written = {state.path: state for other in (*others, own) for state in other.files_written}
    read = {state.path: state for other in (*others, own) for state in other.files_read if state.path not in written}
    read |= {state.path: state for state in own.files_read}
    return msgspec.structs.replace(
        own,
        files_read=tuple(read[path] for path in sorted(read)),
        files_written=tuple(written[path] for path in sorted(written)),
        cleared=tuple(sorted({folder for each in (own, *others) for folder in each.cleared})),
        folders={path: there for other in (*others, own) for path, there in other.folders.items()},
        found=tuple(sorted({folder for each in (own, *others) for folder in each.found})),
        unseen=any(each.unseen for each in (own, *others)),
        crowded=any(each.crowded for each in (own, *others)),
        variables={name: digest for other in (*others, own) for name, digest in other.variables.items()},
        uncacheable=tuple(dict.fromkeys(reason for each in (own, *others) for reason in each.uncacheable)),
        warnings=tuple(dict.fromkeys(text for each in (own, *others) for text in each.warnings)),
    )


if __name__ == "__main__":
    run_node(Path(sys.argv[2]), int(sys.argv[1]), int(os.environ.pop("NBPIPE_PARENT")))
