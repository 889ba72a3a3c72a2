"""Settings that make no sense are refused by name."""

import math
from copy import deepcopy
from dataclasses import replace
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import pytest
import yaml

from resnet_ops.errors import ConfigError
from resnet_ops.params import parse_params
from resnet_ops_monitoring.settings.drift import DriftParams, read_drift_params
from resnet_ops_pipelines.project_params import Params
from tests.unit.project_imports import ROOT


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("alpha", 0.0),
        ("alpha", 1.0),
        ("confidence", 1.5),
        ("min_rows", 9),
        ("max_unusable", -0.1),
        ("permutations", 98),
        ("test_rows", 49),
        ("softmax_effect", 2.0),
        ("classes_effect", -1.0),
        ("embeddings_effect", 1.1),
        ("image_effect", -0.5),
        ("max_sources", -1),
        ("season_weeks", -1),
        ("season_least", 0),
        ("seed", -1),
    ],
)
def test_a_wrong_value_names_its_field(params: DriftParams, field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{field} must"):
        replace(params, **{field: value})


def test_too_few_permutations_for_alpha_say_how_many_are_needed(params: DriftParams) -> None:
    with pytest.raises(ValueError, match=r"permutations .* 500 .* 0\.01"):
        replace(params, alpha=0.01, permutations=199)


SETTINGS = yaml.safe_load((ROOT / "params.yaml").read_text())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("validate.min_rows", 0), ("validate.min_class_rows", 0), ("validate.max_class_ratio", 0.5)),
        *(("monitor.keep_days", 182), ("monitor.run.rows", -1), ("monitor.run.min_alarms", 0)),
        *(("monitor.validate.max_repeated", 1.1), ("monitor.serve.every_seconds", 0)),
        *(
            ("serve.port", 65536),
            ("serve.gather_ms", math.inf),
            ("serve.drain_seconds", 0),
            ("serve.max_batch", 0),
        ),
        *(("serve.canary.share", 1), ("serve.canary.tolerated", math.nan), ("serve.shadow.max_bytes", 0)),
    ],
)
def test_a_value_out_of_bounds_in_the_file_is_named(key: str, value: float, tmp_path: Path) -> None:
    settings, (*groups, last) = deepcopy(SETTINGS), key.split(".")
    reduce(getitem, groups, settings)[last] = value
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(settings))
    with pytest.raises(ConfigError, match=f"params.yaml: {key}: input should be [^;]+$"):
        parse_params(tmp_path / "params.yaml", Params)


def test_a_misspelt_setting_in_the_file_is_named(params: DriftParams, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    good = dict(vars(params))
    path.write_text(yaml.safe_dump({"seed": 0, "monitor": {"windows": {}, "drift": good}}))
    assert read_drift_params(path) == params
    path.write_text(yaml.safe_dump({"monitor": {"drift": {**good, "alhpa": 0.05}}}))
    with pytest.raises(ConfigError, match=r"monitor\.drift\.alhpa"):
        read_drift_params(path)
