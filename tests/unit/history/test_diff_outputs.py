"""Outputs: what counts as the same, how tables are read, how images are compared, and what is too large."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from nbpipe.history.difference.images import image_diff
from nbpipe.history.difference.items import items_of
from nbpipe.history.difference.tables import Table, table_diff, table_of
from nbpipe.history.difference.texts import readable


def png(pixels: np.ndarray[Any, Any]) -> tuple[str, str]:
    out = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(out, "PNG")
    return "image/png", base64.b64encode(out.getvalue()).decode()


# ---------------------------------------------------------------------------------------------- texts


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("\x1b[31mred\x1b[0m\n", "red"),
        ("\x1b]0;title\x07here", "here"),
        ("10%\r50%\r100%\ndone\n", "100%\ndone"),
        ("windows\r\nlines\r\n", "windows\nlines"),
        ("<object at 0x7f3a2b4c5d6e>", "<object at 0x…>"),
        ("bad\x00\x07\u202etxt", "badtxt"),
        ("tab\tstays", "tab\tstays"),
    ],
)
def test_text_is_compared_as_a_person_reads_it(text: str, seen: str) -> None:
    assert readable(text) == seen


@given(st.text())
def test_nothing_that_steers_a_terminal_is_left(text: str) -> None:
    assert not set(readable(text)) & {chr(n) for n in (*range(9), *range(11, 32), *range(127, 160))}


def test_what_one_stream_printed_in_pieces_is_one_text() -> None:
    pieces = [{"output_type": "stream", "name": "stdout", "text": text} for text in ("a\n", ["b", "\n"])]
    error = {"output_type": "error", "ename": "E", "evalue": "v", "traceback": ["\x1b[31mE\x1b[0m: v"]}
    assert [(item.kind, item.content) for item in items_of([*pieces, error])] == [("text", "a\nb"), ("error", "E: v")]


@pytest.mark.parametrize(
    ("data", "kind", "mime"),
    [
        ({"text/plain": "x", "image/png": "aa"}, "image", "image/png"),
        ({"text/plain": "x", "text/html": "<TABLE>"}, "table", "text/html"),
        ({"text/plain": "x", "text/html": "<b>"}, "html", "text/html"),
        ({"application/vnd.vega+json": {"a": 1}, "text/html": "<b>"}, "other", "application/vnd.vega+json"),
        ({"text/plain": ["x", "y"]}, "text", "text/plain"),
        ({"application/x": 3}, "other", "application/x"),
    ],
)
def test_the_form_that_says_most_is_compared(data: Mapping[str, Any], kind: str, mime: str) -> None:
    (item,) = items_of([{"output_type": "display_data", "data": data}])
    assert (item.kind, item.mime) == (kind, mime)


@pytest.mark.parametrize(
    "odd", [None, 3, "x", [], {}, {"output_type": "display_data"}, {"output_type": "display_data", "data": []}]
)
def test_what_is_no_output_is_left_out(odd: object) -> None:
    assert items_of([odd]) == []


# ---------------------------------------------------------------------------------------------- tables


def test_a_frame_of_pandas_is_read_with_its_index_and_columns() -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": ["<x>", "y & z"]}, index=pd.Index([5, 6], name="key"))
    table = table_of(frame.to_html())
    assert table == Table(("a", "b"), (("5", ("1", "<x>")), ("6", ("2", "y & z"))))


def test_several_levels_of_rows_and_columns_are_joined() -> None:
    index = pd.MultiIndex.from_product([["x", "y"], [1, 2]])
    frame = pd.DataFrame([[1, 2]] * 4, index=index, columns=pd.MultiIndex.from_tuples([("m", "lo"), ("m", "hi")]))
    table = table_of(frame.to_html())
    assert table is not None
    assert table.columns == ("m / lo", "m / hi")
    assert [key for key, _ in table.rows] == ["x / 1", "x / 2", "y / 1", "y / 2"]


def test_a_frame_of_polars_is_read() -> None:
    table = table_of(pl.DataFrame({"a": [1, 2], "s": ["p", "q"]})._repr_html_())
    assert table is not None
    assert [column.split(" / ")[0] for column in table.columns] == ["a", "s"]
    assert table.rows[1][1][0] == "2"


def test_rows_and_columns_are_matched_by_their_names() -> None:
    old = table_of(pd.DataFrame({"a": [1, 2], "gone": [0, 0]}, index=["x", "y"]).to_html())
    new = table_of(pd.DataFrame({"new": [7, 7, 7], "a": [1, 9, 3]}, index=["x", "y", "z"]).to_html())
    found = table_diff(old, new)
    assert [(column.name, column.change) for column in found.columns] == [
        ("new", "added"),
        ("a", "same"),
        ("gone", "removed"),
    ]
    assert [(row.key, row.change, row.a, row.b) for row in found.rows] == [
        ("x", "changed", (None, "1", "0"), ("7", "1", None)),
        ("y", "changed", (None, "2", "0"), ("7", "9", None)),
        ("z", "added", (), ("7", "3", None)),
    ]
    assert found.cells_changed == 1


def test_of_long_tables_only_what_differs_travels() -> None:
    numbers = list(range(1000))
    old, new = (
        table_of(pd.DataFrame({"a": numbers}).to_html()),
        table_of(pd.DataFrame({"a": [*numbers[:-1], 7]}).to_html()),
    )
    found = table_diff(old, new)
    assert [row.key for row in found.rows] == ["999"]


@pytest.mark.parametrize(
    "page", ["", "<p>no</p>", "<table></table>", "<table><tr><td>a</table><table>", "<table", "<!--<table>"]
)
def test_a_page_without_one_table_has_none(page: str) -> None:
    assert table_of(page) is None


@pytest.mark.parametrize(
    "piece", ["<", "<a ", '<td colspan="99999">', "<tr><td rowspan=999>x", "<!--", "&#", "<table><tr>"]
)
def test_an_odd_page_takes_no_long_time(piece: str) -> None:
    start = time.process_time()
    found = table_of("<table><tr>" + piece * (400_000 // len(piece)))
    if found is not None:
        table_diff(found, found)
    assert time.process_time() - start < 10


# ---------------------------------------------------------------------------------------------- images


def test_pixels_that_differ_are_counted_and_painted() -> None:
    black = np.zeros((4, 5, 3))
    other = black.copy()
    other[1, 2] = (0, 40, 7)
    found, note = image_diff(png(black), png(other))
    assert (found.pixels, found.share, found.largest, note) == (1, 1 / 20, 40, "")
    mask = np.asarray(Image.open(io.BytesIO(base64.b64decode(found.mask))))
    assert mask.shape == (4, 5, 4)
    assert np.argwhere(mask[..., 3] > 0).tolist() == [[1, 2]]
    assert found.a is not None
    assert (found.a.width, found.a.height) == (5, 4)


def test_other_bytes_of_the_same_pixels_are_no_difference() -> None:
    pixels = np.full((4, 4, 3), 9)
    mime, data = png(pixels)
    out = io.BytesIO()
    Image.open(io.BytesIO(base64.b64decode(data))).save(out, "PNG", compress_level=0)
    again = base64.b64encode(out.getvalue()).decode()
    assert again != data
    assert image_diff((mime, data), (mime, again))[0].pixels == 0


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (png(np.zeros((3, 3, 3))), "they have different sizes"),
        (("image/svg+xml", "<svg onload='x()'/>"), "drawn from lines, not pixels"),
        (("image/png", "not base64!"), "it cannot be read as an image"),
        (("image/png", base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\0" * 40).decode()), "it cannot be read as an image"),
        (("image/png", base64.b64encode(b"\x80\x04N.").decode()), "it cannot be read as an image"),
    ],
)
def test_images_that_cannot_be_compared_say_why(other: tuple[str, str], why: str) -> None:
    found, note = image_diff(png(np.zeros((2, 2, 3))), other)
    assert (found.pixels, note) == (None, why)
    assert found.b is not None


def test_a_small_file_that_says_it_is_a_huge_image_is_not_decoded() -> None:
    out = io.BytesIO()
    Image.new("1", (6_000, 6_000)).save(out, "PNG")
    start = time.process_time()
    found, note = image_diff(png(np.zeros((2, 2, 3))), ("image/png", base64.b64encode(out.getvalue()).decode()))
    assert (found.pixels, note) == (None, "it cannot be read as an image")
    assert found.b is not None
    assert (found.b.width, found.b.height) == (6_000, 6_000)
    assert time.process_time() - start < 5
