"""The page for people: what it says, and that it needs nothing from outside."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from resnet_ops.errors import DataError
from resnet_ops_monitoring.drift.detector import judge
from resnet_ops_monitoring.drift.reference import build_reference
from resnet_ops_monitoring.drift.verdict import load_verdict
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.report.evidently_page import evidently_snapshot, write_evidently_report
from resnet_ops_monitoring.report.report import PageContext, review_page, write_window
from resnet_ops_monitoring.serving.camera import SIMULATION, degrade
from resnet_ops_monitoring.settings.drift import DriftParams

if TYPE_CHECKING:
    from tests.unit.monitoring.conftest import Served

_OUTSIDE = re.compile(
    r"""(?:src|href|action)\s*=(?!\s*["'](?:data:|evidently.html"|verdict.json"))|url\(|@import|<script""",
    re.I,
)


def _dirty_page(served: Served, params: DriftParams) -> str:
    images = degrade(served.unseen, seed=0)
    frame = served.score(images, labels=served.truth)
    verdict = judge(frame, served.reference, params, window="w")
    seasonal = served.data.split("test").images
    context = PageContext(role="challenger", simulated=SIMULATION, images=images, reference_images=seasonal)
    return review_page(verdict, frame, served.reference, params, context)


def test_the_page_says_first_what_happened_and_what_to_do(served: Served, params: DriftParams) -> None:
    page = _dirty_page(served, params)
    order = [
        page.index(text)
        for text in (
            SIMULATION,
            "Alarm: digits-classifier v3",
            "What happened:",
            "Images are darker",
            "What to do",
            "look at camera",
            "Real accuracy now",
            "challenger",
            "What shifted most",
            "novel to the model",
            "The tests",
        )
    ]
    assert order == sorted(order)


def test_the_page_says_in_which_zone_its_times_are(served: Served, params: DriftParams) -> None:
    time = r"\d{4}-\d\d-\d\d \d\d:\d\d"
    assert re.search(rf"{time} – {time} UTC(?! UTC)", _dirty_page(served, params))


def test_the_page_needs_nothing_from_outside_and_no_script(served: Served, params: DriftParams) -> None:
    page = _dirty_page(served, params)
    assert "data:image/png;base64," in page
    assert not _OUTSIDE.search(page)


def test_equal_windows_give_equal_pages(served: Served, params: DriftParams) -> None:
    assert _dirty_page(served, params) == _dirty_page(served, params)


def test_names_from_outside_are_escaped(made_up: Callable[..., pd.DataFrame], params: DriftParams) -> None:
    rng = np.random.default_rng(0)
    classes = tuple("<b>0</b>" if k == 0 else str(k) for k in range(10))
    frames = [
        made_up(rng, 200).replace({"predicted": {"0": classes[0]}, "label": {"0": classes[0]}}) for _ in "ab"
    ]
    reference = build_reference(frames[0], ModelIdentity("made-up", "1", "d" * 64), classes, rows=200, seed=0)
    verdict = judge(frames[1], reference, params, window="<i>w")
    page = review_page(verdict, frames[1], reference, params, PageContext(role="<u>"))
    assert "<b>0" not in page
    assert "<i>" not in page
    assert "<u>" not in page
    assert "&lt;b&gt;0" in page


@pytest.mark.parametrize("rows", [0, 1, 20])
def test_a_window_too_small_gets_a_page_of_its_own(
    served: Served, params: DriftParams, tmp_path: Path, rows: int
) -> None:
    frame = served.score(served.unseen[:rows])
    verdict = judge(frame, served.reference, params, window="w")
    write_window(tmp_path / "w", verdict, frame, served.reference, params, PageContext(role=None))
    page = (tmp_path / "w/review.html").read_text()
    assert "Not judged" in page
    assert "this is not a pass" in page
    assert sorted(path.name for path in (tmp_path / "w").iterdir()) == ["review.html", "verdict.json"]


def test_images_that_do_not_match_the_rows_are_refused(served: Served, params: DriftParams) -> None:
    frame = served.score(served.unseen[:60])
    verdict = judge(frame, served.reference, params, window="w")
    with pytest.raises(DataError, match="59 images for 60 rows"):
        review_page(
            verdict, frame, served.reference, params, PageContext(role=None, images=served.unseen[:59])
        )


@pytest.mark.slow
def test_a_judged_window_is_a_folder_of_three_files(
    served: Served, params: DriftParams, tmp_path: Path
) -> None:
    frame = served.score(served.unseen)
    verdict = judge(frame, served.reference, params, window="w")
    write_window(tmp_path, verdict, frame, served.reference, params, PageContext(role=None))
    assert load_verdict(tmp_path / "verdict.json") == verdict
    assert "plotly" in (tmp_path / "evidently.html").read_text().lower()


@pytest.mark.slow
def test_evidently_survives_columns_without_values(
    made_up: Callable[..., pd.DataFrame], params: DriftParams, tmp_path: Path
) -> None:
    rng = np.random.default_rng(1)
    reference = build_reference(
        made_up(rng, 200), ModelIdentity("made-up", "1", "d" * 64), tuple("0123456789"), rows=200, seed=0
    )
    hostile = made_up(rng, 100).assign(brightness=np.nan, contrast=0.5)
    verdict = judge(hostile, reference, params, window="w")
    snapshot = evidently_snapshot(verdict, hostile, reference, params)
    assert snapshot is not None
    write_evidently_report(tmp_path / "e.html", snapshot)
    nans: Any = [np.full(10, np.nan)] * 100
    nothing = made_up(rng, 100).assign(probabilities=nans)
    unjudged = judge(nothing, reference, params, window="w")
    assert evidently_snapshot(unjudged, nothing, reference, params) is None
