"""Image files are read as the version that answers was trained."""

import json
from dataclasses import replace
from io import BytesIO

import numpy as np
from PIL import Image

from resnet_ops.preprocessing import Preprocessing
from tests.unit.monitoring.serving.fake_model import FakeModel
from tests.unit.monitoring.serving.live import DATA, fake_version, serving


def test_an_image_is_read_as_the_versions_own_files_say() -> None:
    """Wide: white in its middle, black at its ends."""
    wide = np.zeros((8, 24), np.uint8)
    wide[:, 8:16] = 255
    content = BytesIO()
    Image.fromarray(wide).save(content, "PNG")
    seen = {}
    for fit in ("crop", "pad"):
        model = FakeModel()
        version = fake_version(model)
        version.preprocessing = replace(Preprocessing.of(DATA), fit=fit, background=9)
        with serving(version) as live:
            assert (
                live.post(data=content.getvalue(), headers={"Content-Type": "image/png"}).status_code == 200
            )
        seen[fit] = model.asked
    assert DATA.fit == "crop"
    assert seen == {"crop": [[255]], "pad": [[9]]}


def test_a_version_of_16_bits_takes_files_and_arrays_in_depth_and_no_others() -> None:
    model = FakeModel()
    model.depth = 16
    version = fake_version(model)
    version.preprocessing = replace(Preprocessing.of(DATA), depth=16, grey_bits=16)
    grey = np.full((8, 8, 1), 40_001, np.uint16)
    file, array, plain = BytesIO(), BytesIO(), BytesIO()
    Image.fromarray(grey[..., 0]).save(file, "PNG")
    np.save(array, grey)
    np.save(plain, grey.astype(np.uint8))
    sent = {
        "image/png": file.getvalue(),
        "application/x-npy": array.getvalue(),
        "application/json": json.dumps({"images": grey.tolist()}).encode(),
    }
    with serving(version) as live:
        for kind, body in sent.items():
            assert live.post(data=body, headers={"Content-Type": kind}).status_code == 200
        refused = live.post(data=plain.getvalue(), headers={"Content-Type": "application/x-npy"})
        too_bright = live.post(
            data=json.dumps({"images": np.full((8, 8, 1), 65_536).tolist()}).encode(),
            headers={"Content-Type": "application/json"},
        )
    assert model.asked == [[40_001]] * 3
    assert (refused.status_code, too_bright.status_code) == (400, 400)
    assert "uint16" in refused.json()["message"]
    assert "65535" in too_bright.json()["message"]
