"""Which exports are deployed, as `params.yaml` says it."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from resnet_ops.errors import ConfigError
from resnet_ops.params import parse_params
from resnet_ops_pipelines.project_params import Params

FILE = Path(__file__).parents[4] / "params.yaml"


def with_deployments(folder: Path, **deployments: Any) -> Params:
    content = {**yaml.safe_load(FILE.read_text()), "deployments": deployments}
    (folder / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return parse_params(folder / "params.yaml", Params)


def test_a_deployment_lies_with_the_exports_of_its_member(tmp_path: Path) -> None:
    params = with_deployments(tmp_path, small={"member": "resnet20", "format": "int8"})
    assert params.model_folder("small") == Path("exports/resnet20/int8")
    assert params.trained_folder("small") == params.model_folder("resnet20") == Path("models/resnet20")


def test_there_need_be_no_deployment(tmp_path: Path) -> None:
    assert with_deployments(tmp_path).deployments == {}


@pytest.mark.parametrize(
    ("name", "deployment", "message"),
    [
        ("resnet20", {"member": "resnet20", "format": "int8"}, "has the name of a member"),
        (
            "small",
            {"member": "resnet18", "format": "int8"},
            r"which is not trained: family has resnet8, resnet14, resnet20",
        ),
        ("small", {"member": "resnet20", "format": "pt2"}, "deployments.small.format"),
        ("small", {"member": "resnet20"}, "deployments.small.format is missing"),
    ],
)
def test_a_deployment_of_nothing_is_named(
    name: str, deployment: dict[str, str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        with_deployments(tmp_path, **{name: deployment})


def refused(folder: Path, content: dict[str, Any], why: str) -> None:
    (folder / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    with pytest.raises(ConfigError, match=why):
        parse_params(folder / "params.yaml", Params)


@pytest.mark.parametrize("step", ["training", "evaluation", "export"])
def test_a_profile_may_not_hide_the_machine_of_a_step(step: str, tmp_path: Path) -> None:
    content = yaml.safe_load(FILE.read_text())
    content["benchmark"]["profiles"][step] = content["benchmark"]["profiles"].pop("edge-cpu")
    refused(tmp_path, content, f"profiles names {step}")


@pytest.mark.parametrize("setting", [None, "accept"])
def test_what_holds_with_too_few_images_must_be_said(setting: str | None, tmp_path: Path) -> None:
    content = yaml.safe_load(FILE.read_text())
    content["export"]["too_few_images"] = setting
    if setting is None:
        del content["export"]["too_few_images"]
    refused(tmp_path, content, r"export\.too_few_images")


def test_a_format_that_is_not_exported_cannot_be_deployed(tmp_path: Path) -> None:
    content = yaml.safe_load(FILE.read_text())
    del content["export"]["formats"]["int8"]
    refused(tmp_path, content, r"export.formats has pt2, onnx")
