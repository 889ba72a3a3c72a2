"""What the evidence says of a version that sees its images in tiles."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from resnet_ops.files import read_json
from resnet_ops.model import save_model
from resnet_ops.model_files import DESCRIPTION
from resnet_ops.params import parse_params
from resnet_ops.tasks.heads.head import head_of
from resnet_ops.tasks.task import CLASSIFICATION
from resnet_ops_pipelines.project_params import Params
from resnet_ops_pipelines.register_models import read_by, task_of
from tests.unit.core.makers import TINY, untrained_for
from tests.unit.project_imports import ROOT


def test_evidence_of_a_class_an_image_is_of_the_kind_it_always_was_and_counts_the_tiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    tiles = {"side": 16, "overlap": 4, "pool": "max", "normal": "good"}
    content["data"] |= {"source": "imagefolder", "image_size": 40, "tiles": tiles}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    params = parse_params(tmp_path / "params.yaml", Params)
    monkeypatch.chdir(tmp_path)
    model = untrained_for(params.data.chosen_task, ("bad", "good"), 40)
    save_model(model, Path("models/resnet8"))
    assert task_of("resnet8", params) == {}, (
        "so outcomes stay right or wrong, and versions compare with earlier ones"
    )
    (tmp_path / "params.yaml").unlink()  # what a setting says since then is not what the model does
    assert {name: each.value for name, each in read_by(described("resnet8")).items()} == {"data.tiles": 9}
    save_model(replace(model, depth=16), Path("models/deep"))
    assert {name: each.value for name, each in read_by(described("deep")).items()} == {
        "data.bits": 16,
        "data.tiles": 9,
    }
    whole = replace(model, network=head_of(CLASSIFICATION).network(TINY, 1, 2), task=CLASSIFICATION)
    save_model(whole, Path("models/whole"))
    assert read_by(described("whole")) == {}


def described(name: str) -> dict[str, Any]:
    found: dict[str, Any] = read_json(Path("models") / name / DESCRIPTION)
    return found
