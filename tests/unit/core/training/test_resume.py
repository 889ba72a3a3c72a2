"""A training killed anywhere goes on and ends with the same bits; broken checkpoints are passed over."""

import hashlib
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
import torch

from resnet_ops.data import PreparedData
from resnet_ops.errors import ConfigError
from resnet_ops.training.checkpoints import Checkpoint, Checkpoints
from resnet_ops.training.epoch import Epoch
from resnet_ops.training.identity import training_key
from resnet_ops.training.loop import fit
from resnet_ops.training.recipe import Recipe
from tests.unit.core import killing
from tests.unit.core.makers import make_plan, make_recipe, saved_digest


@pytest.fixture(scope="module")
def small(digits: PreparedData) -> PreparedData:
    return killing.small(digits)


def without_speed(epochs: list[Epoch]) -> list[dict[str, float]]:
    return [{**asdict(epoch), "images_per_second": 0.0} for epoch in epochs]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["plain", "all"])
def test_a_training_killed_at_25_random_moments_ends_with_the_same_bits(
    kind: str, small: PreparedData, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.core.killing", str(tmp_path / "ck"), kind],
        cwd=Path(__file__).parents[4],
        capture_output=True,
        text=True,
        timeout=3000,
    )
    assert done.returncode == 0, done.stderr
    reached = [int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("reached")]
    assert len(reached) == killing.KILLS
    assert len(set(reached)) > killing.KILLS / 2, "kills must fall on different steps"
    expected: list[Epoch] = []
    seen: list[Epoch] = []
    checkpoints = Checkpoints(tmp_path / "ck", every_seconds=0)
    resumed = fit(killing.plan(kind), small, [seen.append], checkpoints)
    assert checkpoints.written == 300 - reached[-1] > 0
    whole = fit(killing.plan(kind), small, [expected.append])
    assert saved_digest(resumed, tmp_path / "resumed") == saved_digest(whole, tmp_path / "whole")
    assert without_speed(seen) == without_speed(expected)
    assert len(list((tmp_path / "ck").iterdir())) == 2


class Stop(Exception):
    """Ends a training from a callback."""


@pytest.mark.slow
@pytest.mark.parametrize("optimiser", get_args(get_type_hints(Recipe)["optimiser"]))
def test_every_optimiser_goes_on_where_it_was(optimiser: Any, small: PreparedData, tmp_path: Path) -> None:
    plan = make_plan(make_recipe(optimiser=optimiser, peak_lr=0.02, epochs=4))

    def stop(epoch: Epoch) -> None:
        raise Stop

    with pytest.raises(Stop):
        fit(plan, small, [stop], Checkpoints(tmp_path / "ck", 0))
    again = Checkpoints(tmp_path / "ck", 0)
    resumed = fit(plan, small, checkpoints=again)
    assert again.written == 9
    assert saved_digest(resumed, tmp_path / "resumed") == saved_digest(fit(plan, small), tmp_path / "whole")


def test_a_training_that_was_done_is_not_trained_again(small: PreparedData, tmp_path: Path) -> None:
    recipe = make_recipe()
    first = fit(make_plan(recipe), small, checkpoints=Checkpoints(tmp_path / "ck", 0))
    again = Checkpoints(tmp_path / "ck", 0)
    second = fit(make_plan(recipe), small, checkpoints=again)
    assert again.written == 0
    assert saved_digest(first, tmp_path / "first") == saved_digest(second, tmp_path / "second")


def write_three(folder: Path) -> list[Path]:
    """Three checkpoints, of which the two newest stay; oldest first."""
    checkpoints = Checkpoints(folder, 0)
    for step in (1, 2, 3):
        checkpoints.write(Checkpoint(step, {"x": torch.full((3,), float(step))}, {"step": step, "loss": 0.1}))
    return sorted(folder.iterdir())


