"""Several workers train what one process trains, to rounding; and among each other the same bits."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from resnet_ops.errors import ConfigError
from resnet_ops.files import read_json
from resnet_ops.model import TrainedModel
from resnet_ops.model_files import WEIGHTS, model_digest
from resnet_ops.training.batches import augment_batch
from resnet_ops.training.checkpoints import Checkpoints
from resnet_ops.training.distributed.share import share_of
from resnet_ops.training.distributed.workers import ALONE, join_workers
from resnet_ops.training.epoch import Epoch
from resnet_ops.training.loop import fit
from tests.unit.core.makers import make_recipe, untrained
from tests.unit.core.working import PLANS, curve, images, train_precisely

TOLERANCE = 1e-6
"""Of the difference between two sets of weights in 64 bits, as a share of their length."""
ROUNDED = 0.05
"""The same in 32 bits, where rounding may move an activation over 0: mostly 1e-7, docs/training.md."""
MOST_IMPORTANT = ("plain", "every option")


def start(count: int, folder: Path, *cases: str, restarts: int = 0) -> str:
    """Have so many workers run the cases; gives what was printed."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
    done = subprocess.run(
        [*torchrun, f"--max-restarts={restarts}", "-m", "tests.unit.core.working", str(folder), *cases],
        cwd=Path(__file__).parents[4],
        env={**os.environ, "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module", params=[2, 3])
def worked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, Path]:
    """Several workers, and the folder of what they found."""
    count: int = request.param
    folder = tmp_path_factory.mktemp("workers")
    cases = PLANS if count == 2 else [*MOST_IMPORTANT, "few to validate"]
    start(count, folder, *cases, "threads", "stopped", "not at hand")
    return count, folder


