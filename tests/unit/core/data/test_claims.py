"""Scans of a JPEG: each costs a pass over all that the header claims, and twelve bytes."""

from io import BytesIO

import pytest
from PIL import Image

from resnet_ops.data.claims import MOST_SCANS
from resnet_ops.data.opening import open_bytes
from resnet_ops.errors import DataError

PIXELS = 1 << 22


def jpeg(**options: object) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (64, 48), (9, 99, 200)).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def with_scans(content: bytes, more: int) -> bytes:
    """The last scan again, so many times."""
    return content[:-2] + content[content.rindex(b"\xff\xda") : -2] * more + content[-2:]


def test_a_progressive_image_of_a_thousand_scans_is_refused_before_it_is_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = with_scans(jpeg(progressive=True), 1000)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("it is decoded"))
    with pytest.raises(DataError, match=f"more than {MOST_SCANS} scans"):
        open_bytes(content, ("JPEG",), PIXELS)


def test_one_of_few_more_is_read() -> None:
    found = open_bytes(with_scans(jpeg(progressive=True), 50), ("JPEG",), PIXELS)
    assert found.image.getpixel((5, 5)) == pytest.approx((9, 99, 200), abs=6)


@pytest.mark.parametrize("progressive", [True, False])
def test_what_looks_like_scans_in_a_segment_or_behind_the_image_counts_for_nothing(progressive: bool) -> None:
    scans = b"\xff\xda" * 1000
    content = jpeg(progressive=progressive, comment=scans) + scans
    assert open_bytes(content, ("JPEG",), PIXELS).image.size == (64, 48)
