"""What turns bytes into code, or text into commands, happens in the places where it is checked and nowhere else."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "nbpipe"
FILES = sorted(PACKAGE.rglob("*.py"))
#: Call -> files that may make it, each for a reason that its docstrings give.
CALLS: dict[str, set[str]] = {
    "eval": set(),
    "exec": {"job/definitions.py"},  # inside the kernel, the notebook's own definitions
    "os.system": set(),
    "os.popen": set(),
    "subprocess.getoutput": set(),
    "pickle.load": set(),
    "pickle.loads": set(),
    "marshal.load": set(),
    "marshal.loads": {"store/reduction.py"},
    "joblib.load": set(),
    "dill.load": set(),
    "torch.load": set(),
    "yaml.load": set(),
    "tarfile.open": set(),
    # nbpipe's own sources, from this machine to a target that runs whatever it is sent
    "zipfile.ZipFile": {"executors/ssh/packages.py", "executors/ssh/there/environment.py"},
    "shutil.unpack_archive": set(),
    "webbrowser.open": set(),
}


def calls(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}


@pytest.mark.parametrize("call", CALLS)
def test_a_dangerous_call_is_made_only_where_it_is_guarded(call: str) -> None:
    found = {str(path.relative_to(PACKAGE)) for path in FILES if call in calls(path)}
    assert found <= CALLS[call]


def test_no_shell_is_started_and_pickle_has_one_door() -> None:
    for path in FILES:
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg == "shell" and isinstance(node.value, ast.Constant):
                parents = [call for call in ast.walk(tree) if isinstance(call, ast.Call) and node in call.keywords]
                assert "start_channels" in ast.unparse(parents[0].func), f"{path}: {node.lineno}"
            modules = {alias.name for alias in node.names} if isinstance(node, ast.Import) else set()
            modules |= {node.module or ""} if isinstance(node, ast.ImportFrom) else set()
            if modules & {"pickle", "cloudpickle", "dill", "joblib", "shelve"}:
                assert path.relative_to(PACKAGE).as_posix() == "store/trust.py", f"{path}: {modules}"


def test_servers_that_tests_or_code_start_listen_on_loopback_only() -> None:
    assert not [path for path in FILES if "0.0.0.0" in path.read_text()]  # noqa: S104 - it is looked for
