"""nbformat is there without the grammar that jsonschema's extras compile, and whoever needs the grammar still has it."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("rfc3987_syntax", reason="comes with JupyterLab")


def _says(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_grammar_is_not_compiled_for_a_notebook() -> None:
    code = "from nbpipe.notebook.libraries import nbformat\nnbformat().v4.new_notebook()\n"
    code += "import sys; print([name for name in sys.modules if name.split('.')[0] in ('lark', 'rfc3987_syntax')])"
    assert _says(code) == "[]"


def test_checks_of_iris_say_the_same_as_without_nbpipe() -> None:
    check = "\nfrom jsonschema import FormatChecker\nchecker = FormatChecker()\n"
    check += "print(['iri' in checker.checkers, *(checker.conforms(text, 'iri')"
    check += " for text in ('http://example.org/ü', 'no iri', 'http://a b'))])"
    check += "\nimport rfc3987_syntax; print(rfc3987_syntax.__file__ is not None)"
    first = "from nbpipe.notebook.libraries import nbformat\nnbformat()"
    assert _says(first + check) == _says(check) == "[True, True, False, False]\nTrue"
