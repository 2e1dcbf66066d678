"""The part of a question that MLflow can answer itself, in the language of its own filters."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from nbpipe.history.conditions import column_name, parse

if TYPE_CHECKING:
    from nbpipe.history.search import Query

_SIGNS: dict[type[ast.cmpop], str] = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "="}


def mlflow_filter(query: Query, kind: str) -> str:
    """A filter that every wanted run meets; others may meet it, too, and are for the caller to leave out.

    Of the conditions those that compare `metrics.NAME` with a number travel: a bare name may be a parameter, and
    MLflow compares parameters as text.
    """
    parts = [f"tags.`nbpipe.kind` = '{kind}'"]
    if len(query.statuses) == 1 and query.statuses[0] not in {"running", "interrupted"}:
        parts.append(f"tags.`nbpipe.status` = '{query.statuses[0]}'")
    if query.since is not None:
        parts.append(f"attributes.start_time >= {int(query.since * 1000)}")
    if query.until is not None:
        parts.append(f"attributes.start_time <= {int(query.until * 1000) + 1}")
    if query.commit.isalnum():
        parts.append(f"tags.`mlflow.source.git.commit` LIKE '{query.commit.lower()}%'")
    for name, text in query.tags.items():
        if text and _is_plain(name) and "'" not in text:
            parts.append(f"tags.`{name}` = '{text}'")
    for condition in query.where:
        parts += _metrics(parse(condition))
    return " AND ".join(parts)


def _metrics(node: ast.expr) -> Iterator[str]:
    match node:
        case ast.BoolOp(op=ast.And(), values=parts):
            for part in parts:
                yield from _metrics(part)
        case ast.Compare(left=left, ops=[op], comparators=[ast.Constant(value=int() | float() as number)]):
            named = column_name(left)
            if named and named[0] == "metrics" and _is_plain(named[1]) and type(op) in _SIGNS:
                yield f"metrics.`{named[1]}` {_SIGNS[type(op)]} {float(number)}"


def _is_plain(name: str) -> bool:
    return not set(name) & set("`'\"\\")
