"""A reference with its accuracy calibration, made once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from resnet_ops_monitoring.drift.trials import calibrate_accuracy

if TYPE_CHECKING:
    from resnet_ops_monitoring.drift.reference import Reference
    from tests.unit.monitoring.conftest import Served


@pytest.fixture(scope="session")
def calibrated_accuracy(served: Served) -> Reference:
    test = served.data.split("test")
    model = served.scorer.model
    return calibrate_accuracy(
        served.reference, model, test.images, test.labels, each=100, seed=0, progress=lambda done, total: None
    )
