"""The GPUs of this machine, and which of them a job may have."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from nbpipe.executors.ssh.there.keeper import lock

_DRIVER = Path("/proc/driver/nvidia/gpus")
_AMD = Path("/dev/kfd")


def names(configured: float = 0.0) -> tuple[str, ...]:
    """As `CUDA_VISIBLE_DEVICES` names them: those that this process may see, else as many as configured or found."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return tuple(name.strip() for name in visible.split(",") if name.strip())
    try:
        count = int(configured) or len(os.listdir(_DRIVER))  # noqa: PTH208 - a count is enough
    except OSError:
        count = 0
    return tuple(str(number) for number in range(count))


def counted() -> int | None:
    """How many GPUs this machine has; None where it may have some that nobody counts: those of Apple and AMD."""
    if sys.platform == "darwin" or _AMD.exists():
        return None
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return len(names())
    from nbpipe.executors.ssh.there.facts import gpus

    return len(names()) or len(gpus())


class Devices:
    """Hands out devices: a whole one to one job of this machine, a fraction to several. None where nobody counted them."""

    def __init__(self, configured: float) -> None:
        self.names = names(configured)
        #: Job -> descriptors that hold its devices, their names, and how much of each.
        self._taken: dict[str, tuple[list[int], tuple[str, ...], float]] = {}

    def take(self, token: str, gpus: float) -> dict[str, str] | None:
        """Variables that give a job so many devices, the least used first; they are its own until `give_back`.

        None where others have them, another run of this machine included: ask again.
        """
        if not gpus or not self.names:
            return {}
        if token in self._taken:
            return {"CUDA_VISIBLE_DEVICES": ",".join(self._taken[token][1])}
        count, share = min(max(1, int(gpus)), len(self.names)), min(gpus, 1.0)
        load = dict.fromkeys(self.names, 0.0)
        for _, taken, part in self._taken.values():
            for name in taken:
                load[name] += part
        held: dict[str, int] = {}
        for name in sorted(self.names, key=lambda name: load[name]):
            descriptor = lock(name, shared=gpus < 1) if len(held) < count else None
            if descriptor is not None:
                held[name] = descriptor
        if len(held) < count:
            for descriptor in held.values():
                os.close(descriptor)
            return None
        chosen = tuple(sorted(held, key=self.names.index))
        self._taken[token] = (list(held.values()), chosen, share)
        return {"CUDA_VISIBLE_DEVICES": ",".join(chosen)}

    def give_back(self, token: str) -> None:
        """Its job has ended."""
        for descriptor in self._taken.pop(token, ([], (), 0.0))[0]:
            os.close(descriptor)
