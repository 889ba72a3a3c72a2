"""Exported hours, summarised by a real Ray in local mode."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from resnet_ops_monitoring.drift.partitions import export_log
from resnet_ops_monitoring.drift.reference import build_reference
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.statistics.summary import load_summary, summarise
from tests.unit.monitoring.conftest import make_predictions

_RAY = """
import sys
from pathlib import Path
import ray
from resnet_ops_monitoring.drift.ray_job import summarise_with_ray
from resnet_ops_monitoring.drift.reference import load_reference
ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, object_store_memory=100_000_000)
found = summarise_with_ray(Path(sys.argv[1]), load_reference(Path(sys.argv[2])).schema, rows_at_once=70)
Path(sys.argv[3]).write_bytes(found.to_bytes())
"""


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed: the extra 'scale'")
def test_ray_comes_to_the_same_numbers_as_the_log(tmp_path: Path) -> None:
    identity, classes = ModelIdentity("made-up", "1", "d" * 64), tuple("0123456789")
    before = make_predictions(np.random.default_rng(0), 300)
    reference = build_reference(before, identity, classes, rows=100, seed=0)
    frame = make_predictions(np.random.default_rng(1), 500)
    frame["time"] = pd.Timestamp("2026-01-05T08:30Z") + pd.to_timedelta(np.arange(500) * 20, unit="s")
    log = InferenceLog(f"sqlite:///{tmp_path}/inference.db")
    log.append(frame)
    export_log(log, tmp_path / "export", "made-up", start=None, end=None)
    reference.save(tmp_path / "reference.parquet")
    arguments = [str(tmp_path / name) for name in ("export", "reference.parquet", "found")]
    subprocess.run(
        [sys.executable, "-c", _RAY, *arguments],
        check=True,
        capture_output=True,
        timeout=120,
        env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "RAY_DATA_DISABLE_PROGRESS_BARS": "1"},
    )
    found = load_summary((tmp_path / "found").read_bytes())
    assert found == summarise(log.read("made-up"), reference.schema)
