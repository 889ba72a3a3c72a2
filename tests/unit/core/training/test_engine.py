"""What the engine's settings do, and what they forbid."""

import platform
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch._dynamo.utils import counters

from resnet_ops.data import PreparedData
from resnet_ops.errors import ConfigError
from resnet_ops.tasks.learning.classification import ClassificationLearning
from resnet_ops.training import checks, loop
from resnet_ops.training.epoch import Epoch
from resnet_ops.training.loop import Training, fit
from tests.unit.core.makers import make_plan, make_recipe


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"threads": 0}, "threads is 0"), ({"precision": "tf32"}, "tf32, which only a GPU has")],
)
def test_a_setting_out_of_range_says_so(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_plan(**wrong)


def test_only_an_exact_engine_forbids_other_algorithms(small: PreparedData) -> None:
    recipe = make_recipe(epochs=1)
    for exact in (True, False):
        fit(make_plan(recipe, exact=exact), small)
        assert torch.are_deterministic_algorithms_enabled() is exact


@pytest.mark.parametrize(
    "failure",
    [torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"), None],
    ids=["a GPU", "the CPU"],
)
def test_running_out_of_memory_says_what_to_change(
    failure: Exception | None, small: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhaust(*_: Any) -> None:
        if failure is not None:
            raise failure
        torch.empty(2**60)

    monkeypatch.setattr(loop, "take_step", exhaust)
    with pytest.raises(ConfigError, match=r"tiny at batch_size 32 .*accumulate to 2"):
        fit(make_plan(), small)


def test_cuda_graphs_and_parts_of_a_batch_exclude_each_other(small: PreparedData) -> None:
    message = (
        r"reduce-overhead, but .* in 2 parts, and needs 1\. In params.yaml set the recipe's accumulate to 1"
    )
    with pytest.raises(ConfigError, match=message):
        fit(make_plan(make_recipe(accumulate=2), compile="reduce-overhead"), small)


@pytest.mark.parametrize("held", ["memory", "stream"])
def test_validation_computes_in_the_engines_precision(held: str, small: PreparedData) -> None:
    """Of one network: 32 bits give what the model itself says, 16 bits something near it."""
    part, loss = small.split("validation"), {}
    for precision in ("fp32", "bf16"):
        plan = make_plan(precision=precision, images=held)
        training = Training(plan, small.split("train"), part)
        loss[precision], right = training.validation.measure(training.judged)
        said = training.model().predict(part.images)
        assert right == pytest.approx((said.predicted == part.labels).mean(), abs=0.05)
        rows = np.arange(len(part))
        expected = -np.log(said.probabilities[rows, part.labels]).mean()
        assert loss[precision] == pytest.approx(expected, rel=1e-6 if precision == "fp32" else 2e-2)
    assert loss["fp32"] != loss["bf16"]


def test_any_other_failure_stays_as_it_is() -> None:
    with pytest.raises(RuntimeError, match="shapes"), checks.explain_memory(make_plan()):
        raise RuntimeError("shapes do not fit")


@pytest.mark.slow
def test_a_compiled_network_learns_the_same_to_rounding_and_is_compiled_once_for_each_use(
    small: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """40 validation images in batches of 16, of which the last is smaller, compile nothing anew."""
    seen: dict[str, list[Epoch]] = {"plain": [], "compiled": []}
    plain = fit(make_plan(), small, [seen["plain"].append]).network
    monkeypatch.setattr(ClassificationLearning, "at_once", 16)
    counters.clear()
    compiled = fit(make_plan(compile="default"), small, [seen["compiled"].append]).network
    assert counters["stats"]["unique_graphs"] == 2, "one for training, one for validation"
    assert not counters["graph_break"]
    for eager, made in zip(seen["plain"], seen["compiled"], strict=True):
        assert made.validation_loss == pytest.approx(eager.validation_loss, rel=1e-2)
    assert plain.state_dict().keys() == compiled.state_dict().keys()
    for one, other in zip(plain.parameters(), compiled.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-2, atol=1e-3)


STEPS = """
import resource, torch
from resnet_ops.training.engine import Engine
from resnet_ops.training.set_up import set_up

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(2**21)
        torch.ones(2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

usual = faults()
set_up(Engine(device="cpu", processes=1, threads=1, precision="fp32", compile=False, exact=True, images="memory"), 0)
faults()
print(usual, faults())
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_a_step_uses_the_memory_that_the_one_before_freed() -> None:
    done = subprocess.run([sys.executable, "-c", STEPS], capture_output=True, text=True, check=True)
    usual, kept = map(int, done.stdout.split())
    assert usual > 2000  # of the 61,440 pages that the steps use
    assert kept < usual / 20
