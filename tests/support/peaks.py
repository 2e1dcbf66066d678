"""How much memory of its own a program holds at most, beyond what it held when it began."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

#: Goes before a program: `held()` watches, in a thread of its own, memory that is not a mapped file.
WATCH = """
import threading, time
class held:
    def __enter__(self):
        self.start = self.peak = own()
        self.done = False
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self
    def watch(self):
        while not self.done:
            self.peak = max(self.peak, own())
            time.sleep(0.002)
    def __exit__(self, *_):
        self.done = True
        self.thread.join()
        self.peak = max(self.peak, own())
        print(int(self.peak - self.start), flush=True)
def own():
    with open("/proc/self/status") as file:
        found = dict(line.split(":", 1) for line in file)
    return int(found["RssAnon"].split()[0]) * 1024
"""


def peak(program: str, *arguments: str, environment: dict[str, str] | None = None) -> int:
    """Bytes that `program` held more at most inside its `with held():` block than before it."""
    argv = [sys.executable, "-c", WATCH + program, *arguments]
    done = subprocess.run(argv, env={**os.environ, **(environment or {})}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return int(done.stdout.split()[-1])


def supported() -> bool:
    """Whether this system says how much memory is a process's own."""
    status = Path("/proc/self/status")
    return status.exists() and "RssAnon" in status.read_text()
