"""The tasks and their settings: known without torch."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["CLASSIFICATION", "Classification", "Headline", "Task", "noted_task", "task_from_json"]


@dataclass(frozen=True)
class Headline:
    """The metric by which models of a task are compared first: `test.<name>`, and `validation.<name>` to choose by."""

    name: str
    label: str
    """For a person."""
    higher_is_better: bool = True


@dataclass(frozen=True)
class Classification:
    """One class for each image; the head is the member's own."""

    name: Literal["classification"] = "classification"

    @property
    def headline(self) -> Headline:
        """What it is compared by first."""
        return Headline("top1", "top-1")


Task = Classification
"""Any task with its settings."""

CLASSIFICATION = Classification()

_BY_NAME: dict[str, type[Task]] = {"classification": Classification}


def noted_task(task: Task) -> dict[str, Any]:
    """What a description says of a task under `task`: nothing of classification, which came first."""
    return {} if task == CLASSIFICATION else {"task": asdict(task)}


def task_from_json(settings: Mapping[str, Any] | None) -> Task:
    """The task that a description has under `task`, or classification. Raises KeyError, TypeError, ValueError."""
    if settings is None:
        return CLASSIFICATION
    return _BY_NAME[settings["name"]](**settings)
