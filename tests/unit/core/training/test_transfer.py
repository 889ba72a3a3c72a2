"""Training that starts from other weights: what is taken over, what stays still, what is refused."""

import hashlib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from resnet_ops.data import PreparedData
from resnet_ops.errors import ConfigError, DataError
from resnet_ops.families.any_member import AnyMember
from resnet_ops.families.build import build_network
from resnet_ops.files import file_digest
from resnet_ops.model import TrainedModel, save_model
from resnet_ops.model_files import model_digest
from resnet_ops.training.checkpoints import Checkpoint, Checkpoints
from resnet_ops.training.identity import training_key
from resnet_ops.training.loop import Training, fit
from resnet_ops.training.plan import Plan
from resnet_ops.training.start import Start
from tests.unit.core.families.test_all_families import MEMBERS
from tests.unit.core.makers import (
    TINY,
    make_plan,
    make_recipe,
    untrained,
)

STILL = 1e-30
"""A learning rate that moves nothing."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A saved model of the digits' classes."""
    save_model(untrained(seed=5), tmp_path / "other")
    return tmp_path / "other"


def start_from(source: str, sha256: str | None, **changes: Any) -> Start:
    return replace(Start(source=source, sha256=sha256, frozen={}, rates={}), **changes)


def plan_from(folder: Path, recipe: dict[str, Any] | None = None, **changes: Any) -> Plan:
    start = start_from(f"file:{folder}", model_digest(folder), **changes)
    return make_plan(make_recipe(**{"start": start, **(recipe or {})}))


def plan_of_file(path: Path, member: AnyMember = TINY, **recipe: Any) -> Plan:
    settings = {"start": start_from(f"file:{path}", file_digest(path)), **recipe}
    return make_plan(make_recipe(**settings), member=member)


def state_of(model: TrainedModel) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.network.state_dict().items()}


def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}


@pytest.mark.parametrize("name", MEMBERS)
def test_the_parts_of_every_family_hold_each_weight_once(name: str) -> None:
    network = build_network(MEMBERS[name], 3, 10)
    modules = [network.get_submodule(each) for part in network.PARTS.values() for each in part]
    found = [id(parameter) for module in modules for parameter in module.parameters()]
    assert sorted(found) == sorted(map(id, network.parameters()))
    assert list(network.PARTS) == [*network.stage_features(torch.zeros(2, 3, 8, 8)), "head"]


def test_a_start_that_does_not_move_predicts_what_it_started_from(small: PreparedData, folder: Path) -> None:
    everything = {"stem": 9, "stage1": 9, "stage2": 9, "stage3": 9}
    model = fit(plan_from(folder, {"peak_lr": STILL}, frozen=everything), small)
    other = untrained(seed=5)
    assert model.mean + model.std == pytest.approx(other.mean + other.std)
    images = small.split("test").images
    assert np.array_equal(model.predict(images).logits, other.predict(images).logits)


def test_frozen_parts_stay_to_the_bit_with_their_statistics_and_all_others_move(
    small: PreparedData, folder: Path
) -> None:
    before = state_of(untrained(seed=5))
    strong = {"weight_decay": 0.1, "ema": 0.5}
    for optimiser in ("sgd", "adamw"):
        recipe = {**strong, "optimiser": optimiser, "peak_lr": 0.1}
        after = state_of(fit(plan_from(folder, recipe, frozen={"stem": 2, "stage2": 7}), small))
        still = {name for name in after if name.startswith(("stem.", "stages.1."))}
        assert moved(before, after) == set(after) - still
        assert any("running_mean" in name for name in still)


def test_a_part_moves_from_the_epoch_on_in_which_it_is_freed(small: PreparedData, folder: Path) -> None:
    plan = plan_from(folder, {"epochs": 3}, frozen={"stem": 2, "stage1": 1})
    training = Training(plan, small.split("train"), small.split("validation"))
    states = [state_of(training.model())]
    for _ in range(3):
        training.run_epoch(None)
        states.append(state_of(training.model()))
    seen = [moved(before, after) for before, after in pairwise(states)]
    for part, freed in {"stem.": 2, "stages.0.": 1, "stages.1.": 0, "head.": 0}.items():
        names = {name for name in states[0] if name.startswith(part)}
        assert [names & each for each in seen] == [set()] * freed + [names] * (3 - freed)


