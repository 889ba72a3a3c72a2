"""What a model card says against its model, worked out from the evidence alone."""

from collections.abc import Iterator

from resnet_ops_registry.attestations.evidence import MLFLOW, REFUSED, Evidence, show_metric, show_number
from resnet_ops_registry.cards.results import CORRUPTION, SLICE, lowest
from resnet_ops_registry.cards.speed import noisy, profiles

__all__ = ["limits_of"]

SMALL = 100
"""Images of a slice; below, its interval is about 20 points wide or more where half of the answers are right."""
UNMEASURED = "test.unmeasured."


def limits_of(evidence: Evidence) -> tuple[str, ...]:
    """Whole sentences, the gravest first."""
    return (
        *_checks(evidence),
        *_missing(evidence),
        *_small_slices(evidence),
        *_robustness(evidence),
        *_exports(evidence),
        *_noisy(evidence),
        "Measured on the data named here. What it does on data unlike these is not known: "
        "in production a drift monitor has to watch for them.",
    )


def _checks(evidence: Evidence) -> Iterator[str]:
    for name, held in sorted(evidence.checks.items()):
        if not held:
            yield f"The check {name} failed."
    if evidence.format == MLFLOW:
        yield "Its team measured it; which code made it, and on which machine it was measured, is not known."
    elif evidence.source.dirty or not evidence.source.commit:
        yield "No git commit holds exactly the code that made it: files differed, or git was not there."


def _missing(evidence: Evidence) -> Iterator[str]:
    found, measured_on = evidence.metrics, profiles(evidence)
    parts = {
        "accuracy": evidence.compared_by.metric in found,
        "slices": any(name.startswith(SLICE) for name in found),
        "calibration": "test.ece" in found,
        "a temperature": "calibrated.temperature" in found,
        "robustness": any(name.startswith(CORRUPTION) for name in found),
        "speed and memory": bool(measured_on),
    }
    without = [name for name in measured_on if f"{name}.energy_mj" not in found]
    missing = [part for part, there in parts.items() if not there]
    if without:
        missing.append(f"energy on {', '.join(without)}")
    if missing:
        yield f"Not measured: {'; '.join(missing)}."


def _small_slices(evidence: Evidence) -> Iterator[str]:
    for name, metric in sorted(evidence.metrics.items()):
        if name.startswith(UNMEASURED) and metric.value > 0:
            share = f"{100 * metric.value:.3g} %"
            column = name.removeprefix(UNMEASURED)
            yield f"{share} of the test images are in slices by {column} that were too small to be measured."
    slices = lowest(evidence.metrics, SLICE)
    small = [each for each in slices if each[1].n < SMALL]
    if small:
        name, metric = min(small, key=lambda each: (each[1].n, each[0]))
        few = f"{len(small)} of {len(slices)} slices rest on fewer than {SMALL} images"
        yield f"{few}; the smallest is {name}: {show_metric(metric)}."


def _robustness(evidence: Evidence) -> Iterator[str]:
    found, worst = evidence.metrics, lowest(evidence.metrics, CORRUPTION)
    drop = found.get("robustness.drop")
    if drop is not None and worst:
        name, metric = worst[0]
        yield (
            f"On corrupted images it is right less often by {show_metric(drop)}; worst under {name.replace('_', ' ')}: "
            f"{show_number(metric.value)}. It was not attacked on purpose: adversarial images were not tried."
        )


def _exports(evidence: Evidence) -> Iterator[str]:
    """Which formats were refused; and of an export, on which processor it was measured, for another may differ."""
    for format_, outcome in sorted(evidence.exports.items()):
        if outcome.startswith(REFUSED) or evidence.exported_from:
            yield f"As {format_}: {outcome}."
    steps = {
        name: str(facts["int8_instructions"])
        for name, facts in sorted(evidence.hardware.items())
        if "int8_instructions" in facts and name != "training"
    }
    if evidence.format == "int8" and steps:
        where = ", ".join(f"{name} on {told}" for name, told in steps.items())
        yield f"Sums of 8-bit numbers can differ on another processor. Measured with: {where}."


def _noisy(evidence: Evidence) -> Iterator[str]:
    words = {
        "yes": "on a busy machine",
        "not known": "on a machine that may have been busy",
    }
    for profile in profiles(evidence):
        told = words.get(noisy(evidence, profile))
        if told:
            yield f"Speed on {profile} was measured {told}."
