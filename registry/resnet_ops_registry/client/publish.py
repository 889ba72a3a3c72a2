"""Publish a trained model or an export of one: run, logged model, model version and signed evidence, each made once.

Every step first looks for what an earlier call left behind, by the digest of the weights, which is set in the
very request that creates a thing. So a call that was killed anywhere is continued by the next one.
"""

import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resnet_ops.errors import EvidenceError
from resnet_ops.files import read_json
from resnet_ops.model_files import DESCRIPTION, model_digest
from resnet_ops.preprocessing import Preprocessing
from resnet_ops_registry.attestations.digest import folder_digest, location_digest
from resnet_ops_registry.attestations.evidence import Evidence
from resnet_ops_registry.attestations.keys import PrivateKey, open_key
from resnet_ops_registry.attestations.trust import trust_first_key
from resnet_ops_registry.cards.model_card import CardTexts
from resnet_ops_registry.cards.publishing import publish_card
from resnet_ops_registry.client import runs
from resnet_ops_registry.client.attesting import location_of, send
from resnet_ops_registry.client.packaging import build_model_folder
from resnet_ops_registry.common.connection import ensure_experiment
from resnet_ops_registry.common.mlflow_errors import reported
from resnet_ops_registry.common.settings import is_direct
from resnet_ops_registry.database.tables import open_database
from resnet_ops_registry.gate.display import EVIDENCE_TAG, EXPERIMENT_TAG, KEY_TAG, MEMBER_TAG, WEIGHTS_TAG
from resnet_ops_registry.gate.signed_evidence import accepted_evidence, evidence_of, signed_now

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion

__all__ = ["KEY_NAME", "Published", "publish"]

KEY_NAME = KEY_ROLE = "pipeline"


@dataclass(frozen=True)
class Published:
    """Where a model is to be found. `created`: whether this call made the version."""

    name: str
    version: int
    run_id: str
    created: bool


def publish(
    client: "MlflowClient",
    *,
    registered_model: str,
    experiment: str,
    member: str,
    model_folder: Path,
    evidence: Evidence,
    history: Sequence[Mapping[str, float]],
    params: Mapping[str, Any],
    artifacts: Mapping[str, Path],
    card: CardTexts,
    trained_on: Path | None = None,
    preprocessing: Preprocessing | None = None,
    dvc_experiment: str | None = None,
) -> Published:
    """Make what is missing of a model's run, version, evidence and model card; nothing is made twice.

    history: one mapping of metrics for each epoch. artifacts: path in the run -> file or folder here. card: what
    people say on the model card; all else on it comes from the evidence. The same
    weights with other evidence (measured again) keep their version and get a new statement, unless what they have was
    measured from this one since (`attest evaluation`). trained_on: the list of images that the model has seen, which
    goes with its files; preprocessing: how image files are read for it, which does too. dvc_experiment: the name of the
    experiment that a new version comes from; one that the project makes later of the same weights is no experiment's
    any more, and one that the project has is left as it is.

    An export is published as its own version, with evidence about itself; its run is shown under the training's.

    Raises EvidenceError when the evidence is of other weights, the server does not trust the key, or the
    version's files are not the ones made here; ServiceError when MLflow fails.
    """
    digest = model_digest(model_folder)
    if digest != evidence.weights_digest:
        raise EvidenceError(
            f"The evidence for {member} is about other weights ({evidence.weights_digest[:12]}) than those in "
            f"{model_folder} ({digest[:12]}). Evaluate the model again: dvc repro"
        )
    _check_origin(model_folder, evidence)
    key = open_key(KEY_NAME)
    _trust_own_key(key)
    with reported(f"Publishing {member}"):
        experiment_id = ensure_experiment(client, experiment)
        runs.close_abandoned(client, experiment_id)
        known = [
            each
            for each in _versions_of(client, registered_model, digest)
            if runs.is_there(client, each.run_id)
        ]
        run_id = runs.find_or_create(client, experiment_id, member, digest, evidence.exported_from)
        if dvc_experiment is not None and (own := _of_the_project(known, key)) is not None:
            return Published(registered_model, int(own.version), own.run_id or run_id, False)
        version = next((each for each in known if _is_current(client, each, evidence, key)), None)
        created = False
        if version is None:
            with tempfile.TemporaryDirectory(prefix="resnet-ops-") as temporary:
                folder = build_model_folder(
                    model_folder, Path(temporary) / "model", trained_on, preprocessing
                )
                version = next((each for each in known if _is_ours(client, each, key, folder)), None)
                created = version is None
                if version is None:
                    model_id = _log_model(client, experiment_id, run_id, member, digest, folder)
                    tags = {WEIGHTS_TAG: digest, MEMBER_TAG: evidence.member}
                    tags |= {EXPERIMENT_TAG: dvc_experiment} if dvc_experiment else {}
                    version = _create_version(client, registered_model, model_id, run_id, tags)
                    if not (runs.is_there(client, version.run_id) and _is_ours(client, version, key, folder)):
                        # the registry answered with one that says these weights of other files, or has no run
                        del tags[WEIGHTS_TAG]
                        version = _create_version(client, registered_model, model_id, run_id, tags)
                send(client, version, evidence, key, _trusted_digest(client, version, key, folder))
        if dvc_experiment is None and EXPERIMENT_TAG in version.tags:
            client.delete_model_version_tag(version.name, version.version, EXPERIMENT_TAG)
        runs.complete(client, run_id, evidence, history, params, artifacts, runs.model_id_of(version))
        publish_card(client, version, card, lambda fresh: signed_now(fresh, evidence, key))
    return Published(registered_model, int(version.version), run_id, created)


