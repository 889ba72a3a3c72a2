"""Which version serves: what `check_gates` found, loaded from the registry with its files verified."""

from dataclasses import dataclass
from pathlib import Path

from resnet_ops.console import console
from resnet_ops.data import PreparedData, load_prepared
from resnet_ops.data.trained_on import leave_out
from resnet_ops.errors import DataError
from resnet_ops.evaluation.operating_point import OperatingPoint
from resnet_ops.files import read_json
from resnet_ops.predictions import DeployedModel
from resnet_ops.tasks.watching.at_threshold import at_threshold
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_registry.client.loading import load

__all__ = ["NOBODY", "SERVING", "Serving", "read_serving"]

SERVING = Path("reports/serving.json")


NOBODY = "No version is champion or challenger yet, so there is nothing to monitor."


@dataclass(frozen=True)
class Serving:
    """The serving model, who it is, and its role: `champion` or `challenger`."""

    model: DeployedModel
    identity: ModelIdentity
    role: str
    trained_on: frozenset[str] | None
    """Images that it has seen; None where nobody noted them."""
    operating: OperatingPoint | None
    """Where it decides, by its signed evidence."""

    def unseen(self, folder: Path, split: str) -> PreparedData:
        """A split of prepared data, without the images that this version was trained on."""
        if self.trained_on is None:
            console.print(
                f"{self.identity} does not say which images it was trained on: some may be in split {split}.",
                style="yellow",
            )
        data, seen = leave_out(load_prepared(folder), self.trained_on or (), split)
        rest = data.split(split)
        if seen:
            console.print(
                f"{self.identity} was trained on {seen} of {seen + len(rest)} images of split {split}, which are left "
                "out."
            )
        return rest


def read_serving() -> Serving | None:
    """The version that serves; None, having said so, where none does.

    Raises DataError when the registry now holds another model under its number.
    """
    serving = read_json(SERVING)
    if serving["version"] is None:
        console.print(NOBODY)
        return None
    loaded = load(f"models:/{serving['model']}/{serving['version']}")
    if loaded.weights_digest != serving["weights_digest"]:
        raise DataError(
            f"{serving['model']} v{serving['version']} has changed in the registry. Run: dvc repro"
        )
    identity = ModelIdentity(serving["model"], str(serving["version"]), serving["weights_digest"])
    point = serving["operating_point"]
    operating = point and OperatingPoint(tuple(point["positive"]), point["threshold"])
    model = at_threshold(loaded.model, serving.get("score_threshold"))
    return Serving(model, identity, serving["alias"], loaded.trained_on, operating)
