"""Untrained versions that were measured on prepared digits, and say which images they have seen."""

from pathlib import Path

import yaml
from mlflow import MlflowClient

from resnet_ops.data import PreparedData, load_prepared, save_prepared
from resnet_ops.data.trained_on import save_trained_on, seen_in_training
from resnet_ops.evaluation.evaluate import evaluate
from resnet_ops.evaluation.params import read_evaluate_params
from resnet_ops.model import load_model
from resnet_ops_registry.attestations.evidence import metrics_from
from resnet_ops_registry.attestations.outcomes import images_digest, pack_outcomes
from resnet_ops_registry.cards.model_card import CardTexts
from resnet_ops_registry.client.publish import Published, publish
from tests.unit.core.makers import digits
from tests.unit.registry.conftest import NAME, evidence_of, make_model

__all__ = ["learned", "prepare", "register"]

ROOT = Path(__file__).parents[3]


def prepare(project: Path) -> PreparedData:
    """The digits in data/prepared, and the settings with nothing that takes long."""
    settings = yaml.safe_load((ROOT / "params.yaml").read_text())
    settings["evaluate"]["robustness"]["images"] = 0
    settings |= {"family": {"resnet8": "digits"}, "deployments": {}}
    (project / "params.yaml").write_text(yaml.safe_dump(settings))
    save_prepared(digits(), project / "data/prepared", ("train", "validation", "test"))
    return load_prepared(project / "data/prepared")


def register(
    client: MlflowClient, data: PreparedData, seed: int, seen: list[str], dvc_experiment: str | None = None
) -> Published:
    """Publish an untrained model as if it had seen these images, measured on all test images."""
    folder = make_model(Path("models") / f"seed{seed}", seed)
    save_trained_on(seen, folder)
    settings, _, _ = read_evaluate_params(Path("params.yaml"))
    found = evaluate(load_model(folder), data, settings, seed=0)
    images = images_digest((row.sha256, row.class_name) for row in found.data.rows)
    evidence = evidence_of(folder, 0.96)
    evidence = evidence.model_copy(
        update={
            "metrics": evidence.metrics | metrics_from(found.measured),
            "outcomes": {"test": pack_outcomes(images, found.right)},
            "positive": settings.operating_point.positive if settings.operating_point else (),
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
        artifacts={},
        card=CardTexts(intended_use="", limits=""),
        trained_on=folder / "trained_on.txt",
        dvc_experiment=dvc_experiment,
    )


def learned(data: PreparedData) -> list[str]:
    """Digests of what a training takes."""
    return sorted(seen_in_training(data))
