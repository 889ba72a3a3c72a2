"""The files that `resnet-ops init` proposes say what was found, whatever it is called."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import yaml

from resnet_ops.data.depth import Depth
from resnet_ops.data.params import SplitParams
from resnet_ops.errors import ConfigError, DataError
from resnet_ops.evaluation.metrics import share_right
from resnet_ops.families.member import Member
from resnet_ops.params import parse_params
from resnet_ops.tasks.task import Detection, Segmentation
from resnet_ops.training.engine import Engine
from resnet_ops_pipelines.new_project.members import Fit
from resnet_ops_pipelines.new_project.proposal import Proposal, first_supported, propose
from resnet_ops_pipelines.new_project.sample import TESTED, split_for
from resnet_ops_pipelines.new_project.survey import Survey
from resnet_ops_pipelines.project_checks.names import check_names
from resnet_ops_pipelines.project_params import Params
from tests.unit.core.makers import make_data_params


def found(bad: int = 40, good: int = 40, each: int = 0) -> Survey:
    """A survey of grey images of 8 pixels. bad, good: images of the test split. each: of a group, 0 for no groups."""
    tested = (
        {
            name: np.array([f"{name}{n // each}" for n in range(count)])
            for name, count in (("bad", bad), ("good", good))
        }
        if each
        else {}
    )
    data = make_data_params(
        source="csv" if each else "imagefolder",
        root="images",
        group="lot" if each else None,
        split=SplitParams(train=0.6, validation=0.1, test=0.2, production=0.1),
    )
    times = {"train": 3, "validation": 1, "test": 1, "production": 1}
    return Survey(
        data=data,
        formats={"png": 6 * (bad + good)},
        sizes=((8, 8), (8, 8), (8, 8)),
        classes=("bad", "good"),
        counts={split: {"bad": n * bad, "good": n * good} for split, n in times.items()},
        groups={split: n * (bad + good) // each for split, n in times.items()} if each else {},
        tested=tested,
        repeated=0,
        mirrored=False,
        pixels={},
        masks={},
        objects={},
        asked=np.zeros((0, 0)),
        notes=(),
    )


def found_masks(test_masks: int = 30) -> Survey:
    """A survey of masks of which a twentieth is scratches."""
    survey = found()
    settings = Segmentation(
        masks="_mask.png",
        classes={"background": 0, "scratch": 255},
        threshold=128,
        ignore=None,
        head="fcn",
        dilated=2,
        auxiliary=False,
    )
    return replace(
        survey,
        data=replace(survey.data, task="segmentation", segmentation=settings),
        classes=("background", "scratch"),
        counts={split: {"background": 40, "scratch": 40} for split in survey.counts},
        pixels={"background": 0.95, "scratch": 0.05},
        masks={"background": 80, "scratch": test_masks},
    )


def found_boxes(images: int = 30) -> Survey:
    """A survey of boxes; each image of the test split shows a nut, and some a bolt."""
    survey = found()
    settings = Detection(
        labels="boxes.csv",
        images="images",
        classes=("bolt", "nut"),
        faults="clip",
        head="fcos",
        width=32,
        frozen_norms=False,
    )
    return replace(
        survey,
        data=replace(survey.data, task="detection", detection=settings, fit="pad"),
        classes=("background", "bolt", "nut"),
        counts={split: {"background": 0, "bolt": 5, "nut": images - 5} for split in survey.counts},
        objects={"bolt": 25, "nut": 5 * images},
        asked=np.array([[n < 5, 1] for n in range(images)]),
    )


ENGINE = Engine(
    device="cpu", processes=1, threads=1, precision="fp32", compile=False, exact=True, images="auto"
)
SMALL = Member(depth=8, widths=(16, 32, 64), stem_kernel=3, stem_stride=1, shortcut="projection")
FIT = Fit(8, 16, {"resnet8": SMALL}, ENGINE, {"resnet8": 0.001}, ())


def proposed(survey: Survey, name: str = "parts", positive: str | None = None) -> Proposal:
    return propose(survey, FIT, name, "images", 0, positive)


def settings(made: Proposal, place: Path) -> Params:
    path = place / "params.yaml"
    path.write_text(made.files["params.yaml"])
    return parse_params(path, Params)


@pytest.mark.parametrize("name", ["2024", "2024-05-01", "null", "yes", "1_000", "0x1f", "parts"])
def test_a_name_stays_a_name_whatever_yaml_would_take_it_for(tmp_path: Path, name: str) -> None:
    params = settings(proposed(found(), name), tmp_path)
    check_names(params)
    assert (params.register.model, params.register.experiment) == (name, name)


@pytest.mark.parametrize(("bits", "depth"), [("auto", 8), (12, 16)])
def test_the_bits_of_grey_that_were_found_are_written(
    tmp_path: Path, bits: Literal["auto"] | int, depth: Depth
) -> None:
    survey = found()
    survey = replace(survey, data=replace(survey.data, source="imagefolder", grey_bits=bits, depth=depth))
    data = settings(proposed(survey), tmp_path).data
    assert (data.grey_bits, data.depth) == (bits, depth)


def limits(made: Proposal) -> dict[str, float]:
    """What the policy asks of lower ends, by metric."""
    (guard,) = yaml.safe_load(made.files["policies/parts.yaml"])["guards"]
    return {rule["metric"]: rule["min"] for rule in guard["rules"] if rule.get("bound") == "low"}


def test_where_images_are_grouped_no_limit_is_above_what_a_model_without_a_mistake_shows() -> None:
    survey = found(bad=60, good=200, each=4)
    asked = limits(proposed(survey, positive="bad"))
    for metric, name in (("operating.sensitivity", "bad"), ("operating.specificity", "good")):
        groups = survey.tested[name]
        flawless = share_right(np.ones(len(groups), bool), 0.95, groups).low
        assert flawless is not None
        assert 0.5 < asked[metric] <= flawless
    together = np.concatenate(list(survey.tested.values()))
    flawless = share_right(np.ones(len(together), bool), 0.95, together).low
    assert flawless is not None
    assert limits(proposed(survey))["test.top1"] <= flawless


def test_a_class_of_few_groups_is_refused_however_many_images_it_has() -> None:
    with pytest.raises(
        DataError,
        match=r"60 images of bad \(grouped by lot\), worth 6 equal groups.*of other groups until it has 13",
    ):
        proposed(found(bad=60, good=200, each=10), positive="bad")


def test_a_rare_class_that_is_looked_for_is_judged_by_its_own_images_and_not_by_top1() -> None:
    survey = found(bad=20, good=1980)
    assert set(limits(proposed(survey, positive="bad"))) == {"operating.sensitivity", "operating.specificity"}
    assert 0.99 < limits(proposed(survey))["test.top1"] < 1


def test_masks_become_a_project_of_segmentation_whose_policy_no_constant_answer_passes(
    tmp_path: Path,
) -> None:
    made = proposed(found_masks())
    params = settings(made, tmp_path)
    check_names(params)
    assert params.data.chosen_task == found_masks().data.segmentation
    recipe = params.recipes["one-cycle"]
    assert (recipe.loss, recipe.imbalance) == ("dice", None)
    (guard,) = yaml.safe_load(made.files["policies/parts.yaml"])["guards"]
    least = {rule["metric"]: rule["min"] for rule in guard["rules"] if rule["rule"] == "threshold"}
    assert 0.95 / 2 < least.pop("test.miou") < 0.6, "all background has .95 and 0"
    assert set(least) == {"test.iou.background", "test.iou.scratch"}
    assert min(least.values()) > 0


def test_boxes_become_a_project_of_detection_whose_policy_no_empty_answer_passes(tmp_path: Path) -> None:
    made = proposed(found_boxes())
    params = settings(made, tmp_path)
    check_names(params)
    assert params.data.chosen_task == found_boxes().data.detection
    recipe = params.recipes["one-cycle"]
    assert (recipe.optimiser, recipe.label_smoothing, recipe.imbalance) == ("adamw", 0, None)
    (guard,) = yaml.safe_load(made.files["policies/parts.yaml"])["guards"]
    least = {rule["metric"]: rule["min"] for rule in guard["rules"] if rule["rule"] == "threshold"}
    assert set(least) == {"test.ap50", "test.ap50.nut"}, "5 images with a bolt say too little of bolts"
    assert min(least.values()) > 0
    with pytest.raises(DataError, match="objects in 7 images"):
        proposed(found_boxes(7))
    with pytest.raises(ConfigError, match="operating point"):
        proposed(found_boxes(), positive="nut")


def test_a_class_that_few_masks_have_is_refused_and_so_is_an_operating_point_of_pixels() -> None:
    with pytest.raises(DataError, match="scratch in 7, and it takes 8"):
        proposed(found_masks(7))
    with pytest.raises(ConfigError, match="operating point"):
        proposed(found_masks(), positive="scratch")


def test_rare_classes_are_made_up_for_in_training_or_by_an_operating_point_but_not_twice() -> None:
    rare = found(bad=20, good=1980)
    assert proposed(rare).recipe.imbalance is not None
    assert proposed(rare, positive="bad").recipe.imbalance is None
    assert proposed(found()).recipe.imbalance is None


def test_images_are_mirrored_where_they_look_alike_and_fewer_steps_are_taken_where_time_is_short() -> None:
    plain = proposed(found()).recipe
    assert not plain.flip
    assert proposed(replace(found(), mirrored=True)).recipe.flip
    short = propose(found(), replace(FIT, share=0.5), "parts", "images", 0, None)
    assert short.recipe.epochs == pytest.approx(plain.epochs / 2, abs=1)
    assert short.minutes["resnet8"] == pytest.approx(proposed(found()).minutes["resnet8"] / 2, rel=0.05)


def test_deep_images_with_boxes_become_a_project_without_the_exports_that_these_have_not(
    tmp_path: Path,
) -> None:
    survey = found_boxes()
    deep = replace(survey, data=replace(survey.data, depth=16, grey_bits=12))
    assert settings(proposed(deep), tmp_path).export.formats == {}


@pytest.mark.parametrize(
    ("images", "production"), [(0, 0.1), (324, 0.1), (325, 0.2), (511, 0.13), (650, 0.1), (100_000, 0.1)]
)
def test_of_few_images_more_are_production_where_a_window_of_them_can_be_judged(
    images: int, production: float
) -> None:
    split = split_for(images)
    assert (split.production, split.validation, split.test) == (production, 0.1, 0.2)
    assert sum(split.as_dict().values()) == pytest.approx(1)


def test_where_few_groups_support_no_policy_more_of_them_are_for_the_test() -> None:
    def proposed_at(test: float, groups: int) -> tuple[Survey, Proposal]:
        survey = found(round(5 * groups * test / 0.2), 100, each=5)
        return survey, propose(survey, FIT, "parts", "images", 0, "bad")

    with pytest.raises(DataError, match="worth 11 equal groups"):
        proposed_at(TESTED[0], 11)
    survey, proposal = first_supported(TESTED, lambda test: proposed_at(test, 11))
    assert survey.counts["test"]["bad"] > 5 * 11
    assert "operating.sensitivity" in proposal.least
    with pytest.raises(DataError, match="worth 3 equal groups"):
        first_supported(TESTED, lambda test: proposed_at(test, 3))
