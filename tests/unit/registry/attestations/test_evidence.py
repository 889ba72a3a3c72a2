import base64
import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnet_ops.errors import DataError, EvidenceError
from resnet_ops.evaluation.operating_point import OperatingPoint
from resnet_ops_registry.attestations.evidence import (
    Evidence,
    Metric,
    Outcomes,
    Source,
    read_evidence,
    show_metric,
)
from resnet_ops_registry.attestations.outcomes import (
    all_outcomes,
    images_digest,
    pack_outcomes,
    read_outcomes,
    split_sizes,
)


def make_evidence(**more: Any) -> Evidence:
    fields: dict[str, Any] = {
        "member": "m",
        "weights_digest": "0" * 64,
        "metrics": {"acc": Metric(value=0.1 + 0.2, n=3)},
        "data": {"test": "0" * 64},
        "source": Source(commit="a" * 40, dirty=False, dvc_lock="1" * 64),
        "environment": {"python": "3.11"},
        "hardware": {"server-cpu": {"cpu": "any"}},
        "seeds": {"training": 0},
        "outcomes": {"test": pack_outcomes("2" * 64, np.array([True, False, True]))},
        "checks": {"data_validation": True},
        "created": datetime.now(UTC),
    }
    return Evidence(**{**fields, **more})


def test_evidence_survives_its_signed_form() -> None:
    found = make_evidence()
    assert read_evidence(json.loads(json.dumps(found.as_signed()))) == found


def test_evidence_signed_before_there_were_outcomes_is_still_read() -> None:
    old = make_evidence().as_signed()
    del old["outcomes"], old["checks"]
    assert read_evidence(old).outcomes == {}


def test_an_operating_point_is_signed_and_without_one_evidence_is_as_older_releases_read_it() -> None:
    assert "positive" not in make_evidence().as_signed()
    assert make_evidence().operating_point is None
    threshold = Metric(value=0.25, n=90, method="chosen on validation")
    metrics = {"operating.threshold": threshold}
    found = read_evidence(make_evidence(metrics=metrics, positive=("crack",)).as_signed())
    assert found.operating_point == OperatingPoint(("crack",), 0.25)
    assert make_evidence(positive=("crack",)).operating_point is None
    assert make_evidence(metrics=metrics).operating_point is None, (
        "older evidence has the classes in words only"
    )


def test_the_same_findings_on_another_day_and_commit_have_the_same_digest() -> None:
    later = datetime.now(UTC) + timedelta(days=1)
    source = Source(commit="b" * 40, dirty=True, dvc_lock="1" * 64)
    assert make_evidence(created=later, source=source).digest() == make_evidence().digest()


@pytest.mark.parametrize(
    "change",
    [
        {"metrics": {"acc": Metric(value=0.5, n=3)}},
        {"source": Source(commit="a" * 40, dirty=False, dvc_lock="3" * 64)},
        {"outcomes": {}},
        {"checks": {"data_validation": False}},
        {"hardware": {}},
    ],
)
def test_other_findings_have_another_digest(change: dict[str, Any]) -> None:
    assert make_evidence(**change).digest() != make_evidence().digest()


@pytest.mark.parametrize(
    ("metric", "shown"),
    [
        (Metric(value=0.9514, n=360, low=0.929, high=0.967), "0.951 (0.929-0.967, n=360)"),
        (Metric(value=4000, n=1, unit="byte"), "4,000 byte"),
        (Metric(value=2.5, n=1, low=2, high=3, unit="ms"), "2.5 ms (2-3)"),
        (Metric(value=2.5, n=300, unit="ms"), "2.5 ms (n=300)"),
    ],
)
def test_a_metric_is_shown_with_what_it_rests_on(metric: Metric, shown: str) -> None:
    assert show_metric(metric) == shown


@given(right=st.lists(st.booleans(), min_size=1, max_size=200))
def test_outcomes_are_packed_without_loss(right: list[bool]) -> None:
    packed = pack_outcomes("0" * 64, np.array(right))
    bits = np.unpackbits(np.frombuffer(packed.bits(), np.uint8))
    assert bits[: packed.n].astype(bool).tolist() == right
    assert Outcomes.model_validate(packed.model_dump()) == packed


@pytest.mark.parametrize(
    ("n", "right"),
    [
        (9, b"\xff"),
        (8, b"\xff\x00"),
        (7, b"\xff"),
        (0, b""),
        (2_000_001, b"\x00" * 250_001),
        (8, "ÿ"),
        (8, "/w= ="),
        (8, "/x=="),
        (8, "/w==" * 1_000_000),
    ],
)
def test_outcomes_of_another_size_than_they_say_are_refused(n: int, right: bytes | str) -> None:
    text = right if isinstance(right, str) else base64.b64encode(right).decode()
    predicate = make_evidence().as_signed()
    predicate["outcomes"]["test"].update(n=n, right=text)
    with pytest.raises(EvidenceError, match=r"malformed at outcomes\.test"):
        read_evidence(predicate)


@pytest.mark.parametrize("starts", [b"\x00", b"\x7f", b"\xff\x00", b"", "/w= ="])
def test_groups_that_are_not_told_image_by_image_are_refused(starts: bytes | str) -> None:
    text = starts if isinstance(starts, str) else base64.b64encode(starts).decode()
    predicate = make_evidence().as_signed()
    predicate["outcomes"]["test"].update(n=8, right="/w==", starts=text)
    with pytest.raises(EvidenceError, match=r"malformed at outcomes\.test.*starts"):
        read_evidence(predicate)


