"""Which calls leave their receiver and their arguments as they were. Tables, and nothing else.

A name that is missing here costs parallelism when it is pure; a wrong entry is caught by the job, which digests its inputs.
"""

from __future__ import annotations

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Methods that change neither the receiver nor the arguments, whatever the type.
PURE_METHODS = _words("""
    T abs absolute add_prefix add_suffix agg aggregate all any apply applymap argmax argmin argsort argwhere
    as_integer_ratio as_matrix as_posix asfreq asof assign astype at_time best_estimator_ between between_time
    bfill bit_length bmm bool capitalize casefold center children chunk clip collect columns combine
    combine_first compare compress conj conjugate contiguous copy corr corrwith cos cosine_similarity count cov
    cpu cuda cummax cummin cumprod cumsum cut cv_results_ date day_name decision_function decode describe detach
    diagonal diff difference digest dim div dot double dropna dt duplicated elements encode endswith eq equals
    eval ewm exists exp expand expanding expandtabs explode factorize ffill fillna filter find findall finditer
    first first_valid_index flatten float floor floordiv format format_map from_dict fromkeys fullmatch gather
    ge get get_dummies get_feature_names_out get_group get_level_values get_params glimpse glob group group_by
    groupby groups gt half head hex hexdigest hist idxmax idxmin index infer_objects info int interpolate
    intersection inverse_transform is_dir is_file is_integer isalnum isalpha isascii isdecimal isdigit
    isdisjoint isfinite isidentifier isin isinf islower isna isnan isnull isnumeric isoformat isprintable
    isspace issubset issuperset istitle isupper item items iterdir iteritems iterrows itertuples join keys kurt
    last last_valid_index lazy le len limit ljust log log10 long lower lstrip lt map mask masked_fill
    masked_select match matmul max mean median melt memory_usage merge min mm mod mode modules month_name
    most_common mul multiply n_unique named_modules named_parameters named_steps ndim ne nlargest nonzero norm
    normalize notna notnull nsmallest numel numpy nunique over parameters partition pct_change permute pipe
    pivot pivot_table plot pow predict predict_log_proba predict_proba prod product quantile query rank ravel
    read_bytes read_text reindex reindex_like relative_to relu rename rename_axis reorder_levels repeat replace
    resample reset_index reshape resolve rfind rglob rindex rjust rolling round rows rpartition rsplit rstrip
    sample schema score search searchsorted select select_dtypes sem set_axis set_index shape shift sigmoid sin
    size skew slice slice_shift softmax sort_index sort_values span split splitlines sqrt squeeze stack
    startswith stat state_dict std strftime strip sub subtract sum summary swapaxes swapcase swaplevel t tail
    take tanh tile time timestamp to_arrow to_csv to_dense to_dict to_dicts to_excel to_feather to_html to_json
    to_latex to_list to_markdown to_numpy to_pandas to_parquet to_period to_pickle to_records to_series to_sql
    to_string to_timestamp tobytes tolist toordinal topk trace transform translate transpose truediv truncate
    tz_convert tz_localize union unique unsqueeze unstack upper value_counts values var view weekday where width
    with_columns with_name with_suffix with_traceback xs zfill
""")
#: Pure methods whose result may be, or be part of, the receiver.
VIEW_METHODS = _words("""
    T children chunk contiguous detach diagonal expand get get_group groupby items iterrows itertuples keys
    modules named_modules named_parameters numpy parameters permute pipe ravel resample reshape rolling split
    squeeze state_dict swapaxes t take_along to_numpy transpose unsqueeze values view
""")
#: Methods that put their arguments into the receiver.
KEEPING_METHODS = _words("""
    add append appendleft extend insert push put setdefault update
""")
#: Functions whose result holds their arguments, or is one of them.
KEEPING_FUNCTIONS = _words("""
    as_tensor asanyarray asarray ascontiguousarray atleast_1d atleast_2d cast chain dict enumerate filter
    from_numpy iter list map next partial reversed set sorted tuple zip
""")
#: Attributes that are part of the object.
COPY_ATTRIBUTES = _words("""
    columns device dtype empty index itemsize name names nbytes ndim requires_grad shape size
""")
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
_LAST_WORDS = frozenset(name.rpartition(".")[2] for name in MUTATORS)


def is_pure_method(name: str) -> bool:
    """The method changes nothing that is reachable from the receiver."""
    return name in PURE_METHODS or (name.startswith(("is_", "to_", "as_", "get_")) and not name.endswith("_"))


def mutated_positions(dotted: str) -> tuple[int, ...]:
    """Positions of the arguments that a function is known to change."""
    if dotted.rpartition(".")[2] not in _LAST_WORDS:
        return (0,) if dotted.endswith("_") and _INIT.search(dotted) else ()
    if dotted in MUTATORS:
        return MUTATORS[dotted]
    tail = ".".join(dotted.split(".")[-2:])
    if tail in MUTATORS:
        return MUTATORS[tail]
    return (0,) if _INIT.search(dotted) else ()
