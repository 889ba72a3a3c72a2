"""A registered version is measured again on today's test images, by what it has not seen of them."""

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from mlflow import MlflowClient

from resnet_ops.data import PreparedData, save_prepared
from resnet_ops.data.trained_on import read_trained_on
from resnet_ops.errors import ConfigError, DataError, EvidenceError
from resnet_ops.training.start import Start
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_pipelines.serving import Serving
from resnet_ops_pipelines.train_model import with_weights_at_hand
from resnet_ops_registry.attestations.evidence import Evidence
from resnet_ops_registry.attestations.outcomes import images_digest
from resnet_ops_registry.client import remeasurement
from resnet_ops_registry.client.attesting import find_model_version
from resnet_ops_registry.client.loading import load
from resnet_ops_registry.client.operating_point import operating_point_of
from resnet_ops_registry.gate.signed_evidence import evidence_of
from tests.unit.core.makers import make_recipe
from tests.unit.core.tasks.masks import make_segmentation
from tests.unit.registry.conftest import NAME, Publisher, Runner, make_model
from tests.unit.registry.measured_versions import learned, prepare, register

pytestmark = pytest.mark.slow  # each publishes or trains: left to `make test`

SPLITS = ("train", "validation", "test")


@pytest.fixture
def data(project: Path) -> PreparedData:
    return prepare(project)


def now(client: MlflowClient, version: int) -> Evidence:
    return evidence_of(client, find_model_version(client, NAME, version)).evidence


def test_a_version_says_what_it_was_trained_on_and_a_changed_list_is_not_believed(
    client: MlflowClient, data: PreparedData, project: Path
) -> None:
    version = register(client, data, 0, learned(data)).version
    assert load(NAME, version).trained_on == read_trained_on(project / "models/seed0")
    shutil.rmtree(project / "var/cache")
    (kept,) = project.glob("var/**/trained_on.txt")
    kept.write_text("")
    with pytest.raises(EvidenceError, match="changed after they were published"):
        load(NAME, version)


def test_a_champion_is_measured_again_on_todays_images_and_can_be_compared(
    client: MlflowClient, data: PreparedData, run: Runner, project: Path
) -> None:
    version = register(client, data, 0, learned(data)).version
    before = now(client, version)
    rows = [replace(row, split="train" if row.index % 5 == 0 else row.split) for row in data.rows]
    today = replace(data, rows=rows)  # images moved out of the test split since
    save_prepared(today, project / "data/prepared", SPLITS)
    said = run("attest", "evaluation", NAME, str(version))
    after = now(client, version)
    test = today.split("test")
    assert after.metrics["test.top1"].n == after.metrics["data.test.images"].n == len(test)
    assert after.outcomes["test"].images == images_digest((row.sha256, row.class_name) for row in test.rows)
    assert after.outcomes["test"].images != before.outcomes["test"].images
    assert after.metrics["size.bytes"] == before.metrics["size.bytes"]
    assert (after.source, after.seeds) == (before.source, before.seeds)
    assert f"{NAME} v{version}: test.top1" in said


def test_a_version_keeps_deciding_where_it_did_until_another_aim_is_set(
    client: MlflowClient, data: PreparedData, run: Runner, project: Path
) -> None:
    def aim(at_least: float) -> None:
        settings = yaml.safe_load((project / "params.yaml").read_text())
        point = {"positive": ["0", "1"], "aim": "specificity", "at_least": at_least, "prevalence": None}
        settings["evaluate"]["operating_point"] = point
        (project / "params.yaml").write_text(yaml.safe_dump(settings))

    aim(0.8)
    version = register(client, data, 0, learned(data)).version
    first = now(client, version)
    point = operating_point_of(load(NAME, version))
    assert point is not None
    assert point.positive == ("0", "1")
    assert point.threshold == first.metrics["operating.threshold"].value
    half = {row.index for row in data.split("validation").rows[::2]}
    rows = [replace(row, split="train" if row.index in half else row.split) for row in data.rows]
    save_prepared(replace(data, rows=rows), project / "data/prepared", SPLITS)
    run("attest", "evaluation", NAME, str(version))
    again = now(client, version)
    assert again.metrics["operating.threshold"] == first.metrics["operating.threshold"]
    assert again.outcomes["operating.sensitivity"].n == again.metrics["operating.sensitivity"].n
    aim(0.6)
    assert "decides at another point now" in run("attest", "evaluation", NAME, str(version))
    assert now(client, version).metrics["operating.threshold"].value < point.threshold
    settings = yaml.safe_load((project / "params.yaml").read_text())
    settings["evaluate"]["operating_point"] = None
    (project / "params.yaml").write_text(yaml.safe_dump(settings))
    with pytest.raises(ConfigError, match=r"sets no evaluate\.operating_point"):
        run("attest", "evaluation", NAME, str(version))


def test_files_that_were_changed_since_they_were_loaded_are_not_signed_for(
    client: MlflowClient, data: PreparedData, run: Runner, project: Path
) -> None:
    version = register(client, data, 0, learned(data)).version
    load(NAME, version)  # a copy of the right files stays in the cache
    before = now(client, version)
    other = project / "models/seed7"
    make_model(other, 7)
    kept = [path for path in project.glob("var/**/weights.safetensors") if "cache" not in path.parts]
    kept[0].write_bytes((other / "weights.safetensors").read_bytes())
    with pytest.raises(EvidenceError, match="was not accepted"):
        run("attest", "evaluation", NAME, str(version))
    assert now(client, version) == before


