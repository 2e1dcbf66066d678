"""Stays with one job on the other machine: starts it once, outlives the connection, and notes how it ended."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

#: One place for all users: a device is the machine's, not a user's. Nothing is in the files, they are only locked.
_LOCKS = "/tmp/nbpipe-devices"  # noqa: S108 - see above
_SHORTEST, _LONGEST = 0.01, 0.1
#: Seconds within which a kernel that waits takes its order; a shared folder may be slow to show it.
_TAKEN = 20.0
#: How often at most it is looked which devices are free, where one is taken meanwhile.
_LOOKS = 5
#: The order to a kernel that waits that nothing goes on in it any more.
_END = {"token": "end"}


def boot_id() -> str:
    """Which boot of the machine this is."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""


def started(pid: int) -> int:
    """When the process started, in ticks since boot; 0 if it is gone: tells it from a later one of its number."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return 0
    return 0 if fields[0] == "Z" else int(fields[19])


def alive(who: dict[str, Any]) -> bool:
    """Whether the very process that was noted lives: same boot, same number, same start."""
    return bool(who.get("pid")) and who.get("boot") == boot_id() and started(who["pid"]) == who.get("start") != 0


def note(path: str, data: dict[str, Any], *, once: bool = False) -> bool:
    """Write whole and durably; with `once`, only if there is none: at most one caller gets True."""
    temporary = f"{path}.{os.getpid()}"
    with open(temporary, "w") as file:
        json.dump(data, file)
        file.flush()
        os.fsync(file.fileno())
    if not once:
        os.replace(temporary, path)
        return True
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        os.unlink(temporary)
    return True


def read(path: str) -> dict[str, Any]:
    """What was noted; nothing where there is none, or none that is whole."""
    try:
        with open(path) as file:
            found: dict[str, Any] = json.load(file)
            return found
    except (OSError, ValueError):
        return {}


def detach(work: Callable[[], None], *, open_end: int = -1) -> None:
    """Run `work` in a process that belongs to nobody: the connection may end, it goes on. `open_end` stays open in it."""
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        return
    try:
        os.setsid()
        if os.fork() == 0:
            null = os.open(os.devnull, os.O_RDWR)
            for number in range(3):
                os.dup2(null, number)
            for number in range(3, 256):
                if number != open_end:
                    with contextlib.suppress(OSError):
                        os.close(number)
            for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
            work()
    finally:
        os._exit(0)


def keep(
    work: str,
    argv: list[str],
    environment: dict[str, str],
    devices: tuple[float, list[str]],
    patience: float,
    *,
    ready: Any = None,
) -> None:
    """Run `argv` with the job's folder to its end, unless somebody else keeps or kept it: nothing is started twice.

    `devices` are how many it asked for and the names of all. Nobody asking for `patience` seconds stops the job.
    `ready` has a runner begin at once (`spare.Runner`, `spare.Server`); where it cannot, one is started here.
    """
    me = {"pid": os.getpid(), "start": started(os.getpid()), "boot": boot_id()}
    if not note(work + "/keeper.json", me, once=True):
        return
    asked = _Asked(work, patience)
    held, names = _hold(work, devices, asked)
    if devices[0] and not held:
        note(work + "/rc.json", {"code": 130})
        return
    given = dict(environment)
    if devices[0]:
        given["CUDA_VISIBLE_DEVICES"] = ",".join(names)
    child = (ready.begin(work, given) if ready is not None else None) or _started(work, argv, given)
    if child is None:
        note(work + "/rc.json", {"code": 127})
        return
    note(work + "/runner.json", {"pid": child.pid, "start": started(child.pid), "boot": boot_id()})
    pause, kept = _SHORTEST, ""
    while child.poll() is None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(pause)
        pause = min(pause * 1.2, _LONGEST)
        # What a runner says that has given its verdict, and waits with its kernel for the mended cell.
        told = read(work + "/job/kept.json")
        if told.get("token", kept) != kept:
            # The attempt has ended, and its verdict lies there; only its kernel waits, with its devices.
            kept = told["token"]
            note(work + "/rc.json", {"code": told["code"]})
        if os.path.exists(work + "/cancel") or asked.forgotten():
            _stop(child)
    kill_kernel(work)
    with contextlib.suppress(FileNotFoundError):
        note(work + "/rc.json", {"code": child.returncode})
    for descriptor in held:
        os.close(descriptor)


def ordered(work: str, spec: dict[str, Any], gone: Callable[[], str]) -> bool:
    """Order the kernel that waits in this folder to go on as `spec` says; whether it has taken that, which it does once.

    It is waited for until `gone` says why there is no such kernel any more. Raises RuntimeError where it goes on for
    another attempt.
    """
    waits, order = read(work + "/job/kept.json"), work + "/job/continue.json"
    if not waits:
        if _token(work + "/job/job.json") != spec["token"] and not gone():
            raise RuntimeError("another run goes on in its kernel, or it ends")
        return bool(_token(work + "/job/job.json") == spec["token"])
    failed = str(waits.get("token", ""))
    if waits.get("index", spec.get("first")) != spec.get("first"):
        raise RuntimeError("another run has gone on in its kernel")
    mine = _first_to_go_on(work, failed, spec["token"])
    if mine and not _token(order) and _token(work + "/job/.continue.json") != spec["token"]:
        # Before the order: what comes of it may be noted at once.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(work + "/rc.json")
        note(order, spec, once=True)
    if _token(order) == _END["token"]:
        raise RuntimeError("its kernel was released meanwhile")
    if not mine or _token(order) not in ("", spec["token"]):
        raise RuntimeError("another run goes on in its kernel")
    taken = _taken(work, gone)
    now = _token(work + "/job/job.json")
    if now not in ("", failed, spec["token"]):
        raise RuntimeError("another run goes on in its kernel")
    return taken or now == spec["token"]


def _first_to_go_on(work: str, failed: str, token: str) -> bool:
    """Whether of all attempts that would go on after the one that `failed` this is the first; only that one may order it."""
    if not failed.replace("-", "").isalnum():
        raise RuntimeError("nobody knows for whom its kernel waits")
    path = f"{work}/after-{failed}.json"
    note(path, {"token": token}, once=True)
    return _token(path) == token


def released(work: str, gone: Callable[[], str]) -> bool:
    """Have the kernel that waits in this folder end; False where it waits no more: it takes one order only.

    True, too, where it does not answer, and may be killed.
    """
    if not note(work + "/job/continue.json", _END, once=True):
        return False
    _taken(work, gone)
    # What it has taken says it, and not that the order is gone: whoever was first may have removed it after theirs.
    return _token(work + "/job/.continue.json") == _END["token"] or os.path.exists(work + "/job/kept.json")


def _taken(work: str, gone: Callable[[], str]) -> bool:
    """Whether the kernel takes the order that lies there, before `gone` says that it cannot; then the order is taken back."""
    until = time.monotonic() + _TAKEN
    while os.path.exists(work + "/job/kept.json") and not gone() and time.monotonic() < until:
        time.sleep(0.005)
    try:
        os.unlink(work + "/job/continue.json")
    except FileNotFoundError:
        return True
    return False


def _token(path: str) -> str:
    """Of the attempt that a specification is of; "" where there is none."""
    return str(read(path).get("token", ""))


def _started(
    work: str, argv: list[str], environment: dict[str, str], name: str = "runner.log"
) -> subprocess.Popen[bytes] | None:
    with open(f"{work}/job/{name}", "ab") as log:
        try:
            return subprocess.Popen(
                [*argv, work + "/job"],
                cwd=work,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        except OSError as error:
            log.write(f"cannot be started: {error}\n".encode())
            return None


def kill_kernel(work: str) -> None:
    """Kill what the kernel of an ended runner may have left."""
    with contextlib.suppress(OSError, ValueError):
        with open(work + "/job/kernel.pid") as file:
            pid = int(file.read())
        os.killpg(pid, signal.SIGKILL)
        os.unlink(work + "/job/kernel.pid")


def _stop(child: subprocess.Popen[bytes]) -> None:
    """INT, TERM, KILL to its group."""
    for number, wait in ((signal.SIGINT, 0.7), (signal.SIGTERM, 0.5), (signal.SIGKILL, 5.0)):
        with contextlib.suppress(OSError):
            os.killpg(child.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(wait)
            return


class _Asked:
    """Whether somebody still asks for a job; a clock that is set meanwhile, here or there, changes nothing."""

    def __init__(self, work: str, patience: float) -> None:
        self._path = work + "/asked"
        self._patience = patience
        self._last = 0
        self._since = time.monotonic()
        with contextlib.suppress(OSError):
            found = os.stat(self._path)
            self._last = found.st_mtime_ns
            self._since -= max(time.time() - found.st_mtime, 0.0)

    def forgotten(self) -> bool:
        """Whether nobody did for as long as it has patience, or can: its folder was removed."""
        try:
            last = os.stat(self._path).st_mtime_ns
        except FileNotFoundError:
            return True
        except OSError:
            return False
        if last != self._last:
            self._last, self._since = last, time.monotonic()
        return time.monotonic() - self._since > self._patience


def _hold(work: str, devices: tuple[float, list[str]], asked: _Asked) -> tuple[list[int], list[str]]:
    """Locks on as many devices, once they are free: a whole one for itself, a part of one with others."""
    wanted, names = devices
    if not wanted:
        return [], []
    count = max(1, int(wanted))
    while not os.path.exists(work + "/cancel") and not asked.forgotten():
        held: list[int] = []
        got: list[str] = []
        for name in names:
            descriptor = lock(name, shared=wanted < 1)
            if descriptor is not None:
                held.append(descriptor)
                got.append(name)
            if len(held) == count:
                return held, got
        for descriptor in held:
            os.close(descriptor)
        note(work + "/waiting.json", {"for": count, "of": len(names)})
        time.sleep(0.2 + (os.getpid() % 10) / 50)
    return [], []


def lock(name: str, *, shared: bool) -> int | None:
    """A descriptor that holds the device for as long as it is open, or None: somebody of this machine has it."""
    path = f"{_LOCKS}/{name.replace('/', '_')}"
    with contextlib.suppress(FileExistsError):
        os.mkdir(_LOCKS)
        os.chmod(_LOCKS, 0o1777)  # noqa: S103 - as for temporary folders
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666))
            os.chmod(path, 0o666)  # noqa: S103 - all users lock it
        descriptor = os.open(path, flags)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def room(devices: list[str], works: dict[str, str], *, shared: bool) -> tuple[int, list[str]]:
    """How many of these devices could be had, and which of the jobs in these folders have one, which could not."""
    keepers = {job: read(work + "/keeper.json").get("pid", 0) for job, work in works.items()}
    free, have = 0, _holding(keepers)
    for _ in range(_LOOKS):
        before = have
        free = sum(_could_be_had(name, shared=shared) for name in devices)
        have = _holding(keepers)
        if have == before:
            break
    return free, have


def _could_be_had(device: str, *, shared: bool) -> bool:
    descriptor = lock(device, shared=shared)
    if descriptor is not None:
        os.close(descriptor)
    return descriptor is not None


def _holding(keepers: dict[str, int]) -> list[str]:
    """Those who hold a lock: that of a keeper is on a device."""
    try:
        with open("/proc/locks") as file:
            locks = [line.split() for line in file]
    except OSError:
        return []
    holders = {lock[4] for lock in locks if lock[1] == "FLOCK"}
    return [job for job, pid in keepers.items() if str(pid) in holders]


def keep_for_scheduler(work: str) -> None:
    """On a node: run the job whose folder is `work` in a folder of this start's own, unless it ended or was cancelled."""
    called, lasts = os.environ.pop("NBPIPE_NUMBER", ""), os.environ.pop("NBPIPE_LASTS", "")
    number = int(os.environ.get("SLURM_RESTART_COUNT") or 0)
    if os.environ.get("NBPIPE_START") == "next":
        # Nobody counts the pods of a job; whoever comes later is newer.
        number = max((int(name) + 1 for name in os.listdir(work) if name.isdecimal()), default=0)
    if os.path.exists(work + "/cancel"):
        return
    if any(os.path.exists(f"{work}/{n}/rc.json") for n in range(number)):
        _no_kernel(work, number)
        return
    mine = f"{work}/{number}"
    scratch = f"{work}/start.{os.getpid()}"
    with open(work + "/order.json") as file:
        order = json.load(file)
    shutil.copytree(work + "/job", scratch + "/job")
    with open(scratch + "/job/job.json") as file:
        spec = json.load(file)
    for name in ("project", "cwd", "source"):
        if spec.get(name, "").startswith(work + "/"):
            spec[name] = mine + spec[name][len(work) :]
    note(scratch + "/job/job.json", spec)
    if called:
        # Where it was handed in twice, this is the one that runs.
        note(scratch + "/number.json", {"id": called})
    for name in ("cancel", "asked"):
        # They are said of the job, whichever start of it is the newest.
        os.symlink(f"../{name}", f"{scratch}/{name}")
    try:
        os.rename(scratch, mine)
    except OSError:
        shutil.rmtree(scratch, ignore_errors=True)
        return
    # It must not outlive this process, which is all that the scheduler knows of it.
    environment = {**os.environ, **order.pop("environment"), "NBPIPE_PARENT": str(os.getpid())}
    if spec.get("keep_failed"):
        environment["NBPIPE_ENDS"] = str(time.time() + float(lasts)) if lasts else _ends(called)
    keep(mine, environment=environment, devices=(0, []), **order)