def _check_origin(model_folder: Path, evidence: Evidence) -> None:
    """The evidence must say of the files what they say of themselves: their format, and what they were made from."""
    description = read_json(model_folder / DESCRIPTION)
    own = description.get("format", "weights"), description.get("exported_from")
    if own != (evidence.format, evidence.exported_from):
        raise EvidenceError(
            f"The evidence for {evidence.member} is about {evidence.format} made from {evidence.exported_from}, but "
            f"{model_folder} holds {own[0]} made from {own[1]}. Export the model again: dvc repro"
        )


def _trust_own_key(key: PrivateKey) -> None:
    """On a database of our own that trusts nobody yet, trust the pipeline's key: there is nobody else to ask."""
    if not is_direct():
        return
    with open_database() as connection:
        if trust_first_key(connection, key.public, key.name, KEY_ROLE):
            sys.stderr.write(
                f"The registry now trusts this pipeline's key {key.public.id[:12]} (first use).\n"
            )


def _versions_of(client: "MlflowClient", model: str, digest: str) -> list["ModelVersion"]:
    """The versions that say they are these weights, the oldest first, with what the gate believes of each."""
    found = client.search_model_versions(f"tags.`{WEIGHTS_TAG}` = '{digest}'")
    # a filter cannot hold a name with both kinds of quotes in it
    numbers = sorted(int(version.version) for version in found if version.name == model)
    return [client.get_model_version(model, str(number)) for number in numbers]


def _is_ours(client: "MlflowClient", version: "ModelVersion", key: PrivateKey, folder: Path) -> bool:
    """Whether a version is the one of these files, or this pipeline vouched for it before.

    Whoever may make versions can say any weights' digest of files of their own, to keep the real ones out.
    """
    if version.tags.get(KEY_TAG) == key.public.id:
        return True
    return _holds(location_of(client, version), folder)


def _of_the_project(known: Sequence["ModelVersion"], key: PrivateKey) -> "ModelVersion | None":
    """The version of these weights that is no experiment's: what an experiment measures is nothing about it."""
    ours = (each for each in known if each.tags.get(KEY_TAG) == key.public.id)
    return next((each for each in ours if EXPERIMENT_TAG not in each.tags), None)


def _is_current(client: "MlflowClient", version: "ModelVersion", evidence: Evidence, key: PrivateKey) -> bool:
    """Whether a version has this evidence, or newer that was measured again from it."""
    if EVIDENCE_TAG not in version.tags:
        return False
    if (version.tags[EVIDENCE_TAG], version.tags.get(KEY_TAG)) == (evidence.digest(), key.public.id):
        return True
    try:
        return evidence_of(client, version).evidence.replaces == evidence.digest()
    except EvidenceError:
        return False


def _log_model(
    client: "MlflowClient", experiment_id: str, run_id: str, member: str, digest: str, folder: Path
) -> str:
    """The id of the logged model of these files, uploaded; taken up where a call was cut short.

    One that is ready is never written to, since a version may be made of it: of the same weights packaged otherwise, by
    another release, there is another logged model. One into which somebody put files of their own is left as it is.
    """
    ours = f"tags.`{WEIGHTS_TAG}` = '{digest}' AND source_run_id = '{run_id}'"
    found = client.search_logged_models([experiment_id], filter_string=ours)
    for model in found:
        if model.status == "READY" and _holds(_place_of(model), folder):
            return str(model.model_id)
    for begun in (*(each for each in found if each.status != "READY"), None):
        model = begun or client.create_logged_model(
            experiment_id, name=member, source_run_id=run_id, tags={WEIGHTS_TAG: digest, MEMBER_TAG: member}
        )
        client.log_model_artifacts(model.model_id, str(folder))
        if begun is None or _holds(_place_of(model), folder):
            break
    client.finalize_logged_model(model.model_id, "READY")
    return str(model.model_id)


def _place_of(model: "LoggedModel") -> str:
    """Where its files can be read from here: over http only the server knows where they lie."""
    return str(model.artifact_location) if is_direct() else f"models:/{model.model_id}"


def _holds(location: str, folder: Path) -> bool:
    try:
        return location_digest(location) == folder_digest(folder)
    except EvidenceError:
        return False


def _create_version(
    client: "MlflowClient", name: str, model_id: str, run_id: str, tags: dict[str, str]
) -> "ModelVersion":
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    return client.create_model_version(
        name, source=f"models:/{model_id}", run_id=run_id, model_id=model_id, tags=tags
    )


def _trusted_digest(client: "MlflowClient", version: "ModelVersion", key: PrivateKey, folder: Path) -> str:
    """The digest of the version's files, once it is known that they were made by this pipeline.

    They are the files just built, or files that this pipeline's key vouched for before (packaged by an
    earlier release of this code, say).
    """
    built = folder_digest(folder)
    stored = location_digest(location_of(client, version))
    if stored == built:
        return built
    if is_direct():
        with open_database() as connection:
            before = accepted_evidence(connection, version)
        if before is not None and before.key.id == key.public.id and before.subject.digest == stored:
            return stored
    raise EvidenceError(
        f"The files of {version.name} v{version.version} are not the ones packaged here: they were changed, or "
        "packaged by another release. Delete that version in MLflow, then run the same command again."
    )
