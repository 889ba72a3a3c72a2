"""Bodies and images that come over HTTP are read in time that grows with their length, and in little memory."""

import json
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from resnet_ops.data.params import DataParams
from resnet_ops.errors import DataError
from resnet_ops_monitoring.serving.body import JSON_TYPE, NPY_TYPE, Reading, read_body
from resnet_ops_monitoring.sink.inference import Inference
from resnet_ops_monitoring.sink.reading import Reader
from resnet_ops_monitoring.web.refusal import Refusal
from tests.linear import is_linear
from tests.unit.core.makers import make_data_params
from tests.unit.monitoring.sink.sinking import row


def rows(*sent: Any) -> bytes:
    return json.dumps(sent).encode()


def sunk(body: bytes) -> Any:
    return Reader(2000).read(JSON_TYPE, body)


def served(kind: str) -> Callable[[bytes], Any]:
    params: DataParams = make_data_params(source="imagefolder", root="x", image_size=16, channels=3)
    return lambda body: read_body(kind, body, Reading(params, 1 << 22))


def images(content: Any) -> bytes:
    return json.dumps({"images": content}).encode()


def png(texts: int) -> bytes:
    """One that is damaged behind its texts, which are left out when it is tried again."""
    info, buffer = PngImagePlugin.PngInfo(), BytesIO()
    for number in range(texts):
        info.add_text(f"k{number}", "x")
    Image.new("L", (9, 9)).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()[:-20]


def jpeg(segments: int, scans: int) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, "JPEG", progressive=True)
    content = buffer.getvalue()
    last = content[content.rindex(b"\xff\xda") : -2]
    comments = b"\xff\xfe\x00\x04\xff\xda" * segments
    return content[:2] + comments + content[2:-2] + last * scans + content[-2:]


BODIES: dict[str, tuple[Callable[[bytes], Any], Callable[[int], bytes], int]] = {
    "rows": (sunk, lambda n: rows(*map(row, range(n))), 100),
    "texts for numbers": (sunk, lambda n: rows(row(1, probabilities=["a"] * n)), 20_000),
    "numbers for texts": (sunk, lambda n: rows(row(1, classes=[0] * n)), 20_000),
    "unknown names": (sunk, lambda n: rows({f"k{each}": 0 for each in range(n)}), 5_000),
    "unknown statistics": (
        sunk,
        lambda n: rows(row(1, statistics={f"k{each}": 0 for each in range(n)})),
        5_000,
    ),
    "brackets": (sunk, lambda n: b"[" * n, 100_000),
    "a time": (sunk, lambda n: rows(row(1, time="2026-01-01T00:00:00." + "0" * n + "Z")), 100_000),
    "a text": (sunk, lambda n: rows(row(1, source="x" * n)), 100_000),
    "an array": (served(JSON_TYPE), lambda n: images([[[1, 2, 3]] * n]), 5_000),
    "lists in lists": (served(JSON_TYPE), lambda n: b'{"images":' + b"[" * n, 100_000),
    "empty lists": (served(JSON_TYPE), lambda n: images([[]] * n), 20_000),
    "a long number": (served(JSON_TYPE), lambda n: b'{"images":[' + b"9" * n + b"]}", 100_000),
    "texts in an array": (served(JSON_TYPE), lambda n: images(["x" * n, *[""] * n]), 2_000),
    "a header": (
        served(NPY_TYPE),
        lambda n: b"\x93NUMPY\x01\x00" + min(n, 65_535).to_bytes(2, "little") + b"(" * n,
        6_500,
    ),
    "texts of a PNG": (served("image/png"), png, 200),
    "segments of a JPEG": (served("image/jpeg"), lambda n: jpeg(n, 0), 1_000),
    "scans of a JPEG": (served("image/jpeg"), lambda n: jpeg(0, n), 30),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BODIES)
def test_ten_times_the_length_costs_about_ten_times_the_work(name: str) -> None:
    assert is_linear(*BODIES[name], refused=(Refusal, DataError))


@pytest.mark.parametrize(
    "name", ["texts for numbers", "numbers for texts", "unknown names", "unknown statistics"]
)
def test_of_a_thousand_faults_of_a_row_one_is_looked_for(name: str) -> None:
    """Each one would be told in hundreds of bytes."""
    (sent,) = json.loads(BODIES[name][1](1000))
    with pytest.raises(ValueError, match="1 validation error"):
        Inference.model_validate(sent)


def test_an_array_of_texts_is_refused_before_room_is_made_for_the_longest_in_each_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(np, "array", lambda _: pytest.fail("room is made"))
    with pytest.raises(Refusal, match="no array of numbers"):
        served(JSON_TYPE)(images([["x" * 10, ""]]))
