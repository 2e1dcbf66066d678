"""What starts a run besides people and clocks: files of the project, and datasets that the scheduler itself knows of."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterable
from pathlib import Path

from nbpipe.errors import UsageError
from nbpipe.export.python import assign, value

#: What a dataset may be called: the URI of an asset, the key of one, the name of an event. Nothing in it is a wildcard.
_DATASET = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.:/@%=+~-]{0,498}[A-Za-z0-9_/=])?")
#: Seconds between two looks at files, where a scheduler looks.
INTERVAL = 60
#: Part of a generated module that has `PROJECT` and `FILES`, and imports `hashlib`.
LOOK = '''
def state_of_files(before):
    """Path -> size, time and digest of each file that starts a run; one that looks as before is not read again."""
    found = {}
    for pattern in FILES:
        for file in sorted(PROJECT.glob(pattern)):
            if not file.is_file():
                continue
            name, facts = file.relative_to(PROJECT).as_posix(), file.stat()
            size, changed, digest = before.get(name, (None, None, None))
            if (size, changed) != (facts.st_size, facts.st_mtime_ns):
                read = hashlib.sha256()
                with file.open("rb") as stream:
                    while block := stream.read(1048576):
                        read.update(block)
                digest = read.hexdigest()
            found[name] = [facts.st_size, facts.st_mtime_ns, digest]
    return found


def same_files(before, now):
    """Whether they hold the same; None, before the first look, is taken for the same."""
    return before is None or {name: each[2] for name, each in before.items()} == {
        name: each[2] for name, each in now.items()
    }
'''


def read_files(texts: Iterable[str], beside: Path, project: Path) -> tuple[str, ...]:
    """Paths from the folder of the notebook, as paths from that of the project. `*` and `**/` are patterns.

    Raises UsageError for a path outside the project, and for one that no scheduler could be told.
    """
    found = []
    for text in texts:
        path = Path(os.path.relpath(beside / text, project)).as_posix()
        parts = path.split("/")
        if not text or path == "." or parts[0] == ".." or text.endswith("/"):
            raise UsageError(
                f"--trigger-file {text!a} is no file of the project",
                name=text[:80],
                fix="Name a file, or files by a pattern such as data/*.csv, by their path from the notebook's folder.",
            )
        wild = any("**" in part and part != "**" for part in parts) or parts[-1] == "**"
        if wild or not path.isprintable() or "\\" in path or path != path.strip():
            raise UsageError(
                f"--trigger-file {text!a} cannot be watched for",
                name=text[:80],
                fix="Write * for a part of a name and **/ for folders: data/**/*.csv. Other characters stand for themselves.",
            )
        found.append(path)
    return tuple(dict.fromkeys(found))


def read_datasets(texts: Iterable[str]) -> tuple[str, ...]:
    """Names of datasets. Raises UsageError for what is no name of one, or holds a password."""
    found = []
    for text in texts:
        if "@" in text.partition("://")[2].partition("/")[0]:
            raise UsageError(
                "the URI of the dataset holds a password, and an export is written down",
                name="trigger-dataset",
                fix="Leave it out.",
            )
        if not _DATASET.fullmatch(text):
            raise UsageError(
                f"--trigger-dataset {text[:80]!a} is no name of a dataset",
                name=text[:80],
                fix="Give the URI or the key that the scheduler knows it by: s3://bucket/orders, or sales/orders.",
            )
        found.append(text)
    return tuple(dict.fromkeys(found))


def looking(files: tuple[str, ...], project: str) -> list[ast.stmt]:
    """The statements of a module that looks at files: `project` is the path of the project from `FOLDER`."""
    place = ast.parse("Path(os.environ.get('NBPIPE_PROJECT') or FOLDER / '').resolve()", mode="eval").body
    for node in ast.walk(place):
        if isinstance(node, ast.Constant) and node.value == "":
            node.value = project
    # `*` alone is a pattern.
    patterns = [re.sub(r"([?\[])", r"[\1]", path) for path in files]
    return [assign("PROJECT", place), assign("FILES", value(patterns)), *ast.parse(LOOK).body]
