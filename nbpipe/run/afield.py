"""Jobs on other machines that outlive the process that drives their run: the next run of the same key takes them up."""

from __future__ import annotations

from pathlib import Path

import msgspec

from nbpipe.job.folder import write_durably

_FOLDER = Path(".nbpipe") / "afield"


class Afield(msgspec.Struct, frozen=True, kw_only=True):
    """A job that was started for a key. Whoever holds the lease on the key may take it up by its token."""

    schema: int = 1
    target: str
    token: str
    pipeline: str = ""
    stage: str = ""


def remember(project: Path, key: str, job: Afield) -> None:
    """Note the job, durably, before it is started."""
    folder = project / _FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    write_durably(folder / f"{key}.json", msgspec.json.encode(job))


def recall(project: Path, key: str, target: str) -> str | None:
    """The token of the job that was started for this key on this target, and that nobody has collected."""
    try:
        found = msgspec.json.decode((project / _FOLDER / f"{key}.json").read_bytes(), type=Afield)
    except (OSError, msgspec.MsgspecError):
        return None
    return found.token if found.target == target else None


def outdated(project: Path, key: str, job: Afield) -> dict[str, Afield]:
    """Key -> jobs that were started for the same stage on the same target, by other keys: nobody wants them any more."""
    found = {}
    for path in sorted((project / _FOLDER).glob("*.json")):
        try:
            other = msgspec.json.decode(path.read_bytes(), type=Afield)
        except (OSError, msgspec.MsgspecError):
            continue
        same = (other.target, other.pipeline, other.stage) == (job.target, job.pipeline, job.stage)
        if same and path.stem != key:
            found[path.stem] = other
    return found


def forget(project: Path, key: str) -> None:
    """It has ended, and what came of it is here."""
    (project / _FOLDER / f"{key}.json").unlink(missing_ok=True)
