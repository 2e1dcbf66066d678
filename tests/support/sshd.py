"""An sshd of our own on 127.0.0.1, with its own configuration and keys, which ends with the tests."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from nbpipe.targets.settings import Target

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
PYTHONPATH = str(Path(__file__).parents[2])


def missing() -> str:
    """What has to be installed for it; empty where everything is there."""
    tools = [name for name in ("ssh", "ssh-keygen", "rsync") if shutil.which(name) is None]
    tools += [] if Path(SSHD).exists() else ["sshd"]
    return f"{', '.join(tools)} not installed: apt-get install openssh-server openssh-client rsync" if tools else ""


def install() -> None:
    """Install what is missing, where that is this user's to do; else say what to install."""
    if missing() and os.getuid() == 0 and shutil.which("apt-get"):
        command = ["apt-get", "install", "-y", "--no-install-recommends", "openssh-server", "openssh-client", "rsync"]
        subprocess.run(["apt-get", "update"], check=False, capture_output=True)
        subprocess.run(
            command, check=False, capture_output=True, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        )
    assert not missing(), missing()


@dataclass
class Sshd:
    """A running sshd. `pid_file` names its process."""

    root: Path
    port: int

    @property
    def pid_file(self) -> Path:
        return self.root / "sshd.pid"

    def target(self, python: str, **fields: object) -> Target:
        """A target that leads here."""
        given = {"name": "box", "kind": "ssh", "host": "127.0.0.1", "port": self.port, "python": python}
        given |= {"config": str(self.root / "client"), "folder": str(self.root / "worker"), "patience": 20.0}
        return Target(**{**given, **fields})  # type: ignore[arg-type]

    def sessions(self) -> list[int]:
        """Processes of sshd that serve a connection."""
        parent = int(self.pid_file.read_text())
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[1]) == parent:
                found.append(int(stat.parent.name))
        return found

    def cut(self) -> None:
        """Break every connection."""
        for pid in self.sessions():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        """Stop listening, and break every connection."""
        self.cut()
        os.kill(int(self.pid_file.read_text()), signal.SIGTERM)
        self.pid_file.unlink(missing_ok=True)

    def start(self) -> None:
        """Listen again."""
        command = [SSHD, "-f", str(self.root / "sshd_config"), "-E", str(self.root / "sshd.log")]
        subprocess.run(command, check=True)
        until = time.monotonic() + 10
        while not self.pid_file.exists() or not _answers(self.port):
            assert time.monotonic() < until, (self.root / "sshd.log").read_text()
            time.sleep(0.02)


@contextmanager
def running_sshd(root: Path, *variables: str) -> Iterator[Sshd]:
    """One that answers to our key, until the block ends; what it starts has these `NAME=TEXT` as well."""
    root.mkdir(parents=True, exist_ok=True)
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(root / name)], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(parents=True, exist_ok=True)
    sshd = Sshd(root, port)
    named = {variable.lstrip('"').partition("=")[0] for variable in variables}
    own = [f"XDG_CONFIG_HOME={root}/config", *([] if "PYTHONPATH" in named else [f"PYTHONPATH={PYTHONPATH}"])]
    (root / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {root}/host\nAuthorizedKeysFile {root}/user.pub\n"
        f"PidFile {sshd.pid_file}\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nMaxStartups 50\nMaxSessions 50\n"
        f"PermitRootLogin prohibit-password\nSetEnv {' '.join((*variables, *own))}\n"
    )
    (root / "client").write_text(
        f"Host *\n  UserKnownHostsFile {root}/known\n  StrictHostKeyChecking accept-new\n  IdentityFile {root}/user\n"
        "  IdentitiesOnly yes\n"
    )
    sshd.start()
    try:
        yield sshd
    finally:
        sshd.stop()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
