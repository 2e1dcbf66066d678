"""`python -m nbpipe.job JOB_DIR`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from nbpipe.job.runner import run_job


def main(arguments: list[str]) -> int:
    """Run the job in the folder named by the only argument; the exit code is one of `errors.EXIT_CODES`."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m nbpipe.job JOB_DIR\n")
        return 2
    parent = os.environ.pop("NBPIPE_PARENT", "")
    return run_job(Path(arguments[0]), parent=int(parent) if parent else None, fork=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
