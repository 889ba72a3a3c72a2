"""What the engine's settings do, and what they forbid."""

import platform
import subprocess
import sys
from typing import Any

import pytest
import torch

from resnet_ops.data import PreparedData
from resnet_ops.errors import ConfigError
from resnet_ops.training import checks, loop
from resnet_ops.training.loop import fit
from tests.unit.core.makers import make_plan, make_recipe, take


@pytest.fixture(scope="module")
def small(digits: PreparedData) -> PreparedData:
    return take(digits, train=96, validation=40)


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
    with pytest.raises(
        ConfigError, match=r"tiny at batch_size 32 in 1 part.*raise the recipe's accumulate to 2"
    ):
        fit(make_plan(), small)


def test_any_other_failure_stays_as_it_is() -> None:
    with pytest.raises(RuntimeError, match="shapes"), checks.explain_memory(make_plan()):
        raise RuntimeError("shapes do not fit")


def test_a_compiled_network_learns_the_same_to_rounding(small: PreparedData) -> None:
    plain, compiled = (fit(make_plan(compile=mode), small).network for mode in (False, "default"))
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


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_a_step_uses_the_memory_that_the_one_before_freed() -> None:
    done = subprocess.run([sys.executable, "-c", STEPS], capture_output=True, text=True, check=True)
    usual, kept = map(int, done.stdout.split())
    assert usual > 2000  # of the 61,440 pages that the steps use
    assert kept < usual / 20
