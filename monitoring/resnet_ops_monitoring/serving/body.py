"""A request's body as images of the model's size: files as the pipeline reads them, or arrays of that size."""

from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic_core import from_json

from resnet_ops.data.decoding import decode_bytes
from resnet_ops.data.depth import Depth, Pixels, dtype_of, white_of
from resnet_ops.data.params import ReadParams
from resnet_ops.data.placement import Placement
from resnet_ops_monitoring.web.refusal import Refusal

__all__ = ["ARRAY_TYPES", "Reading", "Sent", "read_body", "read_inputs"]

_FORMATS = ("JPEG", "PNG", "WEBP")
JSON_TYPE, NPY_TYPE = "application/json", "application/x-npy"
ARRAY_TYPES = (JSON_TYPE, NPY_TYPE)
_DEEPEST = 4
"""Lists in lists: images, rows, columns, channels."""


@dataclass(frozen=True)
class Reading:
    """How images are read for one model."""

    params: ReadParams
    most_pixels: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of an image, as the model takes it."""
        return self.params.image_size, self.params.image_size, self.params.channels


@dataclass(frozen=True, eq=False)
class Sent:
    """images: (N, H, W, C) as the model takes them. placed: where in its square a file's lies; None for arrays."""

    images: Pixels
    placed: Placement | None = None


def read_body(kind: str, body: bytes, reading: Reading) -> Sent:
    """What a body of this content type holds. Raises Refusal that says why not."""
    if kind.startswith("image/"):
        return _decoded(body, reading)
    if kind == NPY_TYPE:
        return Sent(_shaped(_npy(body, reading.params.depth), reading))
    if kind == JSON_TYPE:
        return Sent(_shaped(_array(_json(body), ("images",)), reading))
    raise Refusal(415, f"The content type {kind[:100]!r} is none of image/*, {', '.join(ARRAY_TYPES)}.")


def read_inputs(kind: str, body: bytes, reading: Reading) -> Sent:
    """The same of a body as MLflow's scoring servers take it."""
    if kind != JSON_TYPE:
        raise Refusal(415, f"The content type {kind[:100]!r} cannot hold images. Send {JSON_TYPE}.")
    return Sent(_shaped(_array(_json(body), ("inputs", "instances")), reading))


def _decoded(body: bytes, reading: Reading) -> Sent:
    params = reading.params
    bits = 16 if params.grey_bits == "auto" else params.grey_bits
    found = decode_bytes(body, _FORMATS, reading.most_pixels, params, bits)
    if isinstance(found, str):
        raise Refusal(400, f"The body is no image that can be read, of {', '.join(_FORMATS)}: {found}")
    pixels, facts = found
    if params.grey_bits == "auto" and facts.highest_grey is not None and params.window is None:
        raise Refusal(
            400,
            "The image has 16-bit grey, and data.grey_bits was auto in the training, which no single image can tell. "
            "Train with the bits that the detector has, or with data.window.",
        )
    return Sent(pixels[None], Placement(facts.size, params.image_size, params.fit))


def _json(body: bytes) -> dict[str, Any]:
    try:
        content = from_json(body, allow_inf_nan=False)
    except ValueError:
        raise Refusal(400, "The body is no JSON.") from None
    if not isinstance(content, dict):
        raise Refusal(400, "The body is JSON, but no object.")
    return content


def _array(content: dict[str, Any], names: tuple[str, ...]) -> NDArray[Any]:
    found = [name for name in names if name in content]
    if len(found) != 1:
        raise Refusal(400, f"The body has none or several of the keys {', '.join(names)}; give one.")
    try:
        return _of_numbers(content[found[0]])
    except (ValueError, TypeError, OverflowError):
        raise Refusal(400, f"{found[0]} is no array of numbers, with rows of equal length.") from None


def _of_numbers(nested: Any) -> NDArray[Any]:
    """Lists of lists of equal length, with numbers alone in them: an array of texts takes room for the longest in each
    place. Raises ValueError, TypeError and OverflowError for anything else.
    """
    level, shape = [nested], list[int]()
    while set(map(type, level)) == {list} and len(shape) < _DEEPEST:
        (length,) = set(map(len, level))
        shape.append(length)
        level = list(chain.from_iterable(level))
    kinds = set(map(type, level))
    if not kinds <= {int, float}:
        raise TypeError
    if kinds == {int}:
        with suppress(ValueError):  # not all of them are bytes
            return np.frombuffer(bytes(level), np.uint8).reshape(shape)
    return np.array(level).reshape(shape)


def _npy(body: bytes, depth: Depth) -> NDArray[Any]:
    """What `numpy.save` wrote; nothing is made before its header and its length agree, and no pickle is read."""
    file = BytesIO(body)
    try:
        version = np.lib.format.read_magic(file)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[
            version
        ]
        shape, fortran, dtype = read(file)
        values = np.frombuffer(body, dtype_of(depth), offset=file.tell())
        if dtype != dtype_of(depth) or fortran or any(length < 0 for length in shape):
            raise ValueError
        return values.reshape(shape)
    except Exception:  # noqa: BLE001 -- numpy's reader of headers raises anything
        raise Refusal(
            400, f"The body is no .npy of uint{depth} in C order, whole and with nothing behind it."
        ) from None


def _shaped(values: NDArray[Any], reading: Reading) -> Pixels:
    images = values[None] if values.ndim == 3 else values
    if images.ndim != 4 or images.shape[1:] != reading.shape or not len(images):
        needed = ", ".join(map(str, reading.shape))
        raise Refusal(
            400, f"The array has the shape {values.shape}; the model takes (N, {needed}) or ({needed})."
        )
    kind, white = dtype_of(reading.params.depth), white_of(reading.params.depth)
    if images.dtype == kind:
        return images
    if (
        images.dtype.kind not in "iuf"
        or not ((images >= 0) & (images <= white) & (np.rint(images) == images)).all()
    ):
        raise Refusal(400, f"The array must hold whole numbers from 0 to {white}.")
    return images.astype(kind)
