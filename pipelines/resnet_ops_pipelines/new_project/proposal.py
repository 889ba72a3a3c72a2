"""What a project begins with: settings and a policy for what the survey found, as the text of its files."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import yaml

from resnet_ops.errors import ConfigError, DataError
from resnet_ops.training.recipe import Recipe
from resnet_ops_pipelines.new_project.first_policy import (
    ALPHA,
    PART,
    least_iou,
    least_share,
    margin,
    require_objects,
    scores_margin,
    worth,
)
from resnet_ops_pipelines.new_project.members import Fit
from resnet_ops_pipelines.new_project.recipes import RARE, recipe_for
from resnet_ops_pipelines.new_project.survey import Survey

__all__ = ["Proposal", "first_supported", "propose"]

RECALL, FEWEST_RECALLED = 0.1, 10
"""No class may be given up: its recall, asked where the test split has so many images of each."""
CONFIDENCE, SENSITIVITY = 0.95, 0.9
BOX_LIMITS = {"max_logit_difference": 0.06, "min_equal_predictions": 0.99, "max_accuracy_loss": 0.01}
"""Of an export of a detector: rounding lets a box of the lowest score appear or vanish."""


@dataclass(frozen=True)
class Proposal:
    """The files of a project by name, and what a person is told."""

    files: Mapping[str, str]
    minutes: Mapping[str, float]
    """That training takes here, by member."""
    recipe: Recipe
    least: Mapping[str, float]
    """The policy's limits for lower ends, by metric."""
    less: str
    """What to change for a shorter training."""


def first_supported(
    tested: Sequence[float], proposed: Callable[[float], tuple[Survey, Proposal]]
) -> tuple[Survey, Proposal]:
    """What is proposed with the first share of images to test by that supports a policy.

    Raises the DataError of the first share where none does.
    """
    first: DataError | None = None
    for test in tested:
        try:
            return proposed(test)
        except DataError as error:
            first = first or error
    assert first is not None
    raise first


def propose(found: Survey, fit: Fit, name: str, root: str, seed: int, positive: str | None) -> Proposal:
    """Settings and policy for a data set. positive: of two classes the one that is looked for; None for no such thing.

    Raises ConfigError for a class that there is not, DataError where the test split can support no policy.
    """
    if positive is not None and (
        not found.data.chosen_task.per_image or len(found.classes) != 2 or positive not in found.classes
    ):
        raise ConfigError(
            f"--positive {positive}: an operating point is proposed for one of two classes; there are "
            f"{', '.join(found.classes)}. Leave it out, and set evaluate.operating_point in params.yaml by hand."
        )
    images, task = found.images("train"), found.data.chosen_task
    # an operating point makes up for how often two classes are: docs/training.md
    ratio = found.ratio if positive is None else 1.0
    recipe = recipe_for(task, fit.image_size, fit.batch_size, images, fit.share, ratio, found.mirrored)
    minutes = {each: seconds * recipe.epochs * images / 60 for each, seconds in fit.seconds.items()}
    rules = _rules(found, positive)
    largest = max(minutes, key=lambda each: minutes[each])
    less = "halve data.image_size (a quarter of the time), or halve recipes.one-cycle.epochs"
    if len(minutes) > 1:
        less = f"remove {largest} from family ({minutes[largest]:.1f} minutes), {less}"
    values = {
        "name": name,
        "root": root,
        "images": f"{sum(found.totals.values()):,}",
        "classes": str(len(found.classes)),
        "minutes": f"{sum(minutes.values()):.1f}",
        "less": less,
    }
    least = {rule["metric"]: rule["min"] for rule in rules if rule.get("bound") == "low"}
    settings = _settings(found, fit, recipe, name, root, seed, positive)
    files = {
        "params.yaml": _fill("params.template.yaml", values | settings),
        f"policies/{name}.yaml": _policy(name, rules),
        "README.md": _fill("project.template.md", values),
    }  # fmt: skip
    return Proposal(files, minutes, recipe, least, less)


def _settings(
    found: Survey, fit: Fit, recipe: Recipe, name: str, root: str, seed: int, positive: str | None
) -> dict[str, str]:
    data, counts = found.data, [each for split in found.counts.values() for each in split.values()]
    members = {name: asdict(member) for name, member in fit.members.items()}
    point = {"positive": [positive], "aim": "sensitivity", "at_least": SENSITIVITY, "prevalence": None}
    formats = ["pt2", *(["onnx"] if _onnx_is_there() else [])]
    # rounding flips a pixel now and then
    limits = {"max_logit_difference": 0.001, "min_equal_predictions": 1.0, "max_accuracy_loss": 0}
    if data.segmentation is not None:
        limits = {"max_logit_difference": 0.01, "min_equal_predictions": 0.999, "max_accuracy_loss": 0.001}
    if data.detection is not None:
        formats, limits = formats[1:] if data.depth == 8 else [], BOX_LIMITS
    gpu = {
        "device": "cuda",
        "threads": 1,
        "memory_mb": 0,
        "batch_sizes": [8, 64],
        "warmup": 30,
        "requests": 200,
    }
    return {
        "model": _flow(name),
        "source": data.source,
        "root": _flow(root),
        "image_size": str(fit.image_size),
        "channels": str(data.channels),
        "fit": data.fit,
        "background": str(data.background),
        "task": data.task,
        "segmentation": _flow(_plain(asdict(data.segmentation)) if data.segmentation else None),
        "detection": _flow(_plain(asdict(data.detection)) if data.detection else None),
        "corrupted": "0" if data.detection else "250",
        "grey_bits": str(data.grey_bits),
        "depth": str(data.depth),
        "similar": data.similar_classes,
        "conflicts": data.conflicts,
        "group": _flow(data.group),
        **{name: f"{share:g}" for name, share in data.split.as_dict().items()},
        "family": _flow(dict.fromkeys(members, "one-cycle")),
        "members": "".join(f"  {name}: {_flow(_plain(member))}\n" for name, member in members.items()),
        "recipe": _block(_plain(recipe.as_dict()), 4),
        "operating_point": _flow(point if positive else None),
        "seed": str(seed),
        "min_rows": str(max(1, int(0.8 * sum(counts)))),
        "min_class_rows": str(min(5, *filter(None, counts))),
        "max_class_ratio": f"{max(RARE, round(1.25 * found.ratio, 1))}",
        "engine": _flow(asdict(fit.engine)),
        "gpu_profile": f"    server-gpu: {_flow(gpu)}\n" if fit.engine.device == "cuda" else "",
        "formats": "".join(f"    {name}: {_flow(limits)}\n" for name in formats) or "    {}\n",
    }


