"""Files that stages wrote: small texts are compared line by line, everything else by digest."""

from __future__ import annotations

import pytest
from runs import Site

from nbpipe.history.diff import compute
from nbpipe.history.difference.hunks import apply_hunks

CELL = """%%stage a
import json
with open('r.csv', 'w') as f:
    f.write(f'k,v\\n1,{k}\\n2,9\\n')
with open('odd.txt', 'wb') as f:
    f.write(bytes([0xFF, k]))
with open('nul.md', 'wb') as f:
    f.write(bytes([0, 65 + k]))
with open('m.bin', 'wb') as f:
    f.write(b'x' * k)
with open('big.json', 'w') as f:
    json.dump([k] * 200_000, f)"""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Site:
    site = Site(tmp_path_factory.mktemp("written"))
    site.write("%%params\nk = 1", CELL, "%%stage b\nprint(open('r.csv').read())")
    assert site.run().code == 0
    assert site.run("-p", "k=2").code == 0
    site.end_all()
    return site


def test_a_small_text_is_compared_by_its_lines_and_nothing_else_is(written: Site) -> None:
    files = {file.path: file for file in compute(written.project, "r1", "r2", parts=("data",)).files}
    assert {path for path, file in files.items() if file.change == "changed"} == {
        "r.csv",
        "odd.txt",
        "nul.md",
        "m.bin",
        "big.json",
    }
    assert [path for path, file in files.items() if file.hunks] == ["r.csv"]
    table = files["r.csv"]
    assert (table.role, table.stages) == ("written", ("a",)), "b only reads it"
    assert (table.lines_added, table.lines_removed) == (1, 1)
    assert apply_hunks("k,v\n1,1\n2,9\n", table.hunks) == "k,v\n1,2\n2,9\n"


def test_a_plan_takes_the_parameters_of_a_run(written: Site) -> None:
    done = written.command("plan", str(written.notebook), "--params-from", "r2", "--json")
    assert done.code == 0
    assert done.json["stages"][0]["action"] == "HIT"
    assert written.command("plan", str(written.notebook), "--params-from", "r9").code == 2


def test_the_lines_are_shown_below_the_file_unless_the_store_has_lost_them(written: Site) -> None:
    shown = written.command("diff", "r1", "r2", "--part", "data").out
    assert "- 1,1" in shown
    assert "+ 1,2" in shown
    for path in (written.project.state / "store" / "objects").rglob("*"):
        if path.is_file():
            path.unlink()
    files = compute(written.project, "r1", "r2", parts=("data",)).files
    assert len(files) == 5
    assert not any(file.hunks for file in files)
