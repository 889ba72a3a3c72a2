"""Where versions come from: an alias in the registry, or, without the gate, whatever is named."""

import re
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from resnet_ops.errors import ConfigError, EvidenceError, GateDenied
from resnet_ops.evaluation.operating_point import OperatingPoint
from resnet_ops.export.exported import load_deployed
from resnet_ops.model_files import model_digest, model_file
from resnet_ops.predictions import DeployedModel
from resnet_ops.preprocessing import read_preprocessing
from resnet_ops.tasks.watching.at_threshold import at_threshold
from resnet_ops_monitoring.inference_log.columns import Route
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.serving.version import UNGATED, Version
from resnet_ops_registry.client.loading import LoadedModel, load
from resnet_ops_registry.client.operating_point import signed_evidence_of
from resnet_ops_registry.client.packaging import ARTIFACTS
from resnet_ops_registry.common.connection import connect
from resnet_ops_registry.common.mlflow_errors import asked
from resnet_ops_registry.gate.permission import why_not

__all__ = ["Alias", "Place", "fixed_version", "named_alias", "version_of"]


@dataclass(frozen=True)
class Place:
    """What an alias is at: a version's number and when that version was made."""

    version: int
    created: int

    @classmethod
    def of(cls, version: Version) -> "Place":
        """Where an alias is that is at this version."""
        return cls(int(version.identity.version), version.created)


@dataclass(frozen=True)
class Alias:
    """An alias of a registered model; ungated: its versions answer without the gate's verdict."""

    model: str
    alias: str
    ungated: bool
    threads: int
    """Of an export's runtime."""
    device: str = "cpu"
    """Where a trained model computes; an export does on the CPU."""
    route: Route = "champion"
    judged_for: str | None = None
    """The alias that the gate judges its versions for, where that is another one."""

    def beside(self, alias: str, route: Route) -> "Alias":
        """Another alias of the model, whose versions are judged as if they were to answer for this one."""
        return replace(self, alias=alias, route=route, judged_for=self.alias)

    def place(self) -> Place:
        """Where it is now. Raises ConfigError where it is nowhere, ServiceError when the registry does not answer."""
        client = connect()
        with asked(f"Looking for {self.model} @{self.alias}"):
            found = client.get_model_version_by_alias(self.model, self.alias)
        return Place(int(found.version), int(found.creation_timestamp))

    def load(self, place: Place) -> Version:
        """The version at that place, verified.

        Its files' digest equals the one in evidence that is signed by a trusted key, and the gate's verdict on the
        alias is that it passes. Raises EvidenceError and GateDenied where that is not so; ConfigError, DataError and
        ServiceError as `load` does.
        """
        loaded = load(self.model, place.version, self.threads, self.device)
        if loaded.creation_time != place.created:
            raise EvidenceError(
                f"{self.model} v{place.version} was replaced while it was loaded. Nothing is lost."
            )
        judged_for = self.judged_for or self.alias
        if not self.ungated:
            client = connect()
            with asked(f"Asking the gate about {self.model} v{place.version}"):
                found = client.get_model_version(self.model, str(place.version))
                reason = why_not(found, judged_for, self.alias if self.route == "canary" else "")
            if reason is not None:
                raise GateDenied(
                    f"{self.model} v{place.version} may not answer for @{judged_for}: {reason}. See every rule: "
                    f"resnet-ops gate explain {self.model} {place.version}"
                )
        identity = ModelIdentity(self.model, str(place.version), loaded.weights_digest)
        gate = UNGATED if self.ungated else f"passed @{judged_for}"
        model, point = _deciding(loaded)
        return Version(identity, model, point, gate, place.created, self.route, loaded.preprocessing)


def named_alias(uri: str, ungated: bool, threads: int, device: str = "cpu") -> Alias | None:
    """The alias that a URI names; None where it names a version, a run's model or a folder, which takes `ungated`.

    Raises ConfigError where that is not given.
    """
    name, at, alias = uri.removeprefix("models:/").rpartition("@")
    if uri.startswith("models:/") and at and name and alias:
        return Alias(name, alias, ungated, threads, device)
    if not ungated:
        raise ConfigError(
            f"{uri} names no alias, and only an alias has passed the gate. Serve models:/NAME@ALIAS; to try a version "
            "that nobody promoted, add --ungated, which every answer then says."
        )
    return None


def version_of(uri: str, ungated: bool, threads: int, device: str = "cpu") -> Version:
    """What a URI names now, alias or not. Raises what `named_alias`, `Alias.load` and `fixed_version` raise."""
    alias = named_alias(uri, ungated, threads, device)
    return fixed_version(uri, threads, device) if alias is None else alias.load(alias.place())


def fixed_version(uri: str, threads: int, device: str = "cpu") -> Version:
    """What a URI names that is no alias, without the gate: `models:/NAME/3`, `runs:/ID/path` or a folder.

    The files of a registered version are still those of its signed evidence. Raises ConfigError for a URI that is
    none, DataError for files that are no model of this project.
    """
    if re.fullmatch(r"models:/.+/[0-9]{1,9}", uri):
        loaded = load(uri, threads=threads, device=device)
        identity = ModelIdentity(loaded.name, str(loaded.version), loaded.weights_digest)
        (model, point), created = _deciding(loaded), loaded.creation_time
        return Version(identity, model, point, UNGATED, created, preprocessing=loaded.preprocessing)
    if Path(uri).is_dir():
        return _copied(Path(uri), Path(uri).resolve().name, threads, device)
    if not uri.startswith("runs:/"):
        raise ConfigError(
            f"{uri!r} is neither models:/NAME@ALIAS, models:/NAME/VERSION, runs:/ID/PATH nor a folder."
        )
    connect()
    from mlflow.artifacts import download_artifacts

    with tempfile.TemporaryDirectory(prefix="resnet-ops-") as temporary, asked(f"Fetching {uri}"):
        folder = Path(download_artifacts(artifact_uri=uri, dst_path=temporary))
        return _copied(folder, uri.split("/")[1], threads, device)


def _deciding(loaded: LoadedModel) -> tuple[DeployedModel, OperatingPoint | None]:
    """The model with the score from which its boxes count, and where it decides, by its signed evidence."""
    evidence = signed_evidence_of(loaded)
    return at_threshold(loaded.model, evidence.score_threshold), evidence.operating_point


def _copied(folder: Path, name: str, threads: int, device: str) -> Version:
    """Files without a version: nobody vouches for them, so no decision is made with them."""
    files = folder / ARTIFACTS if (folder / ARTIFACTS).is_dir() else folder
    if model_file(files).suffix == ".pt2":
        raise ConfigError(f"{files} holds a .pt2, which may hold pickles. Serve the weights, onnx or int8.")
    identity = ModelIdentity(name, UNGATED, model_digest(files))
    model = load_deployed(files, threads, device)
    return Version(identity, model, None, UNGATED, preprocessing=read_preprocessing(files))
