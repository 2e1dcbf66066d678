"""Which calls leave their receiver and their arguments as they were. Tables, and nothing else.

A name that is missing here costs parallelism when it is pure; a wrong entry is caught by the job, which digests its inputs.
"""

from __future__ import annotations

import re

#: Methods that change neither the receiver nor the arguments, whatever the type.
PURE_METHODS = frozenset(
    ["abs", "add_prefix", "add_suffix", "agg", "aggregate", "all", "any", "apply", "applymap", "argmax", "argmin", "argsort", "argwhere", "as_matrix", "asfreq", "asof", "assign", "astype", "at_time", "between", "between_time", "bfill", "bool", "capitalize", "casefold", "center", "clip", "columns", "combine", "combine_first", "compare", "conj", "conjugate", "copy", "corr", "corrwith", "cos", "cosine_similarity", "count", "cov", "cummax", "cummin", "cumprod", "cumsum", "cut", "day_name", "decode", "describe", "detach", "diagonal", "diff", "difference", "digest", "div", "dot", "dropna", "dt", "duplicated", "encode", "endswith", "eq", "equals", "eval", "ewm", "expanding", "expandtabs", "explode", "factorize", "ffill", "fillna", "filter", "find", "first", "first_valid_index", "flatten", "floor", "floordiv", "format", "format_map", "from_dict", "fromkeys", "ge", "get", "get_dummies", "get_feature_names_out", "get_group", "get_params", "groupby", "gt", "head", "hexdigest", "hist", "idxmax", "idxmin", "index", "infer_objects", "info", "intersection", "interpolate", "isalnum", "isalpha", "isascii", "isdecimal", "isdigit", "isdisjoint", "isidentifier", "isin", "isinf", "isfinite", "islower", "isna", "isnan", "isnull", "isnumeric", "isprintable", "isspace", "issubset", "issuperset", "istitle", "isupper", "item", "items", "iteritems", "iterrows", "itertuples", "join", "keys", "kurt", "last", "last_valid_index", "le", "len", "ljust", "log", "log10", "lower", "lstrip", "lt", "map", "mask", "max", "mean", "median", "melt", "memory_usage", "merge", "min", "mod", "mode", "month_name", "mul", "multiply", "ndim", "ne", "nlargest", "norm", "normalize", "notna", "notnull", "nsmallest", "nunique", "numpy", "parameters", "named_parameters", "partition", "pct_change", "pipe", "pivot", "pivot_table", "plot", "pow", "predict", "predict_log_proba", "predict_proba", "prod", "product", "quantile", "query", "rank", "ravel", "reindex", "reindex_like", "rename", "rename_axis", "reorder_levels", "repeat", "replace", "resample", "reset_index", "reshape", "rfind", "rindex", "rjust", "rolling", "round", "rpartition", "rsplit", "rstrip", "sample", "score", "select", "select_dtypes", "sem", "set_axis", "set_index", "shift", "shape", "size", "skew", "slice_shift", "sort_index", "sort_values", "split", "splitlines", "squeeze", "stack", "startswith", "state_dict", "std", "strftime", "strip", "sub", "subtract", "sum", "swapaxes", "swapcase", "swaplevel", "tail", "take", "tile", "to_arrow", "to_csv", "to_dict", "to_dicts", "to_excel", "to_feather", "to_html", "to_json", "to_latex", "to_list", "to_markdown", "to_numpy", "to_pandas", "to_parquet", "to_period", "to_pickle", "to_records", "to_series", "to_sql", "to_string", "to_timestamp", "to_dense", "tobytes", "tolist", "toordinal", "trace", "transform", "translate", "transpose", "truediv", "truncate", "tz_convert", "tz_localize", "union", "unique", "unstack", "upper", "value_counts", "values", "var", "view", "where", "with_columns", "with_traceback", "width", "xs", "zfill", "isoformat", "date", "time", "timestamp", "weekday", "cpu", "cuda", "double", "float", "half", "int", "long", "bool", "numel", "dim", "argmax", "topk", "softmax", "sigmoid", "tanh", "relu", "exp", "sqrt", "sin", "matmul", "mm", "bmm", "t", "T", "unsqueeze", "expand", "permute", "contiguous", "chunk", "gather", "masked_fill", "masked_select", "inverse_transform", "decision_function", "best_estimator_", "cv_results_", "named_steps", "children", "modules", "named_modules", "most_common", "elements", "lazy", "collect", "rows", "schema", "glimpse", "n_unique", "group_by", "over", "filter", "select", "head", "slice", "limit", "search", "match", "fullmatch", "findall", "finditer", "groups", "group", "span", "exists", "is_file", "is_dir", "read_text", "read_bytes", "glob", "rglob", "iterdir", "with_suffix", "with_name", "resolve", "absolute", "relative_to", "as_posix", "stat", "bit_length", "as_integer_ratio", "is_integer", "hex", "conjugate", "summary", "get_level_values", "nonzero", "compress", "searchsorted"]
)
#: Pure methods whose result may be, or be part of, the receiver.
VIEW_METHODS = frozenset(
    ["get", "items", "keys", "values", "view", "reshape", "ravel", "squeeze", "swapaxes", "transpose", "T", "t", "to_numpy", "numpy", "detach", "unsqueeze", "expand", "permute", "contiguous", "chunk", "split", "diagonal", "parameters", "named_parameters", "children", "modules", "named_modules", "state_dict", "iterrows", "itertuples", "pipe", "take_along", "get_group", "groupby", "rolling", "resample"]
)
#: Attributes that are part of the object.
COPY_ATTRIBUTES = frozenset(
    ["shape", "dtype", "ndim", "size", "columns", "index", "name", "names", "empty", "device", "requires_grad", "nbytes", "itemsize"]
)
#: Functions, by their last dotted parts, that change these positional arguments (or `out=`).
MUTATORS: dict[str, tuple[int, ...]] = {
    "random.shuffle": (0,),
    "shuffle": (0,),
    "np.copyto": (0,),
    "np.put": (0,),
    "np.place": (0,),
    "np.putmask": (0,),
    "np.fill_diagonal": (0,),
    "numpy.copyto": (0,),
    "heapq.heappush": (0,),
    "heapq.heappop": (0,),
    "heapq.heapify": (0,),
    "heapq.heappushpop": (0,),
    "heapq.heapreplace": (0,),
    "heappush": (0,),
    "heappop": (0,),
    "heapify": (0,),
    "bisect.insort": (0,),
    "bisect.insort_left": (0,),
    "bisect.insort_right": (0,),
    "insort": (0,),
    "setattr": (0,),
    "delattr": (0,),
    "next": (0,),
    "setitem": (0,),
    "operator.setitem": (0,),
    "operator.delitem": (0,),
    "operator.iadd": (0,),
    "clip_grad_norm_": (0,),
    "vars": (0,),
}
_INIT = re.compile(r"\binit\.\w+_$")


def is_pure_method(name: str) -> bool:
    """The method changes nothing that is reachable from the receiver."""
    return name in PURE_METHODS or (name.startswith(("is_", "to_", "as_", "get_")) and not name.endswith("_"))


def mutated_positions(dotted: str) -> tuple[int, ...]:
    """Positions of the arguments that a function is known to change."""
    if dotted in MUTATORS:
        return MUTATORS[dotted]
    tail = ".".join(dotted.split(".")[-2:])
    if tail in MUTATORS:
        return MUTATORS[tail]
    return (0,) if _INIT.search(dotted) else ()
