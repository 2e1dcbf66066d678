"""Where a roll-back leads, told by the moves that an alias has made."""

from __future__ import annotations

from typing import Literal

import pytest

from nbpipe.tracking.aliases import Change, Model, ModelVersion, change_tag, changes_of, earlier, read_alias, trail


def model(*moves: str, now: str | None = None, gone: str = "") -> Model:
    """A model whose champion moved like this: `3` promotes version 3, `<2` rolls back to it."""
    changes: list[Change] = []
    for at, move in enumerate(moves):
        how: Literal["promote", "rollback"] = "rollback" if move.startswith("<") else "promote"
        before = changes[-1].version if changes else ""
        changes.append(Change(alias="champion", version=move.lstrip("<"), at=float(at), how=how, before=before))
    alias = now if now is not None else changes[-1].version if changes else ""
    versions = tuple(ModelVersion(version=str(n)) for n in range(1, 6) if str(n) != gone)
    return Model(name="m", versions=versions, aliases={"champion": alias} if alias else {}, changes=tuple(changes))


@pytest.mark.parametrize(
    ("found", "path", "back"),
    [
        (model(), [], None),
        (model("1"), ["1"], None),
        (model("1", "2", "3"), ["1", "2", "3"], "2"),
        (model("1", "2", "3", "<2"), ["1", "2"], "1"),
        (model("1", "2", "3", "<2", "<1"), ["1"], None),
        (model("1", "2", "3", "<1"), ["1"], None),
        (model("1", "2", "<1", "4"), ["1", "4"], "1"),
        (model("1", "2", "<5"), ["1", "2", "5"], "2"),
        (model("1", "2", "2"), ["1", "2", "2"], "1"),
        (model("1", "2", now="4"), ["1", "2", "4"], "2"),
        (model("1", "2", "3", gone="2"), ["1", "2", "3"], "1"),
        (model("1", "2", now=""), ["1", "2"], "1"),
        (model(now="3"), ["3"], None),
    ],
)
def test_a_roll_back_goes_further_back_each_time(found: Model, path: list[str], back: str | None) -> None:
    assert trail(found, "champion") == path
    assert earlier(found, "champion") == back


def test_the_first_move_knows_what_was_there_before() -> None:
    found = Model(
        name="m",
        versions=(ModelVersion(version="1"), ModelVersion(version="2")),
        aliases={"champion": "2"},
        changes=(Change(alias="champion", version="2", at=1.0, before="1"),),
    )
    assert earlier(found, "champion") == "1"


def test_moves_travel_as_tags_and_foreign_tags_are_passed_over() -> None:
    moves = [Change(alias="champion", version=str(n), at=1000.5 + n, by="ada", why="x" * 5000) for n in (2, 1)]
    tags = dict(change_tag(move) for move in moves)
    assert all(len(key) < 250 and len(text) < 5000 for key, text in tags.items())
    assert min(tags) == "nbpipe.alias.champion.0000001001500"
    found = changes_of({**tags, "nbpipe.alias.champion.x": "rubbish", "team": "vision"})
    assert [(move.version, move.by, len(move.why)) for move in found] == [("1", "ada", 1000), ("2", "ada", 1000)]


@pytest.mark.parametrize("text", ["", "latest", "Latest", "v3", "V12", "a b", "a/b", "1st", "a" * 62, "é"])
def test_what_mlflow_keeps_for_itself_or_refuses_is_no_alias(text: str) -> None:
    with pytest.raises(ValueError, match="alias"):
        read_alias(text)
    assert read_alias("blue-green_2") == "blue-green_2"
