"""Files of a run that belong among its artifacts in MLflow: artifact folder and file, one by one."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from nbpipe.errors import StoreError
from nbpipe.store import Store
from nbpipe.tracking.recorded import RecordedRun, RecordedStage
from nbpipe.tracking.report import write_report
from nbpipe.tracking.spool import Spooled

_IMAGES = {"image/png": "png", "image/jpeg": "jpg", "image/svg+xml": "svg", "image/gif": "gif"}


def of_run(run: RecordedRun, scratch: Path) -> Iterator[tuple[str, Path]]:
    """The bundle, the environment, the executed notebook, the same as a page, and its images."""
    bundle = run.folder / "bundle"
    for path in sorted(bundle.rglob("*")):
        if path.is_file() and not path.is_symlink():
            folder = path.parent.relative_to(run.folder).as_posix()
            yield folder, path
    if (run.folder / "environment.json").exists():
        yield "", run.folder / "environment.json"
    executed = run.executed
    if executed is not None:
        yield "", executed
        try:
            page = write_report(executed, "html", scratch / f"{executed.stem}.html")
        except Exception:  # a notebook's outputs are anything: what nbconvert chokes on must not keep the run back
            logging.getLogger(__name__).exception("%s has no page", executed)
        else:
            yield "", page
        for image in _images(executed, scratch):
            yield "figures", image


def of_stage(stage: RecordedStage, spooled: Spooled, store: Store, scratch: Path) -> Iterator[tuple[str, Path]]:
    """The log, and every file that its cells logged."""
    if stage.folder is not None and (stage.folder / "log.jsonl").exists():
        yield "", stage.folder / "log.jsonl"
    for name, path in spooled.files.items():
        yield _folder(name), path
    for name, digest in (stage.outcome.logged if stage.outcome else {}).items():
        pure = PurePosixPath(name)
        if name in spooled.files or pure.is_absolute() or ".." in pure.parts:
            continue
        target = scratch / stage.name / pure
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            target.write_bytes(store.objects.get_bytes(digest))
        except StoreError:
            continue  # collected since: the run that made it has delivered it
        yield _folder(name), target


def _folder(name: str) -> str:
    folder = PurePosixPath(name).parent.as_posix()
    return "" if folder == "." else folder


def _images(executed: Path, scratch: Path) -> Iterator[Path]:
    (scratch / "figures").mkdir(parents=True, exist_ok=True)
    cells = json.loads(executed.read_text(encoding="utf-8")).get("cells", [])
    for number, cell in enumerate(cells, start=1):
        for place, output in enumerate(cell.get("outputs", []), start=1):
            for kind, suffix in _IMAGES.items():
                if kind not in output.get("data", {}):
                    continue
                found = output["data"][kind]
                text = found if isinstance(found, str) else "".join(found)
                path = scratch / "figures" / f"cell-{number}-{place}.{suffix}"
                path.write_bytes(text.encode() if suffix == "svg" else base64.b64decode(text))
                yield path
