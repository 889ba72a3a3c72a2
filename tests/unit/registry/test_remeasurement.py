"""A registered version is measured again on today's test images, by what it has not seen of them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient

from resnet_ops.data import PreparedData, load_prepared, save_prepared
from resnet_ops.data.trained_on import read_trained_on, save_trained_on
from resnet_ops.errors import DataError, EvidenceError
from resnet_ops.evaluation.evaluate import evaluate
from resnet_ops.evaluation.params import read_evaluate_params
from resnet_ops.model import load_model
from resnet_ops_registry.evidence import Evidence, metrics_from
from resnet_ops_registry.lineage import TRAINED_ON, trained_on, trained_on_digest
from resnet_ops_registry.model_card import CardTexts
from resnet_ops_registry.outcomes import images_digest, pack_outcomes
from resnet_ops_registry.publish import publish
from resnet_ops_registry.signed_evidence import evidence_of
from resnet_ops_registry.speaking import find_model_version
from tests.unit.core.makers import digits
from tests.unit.registry.conftest import NAME, Publisher, Runner, make_model
from tests.unit.registry.conftest import evidence_of as made_up

ROOT = Path(__file__).parents[3]
Maker = Callable[..., int]


@pytest.fixture
def data(project: Path) -> PreparedData:
    """Prepared digits of which every test can leave some out, and the settings."""
    settings = yaml.safe_load((ROOT / "params.yaml").read_text())
    settings["evaluate"]["robustness"]["images"] = 0
    (project / "params.yaml").write_text(yaml.safe_dump(settings))
    save_prepared(digits(), project / "data/prepared", ("train", "validation", "test"))
    return load_prepared(project / "data/prepared")


@pytest.fixture
def register(client: MlflowClient, project: Path, data: PreparedData) -> Maker:
    """Publish an untrained model that has seen some images, measured on all other test images; gives its version."""

    def make(seed: int, seen: list[str]) -> int:
        folder = make_model(project / "models" / f"seed{seed}", seed)
        save_trained_on(seen, folder)
        settings, _ = read_evaluate_params(Path("params.yaml"))
        found = evaluate(load_model(folder), data, settings, seed=0)
        images = images_digest((row.sha256, row.class_name) for row in found.data.rows)
        evidence = made_up(folder, 0.96)
        evidence = evidence.model_copy(
            update={
                "metrics": evidence.metrics | metrics_from(found.measured),
                "data": trained_on_digest(folder),
                "outcomes": {"test": pack_outcomes(images, found.right)},
            }
        )
        return publish(
            client,
            registered_model=NAME,
            experiment="digits",
            member=f"seed{seed}",
            model_folder=folder,
            evidence=evidence,
            history=(),
            params={},
            artifacts={TRAINED_ON: folder / "trained_on.txt"},
            card=CardTexts(intended_use="", limits=""),
        ).version

    return make


def now(client: MlflowClient, version: int) -> Evidence:
    return evidence_of(client, find_model_version(client, NAME, version)).evidence


def learned(data: PreparedData) -> list[str]:
    return [row.sha256 for row in data.split("train", "validation").rows]


def test_a_version_says_what_it_was_trained_on_and_a_changed_list_counts_for_nothing(
    client: MlflowClient, register: Maker, data: PreparedData, project: Path
) -> None:
    version = register(0, learned(data))
    assert trained_on(client, NAME, version) == read_trained_on(project / "models/seed0")
    run_id = str(client.get_model_version(NAME, str(version)).run_id)
    client.log_text(run_id, "", TRAINED_ON)
    with pytest.raises(EvidenceError, match=r"trained on was changed in its run\. Restore it"):
        trained_on(client, NAME, version)


def test_a_list_that_is_gone_is_named(
    client: MlflowClient, register: Maker, data: PreparedData, project: Path
) -> None:
    version = register(0, learned(data))
    (kept,) = project.rglob("lineage/trained_on.txt")
    kept.unlink()
    with pytest.raises(EvidenceError, match="is gone from its run"):
        trained_on(client, NAME, version)


def test_a_champion_is_measured_again_on_todays_images_and_can_be_compared(
    client: MlflowClient, register: Maker, data: PreparedData, run: Runner, project: Path
) -> None:
    version = register(0, learned(data))
    before = now(client, version)
    rows = [replace(row, split="train" if row.index % 5 == 0 else row.split) for row in data.rows]
    today = replace(data, rows=rows)  # images moved out of the test split since
    save_prepared(today, project / "data/prepared", ("train", "validation", "test"))
    said = run("attest", "evaluation", NAME, str(version))
    after = now(client, version)
    test = today.split("test")
    assert after.metrics["test.top1"].n == after.metrics["data.test.images"].n == len(test)
    assert after.outcomes["test"].images == images_digest((row.sha256, row.class_name) for row in test.rows)
    assert after.outcomes["test"].images != before.outcomes["test"].images
    assert after.metrics["size.bytes"] == before.metrics["size.bytes"]
    assert (after.source, after.seeds, after.data[TRAINED_ON]) == (
        before.source,
        before.seeds,
        before.data[TRAINED_ON],
    )
    assert f"{NAME} v{version}: test.top1" in said


def test_versions_are_measured_on_the_images_that_none_of_them_has_seen(
    client: MlflowClient, register: Maker, data: PreparedData, run: Runner
) -> None:
    test = [row.sha256 for row in data.split("test").rows]
    first, second = (
        register(seed, [*learned(data), *seen]) for seed, seen in enumerate((test[:20], test[10:40]))
    )
    said = run("attest", "evaluation", NAME, str(first), str(second))
    assert "40 test images are left out, because a version was trained on them" in said
    both = [now(client, version).outcomes["test"] for version in (first, second)]
    assert both[0].images == both[1].images
    assert both[0].n == len(test) - 40


def test_what_cannot_be_measured_is_said(
    client: MlflowClient,
    register: Maker,
    published: Publisher,
    data: PreparedData,
    run: Runner,
    project: Path,
) -> None:
    version = register(5, [*learned(data), *(row.sha256 for row in data.split("test").rows)])
    with pytest.raises(DataError, match="trained on every image of split test"):
        run("attest", "evaluation", NAME, str(version))
    unknown = published().version
    with pytest.raises(EvidenceError, match=f"v{unknown} does not say which images it was trained on"):
        run("attest", "evaluation", NAME, str(unknown))
    other = replace(data, classes=tuple("abcdefghij"))
    save_prepared(other, project / "data/prepared", ("train", "validation", "test"))
    with pytest.raises(DataError, match="has other classes than these images"):
        run("attest", "evaluation", NAME, str(version))
