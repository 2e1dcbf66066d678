"""What `import nbpipe` offers, and what it costs."""

from __future__ import annotations

import inspect
import subprocess
import sys

import nbpipe


def test_every_public_name_is_there_and_the_list_is_sorted() -> None:
    assert sorted(nbpipe.__all__) == list(nbpipe.__all__)
    assert all(getattr(nbpipe, name) is not None for name in nbpipe.__all__)


def test_importing_nbpipe_imports_nothing_heavy() -> None:
    code = "import sys, nbpipe; print(sorted(m for m in sys.modules if m in {'numpy', 'pandas', 'IPython', 'msgspec', 'nbformat'}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_package_that_can_be_called_stays_so_whatever_was_imported() -> None:
    code = "import nbpipe; a = nbpipe.run; import nbpipe.run.api, nbpipe.history.query; assert nbpipe.run is a"
    code += "; assert callable(nbpipe.run) and callable(nbpipe.history); nbpipe.run('nowhere.ipynb')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "nowhere.ipynb" in done.stderr.splitlines()[-1]
    assert "NotebookError" in done.stderr.splitlines()[-1]


def test_a_package_that_can_be_called_shows_the_signature_of_its_function() -> None:
    assert "params" in inspect.signature(nbpipe.run).parameters
