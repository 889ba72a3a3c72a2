"""Names in params.yaml are checked before anything runs."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from resnet_ops.errors import ConfigError
from resnet_ops_pipelines.project_checks.names import check_names, left_from_digits
from resnet_ops_pipelines.project_params import Params, read_params


@pytest.fixture(scope="module")
def params() -> Params:
    return read_params()


@pytest.mark.slow
def test_the_names_that_come_with_the_project_are_fine(params: Params) -> None:
    check_names(params)


@pytest.mark.parametrize(
    "name",
    ["res/net", "res net", "resnet.8", "résnet,8", "-resnet", "50%", "$HOME", "a[b]", "", "..", "x" * 101],
)
@pytest.mark.parametrize("group", ["members", "recipes"])
def test_a_name_that_dvc_or_the_shell_would_misread_is_refused(params: Params, group: str, name: str) -> None:
    named = getattr(params, group)
    changed: Any = {group: {**named, name: next(iter(named.values()))}}
    with pytest.raises(ConfigError, match=f"{group}.*: write it with letters, digits"):
        check_names(replace(params, **changed))


def test_members_that_differ_only_in_case_are_refused(params: Params) -> None:
    members = {**params.members, "ResNet8": params.members["resnet8"]}
    with pytest.raises(ConfigError, match="members: resnet8 and ResNet8 differ only in case"):
        check_names(replace(params, members=members))


@pytest.mark.parametrize(
    "model", ["team/digits:v2", "", " digits", "a?b", "50%", "it's", "x" * 257, "a\nb", ".."]
)
def test_a_model_name_that_mlflow_refuses_is_refused_at_the_start(params: Params, model: str) -> None:
    with pytest.raises(ConfigError, match=r"register\.model"):
        check_names(replace(params, register=replace(params.register, model=model)))


@pytest.mark.parametrize("model", ["digits-classifier", "Schrauben (Köln)", "scan[v2]", "数字"])
def test_other_scripts_brackets_and_blanks_are_fine(params: Params, model: str) -> None:
    check_names(
        replace(params, register=replace(params.register, model=model, experiment="/me@example.org/x"))
    )


def test_names_and_texts_left_from_the_digits_are_asked_about(params: Params) -> None:
    assert left_from_digits(params) == []
    own = replace(params, data=replace(params.data, source="imagefolder", root="images"))
    texts = ["register.card.intended_use", "register.card.limits"]
    assert left_from_digits(own) == ["register.model", "register.experiment", *texts]
    named = replace(own, register=replace(own.register, model="welds", experiment="welds"))
    assert left_from_digits(named) == texts


def test_all_faults_of_deployments_and_slices_are_said_at_once_with_the_condition_that_fails(
    params: Params,
) -> None:
    made = params.deployments["resnet20-int8"]
    other: Any = "gguf"
    deployments = {
        "resnet8": made,
        "a": replace(made, member="resnet99"),
        "b": replace(made, format=other),
    }
    slices = replace(params.evaluate.slices, columns=("class_name", "camera"))
    with pytest.raises(ValueError, match="deployments") as caught:
        replace(params, deployments=deployments, evaluate=replace(params.evaluate, slices=slices))
    for part in (
        "deployments.resnet8 has the name of a member",
        "deployments.a.member is resnet99, which is not trained",
        "deployments.b.format is gguf, which is not exported",
        "evaluate.slices.columns names camera; the manifest has index, path",
    ):
        assert part in str(caught.value)


def test_a_slice_may_be_a_column_of_the_csv_file(params: Params, tmp_path: Path) -> None:
    file = tmp_path / "images.csv"
    file.write_text("path,class,camera\n")
    slices = replace(params.evaluate.slices, columns=("class_name", "camera"))
    asked = replace(params.evaluate, slices=slices)
    replace(params, evaluate=asked, data=replace(params.data, source="csv", root=str(file)))
    file.write_text("path,class\n")
    with pytest.raises(ValueError, match=r"evaluate\.slices\.columns names camera"):
        replace(params, evaluate=asked, data=replace(params.data, source="csv", root=str(file)))
