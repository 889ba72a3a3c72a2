"""The shape of `params.yaml`: every stage reads the whole file, so that a wrong key is found wherever it stands."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import AwareDatetime, BeforeValidator, Discriminator, Tag

from resnet_ops.benchmark.profile import InterferenceParams, Profile, SurveyParams
from resnet_ops.data import ManifestRow
from resnet_ops.data.listing.csv_listing import extra_columns
from resnet_ops.data.sources import DataParams
from resnet_ops.evaluation.operating_point import check_positive
from resnet_ops.evaluation.params import EvaluateParams
from resnet_ops.export.params import Deployment, ExportParams
from resnet_ops.families.any_member import FAMILIES, family_of
from resnet_ops.families.imagenet_member import ImageNetMember
from resnet_ops.families.member import Member
from resnet_ops.families.preactivation_member import PreActivationMember
from resnet_ops.params import Settings, parse_params
from resnet_ops.tasks.limits import beyond
from resnet_ops.training.checkpoint_params import CheckpointParams
from resnet_ops.training.engine import Engine
from resnet_ops.training.recipe import Recipe
from resnet_ops_monitoring.settings.drift import ReferenceParams
from resnet_ops_monitoring.settings.manifest import ManifestParams
from resnet_ops_monitoring.settings.service import MonitorSettings
from resnet_ops_monitoring.settings.serving import ServingParams
from resnet_ops_registry.cards.model_card import CardTexts

__all__ = ["Params", "read_params"]


def _without_family(settings: Any) -> Any:
    return {k: v for k, v in settings.items() if k != "family"} if isinstance(settings, dict) else settings


def _with_window(settings: Any) -> Any:
    """Files of an earlier release have no `window`, and mean none."""
    return {"window": None} | settings if isinstance(settings, dict) else settings


SomeMember = Annotated[
    Annotated[Member, BeforeValidator(_without_family), Tag("(cifar)")]
    | Annotated[PreActivationMember, Tag("(preactivation)")]
    | Annotated[ImageNetMember, Tag("(imagenet)")],
    Discriminator(
        lambda settings: f"({family_of(settings) if isinstance(settings, dict) else 'cifar'})",
        custom_error_type="family",
        custom_error_message=f"Family must be {', '.join(FAMILIES)}",
    ),
]
"""A member of any family; which one, says its `family`."""


@dataclass(frozen=True, kw_only=True)
class BenchmarkParams(Settings):
    """Under `benchmark`."""

    confidence: float
    """Level of the intervals, a fraction."""
    interference: InterferenceParams
    """What counts as a noisy measurement."""
    survey: SurveyParams
    """How exports that are no deployment are measured."""
    profiles: dict[str, Profile]
    """By name; policies refer to `<name>.<metric>`."""

    def __post_init__(self) -> None:
        steps = [name for name in ("training", "evaluation", "export") if name in self.profiles]
        if steps:
            raise ValueError(
                f"profiles names {steps[0]}, as the evidence calls a step of the pipeline: rename it"
            )


@dataclass(frozen=True, kw_only=True)
class RegisterParams(Settings):
    """Under `register`."""

    model: str
    """The registered model's name: the use case."""
    experiment: str
    """The MLflow experiment of the runs."""
    card: CardTexts
    """What people say on every version's model card."""


@dataclass(frozen=True, kw_only=True)
class TrafficWindow(Settings):
    """One range of simulated production traffic: the production split, replayed."""

    camera: str
    """`as_recorded`; `dirty`: dirt on the lens and poor light together; or one change with its severity, such as
    `darkened 4`, of those by which the accuracy calibration knows changes too."""
    start: AwareDatetime
    """Time of the first request, with its zone."""
    hours: float
    """How long the requests take, at equal distances."""

    def __post_init__(self) -> None:
        if self.camera not in ("as_recorded", "dirty"):
            # only here, as it loads torch, which most stages need not
            from resnet_ops_monitoring.drift.simulated_camera import check_camera

            check_camera(self.camera)
        if not 0 < self.hours <= 24 * 366:
            raise ValueError(f"hours is {self.hours}, but must be above 0, and at most a year's")

    @property
    def end(self) -> datetime:
        """After the last request."""
        return self.start + timedelta(hours=self.hours)


