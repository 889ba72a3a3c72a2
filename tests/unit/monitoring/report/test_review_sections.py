"""What the page says beside the verdict: accuracy over time, sources, label shift, versions, reviews."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from resnet_ops_monitoring.drift.detector import judge
from resnet_ops_monitoring.drift.verdict import ClassShare, SourceVerdict, Verdict
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.report.breakdown import label_shift_section, sources_section
from resnet_ops_monitoring.report.over_time import over_time_section, versions_section
from resnet_ops_monitoring.report.report import PageContext, review_page
from resnet_ops_monitoring.report.review_lines import reviews_section, with_reviews
from resnet_ops_monitoring.serving.camera import degrade
from resnet_ops_monitoring.settings.drift import DriftParams
from resnet_ops_monitoring.statistics.accuracy import Accuracy, Estimate

if TYPE_CHECKING:
    from tests.unit.monitoring.conftest import Served

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def alarm(served: Served) -> Verdict:
    from tests.unit.monitoring.conftest import PARAMS

    frame = served.score(degrade(served.unseen[:200], 0), labels=served.truth[:200])
    return judge(frame, served.reference, PARAMS, window="monday")


def _before(verdict: Verdict, hours: int, **more: object) -> Verdict:
    assert verdict.start is not None
    assert verdict.end is not None
    shifted = replace(
        verdict,
        window=f"{hours}-before",
        status="ok",
        start=verdict.start - hours * HOUR,
        end=verdict.end - hours * HOUR,
    )
    return replace(shifted, **more)  # type: ignore[arg-type]


def test_accuracy_over_time_shows_estimates_labels_alarms_and_windows_that_were_not_judged(
    alarm: Verdict,
) -> None:
    unjudged = _before(
        alarm, 1, status="insufficient data", estimated_accuracy=None, estimated=None, real_accuracy=None
    )
    labelled = _before(alarm, 2, real_accuracy=Accuracy(0.9, 50, 0.8, 0.95))
    earlier = _before(
        alarm, 3, real_accuracy=None, estimated_accuracy=0.97, estimated=Estimate(0.97, 0.9, 0.99)
    )
    html = over_time_section(alarm, [earlier, labelled, unjudged])
    assert "4 windows of digits-classifier v3" in html
    for each in (earlier, labelled, unjudged, alarm):
        assert f"<title>{each.window}: {each.headline}</title>" in html
    assert html.count('transform="rotate(45') == 2, "labels of two windows"
    assert html.count("<polygon") == 1
    assert html.count("<polyline") == 1
    assert "stroke-dasharray" in html, "the accuracy when tested"


def test_one_window_alone_or_of_another_version_is_no_history(alarm: Verdict) -> None:
    other = replace(_before(alarm, 1), identity=ModelIdentity("digits-classifier", "7", "e" * 64))
    assert over_time_section(alarm, []) == over_time_section(alarm, [other]) == ""
    assert over_time_section(alarm, [alarm]) == "", "judged again, it is the same window"


def test_versions_that_served_in_the_same_stretch_are_compared(alarm: Verdict) -> None:
    other = ModelIdentity("digits-classifier", "7", "e" * 64)
    beside = replace(alarm, identity=other, status="ok", real_accuracy=Accuracy(0.92, 50, 0.8, 0.97))
    long_ago = replace(_before(alarm, 48), identity=ModelIdentity("digits-classifier", "6", "f" * 64))
    html = versions_section(alarm, [long_ago, beside])
    assert "digits-classifier v7" in html
    assert "92.0" in html
    assert "digits-classifier v6" not in html
    assert versions_section(alarm, [long_ago, _before(alarm, 0)]) == ""


def test_sources_with_an_alarm_come_first(alarm: Verdict) -> None:
    calm = SourceVerdict("camera 1", 80, "ok", "As before.")
    loud = SourceVerdict("camera <2>", 1200, "alarm", "Images are darker.")
    html = sources_section(replace(alarm, sources=(calm, loud)))
    assert html.index("camera &lt;2&gt;") < html.index("camera 1")
    assert "1,200" in html
    assert sources_section(replace(alarm, sources=())) == ""


def test_the_classes_whose_share_changed_most_are_told(alarm: Verdict) -> None:
    shares = tuple(ClassShare(str(k), 0.1, 0.1 + 0.01 * k, 0.05, 0.25) for k in range(20))
    html = label_shift_section(replace(alarm, label_shift=shares))
    assert "+19.0 points" in html
    assert ">3<" not in html, "the 12 that changed most"
    assert label_shift_section(replace(alarm, label_shift=None)) == ""


def test_reviews_are_escaped_and_put_in_place_of_the_old_ones(
    served: Served, params: DriftParams, alarm: Verdict
) -> None:
    frame = served.score(degrade(served.unseen[:200], 0), labels=served.truth[:200])
    page = review_page(alarm, frame, served.reference, params, PageContext(role=None))
    assert "Nobody yet." in page
    said = ["2026-01-05 13:02 UTC kim commented (alarm): <b>\\1 dirty</b>"]
    reviewed = with_reviews(page, alarm, said)
    assert "kim commented (alarm): &lt;b&gt;\\1 dirty&lt;/b&gt;" in reviewed
    assert "Nobody yet." not in reviewed
    assert with_reviews(reviewed, alarm, []) == page
    context = PageContext(role=None, reviews=said)
    assert review_page(alarm, frame, served.reference, params, context) == reviewed


def test_an_alarm_says_how_to_roll_back_and_a_calm_window_does_not(alarm: Verdict) -> None:
    assert "resnet-ops drift rollback monday champion" in reviews_section(alarm, [])
    assert "rollback" not in reviews_section(replace(alarm, status="ok"), [])


@pytest.mark.parametrize(
    ("status", "tone", "words"),
    [
        ("ok", "good", "OK: digits-classifier v3"),
        ("warning", "unknown", "Warning: "),
        ("alarm", "bad", "Alarm: "),
        ("insufficient data", "unknown", "Not judged: too little"),
        ("invalid data", "unknown", "Not judged: the logged data"),
    ],
)
def test_every_status_has_its_headline_its_tone_and_what_to_do(
    served: Served, params: DriftParams, alarm: Verdict, status: str, tone: str, words: str
) -> None:
    frame = served.score(degrade(served.unseen[:200], 0))
    quiet = replace(alarm, status=status, real_accuracy=None, input_drift=False)  # type: ignore[arg-type]
    page = review_page(quiet, frame, served.reference, params, PageContext(role=None))
    assert f'<section class="verdict {tone}"><h1>{words}' in page
    assert "What to do" in page


def test_the_blind_spot_stands_with_the_estimate(served: Served, params: DriftParams, alarm: Verdict) -> None:
    frame = served.score(degrade(served.unseen[:200], 0))
    page = review_page(alarm, frame, served.reference, params, PageContext(role=None))
    assert "blind to kinds of images that the model never learned" in page
    unknown = replace(alarm, findings=(), estimated_accuracy=None, estimated=None)
    assert "blind to" not in review_page(unknown, frame, served.reference, params, PageContext(role=None))
