"""The outputs of a cell as the diff looks at them: one kind and one content each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from nbpipe.history.difference.texts import readable

Kind = Literal["text", "error", "table", "image", "html", "other"]
IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml")
#: Characters of a text that are compared.
LONGEST = 1_000_000
_TEXTS = ("text/markdown", "text/latex", "text/plain")


class Item(NamedTuple):
    """One output. `content` is text, base64 of an image, or the source of a page."""

    kind: Kind
    mime: str
    content: str

    @property
    def size(self) -> int:
        """Bytes, about."""
        return len(self.content)


def items_of(outputs: Iterable[Any]) -> list[Item]:
    """In order; what one stream printed in pieces is one text. What is not an output is left out."""
    found: list[Item] = []
    for output in outputs:
        item = _item(output) if isinstance(output, Mapping) else None
        if item is None:
            continue
        if found and item.mime.startswith("stream/") and found[-1].mime == item.mime:
            item = item._replace(content=found.pop().content + item.content)
        found.append(item)
    return [_readable(item) for item in found]


def _item(output: Mapping[str, Any]) -> Item | None:
    kind = output.get("output_type")
    if kind == "stream":
        name = "stderr" if output.get("name") == "stderr" else "stdout"
        return Item("text", f"stream/{name}", _text(output.get("text")))
    if kind == "error":
        lines = output.get("traceback")
        told = "\n".join(map(str, lines)) if isinstance(lines, list) else ""
        return Item("error", "error", told or f"{output.get('ename')}: {output.get('evalue')}")
    data = output.get("data")
    return _rich(data) if isinstance(data, Mapping) else None


def _rich(data: Mapping[str, Any]) -> Item | None:
    """The form that says most: an image, a table, data of a library, a page, text."""
    for mime in IMAGES:
        if mime in data:
            return Item("image", mime, _text(data[mime]))
    page = _text(data.get("text/html"))
    if "<table" in page.lower():
        return Item("table", "text/html", page)
    for mime in sorted(data):
        if str(mime).endswith("json"):
            return Item("other", str(mime)[:100], _pretty(data[mime]))
    if page:
        return Item("html", "text/html", page)
    for mime in _TEXTS:
        if mime in data:
            return Item("text", mime, _text(data[mime]))
    first = next(iter(data), None)
    return Item("other", str(first)[:100], _text(data[first])) if first is not None else None


def _readable(item: Item) -> Item:
    # Of a table, the texts of its cells are made readable.
    if item.kind == "table" or (item.kind == "image" and item.mime != "image/svg+xml"):
        return item
    # What is far too long is not looked into anyway.
    return item._replace(content=readable(item.content)) if item.size <= LONGEST * 2 else item


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "".join(map(str, value))
    return value if isinstance(value, str) else "" if value is None else _pretty(value)


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True, default=str)
