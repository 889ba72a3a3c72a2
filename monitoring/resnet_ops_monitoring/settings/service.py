"""Settings of `resnet-ops monitor`, as they stand in params.yaml."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from resnet_ops.params import Settings, parse_params
from resnet_ops_monitoring.settings.drift import DriftParams

__all__ = [
    "ActionParams",
    "AlertParams",
    "MonitorSettings",
    "RetrainingParams",
    "RollbackParams",
    "RunParams",
    "ServeParams",
    "ValidationParams",
    "read_keep_days",
    "read_monitor_settings",
]

Share = Annotated[float, Field(ge=0, le=1)]
KeepDays = Annotated[float, Field(ge=183)]
"""Six months. A file that says less would make the signature for younger rows void."""


@dataclass(frozen=True, kw_only=True)
class ValidationParams(Settings):
    """What a window must hold before it is judged. In `params.yaml` under `monitor.validate`."""

    max_rows: PositiveInt
    """More rows than this are no traffic but a flood or a replay gone wrong."""
    sum_tolerance: NonNegativeFloat
    """How far from one the probabilities of a row may sum."""
    clock_allowance_seconds: NonNegativeFloat
    """How far a row's time may lie in the future, or behind the time of a row that was logged before it."""
    max_repeated: Share
    """Share of rows that may be copies of another row, image statistics and class alike: a frozen camera repeats."""


@dataclass(frozen=True, kw_only=True)
class RunParams(Settings):
    """Which windows `monitor run` judges. In `params.yaml` under `monitor.run`."""

    alias: str
    """The version that is watched: the one with this alias."""
    minutes: NonNegativeFloat
    """Length of a window; 0 where windows are counted in rows."""
    rows: NonNegativeInt
    """Rows of a window; 0 where windows are measured in minutes."""
    settle_seconds: NonNegativeFloat
    """How long after its end a window is left alone, for rows that are still on their way."""
    late_windows: NonNegativeInt
    """So many of the latest windows are judged again when rows or labels came later."""
    min_alarms: PositiveInt
    """An alarm takes so many windows that fired ..."""
    windows: int
    """... among so many that were judged last; a single one is a verdict of "warning"."""
    false_alarms_per_day: Annotated[float, Field(ge=1e-6)]
    """What may be expected of windows without drift; the level of a window follows from it, at most `drift.alpha`."""

    def __post_init__(self) -> None:
        if self.windows < self.min_alarms:
            raise ValueError(f"windows must be at least {self.min_alarms}; it is {self.windows}")
        if (self.minutes > 0) == (self.rows > 0):
            raise ValueError(
                f"minutes or rows must be 0, and the other not; they are {self.minutes}, {self.rows}"
            )


@dataclass(frozen=True, kw_only=True)
class AlertParams(Settings):
    """Who is told what. In `params.yaml` under `monitor.alerts`; the addresses come from the environment."""

    reminder_hours: NonNegativeFloat
    """An alarm that lasts is told again after so long; 0 for never."""
    mlflow: str
    """Where people open MLflow, such as http://127.0.0.1:5000; links to review pages begin with it."""


@dataclass(frozen=True, kw_only=True)
class ServeParams(Settings):
    """`monitor serve`. In `params.yaml` under `monitor.serve`."""

    every_seconds: Annotated[float, Field(ge=0.1)]
    """Time between two looks at the log."""
    port: NonNegativeInt
    """Of the Prometheus metrics on 127.0.0.1; 0 for none."""


@dataclass(frozen=True, kw_only=True)
class RetrainingParams(Settings):
    """When an alarm begins: propose what to label. In `params.yaml` under `monitor.actions.propose_retraining`."""

    enabled: bool
    """Whether the list is written by itself; `resnet-ops monitor propose` writes it at any time."""
    images: PositiveInt
    """Length of the list."""
    folder: str
    """Where the images lie whose paths are request ids; "" where they are not kept."""
    queue: bool
    """Also queue `dvc exp run`, for whoever starts the queue."""


@dataclass(frozen=True, kw_only=True)
class RollbackParams(Settings):
    """When labels prove too many mistakes. In `params.yaml` under `monitor.actions.roll_back`."""

    enabled: bool
    """Whether the monitor asks the gate by itself."""
    floor: Share
    """Accuracy that labels must prove the version to be below (`mistakes`)."""
    min_labels: PositiveInt
    """Fewer labels prove nothing."""
    days: NonNegativeFloat
    """Labelled rows of so many days are counted, of those that were drawn at random or labelled whole."""
    key: str
    """The monitor's signing key, as in `resnet-ops keys ls`; the registry must trust it."""


@dataclass(frozen=True, kw_only=True)
class ActionParams(Settings):
    """What the monitor does by itself. In `params.yaml` under `monitor.actions`."""

    propose_retraining: RetrainingParams
    """A list of images to label, and perhaps a queued experiment."""
    roll_back: RollbackParams
    """Back to the champion before, through the gate."""


@dataclass(frozen=True)
class _Register:
    model: str


@dataclass(frozen=True, kw_only=True)
class MonitorSettings:
    """What `resnet-ops monitor` reads of `monitor` in `params.yaml`."""

    drift: DriftParams
    """How windows are judged."""
    validate: ValidationParams
    """What they must hold before."""
    run: RunParams
    """Which they are."""
    alerts: AlertParams
    """Who is told."""
    serve: ServeParams
    """How the service runs."""
    actions: ActionParams
    """What happens without a person."""
    keep_days: KeepDays
    """Rows of the inference log that are younger are purged only if an operator signs; six months or more."""


@dataclass(frozen=True)
class _File:
    register: _Register
    monitor: MonitorSettings


def read_monitor_settings(path: Path) -> tuple[str, MonitorSettings]:
    """The registered model's name and `monitor` of a params.yaml. Raises ConfigError that names every wrong key."""
    found = parse_params(path, _File)
    return found.register.model, found.monitor


@dataclass(frozen=True)
class _Kept:
    keep_days: KeepDays


@dataclass(frozen=True)
class _Purge:
    monitor: _Kept


def read_keep_days(path: Path) -> float:
    """`monitor.keep_days` of a params.yaml. Raises ConfigError that names every wrong key."""
    return parse_params(path, _Purge).monitor.keep_days
