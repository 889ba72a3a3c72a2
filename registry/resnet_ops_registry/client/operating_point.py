"""Where a registered version decides, by its signed evidence."""

from resnet_ops.errors import EvidenceError
from resnet_ops.evaluation.operating_point import OperatingPoint
from resnet_ops_registry.client.attesting import find_model_version
from resnet_ops_registry.client.loading import LoadedModel
from resnet_ops_registry.common.connection import connect
from resnet_ops_registry.gate.signed_evidence import evidence_of

__all__ = ["operating_point_of"]


def operating_point_of(loaded: LoadedModel) -> OperatingPoint | None:
    """The operating point of a version that was loaded; None where it was measured without one.

    Raises EvidenceError where the registry believes no evidence about these files.
    """
    client = connect()
    evidence = evidence_of(client, find_model_version(client, loaded.name, loaded.version)).evidence
    if evidence.weights_digest != loaded.weights_digest:
        raise EvidenceError(
            f"The evidence of {loaded.name} v{loaded.version} is about other weights ({evidence.weights_digest[:12]}) "
            f"than those that were loaded ({loaded.weights_digest[:12]}). Load it again."
        )
    return evidence.operating_point
