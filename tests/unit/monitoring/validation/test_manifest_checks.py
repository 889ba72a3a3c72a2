"""Great Expectations on the manifest of real digits, whole and perturbed."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pytest

from resnet_ops.data.sources import SplitParams, read_digits
from resnet_ops.data.splits import split_images
from resnet_ops.errors import DataError
from resnet_ops_monitoring.settings.manifest import ManifestParams
from resnet_ops_monitoring.validation.manifest_checks import ManifestReport, check_manifest

SPLITS = ("train", "validation", "test", "production")
CLASSES = tuple("0123456789")


@pytest.fixture(scope="module")
def digits() -> pd.DataFrame:
    data = split_images(read_digits(), SplitParams(train=0.5, validation=0.1, test=0.2, production=0.2), 0)
    return pd.DataFrame([asdict(row) for row in data.rows])


def _check(manifest: pd.DataFrame) -> ManifestReport:
    return check_manifest(
        manifest, CLASSES, SPLITS, ManifestParams(min_rows=500, min_class_rows=10, max_class_ratio=3.0)
    )


@pytest.mark.slow
def test_digits_pass_every_rule(digits: pd.DataFrame, tmp_path: Path) -> None:
    report = _check(digits)
    assert (report.failures, report.warnings) == ((), ())
    assert len(report.checks) == 20
    report.require()
    report.write_html(tmp_path / "index.html")
    page = (tmp_path / "index.html").read_text()
    assert "The data may be trained on" in page
    assert "http" not in page


def _leak(frame: pd.DataFrame) -> None:
    train, test = (frame.index[frame["split"] == name][0] for name in ("train", "test"))
    same = frame["label"] == frame.loc[train, "label"]
    test = frame.index[(frame["split"] == "test") & same][0]
    frame.loc[test, "sha256"] = frame.loc[train, "sha256"]


def _copy(frame: pd.DataFrame) -> None:
    first, second = frame.index[(frame["split"] == "train") & (frame["label"] == 4)][:2]
    frame.loc[second, "sha256"] = frame.loc[first, "sha256"]


def _set(column: str, value: int | str | None) -> Callable[[pd.DataFrame], None]:
    def spoil(frame: pd.DataFrame) -> None:
        frame[column] = frame[column].astype(object)
        frame.loc[7, column] = value

    return spoil


def _drop(column: str, value: str, split: str) -> Callable[[pd.DataFrame], None]:
    def spoil(frame: pd.DataFrame) -> None:
        frame.drop(frame.index[(frame[column] == value) & (frame["split"] == split)], inplace=True)

    return spoil


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "rule", "found"),
    [
        (_leak, "no image in two splits (leakage)", "2 images, for example digits/"),
        (_set("label", 99), "labels known", "1 rows, for example 99"),
        (_set("class_name", "ten"), "classes known", "1 rows, for example ten"),
        (_set("class_name", None), "no empty class_name", "1 rows"),
        (_set("split", "tset"), "splits known", "1 rows, for example tset"),
        (_set("width", 0), "width positive", "1 rows, for example 0"),
        (_set("sha256", "beef"), "sha256 well formed", "1 rows, for example beef"),
        (_drop("class_name", "4", "test"), "every class at least 10 times in every split", "4 in test: 0"),
    ],
)
def test_a_critical_fault_stops_and_is_said_in_words(
    digits: pd.DataFrame, spoil: Callable[[pd.DataFrame], None], rule: str, found: str
) -> None:
    manifest = digits.copy()
    spoil(manifest)
    report = _check(manifest)
    said = {check.rule: check.found for check in report.failures}
    assert said[rule].startswith(found)
    with pytest.raises(DataError, match="critical checks"):
        report.require()
    assert report.to_dict()["passed"] is False


@pytest.mark.slow
def test_copies_within_a_split_are_a_warning(digits: pd.DataFrame, tmp_path: Path) -> None:
    manifest = digits.copy()
    _copy(manifest)
    report = _check(manifest)
    assert report.failures == ()
    assert [check.rule for check in report.warnings] == ["no image twice in a split"]
    report.require()
    report.write_html(tmp_path / "index.html")
    assert "with a warning" in (tmp_path / "index.html").read_text()


@pytest.mark.slow
def test_unequal_classes_are_a_warning_that_names_what_to_set(digits: pd.DataFrame, tmp_path: Path) -> None:
    eights = digits.index[digits["class_name"] == "8"]
    kept = [place for split in SPLITS for place in eights[digits.loc[eights, "split"] == split][:11]]
    report = _check(digits.drop(index=eights.difference(pd.Index(kept))))
    largest = digits["class_name"].value_counts().max()
    report.require()
    assert report.to_dict()["passed"] is True
    (warning,) = report.warnings
    assert warning.rule == "no class more than 3 times as large as the smallest"
    assert f"has {largest} images, the smallest (8) 44 ({largest / 44:.3g} : 1)" in warning.found
    assert "Set recipes.<name>.imbalance, see docs/training.md#rare-classes" in warning.found
    assert "recall by class" in warning.found
    report.write_html(tmp_path / "index.html")
    assert "recipes.&lt;name&gt;.imbalance" in (tmp_path / "index.html").read_text()


def test_an_empty_manifest_fails_its_row_count_alone(digits: pd.DataFrame) -> None:
    report = _check(digits.iloc[:0])
    assert [(check.rule, check.found) for check in report.checks] == [("at least 500 images", "0 images")]
    assert len(report.failures) == 1


def test_missing_columns_are_named(digits: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="lacks the columns sha256"):
        _check(digits.drop(columns="sha256"))
