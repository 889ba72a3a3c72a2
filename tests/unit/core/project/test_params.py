"""Reading settings: every mistake is named by its key, all at once."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from resnet_ops.errors import ConfigError
from resnet_ops.families.member import Member
from resnet_ops.params import RENAMED, Settings, parse_params, renamed_settings
from resnet_ops.training.recipe import Recipe
from resnet_ops_pipelines.project_params import Params
from tests.unit.core.makers import TINY, make_recipe


@dataclass(frozen=True, kw_only=True)
class Shape(Settings):
    seed: int
    train: Recipe
    members: dict[str, Member]


def good() -> dict[str, Any]:
    member = {**vars(TINY), "widths": list(TINY.widths)}
    return {"seed": 3, "train": {**vars(make_recipe()), "milestones": []}, "members": {"tiny": member}}


def parse(folder: Path, content: Any) -> Shape:
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(content))
    return parse_params(path, Shape)


def test_a_good_file_becomes_typed_settings(tmp_path: Path) -> None:
    assert parse(tmp_path, good()) == Shape(seed=3, train=make_recipe(), members={"tiny": TINY})


def test_a_file_that_an_editor_of_windows_saved_is_the_same(tmp_path: Path) -> None:
    right = parse(tmp_path, good())
    path = tmp_path / "params.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert parse_params(path, Shape) == right


def wrong(**changes: Any) -> dict[str, Any]:
    """Good settings with `section__key=value` changed, or removed where the value is ..."""
    content = good()
    for name, value in changes.items():
        *path, last = name.split("__")
        place = content
        for part in path:
            place = place[part]
        if value is ...:
            del place[last]
        else:
            place[last] = value
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (wrong(train__peek_lr=0.1), "train.peek_lr is not a known setting"),
        (wrong(lerning=0.1), "lerning is not a known setting"),
        (wrong(train__epochs="many"), "train.epochs: input should be a valid integer.*, got 'many'"),
        (wrong(train__epochs=1.5), "train.epochs: input should be a valid integer.*, got 1.5"),
        (wrong(train__flip=3), "train.flip: input should be a valid boolean.*, got 3"),
        (wrong(train__peak_lr=None), "train.peak_lr: input should be a valid number, got None"),
        (
            wrong(train__schedule="linear"),
            "train.schedule: input should be 'one_cycle', 'cosine' or 'step', got 'linear'",
        ),
        (wrong(train__momentum=...), "train.momentum is missing"),
        (wrong(seed=...), "seed is missing"),
        (wrong(train__momentum=1.5), "train.momentum is 1.5, but must be at least 0 and below 1"),
        (wrong(members__tiny__depth=9), r"members.tiny.depth is 9, but must be 6n\+2"),
        (wrong(members__tiny__widths=[4, 8]), "members.tiny.widths.2 is missing"),
        (wrong(members__tiny__widths=[16, 8, 4]), "members.tiny.widths are .*must be positive and not fall"),
        (wrong(members="tiny"), "members: input should be a valid dictionary, got 'tiny'"),
        (wrong(train=None), "train: input should be a dictionary.*, got None"),
        ([1, 2], "the file: input should be a dictionary"),
        (None, "the file: input should be a dictionary"),
    ],
)
def test_a_mistake_is_named_by_its_key(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"params\.yaml: {message}"):
        parse(tmp_path, content)


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    content = wrong(seed="x", train__epochs=..., train__peek_lr=1, members__tiny__depth=9)
    with pytest.raises(ConfigError) as caught:
        parse(tmp_path, content)
    for part in (
        "seed: ",
        "train.epochs is missing",
        "train.peek_lr is not a known",
        "members.tiny.depth is 9",
    ):
        assert part in str(caught.value)


def test_a_missing_file_says_how_to_get_it_back(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"params\.yaml is missing\. .*git checkout -- "):
        parse_params(tmp_path / "params.yaml", Shape)


@pytest.mark.parametrize("content", [b"train: [1, 2", b"a: b: c", b"\ttrain: 1", b"name: caf\xe9"])
def test_a_file_that_is_no_yaml_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "params.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=r"(?s)params\.yaml is not valid YAML.*git checkout -- "):
        parse_params(tmp_path / "params.yaml", Shape)


def test_yaml_cannot_run_code(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(f"seed: !!python/object/apply:os.mkdir [{tmp_path}/made]")
    with pytest.raises(ConfigError, match="not valid YAML"):
        parse_params(tmp_path / "params.yaml", Shape)
    assert not (tmp_path / "made").exists()


@dataclass(frozen=True)
class Watched:
    monitor: dict[str, Any]


def test_a_setting_counts_by_the_name_of_the_release_before_and_is_told(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    run = {"kept": 5, "needed": 3, "windows": 3}  # an old name counts where both are there
    file.write_text(yaml.safe_dump({"monitor": {"watch": {"port": 1}, "rehearsal_images": 20, "run": run}}))
    found = parse_params(file, Watched)
    assert found.monitor == {
        "serve": {"port": 1},
        "perturbed_images": 20,
        "run": {"windows": 5, "min_alarms": 3},
    }
    assert [line.split()[1] for line in renamed_settings(file)] == list(RENAMED)
    file.write_text(yaml.safe_dump({"monitor": found.monitor}))
    assert renamed_settings(file) == []
    assert parse_params(file, Watched) == found


@pytest.mark.parametrize("content", ["monitor: 3\n", "monitor:\n  run: []\n", "3\n"])
def test_a_file_of_another_shape_has_no_old_names(tmp_path: Path, content: str) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(content)
    assert renamed_settings(file) == []


MASKS = {
    **{"masks": "_mask.png", "classes": {"background": 0, "spot": 255}, "threshold": None, "ignore": None},
    **{"head": "fcn", "dilated": 1, "auxiliary": True},
}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (
            {"split": {"train": 0.5, "validation": 0.1, "test": 0.2, "production": 0.2, "by_time": "at"}},
            "by_time",
        ),
        ({"task": "segmentation", "segmentation": MASKS}, "segmentation"),
    ],
)
def test_folds_are_refused_where_they_would_say_something_else(
    tmp_path: Path, data: dict[str, Any], why: str
) -> None:
    content = yaml.safe_load((Path(__file__).resolve().parents[4] / "params.yaml").read_text())
    content["evaluate"]["cross_validation"] = {"folds": 5}
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(content))
    assert parse_params(path, Params).evaluate.cross_validation is not None
    content["data"] |= data
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match=rf"evaluate\.cross_validation .*{why}"):
        parse_params(path, Params)
