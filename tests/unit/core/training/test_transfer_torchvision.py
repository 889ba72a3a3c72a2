"""Training that starts from torchvision's weights: taken from where it keeps them, without running what is in them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file

from resnet_ops.data import PreparedData
from resnet_ops.errors import ConfigError, DataError, ResnetOpsError, ServiceError
from resnet_ops.files import file_digest
from resnet_ops.training.loop import Training, fit
from resnet_ops.training.plan import Plan
from tests.unit.core.makers import make_data, make_imagenet_member, make_plan, make_recipe
from tests.unit.core.training.test_transfer import plan_of_file, start_from

RESNET18 = make_imagenet_member(block="basic", layers=(2, 2, 2, 2), width=64, stem="standard")


@pytest.fixture(scope="module")
def theirs() -> torchvision.models.ResNet:
    torch.manual_seed(1)
    network = torchvision.models.resnet18(weights=None)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1)
    return network


@pytest.fixture(scope="module")
def colours() -> PreparedData:
    """1,000 classes of which a few images show something."""
    rng = np.random.default_rng(0)
    data = make_data({"train": list(range(1000)), "validation": [0, 1]}, tuple(map(str, range(1000))))
    return replace(data, images=rng.integers(0, 256, (1002, 8, 8, 3), dtype=np.uint8))


@pytest.mark.slow
def test_a_file_in_torchvisions_layout_gives_torchvisions_outputs(
    theirs: torchvision.models.ResNet, colours: PreparedData, tmp_path: Path
) -> None:
    save_file(theirs.state_dict(), tmp_path / "w.safetensors")
    plan = plan_of_file(tmp_path / "w.safetensors", RESNET18)
    network = Training(plan, colours.split("train"), colours.split("validation")).model().network
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = theirs.eval()(x)
        torch.testing.assert_close(network(x), expected, rtol=1e-4, atol=1e-4 * expected.std().item())


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where torchvision's files lie, empty, on a machine whose network is a closed port."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "hub" / "checkpoints"


def torchvision_plan(name: str, sha256: str | None) -> Plan:
    return make_plan(make_recipe(start=start_from(f"torchvision:{name}", sha256)), member=RESNET18)


def test_torchvisions_weights_are_taken_from_where_it_keeps_them(
    theirs: torchvision.models.ResNet, small: PreparedData, hub: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.mkdir(parents=True)
    path = hub / "resnet18-f37072fd.pth"
    torch.save(theirs.state_dict(), path)
    plan = torchvision_plan("ResNet18_Weights.IMAGENET1K_V1", file_digest(path))
    colour = replace(small, images=small.images.repeat(3, axis=3))
    model = Training(plan, colour.split("train"), colour.split("validation")).model()
    assert torch.equal(model.network.state_dict()["layer1.0.conv1.weight"], theirs.layer1[0].conv1.weight)
    assert model.mean == pytest.approx((0.485, 0.456, 0.406))
    assert model.std == pytest.approx((0.229, 0.224, 0.225))
    assert "head for 10 classes" in capsys.readouterr().out


def test_a_file_of_torchvisions_that_could_run_code_is_not_loaded(small: PreparedData, hub: Path) -> None:
    class Sly:
        def __reduce__(self) -> Any:
            return Path.touch, (hub / "ran",)

    hub.mkdir(parents=True)
    path = hub / "resnet18-f37072fd.pth"
    torch.save({"x": Sly()}, path)
    with pytest.raises(DataError, match=r"resnet18-f37072fd\.pth holds no weights"):
        fit(torchvision_plan("ResNet18_Weights.IMAGENET1K_V1", file_digest(path)), small)
    assert not (hub / "ran").exists()


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        (
            "ResNet18_Weights.IMAGENET1K_V1",
            ServiceError,
            r"https://download\.pytorch\.org/models/resnet18-f37072fd\.pth cannot be downloaded "
            r".*put the file to .*/hub/checkpoints/resnet18-f37072fd\.pth here",
        ),
        ("ResNet18_Weights.NOPE", ConfigError, "torchvision has no weights ResNet18_Weights.NOPE"),
        ("nonsense", ConfigError, "torchvision has no weights nonsense"),
        ("Raft_Large_Weights.DEFAULT", ConfigError, "are not weights of a classifier"),
    ],
)
def test_weights_that_torchvision_cannot_give_are_said_with_the_way_out(
    name: str, kind: type[ResnetOpsError], message: str, small: PreparedData, hub: Path
) -> None:
    with pytest.raises(kind, match=message):
        fit(torchvision_plan(name, None), small)
    assert not list(hub.glob("*"))
