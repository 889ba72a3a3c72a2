"""Where a portfolio comes from: signed evidence, verdicts, the policy in force, and exports that were measured here."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resnet_ops.errors import ConfigError, DataError, EvidenceError
from resnet_ops.files import read_json
from resnet_ops.measurement import measurements_from_json
from resnet_ops_registry.attestations.evidence import REFUSED, Evidence, metrics_from
from resnet_ops_registry.client.listing import current, list_versions
from resnet_ops_registry.common.connection import connect
from resnet_ops_registry.common.mlflow_errors import asked
from resnet_ops_registry.common.settings import is_direct
from resnet_ops_registry.common.target import Target
from resnet_ops_registry.database.tables import open_database
from resnet_ops_registry.gate.candidates import refusals_of
from resnet_ops_registry.gate.policies import AppliedPolicy, policy_for
from resnet_ops_registry.gate.signed_evidence import evidence_of
from resnet_ops_registry.portfolio.pareto import Axis
from resnet_ops_registry.portfolio.portfolio import (
    SIZE,
    Budget,
    Entry,
    Portfolio,
    choose,
    headline_axis,
    latency,
    memory,
)
from resnet_ops_registry.rules.hardware import Hardware
from resnet_ops_registry.rules.threshold import Threshold

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["read_portfolio"]

_P95 = ".latency_p95_ms"


def read_portfolio(model: str, reports: Path) -> Portfolio:
    """The portfolio of a registered model; without a name, of the only one there is.

    Of each member and format the newest version that is no DVC experiment's, and every version with an alias. reports:
    where exports that are no version were measured (`formats/<member>.json`); only those made from a version that is
    shown are taken.
    Over http the policy cannot be read, so there are no budgets, and verdicts are those on the versions' pages.
    Raises ConfigError when there is no such model, or more than one and none is named.
    """
    client = connect()
    versions = _shown(list_versions(model), model)
    model = versions[0]["model"]
    found_of: list[tuple[Entry, Evidence]] = []
    unknown = []
    for version in versions:
        try:
            with asked(f"Reading {model} v{version['version']}"):
                found = client.get_model_version(model, str(version["version"]))
                evidence = evidence_of(client, found).evidence
            found_of.append((_registered(client, version, evidence), evidence))
        except EvidenceError as error:
            label = f"v{version['version']} {version['member']}".rstrip()
            unknown.append(f"{label}: {str(error).rstrip('.')}")
    alike, apart = _of_one_task(found_of)
    known = [evidence for _, evidence in alike]
    entries = [*(entry for entry, _ in alike), *_local(reports, known)]
    entries.sort(key=lambda entry: (entry.version is None, entry.version or 0, entry.name))
    applied = _policy(model)
    profiles = _profiles(entries)
    targets = _targets(applied, entries)
    return Portfolio(
        model=model,
        policy=applied.label if applied else None,
        profiles=profiles,
        entries=tuple(entries),
        budgets=tuple(_budgets(applied, entries)),
        choices=tuple(
            choose(target, entries, _axes(applied, target, profiles, entries)) for target in targets
        ),
        refused=tuple(_refused(known)),
        unknown=(*unknown, *apart),
    )


def _of_one_task(
    found: list[tuple[Entry, Evidence]],
) -> tuple[list[tuple[Entry, Evidence]], list[str]]:
    """Those that are compared by what the newest is, since no order holds across tasks; and of others, why not."""
    if not found:
        return [], []
    newest = max((entry for entry, _ in found), key=lambda entry: entry.version or 0)
    alike = [each for each in found if each[0].by.metric == newest.by.metric]
    apart = [
        f"{entry.label}: it is compared by {entry.by.label}, and {newest.label} by {newest.by.label}"
        for entry, _ in found
        if entry.by.metric != newest.by.metric
    ]
    return alike, apart


def _shown(versions: Sequence[Mapping[str, Any]], model: str) -> list[Mapping[str, Any]]:
    names = sorted({version["model"] for version in versions})
    if not names:
        raise ConfigError(
            f"{model} has no versions. Run: dvc repro"
            if model
            else "Nothing is registered yet. Run: dvc repro"
        )
    if len(names) > 1:
        raise ConfigError(f"There is more than one registered model ({', '.join(names)}): name one.")
    return current(versions)


def _registered(client: "MlflowClient", version: Mapping[str, Any], evidence: Evidence) -> Entry:
    if (by := evidence.compared_by).metric not in evidence.metrics:
        raise EvidenceError(f"its evidence does not say {by.metric}")
    return Entry(
        name=evidence.member,
        format=evidence.format,
        version=version["version"],
        metrics=evidence.metrics,
        aliases=tuple(version["aliases"]),
        refusals=refusals_of(client, version["model"], version["version"]),
        noisy=_noisy(evidence.hardware),
        by=by,
    )


def _noisy(hardware: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(name for name, facts in hardware.items() if facts.get("interference", False) is not False)


def _local(reports: Path, known: Sequence[Evidence]) -> Iterator[Entry]:
    """Exports that were measured here, of versions that are shown, and that are no version themselves."""
    trained = {evidence.weights_digest: evidence.compared_by for evidence in known}
    versions = {(evidence.exported_from, evidence.format) for evidence in known}
    for path in sorted((reports / "formats").glob("*.json")):
        content = read_json(path)
        try:
            for format_, found in content["formats"].items():
                origin = found["exported_from"]
                if origin not in trained or (origin, format_) in versions:
                    continue
                metrics = metrics_from(measurements_from_json(found["metrics"]))
                by = trained[origin]
                if by.metric not in metrics:
                    raise ValueError(f"{by.metric} is missing")
                yield Entry(
                    name=f"{content['member']}-{format_}",
                    format=format_,
                    version=None,
                    metrics=metrics,
                    noisy=_noisy(found["hardware"]),
                    by=by,
                )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path} holds no measured exports ({error}). Run: dvc repro") from error


def _refused(known: Iterable[Evidence]) -> Iterator[str]:
    """Exports that were not made of versions that are shown, by the word of the versions' evidence."""
    for evidence in known:
        for format_, outcome in sorted(evidence.exports.items()):
            if evidence.exported_from is None and outcome.startswith(REFUSED):
                yield f"{evidence.member}-{format_}: {outcome}"


