"""Export: what is written predicts the same at any batch size, and what does not is not written."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from resnet_ops.errors import DataError
from resnet_ops.export import export_model
from resnet_ops.export_params import ExportParams
from resnet_ops.families.cifar import ResNet
from tests.unit.core.makers import TINY, random_images, untrained

PARAMS = ExportParams(formats=("pt2",), max_logit_difference=0.001, min_equal_predictions=1.0)


def test_an_export_gives_the_same_logits_at_every_batch_size(tmp_path: Path) -> None:
    model, images = untrained(), random_images(300)
    measured = export_model(model, images, PARAMS, tmp_path / "export")
    exported = torch.export.load(tmp_path / "export" / "tiny.pt2").module()
    expected = model.predict(images).logits
    with torch.inference_mode():
        for batch in (1, 2, 3, 64, 300):
            logits = exported(torch.from_numpy(images[:batch])).numpy()
            assert logits == pytest.approx(expected[:batch], abs=1e-4)
    assert measured["pt2.equal_predictions"].value == 1
    assert measured["pt2.equal_predictions"].n == 300
    assert measured["pt2.max_logit_difference"].value < 0.001
    assert measured["pt2.bytes"].value == (tmp_path / "export" / "tiny.pt2").stat().st_size


class DriftingResNet(ResNet):
    """A network that export does not reproduce: its logits are off by `offset` in an exported program."""

    offset: tuple[float, float] = (0.0, 0.0)

    def forward(self, x: Tensor) -> Tensor:
        logits = super().forward(x)
        if torch.compiler.is_exporting():
            factor, step = self.offset
            return logits * factor + step
        return logits


@pytest.mark.parametrize(
    ("offset", "params", "message"),
    [
        ((1.0, 0.5), PARAMS, r"differs from the model by 0\.5 in a logit and agrees on 100\.0%"),
        ((-1.0, 0.0), replace(PARAMS, max_logit_difference=1000.0), r"agrees on 0\.0% of 40 test images"),
        ((float("nan"), 0.0), PARAMS, "differs from the model by nan"),
    ],
)
def test_an_export_that_predicts_otherwise_is_refused_and_makes_no_file(
    tmp_path: Path, offset: tuple[float, float], params: ExportParams, message: str
) -> None:
    torch.manual_seed(0)
    network = DriftingResNet(TINY, 1, 10).eval()
    network.offset = offset
    model = replace(untrained(), network=network)
    with pytest.raises(DataError, match=message) as caught:
        export_model(model, random_images(40), params, tmp_path / "export")
    assert "export in params.yaml allows" in str(caught.value)
    assert "No file was made" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("difference", "equal"), [(-0.1, 1.0), (float("nan"), 1.0), (0.1, 0.0), (0.1, 1.1), (0.1, float("nan"))]
)
def test_tolerances_that_check_nothing_are_refused(difference: float, equal: float) -> None:
    with pytest.raises(ValueError, match="max_logit_difference must not be negative"):
        ExportParams(formats=("pt2",), max_logit_difference=difference, min_equal_predictions=equal)


def test_weights_that_are_no_numbers_are_not_exported(tmp_path: Path) -> None:
    model = untrained()
    with torch.no_grad():
        model.network.head.bias.fill_(np.nan)
    with pytest.raises(DataError, match="differs from the model by nan"):
        export_model(model, random_images(4), PARAMS, tmp_path / "export")
    assert list(tmp_path.iterdir()) == []
