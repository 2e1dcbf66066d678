"""The tree of commands: complete, described, documented, and light."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from nbpipe import errors
from nbpipe.cli.main import COMMANDS, nbpipe
from nbpipe.cli.welcome import is_tagged, welcome

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT / "docs" / "reference"
HEAVY = {
    "nbformat",
    "papermill",
    "mlflow",
    "pandas",
    "rich",
    "IPython",
    "numpy",
    "torch",
    "pyarrow",
    "nbconvert",
    "jupytext",
}
CONTEXT = click.Context(nbpipe)


def command(name: str) -> click.Command:
    found = nbpipe.get_command(CONTEXT, name)
    assert found is not None
    return found


def options(found: click.Command) -> set[str]:
    visible = [item for item in found.params if isinstance(item, click.Option) and not item.hidden]
    return {text for item in visible for text in (*item.opts, *item.secondary_opts)}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_described_alike_in_the_list_and_in_its_own_help(name: str) -> None:
    found = command(name)
    assert found.name == name
    assert (found.help or "").splitlines()[0] == COMMANDS[name]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_examples_json_and_a_word_for_every_option(name: str) -> None:
    found = command(name)
    assert re.search(rf"Examples:\n\s+nbpipe {name}", found.help or "")
    assert "--json" in options(found)
    assert all(item.help for item in found.params if isinstance(item, click.Option))


@pytest.mark.parametrize("name", COMMANDS)
def test_the_examples_in_the_help_parse(name: str) -> None:
    lines = re.findall(r"^\s+(nbpipe .*)$", command(name).help or "", re.MULTILINE)
    for line in (part for text in lines for part in re.split(r"\s+(?:&&|\||>>?)\s+", text)):
        words = line.split()
        if words[0] == "nbpipe":
            command(words[1]).make_context(words[1], words[2:], parent=click.Context(nbpipe), resilient_parsing=False)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_reference_documents_every_command_and_option(name: str) -> None:
    page = (REFERENCE / "cli.md").read_text()
    section = re.search(rf"^## `nbpipe {name}`\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    assert section, f"docs/reference/cli.md has no section for {name}"
    documented = set(
        re.findall(r"(?<![\w-])--?[a-z][a-z-]*", " ".join(re.findall(r"^\| `(.*?)` \|", section[1], re.MULTILINE)))
    )
    assert documented == options(command(name)) - {"--help", "-h"}


def test_the_reference_documents_nothing_that_is_not_there() -> None:
    page = (REFERENCE / "cli.md").read_text()
    assert set(re.findall(r"^## `nbpipe (\w+)`", page, re.MULTILINE)) == set(COMMANDS)


def all_errors(root: type[errors.NbpipeError] = errors.NbpipeError) -> set[type[errors.NbpipeError]]:
    return {root, *(found for child in root.__subclasses__() for found in all_errors(child))}


def test_every_error_code_has_its_page_and_every_page_its_code() -> None:
    # Findings of `nbpipe check` and failures of a job have codes that no class of errors has.
    sources = (path.read_text() for part in ("check", "job") for path in (ROOT / "nbpipe" / part).glob("*.py"))
    codes = {error.code for error in all_errors()} | {"internal"}
    codes |= {code for text in sources for code in re.findall(r'code="([a-z-]+)"', text)}
    pages = {path.stem for path in (REFERENCE / "errors").glob("*.md")}
    assert pages == codes


def test_every_exit_code_is_documented() -> None:
    page = (REFERENCE / "exit-codes.md").read_text()
    documented = {int(number) for number in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    assert documented == {*errors.EXIT_CODES.values(), 70}


def modules_after(*words: str) -> set[str]:
    code = (
        "import json, sys\nfrom nbpipe.cli.main import run\n"
        f"code = run({list(words)!r})\n"
        "print()\nprint(json.dumps([code, sorted({name.partition('.')[0] for name in sys.modules})"
        ", sorted(name for name in sys.modules if name.startswith('nbpipe.'))]))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    returned, top, own = json.loads(done.stdout.splitlines()[-1])
    assert returned == 0, done.stderr
    return {*top, *own}


def test_help_imports_click_and_the_tree_alone() -> None:
    loaded = modules_after("--help")
    assert not loaded & HEAVY
    assert "msgspec" not in loaded
    assert {name for name in loaded if name.startswith("nbpipe.cli.")} == {"nbpipe.cli.main"}


@pytest.mark.parametrize(
    "words",
    [
        ("check", "example_notebooks/quickstart.ipynb"),
        ("graph", "example_notebooks/digits.ipynb"),
        ("history",),
        ("run", "--help"),
    ],
)
def test_light_commands_stay_light(words: tuple[str, ...]) -> None:
    assert not modules_after(*words) & HEAVY


def test_a_command_imports_no_other_command() -> None:
    loaded = modules_after("graph", "example_notebooks/quickstart.ipynb")
    assert {f"nbpipe.cli.{name}" for name in COMMANDS} & loaded == {"nbpipe.cli.graph"}


def test_a_shell_can_complete_commands_and_notebooks() -> None:
    def completed(words: str, number: int) -> str:
        environment = {"_NBPIPE_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(number)}
        done = subprocess.run(
            [sys.executable, "-m", "nbpipe"], cwd=ROOT, capture_output=True, text=True, check=False, env=environment
        )
        return done.stdout

    assert "plain,history" in completed("nbpipe hi", 1)
    assert "plain,example_notebooks/quickstart.ipynb" in completed("nbpipe run example_notebooks/q", 2)


def test_an_empty_folder_says_what_to_type_first(tmp_path: Path) -> None:
    assert "nbpipe suggest NOTEBOOK" in welcome(tmp_path)


def test_an_untagged_notebook_is_offered_stages_and_a_tagged_one_is_offered_to_run(tmp_path: Path) -> None:
    (tmp_path / "my work.ipynb").write_text('{"cells": [{"source": ["x = 1"]}]}')
    assert f"nbpipe suggest '{tmp_path}/my work.ipynb' -o '{tmp_path}/my work-stages.ipynb'" in welcome(tmp_path)
    (tmp_path / "b.ipynb").write_text('{"cells": [{"source": ["%%stage load\\n", "x = 1"]}]}')
    assert f"nbpipe run {tmp_path}/b.ipynb" in welcome(tmp_path)


def test_a_text_notebook_is_told_from_a_program(tmp_path: Path) -> None:
    program, book = tmp_path / "a.py", tmp_path / "b.py"
    program.write_text('text = "%%stage load "\n')
    book.write_text("# %%\n# %%stage load\nx = 1\n")
    assert not is_tagged(program)
    assert is_tagged(book)