def _profiles(entries: Sequence[Entry]) -> tuple[str, ...]:
    """Those on which a single image was timed, in the order in which they are first met."""
    names = [name for entry in entries for name in entry.metrics if name.endswith(_P95)]
    found = (name.removesuffix(_P95) for name in names)
    return tuple(dict.fromkeys(profile for profile in found if "." not in profile))


def _policy(model: str) -> AppliedPolicy | None:
    if not is_direct():
        return None
    with open_database() as connection:
        return policy_for(connection, model)


def _targets(applied: AppliedPolicy | None, entries: Sequence[Entry]) -> list[str]:
    """The guarded aliases; over http those that versions' pages speak of."""
    if applied is not None:
        return [target.label for target in applied.policy.targets() if target.kind == "alias"]
    spoken = dict.fromkeys(label for entry in entries for label in entry.refusals)
    return [label for label in spoken if label.startswith("@")]


def _axes(
    applied: AppliedPolicy | None, target: str, profiles: Sequence[str], entries: Sequence[Entry]
) -> list[Axis]:
    """What matters for an alias: its policy's profiles, or all where it names none."""
    guard = applied.policy.guard_of(Target.from_label(target)) if applied else None
    named = [
        rule.profile if isinstance(rule, Hardware) else rule.metric.partition(".")[0]
        for rule in (guard.rules if guard else ())
        if isinstance(rule, Hardware | Threshold)
    ]
    wanted = [profile for profile in profiles if profile in named] or profiles
    return [
        *(headline_axis(entry.by) for entry in entries[:1]),
        *(axis(profile) for profile in wanted for axis in (latency, memory)),
        SIZE,
    ]


def _budgets(applied: AppliedPolicy | None, entries: Sequence[Entry]) -> Iterator[Budget]:
    for guard in applied.policy.guards if applied else ():
        thresholds = [rule for rule in guard.rules if isinstance(rule, Threshold)]
        for target in guard.targets():
            if target.kind == "alias":
                for rule in thresholds:
                    yield from _limits(target.label, rule, entries)


def _limits(target: str, rule: Threshold, entries: Sequence[Entry]) -> Iterator[Budget]:
    metric, factor = rule.metric, 1.0
    if metric.endswith(".memory_share"):  # a share of what the device has, which is peak / share
        metric = metric.replace(".memory_share", ".peak_memory_mb")
        both = [(entry.metrics.get(metric), entry.metrics.get(rule.metric)) for entry in entries]
        has = [peak.value / share.value for peak, share in both if peak and share and share.value]
        if not has:
            return
        factor = has[0]
    if rule.min is not None:
        yield Budget(target, metric, factor * rule.min, True, rule.bound)
    if rule.max is not None:
        yield Budget(target, metric, factor * rule.max, False, rule.bound)