@dataclass(frozen=True, kw_only=True)
class MonitorParams(MonitorSettings, ReferenceParams, Settings):
    """Under `monitor`."""

    windows: dict[str, TrafficWindow]
    """Simulated traffic, by name."""


@dataclass(frozen=True, kw_only=True)
class Params(Settings):
    """The whole file."""

    seed: int
    data: Annotated[DataParams, BeforeValidator(_with_window)]
    validate: ManifestParams
    family: dict[str, str]
    """The members that are trained, each with the name of its recipe."""
    members: dict[str, SomeMember]
    recipes: dict[str, Recipe]
    train: Engine
    checkpoint: CheckpointParams
    evaluate: EvaluateParams
    benchmark: BenchmarkParams
    export: ExportParams
    deployments: dict[str, Deployment]
    register: RegisterParams
    monitor: MonitorParams
    serve: ServingParams | None = None
    """For `resnet-ops serve`; no stage reads it."""

    def __post_init__(self) -> None:
        wrong = [
            *self._wrong_family(),
            *self._wrong_deployments(),
            *self._wrong_slices(),
            *self._wrong_folds(),
        ]
        wrong += beyond(self.data.chosen_task, self.data.depth, self.evaluate, self.export, self.train)
        if wrong:
            raise ValueError("; ".join(wrong))

    def _wrong_family(self) -> Iterator[str]:
        unknown = [name for name in self.family if name not in self.members]
        if unknown or not self.family:
            yield f"family names {', '.join(unknown) or 'no member'}; members are {', '.join(self.members)}"
        lost = sorted({recipe for recipe in self.family.values() if recipe not in self.recipes})
        if lost:
            yield f"family names recipe {', '.join(lost)}; recipes are {', '.join(self.recipes)}"

    def _wrong_deployments(self) -> Iterator[str]:
        for name, each in self.deployments.items():
            if name in self.members:
                yield f"deployments.{name} has the name of a member; choose another"
            if each.member not in self.family:
                yield (
                    f"deployments.{name}.member is {each.member}, which is not trained: family has "
                    f"{', '.join(self.family)}. Name one of these, add it to family, or remove the deployment"
                )
            if each.format not in self.export.formats:
                yield (
                    f"deployments.{name}.format is {each.format}, which is not exported: export.formats has "
                    f"{', '.join(self.export.formats)}. Name one of these, or add it there"
                )

    def _wrong_slices(self) -> Iterator[str]:
        known = [field.name for field in fields(ManifestRow)]
        if self.data.source == "csv" and Path(str(self.data.root)).is_file():
            known += extra_columns(Path(str(self.data.root)))
        if self.data.group is not None and self.data.group not in known:
            yield f"data.group names {self.data.group!r}; the manifest has {', '.join(known)}"
        unknown = [name for name in self.evaluate.slices.named if name not in known]
        if unknown:
            yield (
                f"evaluate.slices.columns names {', '.join(unknown)}; the manifest has {', '.join(known)}. Others "
                "come from a CSV file (data.source: csv)"
            )

    def _wrong_folds(self) -> Iterator[str]:
        if self.evaluate.cross_validation is None:
            return
        if self.data.split.by_time is not None:
            yield (
                "evaluate.cross_validation deals images into folds whatever their time, and would ask about older ones "
                "than were trained on: set it to null, or data.split.by_time"
            )
        if not self.data.chosen_task.per_image:
            yield f"evaluate.cross_validation is not there for {self.data.task}: set it to null"

    def check_classes(self, classes: tuple[str, ...]) -> None:
        """Before anything is trained: raises ConfigError where settings name a class that is none of the data's."""
        if self.evaluate.operating_point is not None:
            check_positive(self.evaluate.operating_point.positive, classes)
        if self.data.tiles is not None:
            self.data.tiles.normal_class(classes)

    def trained_folder(self, name: str) -> Path:
        """Where the trained member lies that is called so, or that a deployment of this name is an export of."""
        return Path("models") / (self.deployments[name].member if name in self.deployments else name)

    def model_folder(self, name: str) -> Path:
        """Where what is deployed under this name lies: a trained member, or an export."""
        if name not in self.deployments:
            return self.trained_folder(name)
        return Path("exports") / self.deployments[name].member / self.deployments[name].format


def read_params() -> Params:
    """`params.yaml` of the working folder. Raises ConfigError that names every wrong key."""
    return parse_params(Path("params.yaml"), Params)
