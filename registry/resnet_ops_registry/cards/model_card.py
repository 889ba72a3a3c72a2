"""A model card: what is known of one version, all of it from its signed evidence, apart from what people wrote.

Cards are data here; `model_card_text` writes them as markdown, `model_card_page` as a page.
"""

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from resnet_ops.params import Settings
from resnet_ops_registry.attestations.evidence import MLFLOW, Evidence
from resnet_ops_registry.cards.limits import limits_of
from resnet_ops_registry.cards.parts import Fact, Row, Section, Table
from resnet_ops_registry.cards.results import (
    calibration,
    classes,
    cross_validation,
    export,
    exports,
    headline,
    measured_by_team,
    results,
    robustness,
    slices,
)
from resnet_ops_registry.cards.speed import hardware, size, speed
from resnet_ops_registry.gate.verdict import PASSES

__all__ = ["CardTexts", "ModelCard", "build_card"]

NOT_SAID = "Nothing was written about this."


@dataclass(frozen=True, kw_only=True)
class CardTexts(Settings):
    """Under `register.card`: the two texts of a model card that people write. All else comes from the evidence."""

    intended_use: str
    """What the model is for, and what it is not for. May be empty; then the card says so."""
    limits: str
    """What people know of its limits beside what was measured. May be empty."""

    def __post_init__(self) -> None:
        for name in ("intended_use", "limits"):
            if len(getattr(self, name)) > 2000:
                raise ValueError(f"{name} is longer than 2,000 characters, the most that a card holds")


@dataclass(frozen=True)
class ModelCard:
    """One version's card. `sections` are in the order in which they are read."""

    model: str
    version: int
    evidence: Evidence
    signed_by: str
    texts: CardTexts
    headline: tuple[Fact, ...]
    limits: tuple[str, ...]
    verdicts: Mapping[str, str]
    judged: datetime
    sections: tuple[Section, ...]

    @property
    def title(self) -> str:
        return f"{self.model} v{self.version}" + (f": {self.evidence.member}" if self.evidence.member else "")

    @property
    def origin(self) -> str:
        """In one line: what it is and what it was made from."""
        evidence = self.evidence
        if evidence.format == MLFLOW:
            return f"MLflow model, files {evidence.weights_digest[:12]}, measured by its team"
        commit = evidence.source.commit[:12] + (" (with changes)" if evidence.source.dirty else "")
        made_from = f"{evidence.format} of {evidence.exported_from[:12]}, " if evidence.exported_from else ""
        return f"{evidence.member}, {made_from}weights {evidence.weights_digest[:12]}, commit {commit or 'unknown'}"

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "model": self.model,
            "version": self.version,
            "origin": self.origin,
            "signed_by": self.signed_by,
            "by_hand": asdict(self.texts),
            "headline": [asdict(fact) for fact in self.headline],
            "limits": list(self.limits),
            "verdicts": dict(self.verdicts),
            "judged": self.judged.isoformat(),
            "sections": [asdict(section) for section in self.sections],
        }


def build_card(
    model: str,
    version: int,
    evidence: Evidence,
    signed_by: str,
    texts: CardTexts,
    verdicts: Mapping[str, str],
    judged: datetime,
) -> ModelCard:
    """The card of a version.

    signed_by: id of the key. verdicts: by alias or stage, what the gate said at the time `judged`.
    """
    by_hand = (f"Written by people: {texts.limits}",) if texts.limits else ()
    limits = (*limits_of(evidence), *by_hand)
    sections = (
        Section("Intended use", by_hand=True, notes=(texts.intended_use or NOT_SAID,)),
        Section("Limits", points=limits),
        _verdicts(verdicts, judged),
        *([measured_by_team(evidence)] if evidence.format == MLFLOW else []),
        results(evidence),
        *cross_validation(evidence),
        slices(evidence),
        robustness(evidence),
        calibration(evidence),
        speed(evidence),
        size(evidence),
        *([export(evidence)] if evidence.exported_from else []),
        *([exports(evidence)] if evidence.exports else []),
        classes(evidence),
        hardware(evidence),
        _data(evidence),
        _reproduce(model, version, evidence),
        _signature(evidence, signed_by),
    )
    facts = headline(evidence)
    return ModelCard(
        model, version, evidence, signed_by, texts, facts, limits, dict(verdicts), judged, sections
    )


