"""How torch's values are digested."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbpipe.store.digest import Undigestable

if TYPE_CHECKING:
    from nbpipe.store.digest import Digester


def digest_tensor(digester: Digester, tensor: Any) -> None:
    """Type, dtype, device, layout, strides, gradient and contents. A tensor with an autograd graph has no digest."""
    import torch

    if digester.met(tensor):
        return
    if tensor.requires_grad and not tensor.is_leaf:
        raise Undigestable("the tensor carries its autograd graph; use .detach(), or .item() for a number")
    digester.text(b"tensor", type(tensor).__qualname__, str(tensor.dtype), str(tensor.device), str(tensor.layout))
    digester.add((bool(tensor.requires_grad), tuple(tensor.shape)))
    digester.add(tensor.grad if tensor.is_leaf else None)
    digester.add(dict(getattr(tensor, "__dict__", None) or {}))
    plain = tensor.detach()
    if tensor.layout is not torch.strided:
        _sparse(digester, plain, torch)
        return
    if tensor.is_quantized:
        digester.add((str(plain.qscheme()), plain.q_scale(), plain.q_zero_point()))
        plain = plain.int_repr()
    dense = plain.resolve_conj().resolve_neg()
    digester.add((plain.is_conj(), plain.is_neg()))
    if dense.numel():
        from nbpipe.store.reduction import tensor_extent

        if dense.device.type == "cpu":
            digester.memory(*tensor_extent(dense))
        digester.add(None if dense.is_contiguous() else tuple(dense.stride()))
        flat = dense.cpu().contiguous().reshape(-1)
        if flat.stride() != (1,):  # a single element may lie at any stride, and count as contiguous
            flat = flat.clone(memory_format=torch.contiguous_format)
        flat = flat.view(torch.uint8).numpy()
        digester.token(b"raw", flat)


def _sparse(digester: Digester, tensor: Any, torch: Any) -> None:
    if tensor.layout is torch.sparse_coo:
        digester.add(bool(tensor.is_coalesced()))
        parts = [tensor._indices(), tensor._values()]  # noqa: SLF001 - the public ones insist on coalesced tensors
    elif tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
        parts = [tensor.crow_indices(), tensor.col_indices(), tensor.values()]
    elif tensor.layout in (torch.sparse_csc, torch.sparse_bsc):
        parts = [tensor.ccol_indices(), tensor.row_indices(), tensor.values()]
    else:
        raise Undigestable(f"a tensor with layout {tensor.layout}")
    digester._alive.append(parts)  # noqa: SLF001 - fresh wrappers whose ids must stay taken
    for part in parts:
        digest_tensor(digester, part)


#: Size of the state of a CPU generator, and its bytes between the fields of a C++ struct, which nobody ever sets.
#: https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/CPUGeneratorImpl.cpp
_STATE_SIZE = 5056
_PADDING = (slice(5044, 5048), slice(5053, 5056))


def generator_state(state: Any) -> bytes:
    """The bytes of what `get_state` gives, the same for the same state."""
    found = bytearray(state.numpy().tobytes())
    if len(found) == _STATE_SIZE:
        for gap in _PADDING:
            found[gap] = bytes(gap.stop - gap.start)
    return bytes(found)


def digest_generator(digester: Digester, value: Any) -> None:
    """Device and state of a random number generator."""
    if not digester.met(value):
        digester.text(b"generator", str(value.device))
        digester.token(b"raw", generator_state(value.get_state()))


def digest_atom(digester: Digester, value: Any) -> None:
    """dtype, device and the like: their name says all."""
    digester.text(b"torch", type(value).__name__, str(value))
