"""Images side by side, and which pixels differ: with Pillow, where it is installed. Sizes are looked at before pixels."""

from __future__ import annotations

import base64
import binascii
import io
from typing import TYPE_CHECKING, Any

from nbpipe.history.difference.shape_values import Image, ImageDiff
from nbpipe.history.difference.sizes import size_text

if TYPE_CHECKING:
    import numpy as np

#: Bytes of an image that is decoded, and of one that travels in a diff.
LARGEST = 20_000_000
LARGEST_SHOWN = 2_000_000
#: Pixels that are decoded: a small file may say that it is a large image.
_MOST_PIXELS = 20_000_000
_FORMATS = ("PNG", "JPEG", "GIF", "WEBP")
_SVG = "image/svg+xml"

Given = tuple[str, str] | None


def image_diff(a: Given, b: Given) -> tuple[ImageDiff, str]:
    """Two images as (mime, base64 or SVG source), and why their pixels were not compared ("" where they were)."""
    (old, bytes_a), (new, bytes_b) = _image(a), _image(b)
    plain = ImageDiff(a=old, b=new)
    if old is None or new is None:
        return plain, ""
    if _SVG in (old.mime, new.mime):
        return plain, "drawn from lines, not pixels"
    if max(len(bytes_a), len(bytes_b)) > LARGEST:
        return plain, f"too large to look into ({size_text(max(len(bytes_a), len(bytes_b)))})"
    if bytes_a == bytes_b:
        return ImageDiff(a=old, b=new, pixels=0, share=0.0, largest=0), ""
    try:
        import PIL.Image  # noqa: F401 - whether it is there
    except ImportError:
        return plain, "pixels are compared where Pillow is installed"
    pixels_a, pixels_b = _pixels(bytes_a), _pixels(bytes_b)
    if pixels_a is None or pixels_b is None:
        return plain, "it cannot be read as an image"
    old, new = _measured(old, pixels_a), _measured(new, pixels_b)
    if pixels_a.shape != pixels_b.shape:
        return ImageDiff(a=old, b=new), "they have different sizes"
    return _compared(old, new, pixels_a, pixels_b), ""


def _compared(old: Image, new: Image, a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> ImageDiff:
    import numpy as np

    distance = np.abs(a.astype(np.int16) - b).max(axis=2)
    differing = distance > 0
    count = int(differing.sum())
    return ImageDiff(
        a=old,
        b=new,
        pixels=count,
        share=count / distance.size,
        largest=int(distance.max()),
        mask=_mask(distance) if count else "",
    )


def _mask(distance: np.ndarray[Any, Any]) -> str:
    """Red where they differ, stronger where they differ more."""
    import numpy as np
    from PIL import Image as Pillow

    paint = np.zeros((*distance.shape, 4), np.uint8)
    paint[..., 0] = 255
    paint[..., 3] = np.where(distance > 0, np.minimum(96 + distance, 255), 0)
    out = io.BytesIO()
    Pillow.fromarray(paint).save(out, "PNG", compress_level=1)
    return base64.b64encode(out.getvalue()).decode() if out.tell() <= LARGEST_SHOWN else ""


def _image(given: Given) -> tuple[Image | None, bytes]:
    if given is None:
        return None, b""
    mime, content = given
    if mime == _SVG:
        data = content.encode("utf-8", "replace")
        shown = base64.b64encode(data).decode() if len(data) <= LARGEST_SHOWN else ""
        return Image(mime=mime, size=len(data), data=shown), data
    try:
        data = base64.b64decode(content)
    except (binascii.Error, ValueError):
        return Image(mime=mime), b""
    width, height = _png_size(data)
    # Encoded again: what travels is base64 and nothing else.
    shown = base64.b64encode(data).decode() if len(data) <= LARGEST_SHOWN else ""
    return Image(mime=mime, size=len(data), width=width, height=height, data=shown), data


def _png_size(data: bytes) -> tuple[int, int]:
    """From the header; (0, 0) for other formats."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return 0, 0
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def _measured(image: Image, pixels: np.ndarray[Any, Any]) -> Image:
    return Image(mime=image.mime, size=image.size, width=pixels.shape[1], height=pixels.shape[0], data=image.data)


def _pixels(data: bytes) -> np.ndarray[Any, Any] | None:
    """Rows of RGBA pixels; None for what is no image, or too large a one."""
    import warnings

    import numpy as np
    from PIL import Image as Pillow

    try:
        with warnings.catch_warnings(), Pillow.open(io.BytesIO(data), formats=_FORMATS) as image:
            warnings.simplefilter("error")
            if image.width * image.height > _MOST_PIXELS:
                return None
            return np.asarray(image.convert("RGBA"))
    except Exception:  # noqa: BLE001 - bytes that somebody else made: whatever a decoder raises, it is no image
        return None
