"""A Slurm cluster of our own on 127.0.0.1: two logical nodes with two pretended GPUs each, accounting included.

All its daemons run in the foreground as children of this process, and end with the tests.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from nbpipe.targets.settings import Target

_PACKAGES = ["slurm-wlm", "munge", "slurmdbd", "mariadb-server", "rsync"]
_TOOLS = ["sbatch", "slurmctld", "slurmd", "slurmdbd", "munged", "mysqld"]
#: Debian's services would start with the packages; ours are started by hand.
_NO_SERVICES = "#!/bin/sh\nexit 101\n"


def missing() -> str:
    """What has to be installed; empty where everything is there."""
    absent = [tool for tool in _TOOLS if shutil.which(tool, path=_path()) is None]
    return f"{', '.join(absent)} not installed: apt-get install {' '.join(_PACKAGES)}" if absent else ""


def _path() -> str:
    return f"{os.environ['PATH']}:/usr/sbin:/sbin"


def _install() -> None:
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:
        policy.write_text(_NO_SERVICES)
        policy.chmod(0o755)
    try:
        subprocess.run(["apt-get", "update"], check=False, capture_output=True)
        subprocess.run(
            ["apt-get", "install", "-y", "--no-install-recommends", *_PACKAGES],
            check=False,
            capture_output=True,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        )
    finally:
        if ours:
            policy.unlink()


def install() -> None:
    """Install what is missing, where that is this user's to do; else say what to install."""
    with (Path(tempfile.gettempdir()) / f"nbpipe-tests-{os.getuid()}-install.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests may run side by side
        if missing() and os.getuid() == 0 and shutil.which("apt-get"):
            _install()
    assert not missing(), missing()


@dataclass
class Slurm:
    """A running cluster. `daemons` are its processes, by name: `slurmd-n1` is the first node's."""

    root: Path
    ports: dict[str, int]
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """With what its commands are called."""
        given = {"SLURM_CONF": str(self.root / "slurm.conf"), "MYSQL_UNIX_PORT": str(self.root / "mysql.socket")}
        return {**os.environ, **given, "PATH": _path()}

    def target(self, python: str, **fields: object) -> Target:
        """A target that leads here."""
        given = {"name": "cluster", "kind": "slurm", "python": python, "folder": str(self.root / "shared")}
        return Target(**{**given, **fields})  # type: ignore[arg-type]

    def call(self, *words: str) -> str:
        """What one of Slurm's commands prints; it may fail, as those do that wait for a daemon."""
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True, check=False, timeout=60)
        return done.stdout + done.stderr

    def daemon(self, name: str, *words: str) -> None:
        """Start one, in a process group of its own."""
        with (self.root / f"{name}.log").open("ab") as log:
            self.daemons[name] = subprocess.Popen(
                words,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.root,
                start_new_session=True,
            )

    def node(self, name: str) -> None:
        """Start a node's daemon."""
        self.daemon(f"slurmd-{name}", "slurmd", "-D", "-N", name, "-f", str(self.root / "slurm.conf"))

    def lose(self, name: str) -> None:
        """A node's daemon dies, and Slurm is told at once that it did; what the node had started goes on."""
        daemon = self.daemons.pop(f"slurmd-{name}")
        daemon.kill()
        daemon.wait()
        self.call("scontrol", "update", f"NodeName={name}", "State=DOWN", "Reason=lost")
        # It would wait for two minutes, in case that the node comes back.
        for number in self.call("squeue", "--noheader", "--states=PENDING", "--format=%A").split():
            self.call("scontrol", "update", f"JobId={number}", "StartTime=now")

    def find(self, name: str) -> None:
        """The node is back."""
        self.node(name)
        self.call("scontrol", "update", f"NodeName={name}", "State=RESUME")
        self.await_text("idle", lambda: self.call("sinfo", "-h", "-n", name, "-o", "%t"))

    def start_again(self, number: str) -> None:
        """Have a job that was requeued start soon, which would wait for two minutes.

        Not at once: a node takes no job that it has ended within the same second.
        """
        self.await_text("PENDING Reason=BeginTime", lambda: self.call("scontrol", "show", "job", number))
        self.call("scontrol", "update", f"JobId={number}", "StartTime=now+3")

    def await_text(self, text: str, ask: Callable[[], str], seconds: float = 60.0) -> None:
        """Wait until `ask` gives this."""
        until = time.monotonic() + seconds
        while text not in (said := ask()):
            assert time.monotonic() < until, f"{said}\n{self.logs()}"
            time.sleep(0.1)

    def logs(self) -> str:
        """The ends of the daemons' logs."""
        return "\n".join(f"== {path.name}\n{path.read_text()[-1500:]}" for path in sorted(self.root.glob("*.log")))

    def stop(self) -> None:
        """End all of it: the nodes first, the database last."""
        for name in reversed(list(self.daemons)):
            daemon = self.daemons.pop(name)
            daemon.send_signal(signal.SIGTERM)
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


@contextmanager
def running_slurm(root: Path) -> Iterator[Slurm]:
    """A cluster whose nodes are idle, until the block ends."""
    root.mkdir(parents=True, exist_ok=True)
    root.chmod(0o755)
    slurm = Slurm(root, _ports("ctld", "dbd", "n1", "n2"))
    _configure(slurm)
    try:
        _start(slurm)
        yield slurm
    finally:
        slurm.call("scancel", "--signal=KILL", "--full", "--user=root")
        slurm.stop()


