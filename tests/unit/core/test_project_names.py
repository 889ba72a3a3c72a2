"""Names in params.yaml are checked before anything runs."""

from dataclasses import replace
from typing import Any

import pytest
from project_names import check_names
from project_params import Params, read_params

from resnet_ops.errors import ConfigError


@pytest.fixture(scope="module")
def params() -> Params:
    return read_params()


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
