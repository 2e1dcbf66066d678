"""Local modules are found as Python finds them, with all that they import; each stage knows which ones it reaches."""

from __future__ import annotations

from pathlib import Path

import pytest
from planned import Book

from nbpipe.pipeline.contents import digest_file, listing_digest, source_digest
from nbpipe.pipeline.modules import distributions_reached, find_modules, imported_names, reach


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        target = folder / f"{name.replace('__', '/')}.py"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ("import a", {"a"}),
        ("import a.b.c as d", {"a", "a.b", "a.b.c"}),
        ("from a.b import c", {"a", "a.b", "a.b.c"}),
        ("from a import *", {"a"}),
        ("def f():\n    if x:\n        import deep", {"deep"}),
        ("try:\n    import a\nexcept ImportError:\n    import b", {"a", "b"}),
        ("%matplotlib inline\nimport a\n!ls", {"a"}),
        ("this is not python", set()),
        ("import_a = 'import b'", set()),
    ],
)
def test_imports_are_read_from_the_code(body: str, names: set[str]) -> None:
    assert set(imported_names(body)) == names


def test_what_a_module_imports_is_followed_to_its_end(tmp_path: Path) -> None:
    write(tmp_path, a="import b\nimport json, numpy", b="def f():\n    from c import x", c="import a", unused="")
    found = find_modules(["import a"], tmp_path)
    assert list(found.modules) == ["a", "b", "c"]
    assert found.imports == {"a": ("b", "json", "numpy"), "b": ("c",), "c": ("a",)}
    assert {name: path for name, (path, _) in found.modules.items()} == {"a": "a.py", "b": "b.py", "c": "c.py"}


def test_packages_come_with_their_init_and_relative_imports(tmp_path: Path) -> None:
    (tmp_path / "pkg" / "sub").mkdir(parents=True)
    (tmp_path / "pkg" / "__init__.py").write_text("from . import one\n")
    (tmp_path / "pkg" / "one.py").write_text("from .sub.two import x\nfrom .sub import *\n")
    (tmp_path / "pkg" / "sub" / "__init__.py").write_text("")
    (tmp_path / "pkg" / "sub" / "two.py").write_text("from ..three import y\n")
    (tmp_path / "pkg" / "three.py").write_text("")
    (tmp_path / "pkg" / "unused.py").write_text("")
    found = find_modules(["from pkg.one import x"], tmp_path)
    assert list(found.modules) == ["pkg", "pkg.one", "pkg.sub", "pkg.sub.two", "pkg.three"]
    assert found.modules["pkg.sub.two"][0] == "pkg/sub/two.py"


def test_the_notebooks_folder_comes_before_the_project_and_before_what_is_installed(tmp_path: Path) -> None:
    here, project = tmp_path / "notebooks", tmp_path
    write(here, helpers="x = 1", json="shadow = True")
    write(project, helpers="x = 2", shared="y = 1")
    found = find_modules(["import helpers, shared, json, numpy"], here, (project,))
    assert {name: path for name, (path, _) in found.modules.items()} == {
        "helpers": "helpers.py",
        "json": "json.py",
        "shared": "../shared.py",
    }


def test_a_module_that_does_not_parse_is_listed_by_its_bytes(tmp_path: Path) -> None:
    write(tmp_path, broken="def (")
    found = find_modules(["import broken"], tmp_path)
    assert found.modules["broken"] == ("broken.py", source_digest(b"def ("))
    assert found.imports["broken"] == ()


def test_a_stage_reaches_only_what_it_imports(tmp_path: Path) -> None:
    write(tmp_path, a="import deep, numpy", deep="", b="import yaml")
    book = Book(
        tmp_path, "%%stage one\nimport a\nx = a.f()", "%%stage two\nimport b\nprint(x, b)", "%%stage three\nprint(x)"
    )
    pipeline = book.pipeline
    one, two, three = pipeline.stages
    assert [reach(pipeline, stage) for stage in (one, two, three)] == [("a", "deep"), ("b",), ()]
    reached = [distributions_reached(pipeline, stage) for stage in (one, two, three)]
    assert reached == [("numpy",), ("pyyaml",), ()]


def test_meaning_counts_in_sources_and_bytes_in_files(tmp_path: Path) -> None:
    assert source_digest(b"x = 1  # one\n\n") == source_digest(b"# two\nx=1")
    assert source_digest(b"x = 1") != source_digest(b"x = 2")
    assert source_digest(b'"""doc"""') != source_digest(b'"""other"""')
    (tmp_path / "a").write_bytes(b"1")
    assert digest_file(tmp_path / "a") != digest_file(tmp_path / "none") == digest_file(tmp_path) == ""


def test_a_listing_does_not_count_our_own_folders() -> None:
    assert listing_digest({"a", ".nbpipe", "__pycache__"}) == listing_digest({"a"}) != listing_digest({"a", "b"})
