"""Names that MLflow and file systems restrict stay apart."""

from typing import Any

import pytest
from mlflow.utils import validation

from resnet_ops_registry.common.distinct import distinct

SIGNS = ("<5 mm", ">5 mm", "😀", "😢", "a//b", "../up", "/", "a,b", "a(b", "50 %", "<b>x [red]")
NAMES = (*SIGNS, "x" * 300, "x" * 299 + "y")


@pytest.mark.parametrize("name", [*NAMES, "Ärger", "001", "NA", "a b.c-d_e", "ひらがな"])
def test_each_name_is_one_that_mlflow_takes(name: str) -> None:
    check: Any = validation._validate_metric_name
    check(f"test.recall.{distinct(name, 200)}")
    check(distinct(f"test.recall.{name}", 250))
    assert len(distinct(name, 250)) <= 250
    assert "/" not in distinct(name, 250)


def test_no_two_names_become_one() -> None:
    assert len({distinct(name, 250) for name in NAMES}) == len(NAMES)


@pytest.mark.parametrize("name", ["test.recall.Ärger", "digits-classifier", "a b"])
def test_a_name_that_is_allowed_stays_as_it_is(name: str) -> None:
    assert distinct(name, 250) == name
