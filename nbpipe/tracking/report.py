"""An executed notebook as one page, through nbconvert."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, get_args

from nbpipe.errors import NotebookError, UnsupportedError, UsageError
from nbpipe.notebook.libraries import load_jsonschema

#: What the page may do: show what it holds.
_POLICY = "default-src 'none'; img-src data:; media-src data:; font-src data:; style-src 'unsafe-inline'"
_SCRIPT = re.compile(r"<script\b.*?(?:</script\s*>|\Z)", re.IGNORECASE | re.DOTALL)
#: Elements that load, send or lead elsewhere by themselves; a policy stops most, but no policy stops a refresh.
_ACTIVE = re.compile(r"<(?=/?(?:meta|base|link|iframe|frame|frameset|object|embed|form|portal)\b)", re.IGNORECASE)
_ADDRESS = re.compile(r"@import\b[^;]*;|<link\b[^>]*>", re.IGNORECASE)

Form = Literal["html", "markdown", "pdf", "script"]
_SUFFIX = {"html": ".html", "markdown": ".md", "pdf": ".pdf", "script": ".py"}


def write_report(executed: Path, to: Form, dest: Path) -> Path:
    """Write the notebook `executed` to the file `dest` (named like it, where `dest` is a folder); returns the file.

    HTML is one file that asks the network for nothing and runs no script: see `sealed`. Images of Markdown lie in a
    folder beside it. Raises UsageError for an unknown form, NotebookError for what is no notebook, UnsupportedError for
    a PDF where LaTeX or pandoc is missing.
    """
    if to not in get_args(Form):
        raise UsageError(f"{to!r} is not a form of report", name=to, fix=f"Use one of: {', '.join(get_args(Form))}")
    load_jsonschema()
    import nbformat
    from nbconvert import get_exporter
    from nbconvert.utils.pandoc import PandocMissing

    try:
        notebook = nbformat.reads(executed.read_text(encoding="utf-8"), as_version=4)
    except (OSError, ValueError) as error:
        raise NotebookError(f"cannot be read as a notebook: {error}", name=str(executed)) from error
    path = dest / f"{executed.stem}{_SUFFIX[to]}" if dest.is_dir() else dest
    assets = f"{path.stem}_files"
    resources = {"metadata": {"name": executed.stem}, "output_files_dir": assets, "unique_key": path.stem}
    exporter = get_exporter(to)()
    if to == "html":
        exporter.embed_images = True
        exporter.exclude_anchor_links = True
    try:
        body, found = exporter.from_notebook_node(notebook, resources=resources)
    except (PandocMissing, OSError) as error:
        if to != "pdf":
            raise
        raise UnsupportedError(
            f"PDF needs LaTeX and pandoc: {error}", name="pdf", fix="Install xelatex and pandoc, or use --to html."
        ) from error
    if to == "html":
        body = sealed(body)
    path.parent.mkdir(parents=True, exist_ok=True)
    for name, data in found.get("outputs", {}).items():
        (path.parent / name).parent.mkdir(parents=True, exist_ok=True)
        (path.parent / name).write_bytes(data)
    path.write_bytes(body if isinstance(body, bytes) else body.encode())
    return path


def sealed(page: str) -> str:
    """The page without scripts, and with a policy that lets it load nothing and run nothing.

    Outputs are anything that code, or data that code printed, came up with; the page is looked at by others.
    """
    page = _SCRIPT.sub("", page)
    head, body_tag, body = page.partition("<body")
    head = _ADDRESS.sub("", head)
    policy = f'<head><meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    return head.replace("<head>", policy, 1) + body_tag + _ACTIVE.sub("&lt;", body)
