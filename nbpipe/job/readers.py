"""Libraries that open files in native code, where no hook of Python sees it: their functions say what they are given."""

from __future__ import annotations

import fnmatch
import functools
import glob
import itertools
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

#: Module -> its readers, with wildcards. What such a call is given and is a path counts as read.
READERS: dict[str, tuple[str, ...]] = {
    "av": ("open",),
    "catboost": ("Pool",),
    "cv2": ("imread", "imreadmulti", "VideoCapture"),
    "decord": ("VideoReader", "AudioReader"),
    "duckdb": ("connect", "read_*", "from_*", "sql", "query", "execute"),
    "faiss": ("read_index",),
    "fiona": ("open",),
    "fitz": ("open",),
    "h5py": ("File",),
    "librosa": ("load", "stream"),
    "lightgbm": ("Booster", "Dataset"),
    "netCDF4": ("Dataset", "MFDataset"),
    "onnxruntime": ("InferenceSession",),
    "osgeo.gdal": ("Open", "OpenEx"),
    "osgeo.ogr": ("Open",),
    "polars": ("read_*", "scan_*"),
    "pyarrow": ("memory_map", "input_stream"),
    "pyarrow.csv": ("open_csv", "read_csv"),
    "pyarrow.dataset": ("dataset", "parquet_dataset"),
    "pyarrow.feather": ("read_*",),
    "pyarrow.json": ("open_json", "read_json"),
    "pyarrow.orc": ("ORCFile", "read_table"),
    "pyarrow.parquet": ("ParquetDataset", "ParquetFile", "read_*"),
    "pyogrio": ("open_arrow", "read_*"),
    "pyreadstat": ("read_*",),
    "rasterio": ("open",),
    "safetensors": ("safe_open",),
    "safetensors.numpy": ("load_file",),
    "safetensors.torch": ("load_file", "load_model", "safe_open"),
    "SimpleITK": ("ReadImage",),
    "soundfile": ("SoundFile", "blocks", "info", "read"),
    "tables": ("open_file",),
    "torchaudio": ("info", "load"),
    "torchvision.io": ("read_*",),
    "xarray": ("load_*", "open_*"),
    "xgboost": ("Booster", "DMatrix"),
    "zarr": ("load*", "open*"),
}
#: Module -> its writers: the path that such a call, of a function or a method, is given is written.
WRITERS: dict[str, tuple[str, ...]] = {
    "cv2": ("imwrite", "VideoWriter"),
    "faiss": ("write_index",),
    "lightgbm": ("Booster.save_model",),
    "pandas": ("DataFrame.to_parquet",),
    "polars": ("DataFrame.write_*", "LazyFrame.sink_*"),
    "pyarrow.csv": ("write_csv",),
    "pyarrow.feather": ("write_*",),
    "pyarrow.orc": ("write_table",),
    "pyarrow.parquet": ("ParquetWriter", "write_*"),
    "pyogrio": ("write_*",),
    "safetensors.numpy": ("save_file",),
    "safetensors.torch": ("save_*",),
    "SimpleITK": ("WriteImage",),
    "soundfile": ("write",),
    "torch.serialization": ("_open_zipfile_writer",),
    "torchaudio": ("save",),
    "torchvision.io": ("write_*",),
    "xgboost": ("Booster.save_model",),
}
NATIVE = READERS.keys() | WRITERS.keys()
_QUOTED = re.compile(r"'([^'\n]{1,1000})'")
_LONGEST_PATH = 4096
_MOST_FILES = 10_000

#: Takes a path, and whether it surely is one: another text counts only where there is such a file.
Note = Callable[[str, bool], None]


def watch(module: str, read: Note, write: Note) -> None:
    """From now on the functions of a module that is loaded give every path to `read` or `write` before they open it."""
    loaded = sys.modules.get(module)
    for table, note in ((READERS, read), (WRITERS, write)):
        for pattern in table.get(module, ()):
            owner, _, wanted = pattern.rpartition(".")
            place = getattr(loaded, owner, None) if owner else loaded
            for name in fnmatch.filter(list(vars(place) if place is not None else ()), wanted):
                _replace(place, name, note)


def _replace(place: Any, name: str, note: Note) -> None:
    function = getattr(place, name)
    if not callable(function) or hasattr(function, "_nbpipe_noted"):
        return
    if isinstance(place, type):
        setattr(place, name, _noted(function, note, first=1))
        return
    noted = _noted_class(function, note) if isinstance(function, type) else _noted(function, note)
    # Where it is defined too: pickle finds it by that name.
    for module in {place.__name__, getattr(function, "__module__", None) or ""} & sys.modules.keys():
        if getattr(sys.modules[module], name, None) is function:
            setattr(sys.modules[module], name, noted)


def _noted(reader: Any, note: Note, first: int = 0) -> Any:
    """The reader, whose path is the argument number `first`, or has a name."""

    @functools.wraps(reader)
    def read(*args: Any, **kwargs: Any) -> Any:
        for number, value in enumerate([*args[first:], *kwargs.values()]):
            for path, sure in _paths(value):
                note(path, sure and number == 0)
        return reader(*args, **kwargs)

    read._nbpipe_noted = True  # type: ignore[attr-defined]  # noqa: SLF001 - our own mark
    return read


def _noted_class(kind: Any, note: Note) -> Any:
    """The same class where Python lets its `__init__` be replaced; else one that stands before it."""
    if kind.__init__ is object.__init__:
        return _noted(kind, note)
    try:
        kind.__init__ = _noted(kind.__init__, note, first=1)
    except TypeError:
        return _noted(kind, note)
    kind._nbpipe_noted = True  # noqa: SLF001 - our own mark
    return kind


def _paths(value: Any) -> Iterator[tuple[str, bool]]:
    """Paths in an argument, and whether they can be nothing else; of SQL, what stands in quotes."""
    if isinstance(value, (list, tuple)):
        for item in value[:_MOST_FILES]:
            yield from _paths(item)
    elif isinstance(value, os.PathLike):
        yield os.fsdecode(value), True
    elif isinstance(value, str):
        if len(value) < _LONGEST_PATH and "\n" not in value:
            yield value, True
        yield from ((text, False) for text in _QUOTED.findall(value))


def below(path: str, *, deep: bool = True) -> tuple[list[str], list[str]]:
    """Files and folders that are looked at when `path`, a pattern or a folder, is read as a data set; `deep`: at any depth.

    Raises ValueError where they are too many.
    """
    if not glob.has_magic(path):
        walk = ((folder, names) for folder, _, names in os.walk(path))
        found = list(walk if deep else itertools.islice(walk, 1))
        files = [os.path.join(folder, name) for folder, names in found for name in names]  # noqa: PTH118
        folders = [folder for folder, _ in found]
    else:
        files = [name for name in glob.iglob(path, recursive=True) if Path(name).is_file()]
        fixed = Path(path)
        while glob.has_magic(str(fixed)):
            fixed = fixed.parent
        depth = len(Path(path).parts) - len(fixed.parts)
        levels = [os.path.join(fixed, *["*"] * level) for level in range(depth)]  # noqa: PTH118
        every = (
            glob.iglob(f"{fixed}/**/", recursive=True) if "**" in path else (p for d in levels for p in glob.glob(d))
        )
        folders = [name for name in every if Path(name).is_dir()]
    if len(files) + len(folders) > _MOST_FILES:
        raise ValueError(f"{path} stands for more than {_MOST_FILES} files")
    return files, folders
