"""Which members and which size `resnet-ops init` proposes, whatever the machine is."""

import pytest

from resnet_ops.tasks.task import CLASSIFICATION, Detection, Task
from resnet_ops.training.plan import Plan
from resnet_ops_pipelines.new_project import members
from resnet_ops_pipelines.new_project.members import LEAST_SIZE, SHORTEST, SIZES, fit_machine
from resnet_ops_pipelines.new_project.recipes import MOST_STEPS, TASKS, recipe_for
from tests.unit.core.tasks.masks import make_segmentation

BOXES = Detection(
    labels="boxes.csv",
    images="images",
    classes=("bolt",),
    faults="clip",
    head="fcos",
    width=32,
    frozen_norms=False,
)


@pytest.fixture
def speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that takes a microsecond for a pixel of the small member, two for one of the larger."""

    def seconds(plan: Plan, size: int, classes: int, task: Task) -> float:
        small = plan.name in ("resnet10", "resnet14")
        return size**2 * (1e-6 if small else 2e-6)

    monkeypatch.setattr(members, "_seconds_per_image", seconds)
    monkeypatch.setattr(members.torch.cuda, "is_available", lambda: False)  # type: ignore[attr-defined]


@pytest.mark.usefixtures("speed")
@pytest.mark.parametrize("side", [8, 28, 32, 64, 300, 1024, 4000])
@pytest.mark.parametrize("minutes", [0.01, 1, 10, 1000])
@pytest.mark.parametrize("images", [30, 1000, 100_000])
def test_it_is_the_largest_size_that_fits_into_the_time(side: int, minutes: float, images: int) -> None:
    found = fit_machine(side, images, 3, minutes, 0)
    recipe = recipe_for(CLASSIFICATION, found.image_size, found.batch_size, images)

    def needed(size: int) -> float:
        return 3e-6 * size**2 * images * recipe.epochs / 60

    possible = [size for size in SIZES if size <= side]
    lowest = min(possible[-1], LEAST_SIZE)
    fitting = [size for size in possible if size >= lowest and needed(size) <= minutes]
    assert found.image_size == max([lowest, *fitting])
    if fitting:
        assert len(found.members) == 2
    else:
        assert len(found.members) == 1, "then the larger member is left out too"
        assert found.left_out
    assert found.seconds.keys() == found.members.keys()


@pytest.mark.usefixtures("speed")
@pytest.mark.parametrize("images", [1, 30, 300, 3000, 30_000, 300_000])
def test_the_number_of_steps_follows_from_the_images_and_stays_within_bounds(images: int) -> None:
    recipe = recipe_for(CLASSIFICATION, 32, fit_machine(32, images, 3, 10, 0).batch_size, images)
    steps = recipe.epochs * max(1, images // recipe.batch_size)
    assert steps >= 0.9 * TASKS["classification"].steps
    if images < 64 * MOST_STEPS / 2:
        assert steps <= 1.5 * MOST_STEPS, "more only where two epochs are more"


@pytest.mark.usefixtures("speed")
@pytest.mark.parametrize("images", range(300, 340, 3))
def test_a_few_images_more_in_a_split_than_expected_leave_the_training_within_its_time(images: int) -> None:
    """Which images a split gets is known after the machine was measured."""
    found = fit_machine(300, 306, 2, 10, 0)
    recipe = recipe_for(CLASSIFICATION, found.image_size, found.batch_size, images, found.share)
    assert sum(found.seconds.values()) * recipe.epochs * images < 1.2 * 10 * 60


@pytest.mark.usefixtures("speed")
def test_where_time_is_short_there_are_fewer_steps_down_to_a_bound() -> None:
    needed = 3e-6 * 32**2 * 306 * recipe_for(CLASSIFICATION, 32, 16, 306).epochs / 60
    assert fit_machine(32, 306, 2, 100 * needed, 0).share == 1, "time that is left is saved"
    alone = fit_machine(32, 306, 2, 0.25 * needed, 0)  # the small member takes a third
    assert alone.share == pytest.approx(0.75, rel=0.01)
    assert any("all steps" in each for each in alone.left_out)
    assert fit_machine(32, 306, 2, 0.01 * needed, 0).share == SHORTEST


@pytest.mark.usefixtures("speed")
def test_the_smaller_member_stays_though_others_slowed_it_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        members,
        "_seconds_per_image",
        lambda plan, size, classes, task: 2e-3 if plan.name == "resnet14" else 1e-3,
    )
    found = fit_machine(32, 1000, 3, 0.1, 0)
    assert list(found.members) == ["resnet14"]
    assert found.left_out[0].startswith("resnet20, ")


@pytest.mark.usefixtures("speed")
def test_a_member_that_no_memory_holds_is_left_out_without_fewer_steps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        members,
        "_seconds_per_image",
        lambda plan, size, classes, task: 1e-6 if plan.name == "resnet14" else float("inf"),
    )
    needed = 1e-6 * 306 * recipe_for(CLASSIFICATION, 32, 16, 306).epochs / 60
    found = fit_machine(32, 306, 2, needed, 0)
    assert list(found.members) == ["resnet14"]
    assert found.share == pytest.approx(1, rel=0.01)


@pytest.mark.usefixtures("speed")
def test_masks_are_measured_and_trained_as_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = list[Task]()

    def seconds(plan: Plan, size: int, classes: int, task: Task) -> float:
        seen.append(task)
        return 1e-4

    monkeypatch.setattr(members, "_seconds_per_image", seconds)
    fit_machine(64, 300, 2, 10, 0, make_segmentation())
    assert seen
    assert all(task == make_segmentation() for task in seen)


@pytest.mark.slow
@pytest.mark.parametrize("task", [CLASSIFICATION, make_segmentation(), BOXES])
def test_the_time_is_measured_with_real_steps_of_each_member(task: Task) -> None:
    found = fit_machine(16, 100, 2, 1000, 0, task)
    assert found.image_size == 16
    assert all(seconds > 0 for seconds in found.seconds.values())


@pytest.mark.usefixtures("speed")
def test_images_with_small_objects_stay_large_whatever_the_time() -> None:
    small = fit_machine(640, 200, 4, 0.01, 0, BOXES, least=100)
    assert small.image_size == 128, "the least that is at least so many"
    assert fit_machine(64, 200, 4, 0.01, 0, BOXES, least=100).image_size == 64, "no larger than the images"
    assert small.batch_size == 8
