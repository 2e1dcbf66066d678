"""The figures to reach, each held against the page: met, missed with what remains, or not measured."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.measure import Section
from benchmarks.page import Page

TITLE = "Figures to reach"
_FIVE = "Five trivial stages, whole command"
_LINE = "What a stage costs before its first line"
_CELLS = "Notebooks of many trivial cells"
_OBJECT = "Storing an object of 1 GB"
_LIVE = "A cell in a live notebook"
_NOTHING = "Nothing to do, by the number of stages"
_SCHEDULING = "Scheduling"
_REMOTE = "From submitting to the first line, on another machine"
_BESIDE = "What goes on beside a run"


@dataclass(frozen=True)
class Check:
    """A line of a section, and the seconds that it may take; `less` is a line that is taken off."""

    what: str
    title: str
    row: str
    seconds: float
    less: str = ""


@dataclass(frozen=True)
class Goal:
    """What is to be reached, what is held against it, and where the rest goes."""

    name: str
    what: str
    checks: tuple[Check, ...]
    remains: str


GOALS = (
    Goal(
        "P1",
        "nothing to do",
        (
            Check("5 stages", _NOTHING, "nbpipe run, 5 stages", 0.06),
            Check("100 stages", _NOTHING, "nbpipe run, 100 stages", 0.08),
            Check("1,000 stages", _NOTHING, "nbpipe run, 1,000 stages", 0.15),
        ),
        "Python's own start, a fork of the warm parent that has everything imported, and looking at every stage's results (ADR 0015)",
    ),
    Goal(
        "P2",
        "per stage over the user's own code",
        (Check("trivial stages", _LINE, "per trivial stage, of 25 in a row less 5 in a row", 0.03),),
        "the kernel waits and has looked at its modules (ADR 0015): what is left is a dozen messages between two processes, "
        "comparing the names of a thousand modules twice, the kernel's end, and what is forced to the disk before a result counts",
    ),
    Goal(
        "P3",
        "ready stage to first line",
        (
            Check("first line", _LINE, "from the end of the stage above to the first line", 0.015),
            Check("torch and pandas imported", _LINE, "from there until torch and pandas are imported", 0.2),
        ),
        "the first stage's kernel starts when the run does, those of later ones wait (ADR 0015): what is left is the result of the "
        "stage above on the disk, the look at the store, the job's folder, and two steps in the kernel before the first cell; "
        "libraries are loaded ahead (ADR 0013)",
    ),
    Goal(
        "P4",
        "100 trivial cells, and per cell",
        (
            Check("100 cells, the job", _CELLS, "nbpipe, 100 cells, the job alone", 0.35),
            Check("per cell", _CELLS, "nbpipe, per cell, of 1,000 less 100", 0.0035),
            Check("per cell, 10 MB printed", _CELLS, "nbpipe, per cell, of 1,000 less 10 that print 10 MB", 0.0035),
        ),
        "starting the kernel, and one round trip over ZeroMQ per cell",
    ),
    Goal(
        "P5",
        "1 GB to the next stage",
        (
            Check("save", _OBJECT, "nbpipe: save, with digest", 1 / 3.5),
            Check("load", _OBJECT, "nbpipe: load, mapped", 0.005),
        ),
        "the figure is page-cache speed; nbpipe waits for the disk (fsync) before a result counts",
    ),
    Goal(
        "P6",
        "history over 10,000 runs",
        (
            Check("a page", "History", "a page of 50, the newest", 0.01),
            Check("sorted by a metric", "History", "sorted by a metric", 0.03),
            Check("filtered and sorted", "History", "filtered and sorted: m7 > 0.5, by m8", 0.03),
            Check("DataFrame", "History", "all rows into a pandas DataFrame", 0.25),
        ),
        "SQLite joins the metric that is filtered by with the one that is sorted by",
    ),
    Goal(
        "P7",
        "`%%stage` over the plain cell",
        (
            Check(
                "a cell of 12 lines",
                _LIVE,
                "the same below %%stage train --metrics acc,best",
                0.0001,
                "plain cell of 12 lines",
            ),
        ),
        "two hashes of the cell, and the copy of what was printed",
    ),
    Goal(
        "P8",
        "extraction and planning",
        (
            Check("extraction, 1,000 cells, cold", "Extraction", "nbpipe extract, 1,000 cells", 0.25),
            Check("one cell changed", "Extraction", "nbpipe extract, 1,000 cells, one changed", 0.05),
            Check(
                "one cell reads another name", "Extraction", "nbpipe extract, 1,000 cells, one reads another name", 0.05
            ),
            Check("planning, a chain of 10,000", "Planning", "nbpipe plan, 10,000 stages, all HIT", 2.0),
            Check(
                "planning, 3,000 stages more",
                "Planning",
                "nbpipe plan, 4,000 stages, all HIT",
                0.6,
                "nbpipe plan, 1,000 stages, all HIT",
            ),
        ),
        "cold, a fifth is Python's parser, and most of the rest the one walk over each statement; where a cell reads or gives other "
        "names, who gives what to whom is found out anew, from facts that are kept; a plan asks for three small files per "
        "stage. All of it grows with the cells and stages, not with their square: `tests/unit/plan/test_plan_scale.py`",
    ),
    Goal(
        "P9",
        "the command line answers",
        (
            Check("--help", _FIVE, "nbpipe --help", 0.04),
            Check("plan, 5 stages", _FIVE, "nbpipe plan", 0.06),
        ),
        "Python's own start; click and msgspec for help, for a plan a fork of the warm parent that answers (ADR 0015)",
    ),
    Goal(
        "P10",
        "scheduling per stage",
        (
            Check("1,600 stages, 200 at once", _SCHEDULING, "per stage, 1,600 stages wide", 0.001),
            Check("1,600 stages in a chain", _SCHEDULING, "per stage, 1,600 stages in a chain", 0.001),
            Check("10,000 stages, 200 at once", _SCHEDULING, "per stage, 10,000 stages wide", 0.001),
            Check("10,000 stages in a chain", _SCHEDULING, "per stage, 10,000 stages in a chain", 0.001),
        ),
        "eight waits for the disk (fsync) per stage, fourteen folders made, fourteen files opened: the job, the verdict, the "
        "result, two events, and without a wait its tracking's and the claim",
    ),
    Goal(
        "P11",
        "MLflow on the critical path; warm pool idle",
        (
            Check("a run of five stages", _BESIDE, "what tracking adds, median of the differences", 0.001),
            Check("idle, per second", _BESIDE, "processor time of a waiting parent, in one second", 0.01),
        ),
        "delivery is another process's work (`docs/guide/tracking.md`); the run starts that process, and spools what it sends",
    ),
    Goal(
        "P12",
        "an `--on` cell to its first line, beyond the transfer",
        (
            Check(
                "a warm target over ssh, nothing to send", _REMOTE, "nbpipe, a later `--on` cell of that notebook", 0.3
            ),
        ),
        "the run's record and job, comparing what the cell may read, a runner that waits, and one round trip each",
    ),
)


def goals(page: Page) -> Section:
    """P1 to P12 against what the page holds now."""
    lines = [row for goal in GOALS for row in _rows(goal, page)]
    head = "| | what | to reach, s | measured, s | | what remains |\n|---|---|---|---|---|---|"
    return Section(TITLE, "Held against the tables below.", "\n".join([head, *lines]))


def _rows(goal: Goal, page: Page) -> list[str]:
    rows = []
    for check in goal.checks:
        found = _measured(check, page)
        verdict = "not measured" if found is None else "met" if found <= check.seconds else "**missed**"
        shown = "" if found is None else f"{found:.4g}"
        left = goal.remains if verdict == "**missed**" else ""
        rows.append(f"| {goal.name} | {goal.what}: {check.what} | {check.seconds:.4g} | {shown} | {verdict} | {left} |")
    return rows


def _measured(check: Check, page: Page) -> float | None:
    found = page.seconds(check.title, check.row)
    if found is None or not check.less:
        return found
    base = page.seconds(check.title, check.less)
    return None if base is None else found - base