def test_evidence_without_groups_is_as_a_release_without_them_writes_it() -> None:
    assert set(make_evidence().as_signed()["outcomes"]["test"]) == {"images", "n", "right"}
    grouped = make_evidence(
        outcomes={"test": pack_outcomes("2" * 64, np.array([True, False]), np.array([True, True]))}
    )
    assert grouped.as_signed()["outcomes"]["test"]["starts"] == "wA=="
    assert read_evidence(grouped.as_signed()) == grouped


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=40))
def test_images_of_a_group_stand_together_with_their_outcomes(rows: list[tuple[int, bool]]) -> None:
    groups, right = (np.array(each) for each in zip(*rows, strict=True))
    images = [(f"{place:064x}", "a") for place in range(len(rows))]
    found = all_outcomes("test", images, right, groups)["test"]
    held = np.unpackbits(np.frombuffer(found.bits(), np.uint8), count=found.n).astype(bool)
    begun = found.start_bits()
    assert begun is not None
    starts = np.unpackbits(np.frombuffer(begun, np.uint8), count=found.n)
    order = [place for group in dict.fromkeys(groups) for place in np.flatnonzero(groups == group)]
    assert held.tolist() == right[order].tolist()
    assert found.images == images_digest(images[place] for place in order)
    assert starts.sum() == len(set(groups.tolist()))
    assert np.bincount(np.cumsum(starts) - 1).tolist() == [
        (groups == group).sum() for group in dict.fromkeys(groups)
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(key=st.sampled_from([*Evidence.model_fields, "extra"]), value=JSON)
def test_evidence_with_any_field_replaced_is_read_or_refused_without_a_crash(key: str, value: Any) -> None:
    predicate = {**make_evidence().as_signed(), key: value}
    with suppress(EvidenceError):
        assert read_evidence(predicate).created


MANIFEST = """\
index,path,label,class_name,split,sha256,width,height
4,a,0,zero,test,aa,8,8
5,b,0,zero,train,bb,8,8
9,c,1,one,test,cc,8,8
"""
PREDICTIONS = """\
index,path,actual,predicted,confidence
4,a,zero,zero,0.9
9,c,one,zero,0.6
"""


def every_outcome(
    folder: Path, predictions: str = PREDICTIONS, manifest: str = MANIFEST
) -> dict[str, Outcomes]:
    (folder / "predictions.csv").write_text(predictions)
    (folder / "manifest.csv").write_text(manifest)
    return read_outcomes(folder / "predictions.csv", folder / "manifest.csv", "test")


def outcomes_of(folder: Path, predictions: str = PREDICTIONS, manifest: str = MANIFEST) -> Outcomes:
    (outcomes,) = every_outcome(folder, predictions, manifest).values()
    return outcomes


def test_outcomes_come_from_predictions_and_the_manifest(tmp_path: Path) -> None:
    found = outcomes_of(tmp_path)
    assert (found.n, found.bits()) == (2, b"\x80")
    assert found.images == images_digest([("aa", "zero"), ("cc", "one")])


DECIDED = """\
index,path,actual,predicted,confidence,group,positive,called
4,a,zero,zero,0.9,0,no,yes
9,c,one,zero,0.6,0,yes,yes
"""


def test_decisions_at_the_operating_point_are_outcomes_of_each_side(tmp_path: Path) -> None:
    found = every_outcome(tmp_path, DECIDED)
    assert list(found) == ["test", "operating.sensitivity", "operating.specificity"]
    assert {name: (each.n, each.bits()) for name, each in found.items()} == {
        "test": (2, b"\x80"),
        "operating.sensitivity": (1, b"\x80"),
        "operating.specificity": (1, b"\x00"),
    }
    assert found["operating.sensitivity"].images == images_digest([("cc", "one")])
    assert found["test"].start_bits() == b"\x80"


def test_a_side_without_images_has_no_outcomes(tmp_path: Path) -> None:
    found = every_outcome(tmp_path, DECIDED.replace("yes,yes", "no,yes"))
    assert list(found) == ["test", "operating.specificity"]


@pytest.mark.parametrize(
    ("before", "after"), [(",cc,", ",cd,"), (",one,", ",eins,"), ("9,c,1,one,test,cc,8,8\n", "")]
)
def test_other_images_or_other_truth_have_another_digest(tmp_path: Path, before: str, after: str) -> None:
    predictions = PREDICTIONS.replace("one,", "eins,") if after == ",eins," else PREDICTIONS
    if after == "":
        predictions = predictions.replace("9,c,one,zero,0.6\n", "")
    changed = outcomes_of(tmp_path, predictions, MANIFEST.replace(before, after))
    assert changed.images != outcomes_of(tmp_path).images


@pytest.mark.parametrize(
    "predictions",
    [
        "",
        "index,actual\n",
        PREDICTIONS.replace("9,c", "8,c"),
        PREDICTIONS.replace("c,one", "c,two"),
        PREDICTIONS + "10,d,one,one,1\n",
        PREDICTIONS.replace("4,a,zero,zero,0.9\n", ""),
    ],
)
def test_predictions_about_other_images_than_the_manifests_are_refused(
    tmp_path: Path, predictions: str
) -> None:
    with pytest.raises(DataError, match="dvc repro"):
        outcomes_of(tmp_path, predictions)


def test_the_size_of_each_split_is_counted_in_the_manifest(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("index,split\n0,train\n1,test\n2,train\n")
    sizes = {name: (metric.value, metric.n, metric.unit) for name, metric in split_sizes(manifest).items()}
    assert sizes == {"data.test.images": (1, 1, "images"), "data.train.images": (2, 2, "images")}
    manifest.write_text("index\n0\n")
    with pytest.raises(DataError, match=r"manifest\.csv .* dvc repro"):
        split_sizes(manifest)
