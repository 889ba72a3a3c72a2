"""One thread and torch's usual state for each test; the digits are read once."""

from collections.abc import Iterator

import pytest
import torch

from resnet_ops.data import PreparedData
from tests.unit.core.makers import digits as read_digits
from tests.unit.core.makers import take


@pytest.fixture(autouse=True)
def _usual_torch() -> Iterator[None]:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    if torch.are_deterministic_algorithms_enabled():
        torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="session")
def digits() -> PreparedData:
    """All 1,797 digits with their splits; not to be changed."""
    data = read_digits()
    data.images.flags.writeable = False
    return data


@pytest.fixture(scope="module")
def small(digits: PreparedData) -> PreparedData:
    """96 images to train on and 40 to validate, so that an epoch of 32 has three steps."""
    return take(digits, train=96, validation=40, test=20, production=20)
