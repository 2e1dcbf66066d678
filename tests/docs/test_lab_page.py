"""The reference of the lab names every command, key and setting that there is."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
LAB = ROOT / "labextension"
PAGE = (ROOT / "docs/reference/lab.md").read_text()


def test_every_command_is_on_the_page() -> None:
    ids = set(re.findall(r"'(nbpipe:[a-z-]+)'", (LAB / "src/lab/ids.ts").read_text()))
    assert ids
    assert ids == set(re.findall(r"^\| `(nbpipe:[a-z-]+)`", PAGE, re.MULTILINE))


def test_every_setting_is_on_the_page_with_its_default() -> None:
    schemas = [json.loads(path.read_text()) for path in sorted((LAB / "schema").glob("*.json"))]
    properties = {name: item for schema in schemas for name, item in schema.get("properties", {}).items()}
    rows = dict(re.findall(r"^\| `([a-zA-Z]+)` \| `(.+?)` \|", PAGE, re.MULTILINE))
    assert rows == {name: json.dumps(item["default"]) for name, item in properties.items()}


def test_every_shortcut_is_on_the_page_and_means_a_command_that_there_is() -> None:
    schema = json.loads((LAB / "schema/commands.json").read_text())
    keys = {item["command"]: item["keys"][0].split() for item in schema["jupyter.lab.shortcuts"]}
    rows = re.findall(r"^\| ((?:<kbd>\w+</kbd>)+) \| `(nbpipe:[a-z-]+)` \|", PAGE, re.MULTILINE)
    said = {name: re.findall(r"<kbd>(\w+)</kbd>", text) for text, name in rows}
    assert said == {name: ["Ctrl", *words[1:]] for name, words in keys.items()}
    known = set(re.findall(r"'(nbpipe:[a-z-]+)'", (LAB / "src/lab/ids.ts").read_text()))
    items = json.dumps(schema)
    assert set(re.findall(r'"(nbpipe:(?!pipeline|run"|tag")[a-z-]+)"', items)) <= known
