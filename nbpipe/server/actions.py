"""Answers that change something: runs are started, stopped, noted, promoted, checked out and deleted."""

from __future__ import annotations

import json
from typing import Any

from nbpipe.errors import ParameterError
from nbpipe.history.query import detail, find_run
from nbpipe.server.asking import (
    About,
    CheckoutQuestion,
    PromoteQuestion,
    ReleaseQuestion,
    StartQuestion,
    StopQuestion,
    TagQuestion,
)
from nbpipe.server.notebooks import Asked, one_stage
from nbpipe.server.places import new_file
from nbpipe.server.refusals import Refused
from nbpipe.server.saving import wait_until_saved

#: Bytes that one word of a command line may have: half of what Linux allows.
_LONGEST = 65_536


def start(asked: Asked[StartQuestion]) -> dict[str, str]:
    """Start a run in a process of its own. Where an earlier run has everything already, that one is named.

    Raises Refused, and starts nothing, where the editor shows other cells than the file has.
    """
    wait_until_saved(asked)
    run, status = asked.desk.starting.start(asked.place.project, _words(asked))
    return {"run": run, "status": status}


def stop(asked: Asked[StopQuestion]) -> dict[str, str]:
    """Ask a run to stop, and do not wait for it."""
    from nbpipe.run.stopping import ask_to_stop

    project = asked.place.project
    ask_to_stop(project, asked.run, force=asked.question.force)
    return {"run": asked.run, "status": detail(project, asked.run).state.status}


def release(asked: Asked[ReleaseQuestion]) -> dict[str, Any]:
    """End the kernel of a failed stage, which its target keeps. Raises TargetError where that cannot be reached."""
    from nbpipe.run.waiting import release as end

    project, stage = asked.place.project, asked.question.stage
    return {"run": asked.run, "stage": stage, "ended": end(project, detail(project, asked.run).state, stage)}


def checkout(asked: Asked[CheckoutQuestion]) -> dict[str, str]:
    """Write the notebook of a run to a new file."""
    from nbpipe.run.checkout import beside, executed_of, write_new
    from nbpipe.run.earlier import notebook_of

    place, question = asked.place, asked.question
    source = (executed_of if question.executed else notebook_of)(place.project, asked.run)
    default = beside(place.project, asked.run, source.suffix, "-executed" if question.executed else "")
    wanted = question.to or place.contents_path(default)
    if wanted is None:
        raise Refused(400, "usage", "the notebook's folder is not in this lab", fix="Say where to write it: `to`.")
    target = new_file(place, wanted, source.suffix)
    if target.is_file() and target.read_bytes() == source.read_bytes():
        return {"path": wanted.strip("/")}
    if target.exists():
        raise Refused(409, "exists", f"{wanted} exists, and is not written over", fix="Name another file: `to`.")
    write_new(target, source)
    return {"path": wanted.strip("/")}


def promote(asked: Asked[PromoteQuestion]) -> dict[str, Any]:
    """Let an alias name the model that a run made."""
    from nbpipe.tracking.promotion import promote as let_alias_name
    from nbpipe.ui.models import change_shape

    project, question = asked.place.project, asked.question
    folder = project.run_folder(asked.run)
    model, change = let_alias_name(project.root, folder, alias=question.alias, stage=question.stage, why=question.why)
    return {"model": model, **change_shape(change)}


def tag(asked: Asked[TagQuestion]) -> dict[str, dict[str, str]]:
    """Note tags of a run, or take them away."""
    from nbpipe.history.notes import tag as note
    from nbpipe.tracking.outbox import flush

    project = asked.place.project
    tags = {name: text or "" for name, text in asked.question.tags.items()}
    notes = note(project.run_folder(asked.run), tags)
    flush(project.root)
    return {"tags": notes.shown}


def delete(asked: Asked[About]) -> None:
    """Delete a run that has ended."""
    from nbpipe.history.removal import remove_run

    project = asked.place.project
    folder = project.run_folder(asked.run)
    if detail(project, asked.run).state.status == "running":
        raise Refused(409, "running", f"{asked.run} is running, and is not deleted", fix="Stop it first.")
    remove_run(project, asked.run)
    asked.desk.logs.forget(folder)


def _words(asked: Asked[StartQuestion]) -> list[str]:
    """The question as a command line: `NAME=VALUE` in words of their own, never through a shell."""
    question, project = asked.question, asked.place.project
    words = ["run", str(asked.place.file), "--json", "--quiet", f"--seed={question.seed}"]
    for name, value in question.params.items():
        if not name.isidentifier():
            raise ParameterError(f"{name[:80]!a} is not the name of a parameter", name=name[:80])
        words += ["-p", f"{name}={value if isinstance(value, str) else json.dumps(value)}"]
    if question.params_from is not None:
        words.append(f"--params-from={find_run(project, question.params_from)}")
    given = {
        "profile": question.profile,
        "only": one_stage(question.only),
        "from": question.from_,
        "until": question.until,
        "on": question.on,
        "jobs": question.jobs,
    }
    words += [f"--{name}={value}" for name, value in given.items() if value is not None]
    words += ["--fresh"] if question.fresh else []
    words += ["--continue"] if question.continue_ else []
    if any("\0" in word for word in words):
        raise Refused(400, "usage", "a NUL character can be no part of a run's options")
    if any(len(word.encode()) > _LONGEST for word in words):
        raise Refused(413, "too-large", "a parameter is too large to be given", fix="Give the path of a file instead.")
    return words
