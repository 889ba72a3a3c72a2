"""What `monitor_drift` reads that DVC does not know of, in a few digests, so that DVC knows when it changed."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from resnet_ops.files import canonical_json
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.report.publish import monitoring_run
from resnet_ops_monitoring.report.stored_reference import registered_version
from resnet_ops_registry.common.connection import connect
from resnet_ops_registry.common.settings import EXPERIMENT
from resnet_ops_registry.gate.reviews import REVIEW_TAG_PREFIX, accepted_reference

__all__ = ["outside_state"]


def outside_state(
    identity: ModelIdentity, log: InferenceLog, requests: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """Labels, reviews, the accepted reference, and the MLflow run that the pages are in. requests: ids by window.

    An experiment depends on its own log only.
    """
    rows = {name: log.rows_of(ids, identity.digest) for name, ids in requests.items()}
    labels = {name: [str(label) for label in each["label"]] for name, each in rows.items()}
    state: dict[str, Any] = {"labels": _digest(labels)}
    if EXPERIMENT is None:
        client = connect()
        version = registered_version(client, identity)
        reviews = {name: text for name, text in version.tags.items() if name.startswith(REVIEW_TAG_PREFIX)}
        state |= {
            "reviews": _digest(reviews),
            "accepted_reference": accepted_reference(version),
            "pages": monitoring_run(client, identity).info.run_id,
        }
    return state


def _digest(value: object) -> str:
    return hashlib.sha256(canonical_json(value)).hexdigest()
