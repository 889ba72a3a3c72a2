"""A first policy for a model that is registered already: rules that its champion passes and a worse version does not.

A proposal for a person to read, never applied by itself. It observes until somebody says otherwise.
"""

import glob
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import yaml

from resnet_ops_registry.attestations.evidence import Evidence, Metric, Outcomes, show_metric
from resnet_ops_registry.common.target import Target
from resnet_ops_registry.gate.policy_file import read_policy

__all__ = ["Shown", "propose"]

MOST_RULES = 3
DISAGREE, Z_ALPHA, Z_POWER = 0.1, 1.645, 0.842
"""By which the margin of a comparison is chosen: a tenth of the rows answered otherwise, alpha 5 %, power 80 %."""
DEVIATION, BETS = 0.2, 7
"""Likewise of scores: how much those of an image deviate, and what holding for any distribution costs, in images."""
SMALLEST_MARGIN, LARGEST_MARGIN = 0.01, 0.2
_HIGHER = (
    *("top1", "accuracy", "acc", "f1", "auc", "auroc", "roc", "map", "ap50", "ap", "iou", "miou"),
    *("dice", "r2", "recall", "sensitivity", "precision", "specificity", "score", "kappa", "mcc"),
    *("ndcg", "auprc", "jaccard", "tpr"),
)
_LOWER = (
    *("rmse", "mae", "mse", "mape", "rmsle", "wer", "cer", "error", "errors", "loss", "logloss"),
    *("nll", "brier", "ece", "perplexity", "deviance", "fpr", "fnr", "latency", "seconds", "ms"),
)
"""Words of metrics' names that say which way is better, the one that a model is known by first."""
_TRAINING = {"train", "training", "system"}
_AT = re.compile(r"[^a-z0-9]at[^a-z0-9]")
_BY_CLASS = re.compile(r"\.(recall|precision|ap|ap50|iou|dice|boundary_f1)\.")


@dataclass(frozen=True)
class Shown:
    """What a version shows of itself. `metrics`: of its MLflow run, where anybody can write them.

    `holds`: labels of its aliases and stages, of which the policy shall ask as much as of this one.
    `aliases`: every alias of the model. `size`: bytes; None where the files were not read.
    """

    model: str
    version: int
    holds: tuple[str, ...]
    aliases: tuple[str, ...]
    metrics: Mapping[str, float]
    evidence: Evidence | None
    flavours: tuple[str, ...]
    size: int | None


def propose(shown: Shown) -> str:
    """The text of a policy that observes, with what a person should know before they apply it.

    It governs this model alone, also where the name reads as a pattern: anybody can register a model called `*`.
    """
    metrics = (
        shown.evidence.metrics
        if shown.evidence
        else {name: Metric(value=value, n=1) for name, value in shown.metrics.items()}
    )
    first = shown.evidence.compared_by.metric if shown.evidence else ""
    asked = sorted(filter(_better, metrics), key=lambda name: (name != first, _standing(name)))[:MOST_RULES]
    rules = [_threshold(shown, name, metrics[name]) for name in asked]
    rules += _comparison(shown, bool(rules))
    lines = [
        *map(_comment, _head(shown)),
        f"model: {_flow(glob.escape(shown.model))}",
        "mode: observe",
        "evidence_roles: [pipeline]",
        "guards:",
        f"  - aliases: {_flow(_guarded(shown.aliases))}",
        "    stages: [Production]",
        "    rules:",
        *(f"      - {_flow(rule)}" for rule in rules),
        *map(_comment, _tail(shown, metrics, asked)),
    ]
    text = "\n".join(lines) + "\n"
    assert read_policy(text, "proposed").governs(shown.model)
    return text


def _head(shown: Shown) -> Iterator[str]:
    what = f"v{shown.version} ({', '.join(shown.holds) or 'the newest'})"
    yield f"A first policy, from what {what} shows. Read it and change it; nothing applies it but you:"
    yield "resnet-ops policy apply FILE. It refuses nothing until: resnet-ops policy enforce MODEL"
    made = ", ".join(shown.flavours) or "flavour not read"
    yield f"v{shown.version}: {made}; {f'{shown.size:,} bytes' if shown.size is not None else 'size not read'}."
    if shown.evidence is not None:
        yield "The limits are those of its signed evidence."
    elif shown.metrics:
        yield "The limits are the numbers of its MLflow run, where anybody writes them. The gate believes signed ones:"
        yield "sign yours under the same names: resnet-ops attest evidence MODEL VERSION --metrics FILE --key KEY"
    else:
        yield "It has no numbers. Sign what it answers, and what others answer to the same rows:"
        yield "resnet-ops attest evidence MODEL VERSION --predictions FILE --key KEY"
    yield "Guarded is every alias that there is but @challenger; take out what does not serve."


