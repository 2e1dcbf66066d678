"""`make bench`: measure, and write `docs/benchmarks.md` after each part, so that an interrupted session keeps what it has.

Every figure is the median of several runs made one after the other in one session; what counts is the ratio between
lines of one table, never an absolute time.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from benchmarks import cases
from benchmarks.goals import goals
from benchmarks.measure import Section, table_of
from benchmarks.page import PAGE, Page, machine


def main() -> int:
    """Run every case, or those named, and write their sections; the others stay as they are. 1 if a case failed to run.

    With `--compare` nothing is written: 1 as well if a ratio to the first line of its table has grown.
    """
    asked = _arguments()
    known = {case.__name__: case for case in cases.ALL}
    page = Page(PAGE.read_text())
    failed, slower = [], []
    for name in asked.cases or known:
        print(f"{name} …", flush=True)
        try:
            for section in _sections(known[name](asked.repeats)):
                if asked.compare:
                    slower += page.slower(section, asked.slack)
                    continue
                page.put(section, f"{machine()} {_load()}".strip())
                page.put(goals(page))
                page.write()
        except Exception as error:  # noqa: BLE001 - the other cases are measured all the same; the exit code says it
            failed.append(name)
            print(f"{name} failed: {type(error).__name__}: {error}", flush=True)
            continue
        print(section.table if asked.compare else page.text_of(section.title), flush=True)
    if asked.compare:
        print("\n".join(["slower than published:", *slower]) if slower else "no ratio has grown")
        return 1 if slower or failed else 0
    page.put(goals(page))
    page.write()
    print(page.text_of(goals(page).title))
    print(f"wrote {PAGE.name}" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=main.__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="runs of each figure; slow ones have fewer (default 5)")
    parser.add_argument("--compare", action="store_true", help="compare ratios with the page, and write nothing")
    parser.add_argument("--slack", type=float, default=1.5, help="how many times a ratio may have grown (default 1.5)")
    names = [case.__name__ for case in cases.ALL]
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"only these: {', '.join(names)}")
    found = parser.parse_args()
    for name in found.cases:
        if name not in names:
            parser.error(f"there is no case '{name}'; cases: {', '.join(names)}")
    return found


def _sections(given: cases.Given) -> Iterable[Section]:
    if isinstance(given, tuple):
        title, note, figures = given
        yield Section(title, note, table_of(figures))
    else:
        yield from given


def _load() -> str:
    """How busy the machine was: figures of a busy one are too high, their ratios less so."""
    import os

    try:
        busy = os.getloadavg()[1]
    except (AttributeError, OSError):
        return ""
    return f"Other programs ran beside: load average {busy:.1f}." if busy > len(os.sched_getaffinity(0)) + 1 else ""


if __name__ == "__main__":
    raise SystemExit(main())
