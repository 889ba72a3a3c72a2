"""Model cards in MLflow: made from a version's signed evidence, kept with its run, shown on its page."""

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from resnet_ops.errors import EvidenceError, ResnetOpsError
from resnet_ops_registry.attestations.evidence import MLFLOW
from resnet_ops_registry.cards.model_card import CardTexts, ModelCard, build_card
from resnet_ops_registry.cards.page import as_page
from resnet_ops_registry.cards.text import as_markdown, description
from resnet_ops_registry.common.mlflow_errors import asked, reported
from resnet_ops_registry.gate.display import verdicts_told
from resnet_ops_registry.gate.signed_evidence import FOLDER, SignedEvidence, evidence_of, keep_copy

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

__all__ = ["card_of", "publish_card", "refresh_card"]

MARKDOWN, PAGE = "card.md", "card.html"
CARD_TAG, TEXT_TAG = "resnet_ops.card", "resnet_ops.card."


def card_of(client: "MlflowClient", model: str, version: int) -> ModelCard:
    """The card of a version, from what the registry believes now.

    Raises EvidenceError when there is no evidence that it believes, ConfigError when there is no such version.
    """
    with asked(f"Reading {model} v{version}"):
        found = client.get_model_version(model, str(version))
        signed = evidence_of(client, found)
        return _card(found, signed, _texts(client, found))


def refresh_card(client: "MlflowClient", model: str, version: int) -> None:
    """Make a version's card anew in MLflow where the gate thinks otherwise now, such as after a policy was applied.

    A version without evidence that the registry believes keeps the card that it has.
    """
    with reported(f"Writing the model card of {model} v{version}"):
        found = client.get_model_version(model, str(version))
        try:
            signed = evidence_of(client, found)
        except EvidenceError:
            return
        publish_card(client, found, _texts(client, found), lambda _: signed)


def publish_card(
    client: "MlflowClient",
    version: "ModelVersion",
    texts: CardTexts,
    attest: Callable[["ModelVersion"], SignedEvidence],
) -> None:
    """Keep the card with the version's run and show it on the version's page, unless just that is there.

    attest: gives the signed evidence, where the registry reached over HTTP has not kept it yet. What a team
    wrote itself about a model of another kind stays on its page.
    """
    version = client.get_model_version(version.name, version.version)
    try:
        signed = evidence_of(client, version)
    except ResnetOpsError:
        signed = attest(version)
    run = client.get_run(str(version.run_id))
    run_id, card = run.info.run_id, _card(version, signed, texts)
    whole = f"#/experiments/{run.info.experiment_id}/runs/{run_id}/artifacts/{PAGE}"
    shown = description(card, whole)
    fingerprint = _fingerprint(card, shown)
    there = {each.path for each in client.list_artifacts(run_id)}
    complete = run.data.tags.get(CARD_TAG) == fingerprint and {MARKDOWN, PAGE, FOLDER} <= there
    if not complete:
        for name, text in vars(texts).items():
            client.set_tag(run_id, TEXT_TAG + name, text)
        _log(client, run_id, card, signed)
    theirs = whole not in (version.description or whole)
    if version.description != shown and not (theirs and signed.evidence.format == MLFLOW):
        client.update_model_version(version.name, version.version, shown)
    if not complete:
        client.set_tag(run_id, CARD_TAG, fingerprint)  # last: all of this is there now


def _card(version: "ModelVersion", signed: SignedEvidence, texts: CardTexts) -> ModelCard:
    verdicts, now = verdicts_told(version.tags), datetime.now(UTC)
    return build_card(
        version.name, int(version.version), signed.evidence, signed.key.id, texts, verdicts, now
    )


def _texts(client: "MlflowClient", version: "ModelVersion") -> CardTexts:
    """What people wrote, as it was published with the run: not signed, and marked so on the card."""
    tags = client.get_run(version.run_id).data.tags if version.run_id else {}
    return CardTexts(**{each.name: tags.get(TEXT_TAG + each.name, "")[:2000] for each in fields(CardTexts)})


def _fingerprint(card: ModelCard, shown: str) -> str:
    """Of all that a card says, apart from the day on which the gate was asked."""
    timeless = build_card(
        card.model,
        card.version,
        card.evidence,
        card.signed_by,
        card.texts,
        card.verdicts,
        card.evidence.created,
    )
    text = as_page(timeless) + as_markdown(timeless) + shown
    return hashlib.sha256(text.encode()).hexdigest()


def _log(client: "MlflowClient", run_id: str, card: ModelCard, signed: SignedEvidence) -> None:
    with tempfile.TemporaryDirectory(prefix="resnet-ops-") as temporary:
        folder = Path(temporary)
        (folder / MARKDOWN).write_text(as_markdown(card), encoding="utf-8")
        (folder / PAGE).write_text(as_page(card), encoding="utf-8")
        keep_copy(signed, folder)
        client.log_artifacts(run_id, temporary)
