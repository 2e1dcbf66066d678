"""Registered models and changes of their aliases, as JSON."""

from __future__ import annotations

from typing import Any

from nbpipe.tracking.aliases import Change, Model


def model_shape(model: Model) -> dict[str, Any]:
    """A registered model with its versions and all that its aliases named."""
    return {
        "name": model.name,
        "aliases": model.aliases,
        "versions": [
            {
                "version": item.version,
                "run": item.run or None,
                "stage": item.stage or None,
                "mlflow": item.mlflow or None,
                "created": item.created,
            }
            for item in model.versions
        ],
        "changes": [change_shape(change) for change in model.changes],
    }


def change_shape(change: Change) -> dict[str, Any]:
    """How an alias came to its version."""
    return {
        "alias": change.alias,
        "version": change.version,
        "before": change.before or None,
        "how": change.how,
        "at": change.at,
        "by": change.by,
        "why": change.why,
        "run": change.run or None,
    }
