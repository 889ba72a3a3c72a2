"""The stages of simulated traffic: of each window the log holds what its camera of today sees, and pages say so."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from resnet_ops.params import parse_params
from resnet_ops_monitoring.drift.perturbations import perturbed
from resnet_ops_monitoring.drift.simulated_camera import told
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_pipelines import score_production
from resnet_ops_pipelines.monitor_drift import images_of
from resnet_ops_pipelines.project_params import Params, TrafficWindow
from resnet_ops_pipelines.serving import Serving
from resnet_ops_pipelines.traffic import replay
from tests.unit.monitoring.conftest import Served
from tests.unit.project_imports import ROOT

PARAMS = parse_params(ROOT / "params.yaml", Params)


@pytest.fixture
def serving(served: Served, monkeypatch: pytest.MonkeyPatch) -> Serving:
    """The served model, whose unseen images are those of the production split, a few of them."""
    part = served.data.split("production")
    few = replace(part, images=part.images[:6], labels=part.labels[:6], rows=part.rows[:6])
    monkeypatch.setattr(Serving, "unseen", lambda *where: few)
    return Serving(served.scorer.model, served.identity, "champion", frozenset(), None)


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InferenceLog]:
    monkeypatch.chdir(tmp_path)
    found = InferenceLog(f"sqlite:///{tmp_path}/log.db")
    monkeypatch.setattr(InferenceLog, "open", lambda: found)
    yield found
    found.close()


def through(*cameras: str) -> Params:
    """The project's settings with a window for each camera, a day after the other."""
    windows = {
        f"day {day}": TrafficWindow(camera=camera, start=datetime(2026, 1, day, tzinfo=UTC), hours=2)
        for day, camera in enumerate(cameras, 1)
    }
    return replace(PARAMS, monitor=replace(PARAMS.monitor, windows=windows))


def test_rows_of_a_windows_earlier_camera_go_whichever_it_was(
    serving: Serving, log: InferenceLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score_production, "read_serving", lambda: serving)
    monkeypatch.setattr(score_production, "outside_state", lambda *known: {})
    for cameras in (("dirty", "fog 3"), ("darkened 4", "inverted 5"), ("as_recorded", "moved 1")):
        monkeypatch.setattr(score_production, "read_params", lambda names=cameras: through(*names))
        score_production.main()
        rows = log.read(serving.identity.name)
        assert rows.groupby(["window", "source"]).size().to_dict() == {
            (f"day {day}", f"simulated {camera} camera"): 6 for day, camera in enumerate(cameras, 1)
        }


def test_a_page_shows_what_the_windows_camera_saw_and_says_which_it_was(serving: Serving) -> None:
    params = through("as_recorded", "darkened 4")
    plain, darker = (images_of(serving, params, name) for name in params.monitor.windows)
    assert (plain.simulated, darker.simulated) == (told("as_recorded"), told("darkened 4"))
    assert darker.of(["somebody else's"]) is None
    ids = replay("day 2", params, serving.unseen(Path(), ""), serving.identity).ids
    shown = darker.of(ids)
    assert shown is not None
    expected = perturbed(np.asarray(plain.reference), "darkened", 4, params.seed)
    assert sorted(each.tobytes() for each in shown) == sorted(each.tobytes() for each in expected)
