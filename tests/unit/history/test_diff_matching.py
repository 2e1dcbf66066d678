"""Pieces of code are found again under other names and in other places."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nbpipe.history.difference.matching import Piece, match, moved, similarity

FIT = "model = LinearRegression()\nmodel.fit(X, y)\nscore = model.score(X_test, y_test)"
CLEAN = "df = raw.dropna()\ndf['age'] = df['age'].clip(0, 120)\ndf = df.drop_duplicates()"


def names(a: list[Piece], b: list[Piece]) -> list[tuple[str | None, str | None]]:
    return [
        (a[pair.a].name if pair.a is not None else None, b[pair.b].name if pair.b is not None else None)
        for pair in match(a, b)
    ]


def test_another_name_is_the_same_stage_where_the_code_is_alike() -> None:
    old = [Piece("clean", CLEAN), Piece("fit", FIT)]
    new = [Piece("tidy", CLEAN.replace("120", "99")), Piece("fit", FIT)]
    assert names(old, new) == [("clean", "tidy"), ("fit", "fit")]


def test_stages_that_traded_names_are_followed_by_their_code() -> None:
    old = [Piece("one", CLEAN), Piece("two", FIT)]
    new = [Piece("one", FIT), Piece("two", CLEAN)]
    assert names(old, new) == [("two", "one"), ("one", "two")]


def test_a_name_that_got_other_code_is_that_stage_unless_a_better_one_is_there() -> None:
    assert names([Piece("fit", FIT)], [Piece("fit", CLEAN)]) == [("fit", "fit")]
    assert names([Piece("fit", FIT)], [Piece("fit", CLEAN), Piece("train", FIT + "\n")]) == [
        (None, "fit"),
        ("fit", "train"),
    ]


def test_what_is_only_on_one_side_stands_where_it_stood() -> None:
    old = [Piece("a", "x = 1"), Piece("gone", CLEAN), Piece("b", "print(x)")]
    new = [Piece("a", "x = 1"), Piece("new", FIT), Piece("b", "print(x)")]
    assert names(old, new) == [("a", "a"), ("gone", None), (None, "new"), ("b", "b")]


def test_short_code_is_not_taken_for_other_short_code() -> None:
    assert set(names([Piece("one", "print(a)")], [Piece("two", "total(b)")])) == {("one", None), (None, "two")}


def test_the_fewest_moves_explain_a_new_order() -> None:
    old = [Piece(name, f"{name} = {name * 9}") for name in "abcd"]
    new = [old[3], old[0], old[1], old[2]]
    pairs = match(old, new)
    assert {new[at].name for at in moved(pairs)} == {"d"}


def test_likeness_is_of_words_in_their_order() -> None:
    assert similarity(FIT, FIT) == 1.0
    assert similarity(FIT, FIT.replace("score", "result")) > 0.8
    assert similarity(FIT, CLEAN) < 0.6
    assert similarity("", "x") == 0.0


_PIECES = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.sampled_from([FIT, CLEAN, "x = 1", ""])),
    max_size=6,
    unique_by=lambda item: item[0],
).map(lambda items: [Piece(*item) for item in items])


@given(_PIECES, _PIECES)
def test_every_piece_of_both_sides_is_there_once_and_b_keeps_its_order(a: list[Piece], b: list[Piece]) -> None:
    pairs = match(a, b)
    assert sorted(pair.a for pair in pairs if pair.a is not None) == list(range(len(a)))
    assert [pair.b for pair in pairs if pair.b is not None] == list(range(len(b)))
    assert all(pair.a is not None or pair.b is not None for pair in pairs)
    assert match(a, a) == [(n, n, 1.0) for n in range(len(a))]
