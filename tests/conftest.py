"""For all tests: no library reports home (set before the first import of one), and what shares stays together."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.update(
    MLFLOW_DISABLE_TELEMETRY="true",
    DO_NOT_TRACK="true",
    DVC_NO_ANALYTICS="1",
    ITERATIVE_DO_NOT_TRACK="1",
    DVC_STUDIO_OFFLINE="true",
    GX_ANALYTICS_ENABLED="false",
)

# how long an example takes says more about the machine than about the code
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share a server or a reproduced project stay on one worker (`pytest -n 2 --dist loadgroup`)."""
    for item in items:
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        if folder in ("attacks", "contract", "e2e"):
            item.add_marker(pytest.mark.xdist_group(folder))
