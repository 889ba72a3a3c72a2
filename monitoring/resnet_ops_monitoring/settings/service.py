"""Settings of `resnet-ops monitor`, as they stand in params.yaml."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

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

_FORBID: dict[str, Any] = {"extra": "forbid"}
LEAST_KEEP_DAYS = 183
"""Six months. A file that says less would make the signature for younger rows void."""


def _at_least(settings: object, least: float, *names: str) -> None:
    for name in names:
        if not getattr(settings, name) >= least:
            raise ValueError(f"{name} must be at least {least:g}; it is {getattr(settings, name)}")


def _share(settings: object, *names: str) -> None:
    for name in names:
        if not 0 <= getattr(settings, name) <= 1:
            raise ValueError(f"{name} must lie between 0 and 1; it is {getattr(settings, name)}")


@dataclass(frozen=True, kw_only=True)
class ValidationParams:
    """What a window must hold before it is judged. In `params.yaml` under `monitor.validate`."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _FORBID

    max_rows: int
    """More rows than this are no traffic but a flood or a replay gone wrong."""
    sum_tolerance: float
    """How far from one the probabilities of a row may sum."""
    clock_allowance_seconds: float
    """How far a row's time may lie in the future, or behind the time of a row that was logged before it."""
    max_repeated: float
    """Share of rows that may be copies of another row, image statistics and class alike: a frozen camera repeats."""

    def __post_init__(self) -> None:
        _at_least(self, 1, "max_rows")
        _at_least(self, 0, "sum_tolerance", "clock_allowance_seconds")
        _share(self, "max_repeated")


@dataclass(frozen=True, kw_only=True)
class RunParams:
    """Which windows `monitor run` judges. In `params.yaml` under `monitor.run`."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _FORBID

    alias: str
    """The version that is watched: the one with this alias."""
    minutes: float
    """Length of a window; 0 where windows are counted in rows."""
    rows: int
    """Rows of a window; 0 where windows are measured in minutes."""
    settle_seconds: float
    """How long after its end a window is left alone, for rows that are still on their way."""
    late_windows: int
    """So many of the latest windows are judged again when rows or labels came later."""
    min_alarms: int
    """An alarm takes so many windows that fired ..."""
    windows: int
    """... among so many that were judged last; a single one is a verdict of "warning"."""
    false_alarms_per_day: float
    """What may be expected of windows without drift; the level of a window follows from it, at most `drift.alpha`."""

    def __post_init__(self) -> None:
        _at_least(self, 0, "minutes", "rows", "settle_seconds", "late_windows")
        _at_least(self, 1, "min_alarms")
        _at_least(self, self.min_alarms, "windows")
        _at_least(self, 1e-6, "false_alarms_per_day")
        if (self.minutes > 0) == (self.rows > 0):
            raise ValueError(
                f"minutes or rows must be 0, and the other not; they are {self.minutes}, {self.rows}"
            )


@dataclass(frozen=True, kw_only=True)
class AlertParams:
    """Who is told what. In `params.yaml` under `monitor.alerts`; the addresses come from the environment."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _FORBID

    reminder_hours: float
    """An alarm that lasts is told again after so long; 0 for never."""
    mlflow: str
    """Where people open MLflow, such as http://127.0.0.1:5000; links to review pages begin with it."""

    def __post_init__(self) -> None:
        _at_least(self, 0, "reminder_hours")


@dataclass(frozen=True, kw_only=True)
class ServeParams:
    """`monitor serve`. In `params.yaml` under `monitor.serve`."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _FORBID

    every_seconds: float
    """Time between two looks at the log."""
    port: int
    """Of the Prometheus metrics on 127.0.0.1; 0 for none."""

    def __post_init__(self) -> None:
        _at_least(self, 0.1, "every_seconds")
        _at_least(self, 0, "port")


@dataclass(frozen=True, kw_only=True)
class RetrainingParams:
    """When an alarm begins: propose what to label. In `params.yaml` under `monitor.actions.propose_retraining`."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _FORBID

    enabled: bool
    """Whether the list is written by itself; `resnet-ops monitor propose` writes it at any time."""
    images: int
    """Length of the list."""
    folder: str
    """Where the images lie whose paths are request ids; "" where they are not kept."""
    queue: bool
    """Also queue `dvc exp run`, for whoever starts the queue."""

    def __post_init__(self) -> None:
        _at_least(self, 1, "images")


@dataclass(frozen=True, kw_only=True)
class RollbackParams:
    """When labels prove too many mistakes. In `params.yaml` under `monitor.actions.roll_back`."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _FORBID

    enabled: bool
    """Whether the monitor asks the gate by itself."""
    floor: float
    """Accuracy that labels must prove the version to be below (`mistakes`)."""
    min_labels: int
    """Fewer labels prove nothing."""
    days: float
    """Labelled rows of so many days are counted, of those that were drawn at random or labelled whole."""
    key: str
    """The monitor's signing key, as in `resnet-ops keys ls`; the registry must trust it."""

    def __post_init__(self) -> None:
        _share(self, "floor")
        _at_least(self, 1, "min_labels")
        _at_least(self, 0, "days")


@dataclass(frozen=True, kw_only=True)
class ActionParams:
    """What the monitor does by itself. In `params.yaml` under `monitor.actions`."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _FORBID

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
    keep_days: float
    """Rows of the inference log that are younger are purged only if an operator signs; six months or more."""

    def __post_init__(self) -> None:
        _at_least(self, LEAST_KEEP_DAYS, "keep_days")


@dataclass(frozen=True)
class _File:
    register: _Register
    monitor: MonitorSettings


def read_monitor_settings(path: Path) -> tuple[str, MonitorSettings]:
    """The registered model's name and `monitor` of a params.yaml. Raises ConfigError that names every wrong key."""
    from resnet_ops.params import parse_params

    found = parse_params(path, _File)
    return found.register.model, found.monitor


@dataclass(frozen=True)
class _Kept:
    keep_days: float

    def __post_init__(self) -> None:
        _at_least(self, LEAST_KEEP_DAYS, "keep_days")


@dataclass(frozen=True)
class _Purge:
    monitor: _Kept


def read_keep_days(path: Path) -> float:
    """`monitor.keep_days` of a params.yaml. Raises ConfigError that names every wrong key."""
    from resnet_ops.params import parse_params

    return parse_params(path, _Purge).monitor.keep_days
