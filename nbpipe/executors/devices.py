"""The GPUs of this machine, and which of them a job may have."""

from __future__ import annotations

import os
from pathlib import Path

_DRIVER = Path("/proc/driver/nvidia/gpus")


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


class Devices:
    """Hands out devices: a whole one to one job, a fraction to several. Where nobody counted them, names none."""

    def __init__(self, configured: float) -> None:
        self.names = names(configured)
        self._taken: dict[str, tuple[tuple[str, ...], float]] = {}

    def take(self, token: str, gpus: float) -> dict[str, str]:
        """Variables that give a job so many devices, the least used first; they are its own until `give_back`."""
        if not gpus or not self.names:
            return {}
        count, share = max(1, int(gpus)), min(gpus, 1.0)
        load = dict.fromkeys(self.names, 0.0)
        for held, part in self._taken.values():
            for name in held:
                load[name] += part
        chosen = sorted(sorted(self.names, key=lambda name: load[name])[:count], key=self.names.index)
        self._taken[token] = (tuple(chosen), share)
        return {"CUDA_VISIBLE_DEVICES": ",".join(chosen)}

    def give_back(self, token: str) -> None:
        """Its job has ended."""
        self._taken.pop(token, None)