def _start(slurm: Slurm) -> None:
    root = slurm.root
    slurm.daemon(
        "munged", "munged", "--foreground", "--force", f"--socket={root}/munge.socket", f"--key-file={root}/munge.key",
        f"--log-file={root}/munged.log", f"--pid-file={root}/munged.pid", f"--seed-file={root}/munge.seed",
    )  # fmt: skip
    sql = f"{root}/mysql.socket"
    command = ["mysql_install_db", "--no-defaults", f"--datadir={root}/mysql", "--user=root", "--skip-test-db"]
    subprocess.run([*command, "--auth-root-authentication-method=socket"], check=True, capture_output=True)
    slurm.daemon(
        "mysqld", "mysqld", "--no-defaults", "--user=root", f"--datadir={root}/mysql", f"--socket={sql}",
        "--skip-networking", f"--pid-file={root}/mysqld.pid", "--innodb-buffer-pool-size=32M",
        "--innodb-log-file-size=16M", "--innodb-flush-log-at-trx-commit=0",
    )  # fmt: skip
    slurm.await_text("1", lambda: slurm.call("mysql", "--no-defaults", f"--socket={sql}", "-Ne", "select 1"))
    slurm.daemon("slurmdbd", "slurmdbd", "-D")
    slurm.await_text("|", lambda: slurm.call("sacctmgr", "-n", "-P", "list", "qos", "format=name,priority"))
    slurm.call("sacctmgr", "-i", "add", "cluster", "tests")
    slurm.daemon("slurmctld", "slurmctld", "-D", "-f", f"{root}/slurm.conf")
    for name in ("n1", "n2"):
        slurm.node(name)
    slurm.await_text("idle 2", lambda: slurm.call("sinfo", "-h", "-o", "%t %D"))


def _ports(*names: str) -> dict[str, int]:
    probes = {name: socket.socket() for name in names}
    for probe in probes.values():
        probe.bind(("127.0.0.1", 0))
    ports = {name: probe.getsockname()[1] for name, probe in probes.items()}
    for probe in probes.values():
        probe.close()
    return ports


def _configure(slurm: Slurm) -> None:
    root, ports = slurm.root, slurm.ports
    for name in ("state", "spool-n1", "spool-n2", "shared"):
        (root / name).mkdir()
    (root / "munge.key").write_bytes(os.urandom(128))
    (root / "munge.key").chmod(0o400)
    devices = []
    for number in range(2):
        # Slurm names only character devices to a job.
        devices.append(f"{root}/gpu{number}")
        subprocess.run(["mknod", devices[-1], "c", "1", "3"], check=True)
    (root / "gres.conf").write_text("".join(f"Name=gpu Type=fake File={device}\n" for device in devices))
    (root / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\nIgnoreSystemd=yes\n")
    host = socket.gethostname()
    (root / "slurm.conf").write_text(
        f"ClusterName=tests\nSlurmctldHost={host}(127.0.0.1)\nSlurmUser=root\nSlurmdUser=root\n"
        f"SlurmctldPort={ports['ctld']}\nAuthType=auth/munge\nAuthInfo=socket={root}/munge.socket\n"
        f"CryptoType=crypto/munge\nStateSaveLocation={root}/state\nSlurmdSpoolDir={root}/spool-%n\n"
        f"SlurmctldPidFile={root}/slurmctld.pid\nSlurmdPidFile={root}/slurmd-%n.pid\n"
        "ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nJobAcctGatherType=jobacct_gather/none\n"
        "MpiDefault=none\nSwitchType=switch/none\nReturnToService=2\nSlurmdTimeout=30\nKillWait=2\nMinJobAge=300\n"
        "SchedulerType=sched/backfill\nSchedulerParameters=sched_interval=2,sched_min_interval=10000,batch_sched_delay=0,bf_interval=2\n"
        "SelectType=select/cons_tres\nSelectTypeParameters=CR_Core\nSlurmdParameters=config_overrides\n"
        "GresTypes=gpu\nAccountingStorageType=accounting_storage/slurmdbd\nAccountingStorageHost=127.0.0.1\n"
        f"AccountingStoragePass={root}/munge.socket\n"
        f"AccountingStoragePort={ports['dbd']}\nJobRequeue=1\nPropagateResourceLimits=NONE\n"
        + "".join(
            f"NodeName={name} NodeAddr=127.0.0.1 NodeHostname={host} Port={ports[name]} CPUs=4 RealMemory=8000 "
            f"Gres=gpu:fake:2 Feature={name},fake State=UNKNOWN\n"
            for name in ("n1", "n2")
        )
        + "PartitionName=short Nodes=n1,n2 Default=YES MaxTime=60 State=UP\n"
        "PartitionName=second Nodes=n2 MaxTime=60 State=UP\n"
    )
    dbd = root / "slurmdbd.conf"
    dbd.write_text(
        f"AuthType=auth/munge\nAuthInfo=socket={root}/munge.socket\nDbdHost=localhost\nDbdPort={ports['dbd']}\n"
        f"DbdAddr=127.0.0.1\nSlurmUser=root\nPidFile={root}/slurmdbd.pid\nStorageType=accounting_storage/mysql\n"
        f"StorageHost=localhost\nStorageUser=root\nStorageLoc=slurm\n"
    )
    dbd.chmod(0o600)
