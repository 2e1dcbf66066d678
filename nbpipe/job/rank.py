"""`python -m nbpipe.job.rank JOB_DIR N`: one more process that runs the cells of a stage, beside its kernel.

It begins as the kernel does, with the same definitions, values and seeds, and runs the same cells in an IPython shell; what
it computes stays with it. What it read, and whether it failed, is told in `JOB_DIR/rank-N/`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import msgspec

from nbpipe.job.folder import rank_folder, read_spec, write_spec
from nbpipe.job.kernel import Session, effective


def run_rank(job: Path, rank: int) -> int:
    """Run the cells; 0 when all of them ended well."""
    folder = rank_folder(job, rank)
    folder.mkdir(exist_ok=True)
    spec = read_spec(job)
    plain = msgspec.structs.replace(spec, outputs=(), spare=(), dynamic=False, metrics=(), thresholds=())
    write_spec(folder, plain)
    shell = _shell()
    shell.history_manager.enabled = False
    shell.colors = "nocolor"
    session = Session(folder, shell)
    session.files.alone = False
    cell: int | None = None
    try:
        session.begin()
        for code in (*spec.setup, None, *spec.cells):
            if code is None:
                session.prepare()
                continue
            cell = code.cell
            found = shell.run_cell(effective(code.body, code.line), store_history=True)
            error = found.error_before_exec or found.error_in_exec
            if error is not None and not code.may_raise:
                session.explain(cell, error)
                return 1
        session.finish()
    except Exception as error:
        session.explain(cell, error)
        raise
    return 0


def _shell() -> Any:
    """An IPython shell without a kernel around it, whose cells are named as a kernel's are: they are known by that."""
    from ipykernel.compiler import XCachingCompiler
    from IPython.core.interactiveshell import InteractiveShell

    class RankShell(InteractiveShell):  # type: ignore[misc]
        compiler_class = XCachingCompiler

    return RankShell.instance()


if __name__ == "__main__":
    os.chdir(read_spec(Path(sys.argv[1])).cwd)
    if sys.path and sys.path[0] == "":
        del sys.path[0]
    sys.exit(run_rank(Path(sys.argv[1]), int(sys.argv[2])))