def test_a_factor_scales_the_step_of_its_part_alone(small: PreparedData, folder: Path) -> None:
    flat = {"epochs": 1, "batch_size": 96, "warmup": 0.0, "momentum": 0.0, "peak_lr": 0.1}
    before = state_of(untrained(seed=5))
    plain, scaled = (
        state_of(fit(plan_from(folder, flat, rates=rates), small))
        for rates in ({}, {"stage2": 0.25, "head": 3.0})
    )
    factors = {"stem.": 1.0, "stages.0.": 1.0, "stages.1.": 0.25, "stages.2.": 1.0, "head.": 3.0}
    for name in (name for name, _ in untrained().network.named_parameters()):
        (factor,) = (each for part, each in factors.items() if name.startswith(part))
        step = plain[name] - before[name]
        assert step.abs().max() > 0
        torch.testing.assert_close(scaled[name] - before[name], factor * step, rtol=1e-3, atol=1e-7)


def test_other_classes_get_a_new_head_and_the_same_classes_keep_theirs(
    small: PreparedData, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = state_of(untrained(seed=5))
    kept = state_of(fit(plan_from(folder, {"epochs": 1, "peak_lr": STILL}), small))
    assert torch.equal(kept["head.weight"], before["head.weight"])
    assert "head" not in capsys.readouterr().out
    renamed = replace(small, classes=tuple("abcdefghij"))
    new = state_of(fit(plan_from(folder, {"epochs": 1, "peak_lr": STILL}), renamed))
    assert not torch.equal(new["head.weight"], before["head.weight"])
    assert torch.equal(new["stem.0.weight"], before["stem.0.weight"])
    assert "tiny starts from file:" in (said := capsys.readouterr().out)
    assert "head for 10 classes" in said


def test_weights_of_colour_images_start_on_grey_ones_as_if_these_were_shown_in_colour(
    tmp_path: Path, small: PreparedData, capsys: pytest.CaptureFixture[str]
) -> None:
    colour = untrained(channels=3, seed=5)
    save_model(colour, tmp_path)
    plan = plan_from(tmp_path, {"peak_lr": STILL}, frozen={"stem": 9, "stage1": 9, "stage2": 9, "stage3": 9})
    model = fit(plan, small)
    assert "the stem's kernels summed" in capsys.readouterr().out
    images = small.split("test").images
    same = replace(colour, mean=model.mean * 3, std=model.std * 3)
    expected = same.predict(images.repeat(3, axis=3)).logits
    np.testing.assert_allclose(model.predict(images).logits, expected, rtol=1e-3, atol=1e-4)


def test_every_weight_that_does_not_fit_is_named(small: PreparedData, tmp_path: Path) -> None:
    state = untrained().network.state_dict()
    state["stages.0.0.conv1.weight"] = state["stages.0.0.conv1.weight"][:, :2].clone()
    del state["stages.1.0.bn1.weight"], state["stages.1.0.bn1.num_batches_tracked"]
    save_file({**state, "stages.9.weight": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(ConfigError) as caught:
        fit(plan_of_file(tmp_path / "w.safetensors"), small)
    first, *lines = str(caught.value).splitlines()
    assert "member tiny: 3 weights differ" in first
    assert [line.strip() for line in lines] == [
        "stages.1.0.bn1.weight: missing",
        "stages.9.weight: not in this member",
        "stages.0.0.conv1.weight: (4, 2, 3, 3), not (4, 4, 3, 3)",
    ]


def test_parts_that_the_member_does_not_have_are_named(small: PreparedData, folder: Path) -> None:
    plan = plan_from(folder, frozen={"stage4": 1}, rates={"neck": 0.5})
    with pytest.raises(
        ConfigError, match=r"names neck, stage4 .*parts are stem, stage1, stage2, stage3, head"
    ):
        fit(plan, small)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": "resnet18"}, "source is 'resnet18', but must be file:PATH"),
        ({"source": "models:/name@champion"}, "source is .*models:/NAME/VERSION"),
        ({"source": "file:"}, "source is"),
        ({"sha256": "abc"}, "sha256 is 'abc', but must be 64"),
        ({"frozen": {"head": 1}}, "frozen names head"),
        ({"frozen": {"stem": 0}}, "frozen is .*at least 1 epoch"),
        ({"rates": {"stem": 0.0}}, "rates are .*above 0"),
        ({"rates": {"stem": float("nan")}}, "rates are .*above 0"),
    ],
)
def test_settings_of_a_start_that_make_no_sense_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        start_from(**{"source": "file:x", "sha256": None, **changes})


@pytest.mark.parametrize("sha256", [None, "0" * 64])
def test_weights_that_are_not_known_by_their_digest_are_refused_with_the_digest_found(
    sha256: str | None, small: PreparedData, folder: Path
) -> None:
    for path, found in {
        folder: model_digest(folder),
        folder / "weights.safetensors": file_digest(folder / "weights.safetensors"),
    }.items():
        plan = make_plan(make_recipe(start=start_from(f"file:{path}", sha256)))
        with pytest.raises(ConfigError, match=rf"{found}.*params\.yaml"):
            fit(plan, small)


def test_a_pickle_is_refused_with_the_way_to_convert_it(small: PreparedData, tmp_path: Path) -> None:
    for name, zipped in {"new.pth": True, "old.safetensors": False}.items():
        torch.save(untrained().network.state_dict(), tmp_path / name, _use_new_zipfile_serialization=zipped)
        with pytest.raises(
            ConfigError, match=r"is a pickle, which can run code(.|\n)*save_file\(torch\.load"
        ):
            fit(plan_of_file(tmp_path / name), small)


def test_a_missing_or_damaged_file_is_named(small: PreparedData, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"{}")
    with pytest.raises(DataError, match=r"w\.safetensors is not"):
        fit(plan_of_file(path), small)
    plan = plan_of_file(path)
    path.unlink()
    with pytest.raises(DataError, match=r"w\.safetensors .*: No such file"):
        fit(plan, small)


def test_a_registered_version_is_left_to_the_pipeline(small: PreparedData) -> None:
    with pytest.raises(ConfigError, match=r"models:/a/3, a version in a registry"):
        fit(make_plan(make_recipe(start=start_from("models:/a/3", "0" * 64))), small)


class Stopped(Exception):
    """What stops a training in the middle."""


class StopsAfter(Checkpoints):
    """Writes after every step, and stops the training after one of them."""

    def __init__(self, folder: Path, step: int) -> None:
        super().__init__(folder, every_seconds=0)
        self.step = step

    def write(self, checkpoint: Checkpoint) -> None:
        super().write(checkpoint)
        if checkpoint.step == self.step:
            raise Stopped


@pytest.mark.slow
@pytest.mark.parametrize("step", [1, 2, 3, 5, 6, 7])
def test_a_training_that_was_stopped_goes_on_to_the_same_bits(
    step: int, small: PreparedData, folder: Path, tmp_path: Path
) -> None:
    """Parts are freed after step 3 and after step 6."""
    recipe = {"epochs": 4, "ema": 0.5, "optimiser": "adamw", "peak_lr": 0.1}
    plan = plan_from(folder, recipe, frozen={"stem": 2, "stage1": 1}, rates={"stage3": 0.5})
    with pytest.raises(Stopped):
        fit(plan, small, checkpoints=StopsAfter(tmp_path / "ck", step))
    resumed = fit(plan, small, checkpoints=Checkpoints(tmp_path / "ck", 0))
    assert moved(state_of(resumed), state_of(fit(plan, small))) == set()


def test_the_key_of_a_training_follows_the_weights_that_it_starts_from(small: PreparedData) -> None:
    digests = [hashlib.sha256(name).hexdigest() for name in (b"a", b"b")]
    starts = [None, *(start_from("file:x", digest) for digest in digests)]
    keys = {training_key(make_plan(make_recipe(start=start)), small) for start in starts}
    assert len(keys) == 3


@pytest.mark.slow
def test_a_start_from_half_of_the_images_beats_fresh_weights_on_few(
    digits: PreparedData, tmp_path: Path
) -> None:
    train = [place for place, row in enumerate(digits.rows) if row.split == "train"]
    seen, few = set(train[: len(train) // 2]), set(train[-60:])

    def only(places: set[int]) -> PreparedData:
        keep = [i for i, row in enumerate(digits.rows) if row.split != "train" or i in places]
        rows = [digits.rows[i] for i in keep]
        return PreparedData(digits.images[keep], digits.labels[keep], rows, digits.classes)

    save_model(fit(make_plan(make_recipe(epochs=5)), only(seen)), tmp_path)
    test = digits.split("test")
    accuracy = {
        name: np.mean(fit(plan, only(few)).predict(test.images).predicted == test.labels)
        for name, plan in {
            "started": plan_from(tmp_path, {"peak_lr": 0.1}, frozen={"stem": 1}),
            "fresh": make_plan(make_recipe()),
            "fresh, as slow": make_plan(make_recipe(peak_lr=0.1)),
        }.items()
    }
    assert accuracy["started"] > max(accuracy["fresh"], accuracy["fresh, as slow"]) + 0.2