def _rules(found: Survey, positive: str | None) -> list[dict[str, Any]]:
    """Of the guard for @champion. Top-1 says nothing of a model that is used at an operating point."""
    test = found.counts["test"]
    images = sum(test.values())
    if not found.data.chosen_task.per_image:
        own = _mask_rules(found) if found.pixels else _box_rules(found)
        return [*own, *_common(scores_margin(images))]
    groups = np.concatenate(list(found.tested.values())) if found.tested else None
    by = f" (grouped by {found.data.group})" if found.tested else ""
    rules: list[dict[str, Any]] = []
    if positive is not None:
        (other,) = set(test) - {positive}
        for metric, name in (("operating.sensitivity", positive), ("operating.specificity", other)):
            what = f"images of {name}{by}"
            limit = least_share(test[name], 0.5, CONFIDENCE, what, found.tested.get(name))
            rules.append(_least(metric, limit, "guessing cannot be above one half in both"))
    else:
        chance = max(test.values()) / images
        limit = least_share(images, chance, CONFIDENCE, f"images{by}", groups)
        why = f"always naming the largest class is right on {chance:.3g} of all; raise this to what the use needs"
        rules.append(_least("test.top1", limit, why))
    if positive is None and min(test.values()) >= FEWEST_RECALLED:
        rules.append(_recalled("test.worst_class_recall"))
    return [*rules, *_common(margin(worth(images, groups)))]


def _mask_rules(found: Survey) -> Iterator[dict[str, Any]]:
    """mIoU above that of an answer which is the same for all pixels, and each class found at all."""
    least = least_iou(found.pixels, found.masks)
    yield _least(
        "test.miou",
        least,
        "calling all pixels the most frequent class shows less; raise this to what the use needs",
    )
    for name in found.pixels:
        yield _recalled(f"test.iou.{name}")


def _box_rules(found: Survey) -> Iterator[dict[str, Any]]:
    """AP50 above that of boxes at random, which is next to none, and each class found at all."""
    require_objects(found.asked)
    why = "boxes at random have next to none; raise this to what the use needs"
    yield _least("test.ap50", PART, why)
    for name, images in zip(found.objects, (found.asked > 0).sum(axis=0), strict=True):
        if images >= FEWEST_RECALLED:
            yield _recalled(f"test.ap50.{name}")


def _recalled(metric: str) -> dict[str, Any]:
    return {
        "rule": "threshold", "metric": metric, "bound": "value", "min": RECALL,
        "why": "no class may be given up for the others",
    }  # fmt: skip


def _common(margin: float) -> list[dict[str, Any]]:
    """Of every guard."""
    return [
        {"rule": "check", "check": "data_validation",
         "why": "what a model learned from broken data cannot be told from its accuracy on them"},
        {"rule": "comparison", "split": "test", "mode": "not_worse", "margin": margin,
         "alpha": ALPHA, "method": "mcnemar", "without_champion": "pass",
         "why": "whoever replaces the champion must be shown to be at most so much worse on the same images"},
    ]  # fmt: skip


def _least(metric: str, limit: float, why: str) -> dict[str, Any]:
    return {"rule": "threshold", "metric": metric, "bound": "low", "min": limit, "why": why}


def _policy(name: str, rules: list[dict[str, Any]]) -> str:
    guard = {"aliases": ["champion"], "stages": ["Production"], "rules": rules}
    policy = {"model": name, "evidence_roles": ["pipeline"], "guards": [guard]}
    return (
        f"# What must hold before a version of {name} may go into production: a beginning, which a first model can\n"
        "# pass and one that guesses cannot. Raise the limits to what the use needs.\n"
    ) + yaml.safe_dump(policy, sort_keys=False, allow_unicode=True, width=110)


def _fill(template: str, values: Mapping[str, str]) -> str:
    text = Path(__file__).with_name(template).read_text(encoding="utf-8")
    return re.sub(r"\n{3,}", "\n\n", Template(text).substitute(values))


def _flow(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10_000)
    return text.removesuffix("...\n").strip()


def _block(values: Mapping[str, Any], indent: int) -> str:
    return "".join(f"{' ' * indent}{name}: {_flow(value)}\n" for name, value in values.items())


def _plain(value: Any) -> Any:
    """With lists in place of tuples, as YAML has them."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def _onnx_is_there() -> bool:
    return all(find_spec(name) is not None for name in ("onnx", "onnxruntime", "onnxscript"))
