"""Packages that the code imports and that are not installed here. Nothing is imported to find out."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import sys
from pathlib import Path

from nbpipe.check.findings import Action, Finding
from nbpipe.check.places import place_of, runs_programs, statements_of
from nbpipe.dataflow.hints import ambient
from nbpipe.model import Notebook, Pipeline

#: Names of kernels that run with this very Python; of others it is not known what they have.
_OWN = frozenset({"", "python3", "python"})
#: A cell that makes a module beside the notebook.
_MAKES = re.compile(r"\s*%%(?:writefile|file)\s+(?:-a\s+)?(?:\./)?(\w+)\.py\s*\n")
#: Module -> the package it comes in, where they have different names.
_PACKAGES = {
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python",
    "dateutil": "python-dateutil",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "fitz": "pymupdf",
    "git": "GitPython",
    "jwt": "PyJWT",
    "OpenSSL": "pyOpenSSL",
    "PIL": "pillow",
    "serial": "pyserial",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "umap": "umap-learn",
    "yaml": "PyYAML",
}


def missing_packages(pipeline: Pipeline, folder: Path, roots: tuple[Path, ...], notebook: Notebook) -> list[Finding]:
    """A finding per module that no stage could import; `folder` and `roots` are where local modules may lie."""
    if pipeline.kernel not in _OWN or _moves_path(pipeline):
        return []
    found: dict[str, Finding] = {}
    places = (folder, *roots)
    made = {said[1]: cell.number for cell in notebook.cells if (said := _MAKES.match(cell.source))}
    for stage in pipeline.stages:
        for module in stage.flow.modules:
            if module not in found and not _is_there(module, pipeline, places):
                found[module] = _finding(module, stage.name, pipeline, made.get(module))
    return list(found.values())


def _finding(module: str, stage: str, pipeline: Pipeline, made: int | None) -> Finding:
    package = _PACKAGES.get(module, module)
    codes = [*pipeline.setup, *(code for each in pipeline.stages for code in each.cells)]
    at = place_of(codes, lambda node: _imports(node, module))
    if at is None:
        snippet = next((item for item in pipeline.snippets if module in item.modules), None)
        at = (snippet.cell, snippet.line) if snippet is not None else None
    # A shell line may install it; inside a `try` it may be wanted only where it is there.
    unsure = runs_programs(codes) or _tried(pipeline, module)
    return Finding(
        severity="warning" if unsure else "error",
        code="missing-package",
        message=(
            f"imports '{module}', which cell {made} writes, and that cell is in no stage"
            if made is not None
            else f"imports '{module}', which is not installed here"
        ),
        fix=f"Add %%stage to cell {made}." if made is not None else f"Install it: pip install {package}",
        cell=at[0] if at is not None else None,
        line=at[1] if at is not None else None,
        stage=stage,
        name=module,
        actions=(Action(kind="install", label=f"Install {package}", source=package),) if made is None else (),
    )


def _is_there(module: str, pipeline: Pipeline, places: tuple[Path, ...]) -> bool:
    if module in sys.stdlib_module_names or module in pipeline.provided_by or module in pipeline.modules:
        return True
    written = [path for stage in pipeline.stages for path in (*stage.flow.file_writes, *stage.options.writes)]
    codes = [*pipeline.setup, *(code for stage in pipeline.stages for code in stage.cells)]
    written += [said[1] for code in codes if (said := _MAKES.match(code.body))]
    if any(Path(path).stem == module for path in written):
        return True
    if any((place / module).is_dir() or (place / f"{module}.py").is_file() for place in places):
        return True
    for _ in range(2):
        try:
            if importlib.util.find_spec(module) is not None:
                return True
        except ValueError:  # it is loaded, and does not say from where
            return True
        # It may have been installed a moment ago.
        importlib.invalidate_caches()
    return False


def _moves_path(pipeline: Pipeline) -> bool:
    """Modules are looked for in places that only running it shows."""
    sets = {name for stage in pipeline.stages for name in (*stage.flow.ambient_sets, *stage.flow.ambient_uses)}
    return bool(sets & {"@sys.path", "@cwd"}) or bool({"@sys.path", "@cwd"} & _set_up(pipeline))


def _set_up(pipeline: Pipeline) -> set[str]:
    return ambient([node for _, node in statements_of(pipeline.setup)])[0]


def _imports(node: ast.AST, module: str) -> bool:
    if isinstance(node, ast.Import):
        return any(alias.name.partition(".")[0] == module for alias in node.names)
    return isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").partition(".")[0] == module


def _tried(pipeline: Pipeline, module: str) -> bool:
    """Every import of it stands inside something: a `try`, a function, a condition."""
    if any(item.kind == "import" and module in item.modules for item in pipeline.snippets):
        return False
    codes = [*pipeline.setup, *(code for stage in pipeline.stages for code in stage.cells)]
    return not any(_imports(node, module) for _, node in statements_of(codes))
