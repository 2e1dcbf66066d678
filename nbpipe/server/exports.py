"""Writing a pipeline for a scheduler, into a folder of the lab."""

from __future__ import annotations

from typing import Any

import msgspec

from nbpipe.errors import NbpipeError
from nbpipe.server.asking import ExportQuestion
from nbpipe.server.notebooks import Asked, notebook_of
from nbpipe.server.places import new_folder
from nbpipe.server.refusals import Refused


def export(asked: Asked[ExportQuestion]) -> dict[str, Any]:
    """Write the folder; what changed in what is there. Raises NbpipeError, and has written nothing then."""
    from nbpipe.export.api import default_folder, export_notebook
    from nbpipe.export.manifest import MANIFEST
    from nbpipe.export.registry import exporter

    place, question = asked.place, asked.question
    exporter(question.to)
    wanted = question.out or place.contents_path(default_folder(place.file, question.to))
    if wanted is None:
        raise Refused(400, "usage", "the notebook's folder is not in this lab", fix="Say where to write it: `out`.")
    folder = new_folder(place, wanted)
    if question.store and "://" not in question.store:
        # A path would be one of this machine, and lead anywhere on it.
        raise Refused(
            400, "usage", "the store is named by a URL here", name="store", fix="Use nbpipe export for a folder."
        )
    try:
        found = export_notebook(
            notebook_of(asked),
            to=question.to,
            out=folder,
            params=question.params,
            profile=question.profile,
            schedule=question.schedule,
            image=question.image,
            store=question.store,
            trigger_files=question.trigger_files,
            trigger_datasets=question.trigger_datasets,
            logical_date=question.logical_date,
            fresh=question.fresh,
            force=question.force,
        )
    except NbpipeError as error:
        # The answer has no field for the place.
        error.message = f"{error.where}: {error.message}" if error.where else error.message
        raise
    base = wanted.strip("/")
    written = [change.path for change in found.changes if change.status != "removed"]
    return {
        "folder": base,
        "files": [f"{base}/{path}" for path in sorted([*written, MANIFEST])],
        "definition": f"{base}/{found.main}",
        "changed": [{"diff": "", **msgspec.to_builtins(change)} for change in found.changes],
        "notes": list(found.notes),
    }
