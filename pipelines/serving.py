"""Which version serves: what `check_gates` found, loaded from the registry with its files verified."""

from pathlib import Path

from resnet_ops.errors import DataError
from resnet_ops.files import read_json
from resnet_ops.predictions import DeployedModel
from resnet_ops_monitoring.identity import ModelIdentity
from resnet_ops_registry.loading import load

__all__ = ["NOBODY", "SERVING", "read_serving"]

SERVING = Path("reports/serving.json")


NOBODY = "No version is champion or challenger yet, so there is nothing to monitor."


def read_serving() -> tuple[DeployedModel, ModelIdentity, str] | None:
    """The serving model, who it is, and its role: `champion` or `challenger`; None where no version serves.

    Raises DataError when the registry now holds another model under its number.
    """
    serving = read_json(SERVING)
    if serving["version"] is None:
        return None
    loaded = load(f"models:/{serving['model']}/{serving['version']}")
    if loaded.weights_digest != serving["weights_digest"]:
        raise DataError(
            f"{serving['model']} v{serving['version']} has changed in the registry. Run: dvc repro"
        )
    identity = ModelIdentity(serving["model"], str(serving["version"]), serving["weights_digest"])
    return loaded.model, identity, serving["alias"]