def test_the_two_newest_are_kept_and_the_newest_is_read_back_exactly(tmp_path: Path) -> None:
    assert [path.name[:15] for path in write_three(tmp_path)] == ["step-0000000002", "step-0000000003"]
    found = Checkpoints(tmp_path, 0).newest()
    assert found is not None
    assert (found.step, found.rest) == (3, {"step": 3, "loss": 0.1})
    assert torch.equal(found.tensors["x"], torch.full((3,), 3.0))


@pytest.mark.parametrize("damage", ["cut off", "one bit", "emptied"])
def test_a_broken_checkpoint_is_named_and_the_one_before_taken(
    damage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    newest = write_three(tmp_path)[-1]
    content = bytearray(newest.read_bytes())
    content[-1] ^= 1
    newest.write_bytes({"cut off": bytes(content[:-4]), "one bit": bytes(content), "emptied": b""}[damage])
    found = Checkpoints(tmp_path, 0).newest()
    assert found is not None
    assert found.step == 2
    assert f"Checkpoint {newest} is broken" in capsys.readouterr().out.replace("\n", "")


def test_where_all_are_broken_training_starts_anew(small: PreparedData, tmp_path: Path) -> None:
    for path in write_three(tmp_path / "ck"):
        path.write_bytes(b"broken")
    resumed = fit(make_plan(), small, checkpoints=Checkpoints(tmp_path / "ck", 1e9))
    whole = fit(make_plan(), small)
    assert saved_digest(resumed, tmp_path / "resumed") == saved_digest(whole, tmp_path / "whole")


def test_what_a_killed_write_left_is_swept_up(tmp_path: Path) -> None:
    write_three(tmp_path)
    left = tmp_path / ".step-0000000004-abc.safetensors.x.part"
    left.write_bytes(b"half")
    found = Checkpoints(tmp_path, 0).newest()
    assert found is not None
    assert found.step == 3
    assert not left.exists()


def test_a_checkpoint_that_cannot_be_written_is_said_and_training_goes_on(
    small: PreparedData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ck").write_text("a file where the folder should be")
    model = fit(make_plan(), small, checkpoints=Checkpoints(tmp_path / "ck", 0))
    whole = fit(make_plan(), small)
    assert saved_digest(model, tmp_path / "model") == saved_digest(whole, tmp_path / "whole")
    assert "after step 1: Cannot write" in capsys.readouterr().out


def test_checkpoints_keep_their_distance(small: PreparedData, tmp_path: Path) -> None:
    rare = Checkpoints(tmp_path / "ck", every_seconds=3600)
    fit(make_plan(), small, checkpoints=rare)
    assert rare.written == 0
    assert rare.newest() is None


def test_a_training_that_diverged_says_so_again_from_its_checkpoint(
    small: PreparedData, tmp_path: Path
) -> None:
    recipe = make_recipe(peak_lr=1e12, epochs=3)
    for _ in range(2):
        with pytest.raises(ConfigError, match="training diverged"):
            fit(make_plan(recipe), small, checkpoints=Checkpoints(tmp_path / "ck", 0))


def test_the_key_of_a_training_follows_all_that_its_bits_depend_on(small: PreparedData) -> None:
    images, labels = small.images.copy(), small.labels.copy()
    images[0, 0, 0] += 1
    labels[0] += 1
    rows = [replace(small.rows[0], sha256=hashlib.sha256(images[0].data).hexdigest()), *small.rows[1:]]
    recipe = make_recipe()
    keys = [
        training_key(make_plan(recipe), small),
        training_key(make_plan(recipe, 1), small),
        training_key(make_plan(threads=2), small),
        training_key(make_plan(recipe), PreparedData(images, small.labels, rows, small.classes)),
        training_key(make_plan(recipe), PreparedData(small.images, labels, small.rows, small.classes)),
    ]
    assert len(set(keys)) == 5
    held_out = np.array([row.split == "test" for row in small.rows])
    images = np.where(held_out[:, None, None, None], 0, small.images)
    same = PreparedData(images.astype(np.uint8), small.labels, small.rows, small.classes)
    assert training_key(make_plan(recipe), same) == keys[0]
