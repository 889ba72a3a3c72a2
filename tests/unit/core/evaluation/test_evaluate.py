"""A whole evaluation of a small model on the digits, and the files it leaves."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet

from resnet_ops.data import PreparedData, load_prepared, save_prepared
from resnet_ops.errors import ConfigError
from resnet_ops.evaluation.evaluate import Evaluation, evaluate, save_evaluation
from resnet_ops.evaluation.operating_point import OperatingPointParams
from resnet_ops.evaluation.params import EvaluateParams, RobustnessParams, SliceParams
from resnet_ops.measurement import measurements_from_json
from tests.unit.core.makers import untrained


def make_params(**changes: Any) -> EvaluateParams:
    slices = SliceParams(
        columns=("class_name",), statistics=("brightness", "contrast"), quantiles=4, min_images=30
    )
    base = EvaluateParams(
        confidence=0.95,
        calibration_bins=15,
        slices=slices,
        robustness=RobustnessParams(images=40),
        gallery=5,
        operating_point=None,
    )
    return replace(base, **changes)


@pytest.fixture(scope="module")
def found(digits: PreparedData) -> Evaluation:
    return evaluate(untrained(), digits, make_params(), seed=0)


@pytest.fixture(scope="module")
def folder(found: Evaluation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluation")
    save_evaluation(found, "tiny", make_params(), folder)
    return folder


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_number_has_its_images_and_what_is_saved_is_what_was_found(
    found: Evaluation, folder: Path
) -> None:
    assert all(measurement.n > 0 for measurement in found.measured.values())
    saved = measurements_from_json(json.loads((folder / "measurements.json").read_text()))
    assert saved == found.measured
    assert json.loads((folder / "metrics.json").read_text())["calibrated"]["ece"] > 0
    groups = {
        "robustness.mean_accuracy",
        "robustness.accuracy.fog",
        "robustness.severity.5",
        "test.top1",
        "test.top5",
        "test.worst_slice",
        "test.brier",
        "calibrated.nll",
        "calibrated.ece",
    }
    assert groups <= set(found.measured)


def test_an_operating_point_is_measured_and_its_curve_kept(digits: PreparedData, tmp_path: Path) -> None:
    point = OperatingPointParams(positive=("0", "1"), aim="specificity", at_least=0.8, prevalence=None)
    params = make_params(operating_point=point, robustness=RobustnessParams(images=0))
    found = evaluate(untrained(), digits, params, seed=0)
    test = digits.split("test")
    positives = int(np.isin(test.labels, [0, 1]).sum())
    assert found.measured["operating.sensitivity"].n == positives
    save_evaluation(found, "tiny", params, tmp_path)
    kept = json.loads((tmp_path / "operating_point.json").read_text())
    assert kept["threshold"] == found.measured["operating.threshold"].value
    assert kept["positive"] == ["0", "1"]
    assert kept["counts"]["hits"] + kept["counts"]["misses"] == positives
    assert found.measured["test.roc_auc"].n == len(test)
    rows = rows_of(tmp_path / "predictions.csv")
    called = sum(row["positive"] == row["called"] == "yes" for row in rows)
    assert called == kept["counts"]["hits"]
    assert "group" not in rows[0]


def test_an_image_without_a_group_is_its_own(digits: PreparedData) -> None:
    params = make_params(robustness=RobustnessParams(images=0))
    blank = replace(digits, extra={"patient": np.full(len(digits), "", dtype=object)})
    found = evaluate(untrained(), blank, params, seed=0, group="patient").measured["test.top1"]
    assert found == evaluate(untrained(), digits, params, seed=0).measured["test.top1"]


def test_a_group_that_the_prepared_data_lack_is_named(digits: PreparedData) -> None:
    with pytest.raises(ConfigError, match=r"data\.group names patient, .* index, .*dvc repro"):
        evaluate(untrained(), digits, make_params(), seed=0, group="patient")


def test_an_evaluation_of_few_groups_is_saved_without_the_intervals_that_it_lacks(
    digits: PreparedData, tmp_path: Path
) -> None:
    point = OperatingPointParams(positive=("0", "1"), aim="specificity", at_least=0.8, prevalence=None)
    params = make_params(operating_point=point, robustness=RobustnessParams(images=0))
    patients = np.array([f"patient {place % 9}" for place in range(len(digits))], dtype=object)
    patients[:40] = "patient 0"
    found = evaluate(
        untrained(), replace(digits, extra={"patient": patients}), params, seed=0, group="patient"
    )
    save_evaluation(found, "tiny", params, tmp_path)
    rows = rows_of(tmp_path / "slices.csv")
    assert any(row["top1"] and not row["low"] for row in rows)
    assert found.measured["test.worst_slice"].shown.endswith(f"(n {found.measured['test.worst_slice'].n})")
    answers = rows_of(tmp_path / "predictions.csv")
    assert {row["group"] for row in answers} <= {str(number) for number in range(9)}
    assert not any("patient" in path.read_text() for path in tmp_path.glob("*.csv"))


def test_temperature_mends_the_log_loss_of_an_untrained_model(found: Evaluation) -> None:
    assert found.measured["calibrated.nll"].value < found.measured["test.nll"].value
    assert found.measured["calibrated.temperature"].value > 1


def test_evaluating_twice_gives_the_same_files(digits: PreparedData, folder: Path, tmp_path: Path) -> None:
    again = evaluate(untrained(), digits, make_params(), seed=0)
    save_evaluation(again, "tiny", make_params(), tmp_path)
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted(path.name for path in tmp_path.iterdir())
    assert all((folder / name).read_bytes() == (tmp_path / name).read_bytes() for name in names)


def test_two_models_can_be_compared_image_by_image(
    found: Evaluation, folder: Path, digits: PreparedData
) -> None:
    table = parquet.read_table(folder / "predictions.parquet")
    test = digits.split("test")
    assert table["sha256"].to_pylist() == [row.sha256 for row in test.rows]
    assert table["label"].to_pylist() == [row.class_name for row in test.rows]
    probabilities = np.array(table["probabilities"].to_pylist())
    assert probabilities.shape == (len(test), 10)
    assert np.allclose(probabilities.sum(1), 1)
    classes = json.loads(table.schema.metadata[b"classes"])
    assert table["predicted"].to_pylist() == [classes[place] for place in probabilities.argmax(1)]
    chosen = probabilities[np.arange(len(test)), test.labels]
    assert np.allclose(table["loss"].to_numpy(), -np.log(chosen), rtol=1e-4)
    answers = rows_of(folder / "predictions.csv")
    assert [row["predicted"] for row in answers] == table["predicted"].to_pylist()
    right = np.mean([row["actual"] == row["predicted"] for row in answers])
    assert right == found.measured["test.top1"].value


def test_corruptions_count_every_image_once_and_the_worst_mistakes_are_shown(
    found: Evaluation, folder: Path
) -> None:
    corruptions = rows_of(folder / "robustness.csv")
    assert len(corruptions) == 15 * 5
    assert sum(int(row["n"]) for row in corruptions) == 15 * 40
    fog = sum(int(row["right"]) for row in corruptions if row["corruption"] == "fog")
    assert fog / 40 == found.measured["robustness.accuracy.fog"].value
    mistakes, labels = (folder / "mistakes.html").read_text().split("<h2>Labels that are probably wrong</h2>")
    assert (mistakes.count("<figure>"), labels.count("<figure>")) == (5, 5)


def test_confusion_and_slices_count_every_image(found: Evaluation, folder: Path) -> None:
    confusion = rows_of(folder / "confusion.csv")
    assert sum(int(row["count"]) for row in confusion) == len(found.data)
    hits = sum(int(row["count"]) for row in confusion if row["actual"] == row["predicted"])
    assert hits == found.right.sum()
    slices = rows_of(folder / "slices.csv")
    assert sum(int(row["n"]) for row in slices if row["column"] == "brightness") == len(found.data)
    by_class = {row["value"]: float(row["top1"]) for row in slices if row["column"] == "class_name"}
    assert by_class["3"] == pytest.approx(found.measured["test.recall.3"].value, abs=1e-6)


def test_the_columns_of_a_manifest_are_those_of_its_file_whatever_they_are(
    digits: PreparedData, tmp_path: Path
) -> None:
    save_prepared(digits, tmp_path, ("train", "validation", "test"))
    manifest = tmp_path / "manifest.csv"
    header, *lines = manifest.read_text().splitlines()
    more = [f"{line},site {number % 2}" for number, line in enumerate(lines)]
    manifest.write_text("\n".join([f"{header},site", *more]))
    columns = load_prepared(tmp_path).split("test").columns()
    assert set(columns["site"]) == {"site 0", "site 1"}
    assert columns["path"].tolist() == [row.path for row in digits.split("test").rows]
    asked = replace(make_params().slices, columns=("site",), statistics=())
    found = evaluate(untrained(), load_prepared(tmp_path), make_params(slices=asked), seed=0)
    assert {"test.slice.site.site 0", "test.slice.site.site 1"} <= set(found.measured)
