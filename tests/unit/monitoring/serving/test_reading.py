"""Image files are read as the version that answers was trained."""

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
