"""One hostile class, window and model name through every page that shows them: it stays text."""

import json
import re
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from resnet_ops.evaluation.calibration import reliability
from resnet_ops.evaluation.diagram import reliability_panel
from resnet_ops.evaluation.gallery import mistakes_page
from resnet_ops.evaluation.square import sheet
from resnet_ops.model import TrainedModel
from resnet_ops_monitoring.drift.detector import judge
from resnet_ops_monitoring.drift.reference import build_reference
from resnet_ops_monitoring.report.evidently_page import evidently_snapshot, write_evidently_report
from resnet_ops_monitoring.report.report import PageContext, write_window
from resnet_ops_monitoring.serving.camera import degrade
from resnet_ops_monitoring.serving.scorer import Scorer
from resnet_ops_monitoring.settings.drift import DriftParams
from resnet_ops_monitoring.settings.manifest import ManifestParams
from resnet_ops_monitoring.validation.manifest_checks import check_manifest
from tests.unit.monitoring.conftest import Served

HOSTILE = "</script></style></svg></title><img src=x onerror=alert(1)>\"'&"


class Tags(HTMLParser):
    """What a browser would run or load, if the page let a name out of its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [f"{tag} {name}" for name, _ in attrs if name.startswith("on")]
        self.found += [tag] * (dict(attrs).get("src") == "x")


@pytest.fixture(scope="module")
def hostile(served: Served) -> Served:
    """The digits' model and images, each class called by a name that is also a piece of a page."""
    classes = tuple(f"{HOSTILE}{name}" for name in served.data.classes)
    rows = [
        replace(row, class_name=f"{HOSTILE}{row.class_name}", path=f"{HOSTILE}{row.path}")
        for row in served.data.rows
    ]
    data = replace(served.data, rows=rows, classes=classes)
    identity = replace(served.identity, name=HOSTILE)
    assert isinstance(served.scorer.model, TrainedModel)
    scorer = Scorer(replace(served.scorer.model, classes=classes), identity)
    test = data.split("test")
    times = [pd.Timestamp("2026-01-01T00:00Z").to_pydatetime()] * len(test)
    truth = [row.class_name for row in test.rows]
    frame = scorer.score(test.images, [row.path for row in test.rows], times, labels=truth)
    return Served(scorer, identity, build_reference(frame, identity, classes, rows=2000, seed=0), data)


@pytest.mark.slow
def test_names_stay_text_on_the_pages_of_a_window(
    hostile: Served, params: DriftParams, tmp_path: Path
) -> None:
    images = degrade(hostile.unseen, seed=0)
    frame = hostile.score(images, window=HOSTILE, labels=hostile.truth)
    verdict = judge(frame, hostile.reference, params, window=HOSTILE)
    seasonal = hostile.data.split("test").images
    context = PageContext(
        role=HOSTILE,
        simulated=HOSTILE,
        images=images,
        reference_images=seasonal,
        history=[verdict],
        reviews=[HOSTILE],
    )
    write_window(tmp_path, verdict, frame, hostile.reference, params, context)
    for name in ("review.html", "evidently.html"):
        page = (tmp_path / name).read_text(encoding="utf-8")
        assert "onerror=alert" in page, "the name is not shown"
        assert Tags(page).found == []


@pytest.mark.slow
def test_evidentlys_data_are_the_same_after_they_are_closed(
    hostile: Served, params: DriftParams, tmp_path: Path
) -> None:
    frame = hostile.score(hostile.unseen)
    snapshot = evidently_snapshot(
        judge(frame, hostile.reference, params, window="w"), frame, hostile.reference, params
    )
    assert snapshot is not None
    write_evidently_report(tmp_path / "e.html", snapshot)
    page = (tmp_path / "e.html").read_text(encoding="utf-8")
    data = [json.loads(line) for line in re.findall(r"(?m)^    var \w+ = (.*);$", page)[:2]]
    assert json.dumps(HOSTILE)[1:-1] in json.dumps(data)
    assert page.count("</html>") == 1


@pytest.mark.slow
def test_names_stay_text_on_the_pages_of_an_evaluation_and_of_the_data(
    hostile: Served, tmp_path: Path
) -> None:
    data = hostile.data.split("test")
    scores = np.log(np.stack(hostile.score(data.images)["probabilities"].to_list()))
    (tmp_path / "mistakes.html").write_text(mistakes_page(HOSTILE, data, -scores, 10))
    manifest = pd.DataFrame([asdict(row) for row in data.rows])
    rules = ManifestParams(min_rows=5, min_class_rows=1000, max_class_ratio=1.0)
    report = check_manifest(manifest, data.classes, ("test", HOSTILE), rules)
    assert report.failures
    report.write_html(tmp_path / "data.html")
    bins = reliability(np.exp(scores), data.labels, 15)
    (tmp_path / "reliability.svg").write_text(sheet(HOSTILE, [reliability_panel(HOSTILE, bins, 0.95)]))
    for path in tmp_path.iterdir():
        page = path.read_text(encoding="utf-8")
        assert "onerror=alert" in page, f"the name is not shown in {path.name}"
        assert Tags(page).found == []