def _tail(shown: Shown, metrics: Mapping[str, Metric], asked: list[str]) -> Iterator[str]:
    for name in sorted(metrics):
        if name not in asked and not _BY_CLASS.search(name):
            yield f"no rule for {name}, which is {show_metric(metrics[name])}"
    if shown.size is not None and "size.bytes" not in metrics:
        yield f"where you sign its size too: {{rule: threshold, metric: size.bytes, max: {shown.size}, why: ...}}"


def _guarded(aliases: tuple[str, ...]) -> list[str]:
    """What is closed without a policy stays closed: @champion, and Production."""
    targets = {Target(kind="alias", name=name).key: name for name in sorted(aliases, reverse=True)}
    targets.pop(Target(kind="alias", name="challenger").key, None)
    targets.setdefault(Target(kind="alias", name="champion").key, "champion")
    return sorted(targets.values())


def _threshold(shown: Shown, name: str, metric: Metric) -> dict[str, object]:
    """At least as good as the version: by the end of the interval that a rule may count on, where there is one."""
    better = _better(name)
    assert better is not None
    end, limit = ("low", "min") if better == "higher" else ("high", "max")
    edge = getattr(metric, end)
    bound, value = ("value", metric.value) if edge is None else (end, edge)
    rule = {"rule": "threshold", "metric": name, "bound": bound, limit: _lenient(value, better)}
    return {**rule, "why": f"v{shown.version} has {show_metric(metric)}"}


def _better(name: str) -> Literal["higher", "lower"] | None:
    """Which way is better, by the words of the name; None where they do not say, or say both.

    Not of training, nor of one class.
    """
    if _words(name) & _TRAINING or _BY_CLASS.search(name) or len(name) > 250:
        return None
    words = _measured(name)
    lower, higher = words & set(_LOWER), words & set(_HIGHER)
    if lower and higher:
        return None
    if lower:
        return "higher" if words & {"neg", "negative"} else "lower"
    return "higher" if higher else None


def _standing(name: str) -> tuple[bool, int, str]:
    """The smallest is asked for first: of the test split, and what models are known by."""
    known = (*_HIGHER, *_LOWER)
    first = min(known.index(word) for word in _measured(name) if word in known)
    return "test" not in _words(name), first, name


def _measured(name: str) -> set[str]:
    """The words of what was measured: of `tpr_at_fpr_0.01`, tpr."""
    return _words(_AT.split(name.lower())[0])


def _words(name: str) -> set[str]:
    return set(re.split(r"[^a-z0-9]+", name.lower()))


def _lenient(value: float, better: Literal["higher", "lower"]) -> float:
    """Four digits, rounded to the side on which the version itself passes; the value itself where that is no number."""
    if value == 0:
        return 0.0
    digits = 3 - math.floor(math.log10(abs(value)))
    step = 10.0**-digits
    if step == 0:
        return value
    towards = math.floor if better == "higher" else math.ceil
    rounded = round(towards(value / step) * step, max(digits, 0))
    passes = rounded <= value if better == "higher" else rounded >= value
    return rounded if passes and math.isfinite(rounded) else value


def _comparison(shown: Shown, measured: bool) -> Iterator[dict[str, object]]:
    """Where rows were signed; or where nothing else is known, since then there is nothing else to ask for."""
    outcomes = shown.evidence.outcomes if shown.evidence else {}
    split = next((name for name in outcomes if not name.startswith("operating.")), None)
    if split is None and measured:
        return
    yield {
        "rule": "comparison",
        "split": split or "test",
        "mode": "not_worse",
        "margin": _margin(outcomes[split]) if split else 0.05,
        "alpha": 0.05,
        "method": "mcnemar",
        "without_champion": "pass",
        "why": "not worse than whoever serves, on the same rows",
    }


def _margin(outcomes: Outcomes) -> float:
    """What a version as good as the champion can be shown to keep, about four times of five."""
    scored = outcomes.scores is not None
    margin = (Z_ALPHA + Z_POWER) * (DEVIATION if scored else math.sqrt(DISAGREE)) / math.sqrt(outcomes.n)
    margin += BETS / outcomes.n if scored else 0
    return min(max(math.ceil(margin * 200) / 200, SMALLEST_MARGIN), LARGEST_MARGIN)


def _comment(line: str) -> str:
    return "# " + "".join(each if each.isprintable() else "?" for each in " ".join(line.split()))


def _flow(value: object) -> str:
    """YAML on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=math.inf, allow_unicode=True, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")
