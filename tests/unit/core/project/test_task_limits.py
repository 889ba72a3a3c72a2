"""What a task does not have is refused when `params.yaml` is read, before anything is trained."""

from pathlib import Path

import pytest
import yaml

from resnet_ops.errors import ConfigError
from resnet_ops.params import parse_params
from resnet_ops_pipelines.project_params import Params
from tests.unit.project_imports import ROOT

BOXES = {
    "labels": "Annotations",
    "images": "JPEGImages",
    "classes": ["cell"],
    "faults": "drop",
    "head": "fcos",
    "width": 32,
    "frozen_norms": False,
}


def parsed(folder: Path, *, robustness: int, formats: tuple[str, ...]) -> Params:
    """The project's own settings, for boxes."""
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    content["data"] |= {"source": "imagefolder", "task": "detection", "detection": BOXES}
    content["evaluate"]["robustness"]["images"] = robustness
    content["export"]["formats"] = {name: content["export"]["formats"][name] for name in formats}
    content["deployments"] = {}
    (folder / "params.yaml").write_text(yaml.safe_dump(content))
    return parse_params(folder / "params.yaml", Params)


def test_settings_of_a_detector_are_read(tmp_path: Path) -> None:
    params = parsed(tmp_path, robustness=0, formats=("onnx",))
    assert params.data.chosen_task.headline.name == "ap"
    assert params.data.chosen_task == params.data.detection


def test_what_detectors_do_not_have_is_named_all_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"robustness\.images(.|\n)*int8, pt2"):
        parsed(tmp_path, robustness=5, formats=("pt2", "onnx", "int8"))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ({"task": "detection", "detection": BOXES}, "boxes are not found in tiles"),
        ({"image_size": 8}, "tiles.side is 16"),
    ],
)
def test_tiles_that_a_task_or_size_does_not_take_are_refused(
    tmp_path: Path, data: dict[str, object], why: str
) -> None:
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    tiles = {"side": 16, "overlap": 4, "pool": "max", "normal": "good"}
    content["data"] |= {"source": "imagefolder", "image_size": 64, "tiles": tiles, **data}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match=why):
        parse_params(tmp_path / "params.yaml", Params)


def test_a_normal_class_that_the_images_do_not_have_is_refused_when_they_are_prepared(tmp_path: Path) -> None:
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    tiles = {"side": 16, "overlap": 4, "pool": "max", "normal": "fine"}
    content["data"] |= {"source": "imagefolder", "image_size": 64, "tiles": tiles}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    params = parse_params(tmp_path / "params.yaml", Params)
    params.check_classes(("bad", "fine"))
    with pytest.raises(ConfigError, match="the classes are bad, good"):
        params.check_classes(("bad", "good"))