def test_the_pipeline_does_not_undo_what_was_measured_again_from_its_own(
    client: MlflowClient, data: PreparedData, run: Runner
) -> None:
    test = [row.sha256 for row in data.split("test").rows]
    seen = [*learned(data), *test[:30]]
    first, second = (register(client, data, seed, seen).version for seed in (0, 1))
    run("attest", "evaluation", NAME, str(first), str(second))
    run("attest", "evaluation", NAME, str(second))
    measured = now(client, second)
    assert register(client, data, 1, seen).version == second
    assert now(client, second) == measured
    assert measured.outcomes["test"].n == len(test) - 30


def test_what_was_trained_on_is_left_out_of_validation_too(
    client: MlflowClient, data: PreparedData, run: Runner, project: Path
) -> None:
    version = register(client, data, 0, learned(data)).version
    moved = {row.index for row in data.split("train").rows[:50]}
    rows = [replace(row, split="validation" if row.index in moved else row.split) for row in data.rows]
    save_prepared(replace(data, rows=rows), project / "data/prepared", SPLITS)
    run("attest", "evaluation", NAME, str(version))
    assert now(client, version).metrics["validation.top1"].n == len(data.split("validation"))


def test_versions_are_measured_on_the_images_that_none_of_them_has_seen(
    client: MlflowClient, data: PreparedData, run: Runner
) -> None:
    test = [row.sha256 for row in data.split("test").rows]
    first, second = (
        register(client, data, seed, [*learned(data), *seen]).version
        for seed, seen in enumerate((test[:20], test[10:40]))
    )
    said = run("attest", "evaluation", NAME, str(first), str(second))
    assert "40 test images are left out" in said
    both = [now(client, version).outcomes["test"] for version in (first, second)]
    assert both[0].images == both[1].images
    assert both[0].n == len(test) - 40


def test_what_cannot_be_measured_is_said(
    client: MlflowClient,
    published: Publisher,
    data: PreparedData,
    run: Runner,
    project: Path,
) -> None:
    version = register(
        client, data, 5, [*learned(data), *(row.sha256 for row in data.split("test").rows)]
    ).version
    with pytest.raises(DataError, match="every image of split test"):
        run("attest", "evaluation", NAME, str(version))
    unknown = published().version
    with pytest.raises(EvidenceError, match=f"v{unknown} does not say"):
        run("attest", "evaluation", NAME, str(unknown))
    other = replace(data, classes=tuple("abcdefghij"))
    save_prepared(other, project / "data/prepared", SPLITS)
    with pytest.raises(DataError, match="has other classes"):
        run("attest", "evaluation", NAME, str(version))


def test_a_version_of_another_task_is_not_measured_on_images_of_one_class_each(
    client: MlflowClient, data: PreparedData, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = register(client, data, 5, learned(data)).version
    loaded = load(NAME, int(version))
    masks = SimpleNamespace(task=make_segmentation(), classes=loaded.model.classes)
    monkeypatch.setattr(remeasurement, "load", lambda model, number: replace(loaded, model=masks))
    with pytest.raises(ConfigError, match="not there for segmentation"):
        run("attest", "evaluation", NAME, str(version))


def test_what_starts_from_a_version_takes_over_what_that_one_has_seen(
    client: MlflowClient, data: PreparedData, project: Path
) -> None:
    test = [row.sha256 for row in data.split("test").rows[:5]]
    version = register(client, data, 0, [*learned(data), *test]).version
    seen = read_trained_on(project / "models/seed0")
    for source in (f"models:/{NAME}/{version}", "file:models/seed0"):
        start = Start(source=source, sha256=None, frozen={}, rates={})
        recipe, carried = with_weights_at_hand(make_recipe(start=start))
        assert carried == seen
        assert recipe.start is not None
        assert recipe.start.source.startswith("file:")
    assert with_weights_at_hand(make_recipe())[1] == frozenset()
    (project / "models/seed0/trained_on.txt").unlink()
    assert with_weights_at_hand(make_recipe(start=replace(start, source="file:models/seed0")))[1] is None


def test_reference_and_production_leave_out_what_the_serving_version_has_seen(
    client: MlflowClient, data: PreparedData, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    test = data.split("test").rows
    version = register(client, data, 0, [*learned(data), *(row.sha256 for row in test[:50])]).version
    loaded = load(NAME, version)
    identity = ModelIdentity(NAME, str(version), loaded.weights_digest)
    serving = Serving(loaded.model, identity, "champion", loaded.trained_on, None)
    rest = serving.unseen(project / "data/prepared", "test")
    assert [row.sha256 for row in rest.rows] == [row.sha256 for row in test[50:]]
    assert f"trained on 50 of {len(test)} images" in capsys.readouterr().out
    unknown = replace(serving, trained_on=None).unseen(project / "data/prepared", "test")
    assert len(unknown) == len(test)
    assert "which images it was trained on" in capsys.readouterr().out
