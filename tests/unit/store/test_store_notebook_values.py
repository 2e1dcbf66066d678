"""Values that hold what the notebook defines: stored by one process, loaded by another with the same definitions."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

DEFINITIONS = """
import collections, functools
from dataclasses import dataclass
from nbpipe.model import Artifact
from nbpipe.store import open_store
import msgspec, sys
store = open_store(sys.argv[1])
@dataclass
class Point:
    x: int
class Outer:
    class Inner:
        pass
def double(x):
    return 2 * x
def make_counter():
    count = 0
    def step():
        nonlocal count
        count += 1
        return count
    def look():
        return count
    return step, look
def recursive():
    def fact(n):
        return 1 if n < 2 else n * fact(n - 1)
    return fact
"""
SAVE = """
with open(sys.argv[2], "wb") as file:
    file.write(msgspec.json.encode(store.save_values(values, stage="s")))
"""
LOAD = """
artifacts = msgspec.json.decode(open(sys.argv[2], "rb").read(), type=dict[str, Artifact])
globals().update(store.load_values(artifacts, globals()))
"""
CASES = {
    "an instance of a notebook class": ("values = {'p': [Point(1)]}", "assert type(p[0]) is Point and p[0].x == 1"),
    "an instance of a nested class": ("values = {'i': Outer.Inner()}", "assert type(i) is Outer.Inner"),
    "a function in a list": ("values = {'f': [double]}", "assert f[0] is double"),
    "a lambda that reads a global": (
        "scale = 3; values = {'f': lambda x: x * scale, 'scale': scale}",
        "assert f(2) == 6; scale = 4; assert f(2) == 8",
    ),
    "two closures over one variable": (
        "step, look = make_counter(); step(); values = {'step': step, 'look': look}",
        "assert look() == 1; step(); assert look() == 2",
    ),
    "a closure that calls itself": ("values = {'fact': recursive()}", "assert fact(5) == 120"),
    "defaults and attributes": (
        "f = lambda x, *, k=[1]: k\nf.note = 'n'\nvalues = {'f': f}",
        "assert f(0) == [1] and f.note == 'n'",
    ),
    "a named tuple made at the top": (
        "P = collections.namedtuple('P', 'x y', defaults=[5]); values = {'p': P(1), 'P': P}",
        "assert type(p) is P and p == P(1, 5)",
    ),
    "a partial of a notebook function": ("values = {'g': functools.partial(double, 4)}", "assert g() == 8"),
    "a bound method": ("p = Point(3); values = {'r': p.__repr__}", "assert r() == 'Point(x=3)'"),
    "a decorated function": (
        "@functools.lru_cache\ndef slow(x): return x\nvalues = {'h': [slow]}",
        None,
    ),
}


def run(program: str, *arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("case", CASES)
def test_it_is_the_same_in_the_next_process(case: str, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "NBPIPE_STORE_KEY": "a key for the tests only",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    places = str(tmp_path / "store"), str(tmp_path / "artifacts.json")
    make, check = CASES[case]
    saved = run(f"{DEFINITIONS}\n{make}\n{SAVE}", *places, environment=environment)
    assert saved.returncode == 0, saved.stderr
    again = make.split("values")[0] if check is None else ""
    loaded = run(f"{DEFINITIONS}\n{again}\n{LOAD}\n{check or 'assert h[0] is slow'}", *places, environment=environment)
    assert loaded.returncode == 0, loaded.stderr


def test_what_a_value_needs_is_listed(tmp_path: Path) -> None:
    environment = {**os.environ, "NBPIPE_STORE_KEY": "a key for the tests only"}
    program = f"""{DEFINITIONS}
scale = 3
artifacts = store.save_values({{"p": Point(1), "f": lambda x: double(x) * scale + len([]), "n": 1}}, stage="s")
print([artifacts[name].needs for name in "pfn"])
"""
    done = run(program, str(tmp_path / "store"), environment=environment)
    assert done.stdout.strip() == "[('Point',), ('double', 'scale'), ()]", done.stderr


def test_a_missing_definition_is_named(tmp_path: Path) -> None:
    environment = {**os.environ, "NBPIPE_STORE_KEY": "a key for the tests only"}
    places = str(tmp_path / "store"), str(tmp_path / "artifacts.json")
    run(f"{DEFINITIONS}\nvalues = {{'p': Point(1)}}\n{SAVE}", *places, environment=environment)
    done = run(f"{DEFINITIONS}\ndel Point\n{LOAD}", *places, environment=environment)
    assert "StoreError" in done.stderr
    assert "definition of 'Point' is needed and missing" in done.stderr