def _verdicts(verdicts: Mapping[str, str], judged: datetime) -> Section:
    if not verdicts:
        return Section(
            "What the gate said", notes=(f"Nothing on {judged:%Y-%m-%d}: no policy governs this model.",)
        )
    rows = [
        Row((name, verdict), "" if verdict.startswith(PASSES) else "hit")
        for name, verdict in sorted(verdicts.items())
    ]
    return Section(
        "What the gate said",
        notes=(
            f"As of {judged:%Y-%m-%d}, by the policy in force then. The gate judges again at every promotion.",
        ),
        table=Table((("for", False), ("verdict", False)), tuple(rows)),
    )


def _data(evidence: Evidence) -> Section:
    sizes = [
        (f"{name.removeprefix('data.').removesuffix('.images')} split", f"{metric.n:,} images")
        for name, metric in sorted(evidence.metrics.items())
        if name.startswith("data.") and name.endswith(".images")
    ]
    if depth := evidence.metrics.get("data.bits"):
        sizes.append(("depth of grey", f"{depth.value:g} bits"))
    checks = [
        (f"check {name}", "held" if held else "FAILED") for name, held in sorted(evidence.checks.items())
    ]
    rows = [*sizes, *((f"digest of {name}", told) for name, told in sorted(evidence.data.items())), *checks]
    notes = () if sizes else ("How many images each split has is not in the evidence.",)
    table = Table((("what", False), ("value", False)), tuple(map(Row, rows)))
    return Section("Data", notes=notes, table=table if rows else None)


def _reproduce(model: str, version: int, evidence: Evidence) -> Section:
    source = evidence.source
    if evidence.format == MLFLOW:
        rows = [("files, sha256", evidence.weights_digest), *sorted(evidence.environment.items())]
        table = Table((("what", False), ("value", False)), tuple(map(Row, rows)))
        return Section("How to reproduce", notes=("How it was made is not in the evidence.",), table=table)
    rows = [
        (
            "git commit",
            (source.commit or "not known") + (" (files differed from it)" if source.dirty else ""),
        ),
        ("dvc.lock, sha256 of the stages behind this version", source.dvc_lock or "not known"),
        ("weights, sha256", evidence.weights_digest),
        *([("made from weights, sha256", evidence.exported_from)] if evidence.exported_from else []),
        *((f"seed, {name}", str(seed)) for name, seed in sorted(evidence.seeds.items())),
        *sorted(evidence.environment.items()),
    ]
    name = shlex.quote(model)
    commands = (
        f"git checkout {source.commit or 'COMMIT'}",
        "dvc repro --force",
        f"resnet-ops attest reproduction {name} {version} --weights FOLDER --key NAME",
    )
    return Section(
        "How to reproduce",
        table=Table((("what", False), ("value", False)), tuple(map(Row, rows))),
        commands=commands,
    )


def _signature(evidence: Evidence, signed_by: str) -> Section:
    when = f"{evidence.created:%Y-%m-%d %H:%M %Z}"
    said = f"Every number here is from the evidence that key {signed_by[:16]} signed on {when}"
    if evidence.format == MLFLOW:
        computed = "predictions file" in evidence.data, "metrics file" in evidence.data
        how = {
            (True, False): "computed from a file of predictions.",
            (False, True): "as a file of metrics told them.",
        }.get(computed, "computed from a file of predictions, or as a file of metrics told them.")
        return Section("Where this comes from", notes=(f"{said}: {how}",))
    written = "nobody typed one in. People wrote what is marked so: in params.yaml, under register.card."
    return Section("Where this comes from", notes=(f"{said}; {written}",))
