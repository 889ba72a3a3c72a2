"""For all tests: no library reports home. Set before the first import of one."""

import os

os.environ.update(
    MLFLOW_DISABLE_TELEMETRY="true",
    DO_NOT_TRACK="true",
    DVC_NO_ANALYTICS="1",
    ITERATIVE_DO_NOT_TRACK="1",
    DVC_STUDIO_OFFLINE="true",
    GX_ANALYTICS_ENABLED="false",
)
