"""The servers of Kubernetes, built from the sources that Debian has: nobody hands them out ready-made as a package.

It takes ten minutes on two cores, once; they are kept beside the environments of the other engines.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

VERSION = "1.20.2"
_SOURCE = "kubernetes=1.20.5+really1.20.2-1.1+deb12u1"
_RELEASE = "bookworm"
_KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
_PACKAGES = ["golang-go", "etcd-server", "rsync", "make", "jq", "openssl"]
_TOOLS = ["go", "etcd", "rsync", "make", "jq", "openssl"]
SERVERS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
_NO_SERVICES = "#!/bin/sh\nexit 101\n"


def built() -> Path:
    """The folder with the servers, and `etcd` on the PATH; built where they are not there yet."""
    base = Path(os.environ.get("NBPIPE_ENGINES") or Path.home() / ".cache" / "nbpipe" / "engines")
    folder = base / f"kubernetes-{VERSION}"
    if shutil.which("etcd") is None:
        _install()
    base.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _make(base, folder)
    return folder


def _make(base: Path, folder: Path) -> None:
    if not (folder / ".whole").exists():
        if any(shutil.which(tool) is None for tool in _TOOLS):
            _install()
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        with tempfile.TemporaryDirectory(prefix="kubernetes-", dir=base) as scratch:
            _build(Path(scratch), folder)
        (folder / ".whole").touch()


def _install() -> None:
    assert os.getuid() == 0, f"apt-get install {' '.join(_PACKAGES)}"
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:
        # Debian's etcd would start with its package; ours is started by hand.
        policy.write_text(_NO_SERVICES)
        policy.chmod(0o755)
    try:
        subprocess.run(["apt-get", "update"], check=False, capture_output=True)
        words = ["apt-get", "install", "-y", "--no-install-recommends", *_PACKAGES]
        subprocess.run(words, check=True, capture_output=True, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
    finally:
        if ours:
            policy.unlink()


def _build(scratch: Path, into: Path) -> None:
    words = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Origin: Debian", "Identifier: Packages"]
    site = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()[0]
    for name in ("lists/partial", "cache/archives/partial", "source", "home"):
        (scratch / name).mkdir(parents=True)
    (scratch / "sources.list").write_text(f"deb-src [signed-by={_KEYS}] {site} {_RELEASE} main\n")
    (scratch / "apt.conf").write_text(
        f'Dir::Etc::SourceList "{scratch}/sources.list";\nDir::Etc::SourceParts "/dev/null";\n'
        f'Dir::State::Lists "{scratch}/lists";\nDir::Cache "{scratch}/cache";\n'
    )
    apt = {**os.environ, "APT_CONFIG": str(scratch / "apt.conf")}
    for command in (["apt-get", "update"], ["apt-get", "source", "--download-only", _SOURCE]):
        subprocess.run(command, env=apt, cwd=scratch, check=True, capture_output=True)
    archive = next(scratch.glob("kubernetes_*.orig.tar.gz"))
    source = scratch / "source"
    subprocess.run(["tar", "--extract", "--file", archive, "--strip-components=1"], cwd=source, check=True)
    environment = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    # All that it needs is in the archive.
    environment |= {"HOME": f"{scratch}/home", "GOCACHE": f"{scratch}/gocache", "GOPROXY": "off", "GOSUMDB": "off"}
    environment |= {"KUBE_GIT_VERSION": f"v{VERSION}", "KUBE_GIT_TREE_STATE": "clean", "KUBE_GIT_COMMIT": "0" * 40}
    environment |= {"KUBE_GIT_MAJOR": "1", "KUBE_GIT_MINOR": "20", "SOURCE_DATE_EPOCH": "1610000000"}
    command = ["nice", "-n", "5", "make", "WHAT=" + " ".join(f"cmd/{name}" for name in SERVERS)]
    with (into / "build.log").open("wb") as log:
        subprocess.run(command, env=environment, cwd=source, check=True, stdout=log, stderr=log)
    for name in SERVERS:
        shutil.copy2(source / "_output" / "local" / "go" / "bin" / name, into / name)
    # Go's caches are written read-only.
    subprocess.run(["chmod", "-R", "u+w", scratch], check=False)
