"""`python -m nbpipe.job.elsewhere JOB_DIR`: a job on a machine that has no project, from what was sent for it.

Without a folder it gets ready, and waits to be told one.

`shipment.json` says which files and folders of the project it gets; the bytes are in the store. The project is a copy of
the job's own: two attempts never write to the same file, and one that comes too late writes to nobody's.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

import msgspec

from nbpipe.errors import EXIT_CODES
from nbpipe.job.folder import NEEDS, SHIPMENT, read_spec, write_durably, write_spec
from nbpipe.job.runner import run_job
from nbpipe.job.shared import give, take

if TYPE_CHECKING:
    from nbpipe.model import JobSpec
    from nbpipe.store.local import LocalObjects

#: Exit code of a job that has not begun because something has to be sent (again): `needs.json` says what.
NEEDY = 75


class Shipment(msgspec.Struct, frozen=True, kw_only=True):
    """What a job's copy of the project holds. Paths are relative to it."""

    schema: int = 1
    #: Path -> hash of the object that holds its bytes.
    files: dict[str, str] = {}
    folders: tuple[str, ...] = ()
    #: A folder or URL that has what was not sent; empty where there is none.
    store: str = ""
    #: Whether it takes the results, too, where they are not little.
    gives: bool = True


def run_elsewhere(folder: Path, parent: int | None = None) -> int:
    """Unpack, then run the job, which ends with `parent`; its exit code, or `NEEDY`. Raises OSError where there is no room."""
    from nbpipe.tracking.spool import stage_environment

    # In a process of its own: hashing starts threads, and a kernel cannot be forked from a process that had some.
    pid = os.fork()
    if not pid:
        os._exit(_unpacked(folder))
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code:
        return code
    spec = read_spec(folder)
    if spec.tracking:
        spec = msgspec.structs.replace(spec, tracking=stage_environment(folder))
        write_spec(folder, spec)
    keeper = os.environ.pop("NBPIPE_PARENT", "")
    code = run_job(folder, parent=int(keeper) if keeper else parent, fork=True)
    shipment = _shipment(folder)
    # A kernel that was kept may have gone on as another attempt.
    if shipment.store and shipment.gives and give(folder, read_spec(folder), shipment.store):
        # The library of a place that hangs may wait for it at the end of the interpreter.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _shipment(folder: Path) -> Shipment:
    return msgspec.json.decode((folder / SHIPMENT).read_bytes(), type=Shipment)


def _unpacked(folder: Path) -> int:
    """Unpack; the exit code: 0, `NEEDY`, or that of a store which cannot be written."""
    try:
        spoilt = _unpack(folder, _shipment(folder), read_spec(folder))
        if spoilt:
            write_durably(folder / NEEDS, msgspec.json.encode(sorted(spoilt)))
        return NEEDY if spoilt else 0
    except (OSError, ValueError) as error:
        os.write(2, f"what was sent cannot be unpacked: {error}\n".encode())
        return EXIT_CODES["store"]


def _unpack(folder: Path, shipment: Shipment, spec: JobSpec) -> set[str]:
    """Make the project; hashes of the objects that are not as they should be."""
    from nbpipe.errors import StoreError
    from nbpipe.store import open_store

    objects = open_store(spec.store).objects
    artifacts = [*spec.inputs.values(), *spec.ambient.values()]
    wanted = sorted({*shipment.files.values(), *(name for artifact in artifacts for name in artifact.objects)})
    if shipment.store:
        take(folder, shipment.store, wanted, cast("LocalObjects", objects))
    spoilt = set()
    for digest in wanted:
        try:
            objects.local_path(digest)
        except StoreError:
            spoilt.add(digest)
    if spoilt:
        return spoilt
    root = Path(spec.project)
    for name in (*shipment.folders, Path(spec.cwd).relative_to(root).as_posix()):
        _inside(root, name).mkdir(parents=True, exist_ok=True)
    for name, digest in shipment.files.items():
        target = _inside(root, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(objects.local_path(digest), target)
    return set()


def _inside(root: Path, name: str) -> Path:
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise ValueError(f"{name!r} is no path inside a project")
    return root / name


def wait() -> int:
    """Import what every job needs, then become the job that one line of JSON on the input names; 0 if none comes."""
    from nbpipe.job.server import preload

    preload()
    line = sys.stdin.buffer.readline()
    if not line:
        return 0
    order = json.loads(line)
    folder = Path(order["work"], "job")
    null = os.open(os.devnull, os.O_RDONLY)
    log = os.open(folder / "runner.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for opened, number in ((null, 0), (log, 1), (log, 2)):
        os.dup2(opened, number)
    os.environ.update(order["environment"])
    os.chdir(order["work"])
    return run_elsewhere(folder)


if __name__ == "__main__":
    sys.exit(run_elsewhere(Path(sys.argv[1])) if sys.argv[1:] else wait())