def _no_kernel(work: str, number: int) -> None:
    """Note that no kernel of the starts before this one waits any more: what had it was lost, or this were not started."""
    with contextlib.suppress(OSError):
        note(work + "/again.json", {"start": number})
    for before in range(number):
        with contextlib.suppress(OSError):
            os.unlink(f"{work}/{before}/job/kept.json")


def keep_ranks(work: str, node: str) -> int:
    """On one more node of a job: run the ranks that its first start wants here, to their end or that of the job.

    The exit code of what ran them: 0, however they ended.
    """
    first, asked = work + "/0", _Asked(work, math.inf)
    while not os.path.exists(first + "/runner.json"):
        if os.path.exists(work + "/cancel") or asked.forgotten():
            return 0
        time.sleep(_LONGEST)
    with open(work + "/order.json") as file:
        order = json.load(file)
    environment = {**os.environ, **order["environment"], "NBPIPE_PARENT": str(os.getpid())}
    child = _started(first, [order["argv"][0], "-m", "nbpipe.job.ranks", node], environment, f"node-{node}.log")
    if child is None:
        return 127
    asked = _Asked(work, order["patience"])
    while child.poll() is None:
        time.sleep(_LONGEST)
        if os.path.exists(first + "/rc.json") or asked.forgotten():
            _stop(child)
    return child.returncode


def _ends(number: str) -> str:
    """When Slurm ends the job of this number at the latest, in seconds since the epoch; "" where nobody says."""
    told = os.environ.get("SLURM_JOB_END_TIME", "")
    if told or not os.environ.get("SLURM_JOB_ID"):
        return told
    words = ["squeue", "--noheader", "--format=%e", "--jobs=" + (number or os.environ["SLURM_JOB_ID"])]
    with contextlib.suppress(OSError, ValueError, subprocess.SubprocessError):
        said = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, timeout=10).stdout
        return str(time.mktime(time.strptime(said.decode().strip(), "%Y-%m-%dT%H:%M:%S")))
    return ""


if __name__ == "__main__":
    if "NBPIPE_NODES_WAIT" in os.environ:
        # Ray ends the process that started it, with its node or its job; what it keeps sees that it is gone.
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if sys.argv[2:]:
        sys.exit(keep_ranks(*sys.argv[1:3]))
    keep_for_scheduler(sys.argv[1])
