"""safetensors files, for dense tensors on the CPU, flat dicts of them and state dicts of modules, where they are exact.

The header is written and read here, as the format describes it: 8 bytes with its length, JSON, then the tensors' bytes
in the order of the header. The note under `__metadata__` says what the format does not: whether it was one tensor, a dict
or a state dict with its versions, the order of names, and which tensors want gradients.
"""

from __future__ import annotations

import json
import mmap
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, BinaryIO

from nbpipe.store.formats.plain import FORMAT as PLAIN

if TYPE_CHECKING:
    from nbpipe.model import Artifact
    from nbpipe.store.base import ObjectStore

NOTE = "nbpipe"
ALIGNMENT = 64
_LENGTH = 8
#: Names of dtypes: torch's -> the format's.
DTYPES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
}


class Safetensors:
    """One safetensors file."""

    name = "safetensors"

    def accepts(self, value: Any) -> bool:
        """Plain contiguous tensors that share no memory and carry no gradient, alone or in a dict under text."""
        package = type(value).__module__.partition(".")[0]
        if package == "torch":
            return _plain(value)
        if _kind(value) is None or not value or not all(type(name) is str for name in value):
            return False
        tensors = list(value.values())
        if not all(type(each).__module__ == "torch" and _plain(each) for each in tensors):
            return False
        starts = {each.untyped_storage().data_ptr() for each in tensors}
        encodable = "".join(value).isascii() and "__metadata__" not in value
        return encodable and len(starts) == len({id(each) for each in tensors}) == len(tensors)

    def save(self, value: Any, objects: ObjectStore) -> tuple[tuple[str, ...], str | None]:
        """One object, hashed as it is written; the tensors are not copied."""
        tensors = value if isinstance(value, dict) else {"": value}
        note = {"kind": _kind(value), "tensors": [[name, bool(each.requires_grad)] for name, each in tensors.items()]}
        if note["kind"] == "state":
            note["versions"] = list(vars(value)["_metadata"].items())
        digest, _ = objects.put_stream(lambda file: _write(tensors, note, file))
        return (digest,), None

    def load(self, artifact: Artifact, objects: ObjectStore) -> Any:
        """The tensors, mapped: pages are read when touched and copied when written."""
        import torch

        with objects.local_path(artifact.objects[0]).open("rb") as file:
            memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        length = int.from_bytes(memory[:_LENGTH], "little")
        header = json.loads(memory[_LENGTH : _LENGTH + length])
        note = json.loads(header["__metadata__"][NOTE])
        start = _LENGTH + length
        names = {short: name for name, short in DTYPES.items()}
        tensors = {}
        for name, wants_gradient in note["tensors"]:
            entry = header[name]
            dtype, (low, high) = getattr(torch, names[entry["dtype"]]), entry["data_offsets"]
            # A storage of its own for each: growing one, or saving it with torch, must not see its neighbours.
            flat = torch.frombuffer(memory, dtype=torch.uint8, count=high - low, offset=start + low)
            tensor = flat.view(dtype).reshape(entry["shape"])
            tensors[name] = tensor.requires_grad_(wants_gradient)
        if note["kind"] == "tensor":
            return tensors[""]
        if note["kind"] == "dict":
            return tensors
        state = OrderedDict(tensors)
        if note["kind"] == "state":
            vars(state)["_metadata"] = OrderedDict(note["versions"])
        return state


def _kind(value: Any) -> str | None:
    """What holds the tensors; None if it is something else, or holds more than them."""
    if type(value) is dict:
        return "dict"
    if type(value) is not OrderedDict:
        return "tensor" if type(value).__module__.partition(".")[0] == "torch" else None
    extra = vars(value)
    versions = extra.get("_metadata")
    if not extra:
        return "ordered"
    known = set(extra) == {"_metadata"} and type(versions) is OrderedDict and PLAIN.accepts(dict(versions))
    return "state" if known else None


def _plain(tensor: Any) -> bool:
    """Whether the tensor is its dtype, shape and bytes, and nothing else."""
    import torch

    if type(tensor) is not torch.Tensor or tensor.layout is not torch.strided or tensor.device.type != "cpu":
        return False
    if str(tensor.dtype).removeprefix("torch.") not in DTYPES or tensor.is_conj() or tensor.is_neg():
        return False
    if not tensor.is_contiguous() or tensor.numel() == 0 or tensor.storage_offset() != 0:
        return False
    strides, expected = tensor.stride(), torch.empty(tensor.shape, device="meta").stride()
    whole = tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
    bare = tensor.is_leaf and tensor.grad is None and not getattr(tensor, "__dict__", None)
    return bool(strides == expected and whole and bare and not tensor._backward_hooks)  # noqa: SLF001 - no public way


def _write(tensors: dict[str, Any], note: dict[str, Any], file: BinaryIO) -> None:
    import torch

    header: dict[str, Any] = {"__metadata__": {NOTE: json.dumps(note)}}
    # The format knows no gaps, so the largest elements come first: each tensor then starts where its elements may.
    order = sorted(tensors, key=lambda name: -tensors[name].element_size())
    end = 0
    for name in order:
        each = tensors[name]
        size = each.numel() * each.element_size()
        dtype = DTYPES[str(each.dtype).removeprefix("torch.")]
        header[name] = {"dtype": dtype, "shape": list(each.shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(_LENGTH + len(text)) % ALIGNMENT)
    file.write(len(text).to_bytes(_LENGTH, "little") + text)
    for name in order:
        flat = tensors[name].detach().reshape(-1).view(torch.uint8)
        file.write(memoryview(flat.numpy()))


FORMAT = Safetensors()
