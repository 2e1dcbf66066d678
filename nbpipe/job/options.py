"""Options that libraries keep for the whole process: plain data of them, and formats bound as `"{:.2f}".format`.

Other functions among options have no plain form: `nbpipe.job.unseen` names them.
"""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any

_GROUPS = frozenset({"display", "mode", "compute", "plotting", "styler", "future"})
_FORMAT = "str.format"


def plain(value: Any) -> Any:
    """The option as plain data; `Ellipsis` for what has no plain form."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    text = getattr(value, "__self__", None)
    if isinstance(text, str) and getattr(value, "__name__", "") == "format":
        return [_FORMAT, text]
    return ...


def _live(value: Any) -> Any:
    return value[1].format if isinstance(value, list) else value


def pandas_all() -> dict[str, Any]:
    """Every option by name, as it is."""
    import pandas as pd

    registered = sys.modules["pandas._config.config"]._registered_options  # noqa: SLF001
    with warnings.catch_warnings():
        # Those that will go warn; where the code has made errors of warnings, they would fail it.
        warnings.simplefilter("ignore")
        return {name: pd.get_option(name) for name in registered if name.split(".")[0] in _GROUPS}


def pandas_get() -> dict[str, Any]:
    """Options that have a plain form."""
    return {name: given for name, value in pandas_all().items() if (given := plain(value)) is not ...}


def pandas_set(data: Any) -> None:
    """Set those that differ."""
    import pandas as pd

    now = pandas_get()
    for name, value in data.items():
        if now.get(name, value) != value:
            pd.set_option(name, _live(value))


def numpy_formatters() -> dict[str, Any]:
    """Functions that print the elements of arrays, by kind."""
    import numpy as np

    return {kind: value for kind, value in (np.get_printoptions()["formatter"] or {}).items() if value is not None}


def numpy_get() -> dict[str, Any]:
    """How arrays are printed, and how floating point errors are treated."""
    import numpy as np

    left_out = {"formatter", "override_repr"}
    options = {name: value for name, value in np.get_printoptions().items() if name not in left_out}
    formats = {kind: given for kind, value in numpy_formatters().items() if (given := plain(value)) is not ...}
    return {"print": options, "err": dict(np.geterr()), **({"formatter": formats} if formats else {})}


def numpy_set(data: Any) -> None:
    """The same, given back."""
    import numpy as np

    formats: Any = {kind: _live(value) for kind, value in data.get("formatter", {}).items()}
    np.set_printoptions(**data["print"], formatter=formats or None)
    np.seterr(**data["err"])


def sklearn_get() -> dict[str, Any]:
    """`sklearn.get_config()`, without importing anything."""
    return dict(sys.modules["sklearn"].get_config())


def sklearn_set(data: Any) -> None:
    """The same, given back."""
    sys.modules["sklearn"].set_config(**data)


def polars_get() -> dict[str, Any]:
    """What is set in polars itself; the rest of its configuration are environment variables."""
    found: dict[str, Any] = json.loads(sys.modules["polars"].Config.save())["direct"]
    return found


def polars_set(data: Any) -> None:
    """The same, given back."""
    sys.modules["polars"].Config.load(json.dumps({"environment": {}, "direct": data}))


_TORCH_PRINT = ("precision", "threshold", "edgeitems", "linewidth", "sci_mode")


def torch_get() -> dict[str, Any]:
    """Defaults of new tensors, of kernels, and of printing."""
    import torch

    return {
        "dtype": str(torch.get_default_dtype()).removeprefix("torch."),
        "device": str(torch.get_default_device()),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "threads": torch.get_num_threads(),
        "grad": torch.is_grad_enabled(),
        "print": {name: getattr(torch._tensor_str.PRINT_OPTS, name) for name in _TORCH_PRINT},  # noqa: SLF001
    }


def torch_set(data: Any) -> None:
    """The same, given back."""
    import torch

    torch.set_default_dtype(getattr(torch, data["dtype"]))
    torch.set_default_device(data["device"])
    torch.use_deterministic_algorithms(data["deterministic"])
    torch.set_num_threads(data["threads"])
    torch.set_grad_enabled(data["grad"])
    for name, value in data.get("print", {}).items():
        setattr(torch._tensor_str.PRINT_OPTS, name, value)  # noqa: SLF001