def difference(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """The length of the difference, as a share of the length of what was expected."""
    assert found.keys() == expected.keys()
    one, other = (
        torch.cat([state[name].flatten().double() for name in expected]) for state in (found, expected)
    )
    return float((one - other).norm() / other.norm())


def state_of(model: TrainedModel) -> dict[str, Tensor]:
    return dict(model.network.state_dict())


@pytest.mark.slow
@pytest.mark.parametrize("case", PLANS)
def test_workers_train_what_one_process_trains(case: str, worked: tuple[int, Path]) -> None:
    count, folder = worked
    if not (folder / "0" / case).exists():
        pytest.skip("two workers show it")
    alone, epochs = train_precisely(PLANS[case], images(case), ALONE)
    assert difference(load_file(folder / "0" / case / WEIGHTS), state_of(alone)) < TOLERANCE
    for rank in range(count):
        np.testing.assert_allclose(
            read_json(folder / str(rank) / case / "curve.json"), curve(epochs), rtol=1e-5
        )
    rounded = state_of(fit(PLANS[case], images(case)))
    assert difference(load_file(folder / "0" / f"{case} in 32 bits" / WEIGHTS), rounded) < ROUNDED


@pytest.mark.slow
@pytest.mark.parametrize("case", [*PLANS, *(f"{case} in 32 bits" for case in PLANS)])
def test_workers_have_the_same_bits(case: str, worked: tuple[int, Path]) -> None:
    count, folder = worked
    found = [folder / str(rank) / case for rank in range(count)]
    if not found[0].exists():
        pytest.skip("two workers show it")
    assert len({model_digest(each) for each in found}) == 1


@pytest.mark.parametrize(
    "change", [{"accumulate": 2}, {"mixup": 0.4}, {"label_smoothing": 0.0501}, {"peak_lr": 0.4001}], ids=str
)
def test_the_tolerance_notices_a_small_change(change: dict[str, Any]) -> None:
    plan, data = PLANS["plain"], images()
    changed = replace(plan, recipe=replace(plan.recipe, **change))
    one, other = (state_of(train_precisely(each, data, ALONE)[0]) for each in (plan, changed))
    assert difference(one, other) > 10 * TOLERANCE


@pytest.mark.slow
def test_a_checkpoint_on_another_machine_is_found_and_gone_on_with(worked: tuple[int, Path]) -> None:
    count, folder = worked
    digests = {model_digest(folder / str(rank) / "not at hand") for rank in range(count)}
    assert digests == {model_digest(folder / "0" / "every option in 32 bits")}, (
        "the same bits as without a stop"
    )


@pytest.mark.slow
def test_a_checkpoint_is_gone_on_with_by_another_number_of_workers(worked: tuple[int, Path]) -> None:
    _, folder = worked
    checkpoints = Checkpoints(folder / "checkpoints", every_seconds=1e9)
    found = checkpoints.newest()
    assert found is not None
    assert found.step == 6
    seen: list[Epoch] = []
    resumed = fit(PLANS["every option"], images(), [seen.append], checkpoints)
    assert [epoch.epoch for epoch in seen] == [1, 2, 3]
    assert difference(state_of(resumed), state_of(fit(PLANS["every option"], images()))) < ROUNDED


@pytest.mark.slow
def test_all_workers_take_the_thread_count_that_the_first_one_notes(worked: tuple[int, Path]) -> None:
    count, folder = worked
    chosen = {read_json(folder / str(rank) / "chosen.json") for rank in range(count)}
    assert chosen == set(read_json(folder / "0" / "threads.json").values())
    assert not (folder / "1" / "threads.json").exists()


@pytest.mark.slow
def test_a_killed_worker_is_started_again_and_the_end_has_the_same_bits(
    worked: tuple[int, Path], tmp_path: Path
) -> None:
    count, folder = worked
    if count == 2:
        pytest.skip("three workers show it")
    said = start(count, tmp_path, "killed", restarts=1)
    assert said.count("goes on after step") == 1, "and only one worker speaks"
    for rank in range(count):
        assert model_digest(tmp_path / str(rank) / "killed") == model_digest(
            folder / "0" / "every option in 32 bits"
        )


RECIPES: list[dict[str, Any]] = [
    {},
    {"mixup": 0.4},
    {"cutmix": 1.0},
    {"erasing": 0.5, "mixup": 0.4, "cutmix": 1.0},
    {"crop_area": 0.5, "rand_augment": 3},
]


@pytest.mark.parametrize("parts", [1, 4])
@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_workers_augment_as_one_process_does(recipe: dict[str, Any], parts: int) -> None:
    data, settings = images(), make_recipe(flip=True, **recipe)
    classifier = untrained().classifier()
    pictures, labels = (torch.from_numpy(each[:33]) for each in (data.images, data.labels))
    batches = []
    for rank, count in [(0, 1), (0, 3), (1, 3), (2, 3)]:
        share, generator = share_of(33, parts, rank, count), torch.Generator().manual_seed(5)
        batch = pictures[share.places], labels[share.places]
        batches.append((share, *augment_batch(classifier, *batch, settings, generator, share)))
    (_, whole, targets), *shared = batches
    places = torch.arange(33)
    for share, inputs, found in shared:
        own = places[share.places][share.own]
        torch.testing.assert_close(inputs, whole[own], rtol=0, atol=0)
        assert torch.equal(found.first, targets.first[own])
        assert torch.equal(found.second, targets.second[own])
        assert found.share == targets.share


@pytest.mark.parametrize(
    ("size", "parts", "workers"), [(33, 1, 2), (33, 4, 3), (64, 1, 5), (7, 2, 3), (5, 1, 1)]
)
def test_shares_deal_out_every_part_and_bring_each_image_its_neighbour(
    size: int, parts: int, workers: int
) -> None:
    batch, length = torch.arange(size), -(-size // parts)
    shares = [share_of(size, parts, rank, workers) for rank in range(workers)]
    for share in shares:
        taken = batch[share.places]
        assert torch.equal(taken.roll(1)[share.own], (taken[share.own] - 1) % size)
        assert share.size == size
    for part, whole in enumerate(batch.split(length)):
        starts = [sum(share.parts[:part]) for share in shares]
        dealt = [
            batch[share.places][share.own][at : at + share.parts[part]]
            for at, share in zip(starts, shares, strict=True)
        ]
        assert torch.equal(torch.cat(dealt), whole)
        assert max(map(len, dealt)) - min(map(len, dealt)) <= 1


def test_more_workers_than_images_in_a_part_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"4 workers .*batch of 33 in 10 .*accumulate"):
        share_of(33, 10, 0, 4)


def test_without_torchrun_a_process_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with join_workers("cpu") as workers:
        assert workers is ALONE
    monkeypatch.setenv("WORLD_SIZE", "1")
    with join_workers("cuda") as workers:
        assert workers.leads
        assert workers.agree(7) == 7


def test_restarts_that_torchrun_cannot_do_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"WORLD_SIZE": "2", "TORCHELASTIC_MAX_RESTARTS": "3"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
    with pytest.raises(ConfigError, match="TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1"), join_workers("cpu"):
        pass


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_a_worker_without_a_gpu_says_how_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with (
        pytest.raises(ConfigError, match=r"Worker 0 .* torch sees 0 here"),
        join_workers("cuda"),
    ):
        pass
