"""`python -m nbpipe.stage FOLDER STAGE --run ID`: what the definitions of all schedulers start.

Exit codes are those of `nbpipe run`: 0 ok, 1 the code failed, 2 usage, 3 pipeline, 4 kernel lost, 5 timeout, 6 store,
7 security, 8 a check said no, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

from nbpipe.errors import EXIT_CODES, NbpipeError, ParameterError, UsageError


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message, fix="Try: python -m nbpipe.stage --help")


def main(arguments: list[str]) -> int:
    """Run one stage, or record the run; the exit code."""
    _follow_parent()
    try:
        return _run(arguments)
    except NbpipeError as error:
        sys.stderr.write(f"nbpipe: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return EXIT_CODES["interrupted"]


def _run(arguments: list[str]) -> int:
    given = _parser().parse_args(arguments)
    texts = {**_values(given.texts), **dict(_pair(word) for word in given.param)}
    params = _values(given.params)
    from nbpipe.stage.api import Ask, run_stage
    from nbpipe.stage.book import Amended, book_of
    from nbpipe.stage.site import site_of
    from nbpipe.stage.telling import Teller
    from nbpipe.store import open_store

    with site_of(Path(given.folder).resolve(), given.project) as site:
        store = open_store(given.store or site.store)
        fresh = given.fresh or (os.environ.get("NBPIPE_FRESH") or str(int(site.manifest.fresh))) != "0"
        if given.all:
            from nbpipe.stage.pipelines import values_of
            from nbpipe.stage.whole import run_whole

            values = values_of(site, params, texts)
            return run_whole(site, store, values, label=given.run or "", fresh=fresh)
        book = book_of(store, site.pipeline.name, run=given.run, receipts=given.receipts)
        label = given.run or site.manifest.scheduler
        if given.finish:
            from nbpipe.stage.finish import finish

            ask = Ask(stage="", label=label, params=params, texts=texts)
            return finish(site, store, book, ask)
        ask = Ask(
            stage=given.stage or "",
            label=label,
            params=params,
            texts=texts,
            fresh=fresh,
            retries=given.retries,
        )
        teller = Teller(sys.stdout, ask.stage)
        entry = run_stage(site, store, book, ask, teller.hear)
        teller.end(entry)
        if given.record_failure and entry.trace is None:
            from nbpipe.stage.finish import finish

            finish(site, store, Amended(book, entry), ask)
        return entry.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m nbpipe.stage", description="Run one stage of an exported pipeline.")
    parser.add_argument("folder", help="the exported folder")
    parser.add_argument("stage", nargs="?", help="the stage to run")
    parser.add_argument("--run", metavar="ID", help="the scheduler's own id of the run")
    parser.add_argument("--receipts", type=Path, metavar="DIR", help="instead: a folder with a file per stage")
    parser.add_argument("--store", metavar="PLACE", help="folder or URL of the store")
    parser.add_argument("--project", metavar="DIR", help="the project's folder")
    parser.add_argument("--param", action="append", default=[], metavar="NAME=VALUE", help="set a parameter")
    parser.add_argument("--params", metavar="JSON", help="parameters as an object; @FILE or - reads it")
    parser.add_argument("--texts", metavar="JSON", help="the same, and its texts are read by the parameters' types")
    parser.add_argument("--all", action="store_true", help="all stages, here and now, as nbpipe run does")
    parser.add_argument("--fresh", action="store_true", help="reuse nothing; also NBPIPE_FRESH=1")
    parser.add_argument("--retries", type=int, default=0, metavar="N", help="retries, where the scheduler has none")
    parser.add_argument(
        "--record-failure", action="store_true", help="record the run if this stage fails: none follows"
    )
    parser.add_argument("--finish", action="store_true", help="all stages have ended: check and record the run")
    return parser


def _pair(word: str) -> tuple[str, str]:
    name, equals, text = word.partition("=")
    if not equals:
        raise UsageError(f"--param {word!r} does not say NAME=VALUE", name=word)
    return name, text


def _values(text: str | None) -> dict[str, Any]:
    try:
        data = sys.stdin.read() if text == "-" else text
        if data and data.startswith("@"):
            data = Path(data[1:]).read_text(encoding="utf-8")
        found = json.loads(data) if data else {}
    except (OSError, ValueError) as error:
        raise ParameterError(f"the parameters cannot be read: {error}", name="params") from None
    if not isinstance(found or {}, dict):
        raise ParameterError("parameters are given as a JSON object", name="params")
    return found or {}


def _follow_parent() -> None:
    """End with the process that `NBPIPE_PARENT` names, which may be killed without a word."""
    parent = os.environ.pop("NBPIPE_PARENT", "")
    if not parent.isdecimal():
        return
    from nbpipe.job.launch import die_with_parent

    die_with_parent(signal.SIGTERM)
    if os.getppid() != int(parent):
        raise SystemExit(EXIT_CODES["interrupted"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
