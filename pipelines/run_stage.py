"""A stage by its name of before, `pipelines/STAGE.py`: a link to this file, for one more release.

A script or a project of a team may call it. It is `python -m resnet_ops_pipelines.STAGE` now (ADR 37).
"""

import runpy
import warnings
from pathlib import Path

if __name__ == "__main__":
    stage = Path(__file__).stem
    module = f"resnet_ops_pipelines.{stage}"
    warnings.warn(f"pipelines/{stage}.py is python -m {module} now", DeprecationWarning, stacklevel=1)
    runpy.run_module(module, run_name="__main__")
