"""The portfolio: what could be deployed, what each costs, and which one is proposed for each alias, with the reason."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from resnet_ops_registry.attestations.evidence import TOP1, Headline, Metric, show_metric, show_number
from resnet_ops_registry.gate.candidates import rank
from resnet_ops_registry.portfolio.pareto import Axis, better_on, dominates

__all__ = ["SIZE", "Budget", "Choice", "Entry", "Portfolio", "choose", "headline_axis", "latency", "memory"]

SIZE = Axis("size.bytes", False, "size")


def headline_axis(by: Headline) -> Axis:
    """The metric that counts first, with its direction."""
    return Axis(by.metric, by.higher_is_better, by.label)


def latency(profile: str) -> Axis:
    """Of a single image on a device profile, the 95th percentile."""
    return Axis(f"{profile}.latency_p95_ms", False, f"p95 on {profile}")


def memory(profile: str) -> Axis:
    """Of the whole process on a device profile, its peak."""
    return Axis(f"{profile}.peak_memory_mb", False, f"memory on {profile}")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One model in one format. `version` is None for an export that is no version of its own."""

    name: str
    """Empty for a model that is no network of ours."""
    format: str
    version: int | None
    metrics: Mapping[str, Metric]
    aliases: tuple[str, ...] = ()
    refusals: Mapping[str, str | None] = field(default_factory=dict)
    """For each guarded alias or stage, by its label: why not; None where the gate lets it pass."""
    noisy: tuple[str, ...] = ()
    """The profiles on which something else ran while it was measured, or may have."""
    by: Headline = TOP1
    """The metric that counts first."""

    @property
    def label(self) -> str:
        return self.name if self.version is None else f"v{self.version} {self.name}".rstrip()

    @property
    def short(self) -> str:
        return self.name if self.version is None else f"v{self.version}"

    @property
    def score(self) -> float:
        return self.metrics[self.by.metric].value

    def gain(self, metric: str) -> float:
        """One of the metrics that it is compared by, turned so that more is better."""
        value = self.metrics[metric].value
        return value if self.by.higher_is_better else -value


@dataclass(frozen=True)
class Budget:
    """A limit of a policy on one metric. `bound`: the number itself, or the low or high end of its interval."""

    target: str
    metric: str
    limit: float
    is_floor: bool
    bound: str


@dataclass(frozen=True)
class Choice:
    """For one guarded alias: which version carries it, which one is proposed, why, and why not the others."""

    target: str
    serving: Entry | None
    proposed: Entry | None
    reason: str
    others: tuple[tuple[Entry, str], ...]


@dataclass(frozen=True, kw_only=True)
class Portfolio:
    """All that the table, the picture and the words are made of.

    `refused`: exports that were not written here, and why. `unknown`: versions that say nothing, and why.
    """

    model: str
    policy: str | None
    profiles: tuple[str, ...]
    entries: tuple[Entry, ...]
    budgets: tuple[Budget, ...]
    choices: tuple[Choice, ...]
    refused: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def headline(self) -> Axis:
        """Of the registered model: its versions have one task."""
        return headline_axis(self.entries[0].by if self.entries else TOP1)

    @property
    def axes(self) -> list[Axis]:
        each = [axis(profile) for profile in self.profiles for axis in (latency, memory)]
        return [self.headline, *each, SIZE]

    def dominated_by(self, entry: Entry) -> Entry | None:
        """The best of those that are nowhere worse than an entry, on the axes on which it was measured."""
        return _dominator(entry, self.entries, self.axes)

    def proposed_for(self, entry: Entry) -> list[str]:
        return [choice.target for choice in self.choices if choice.proposed is entry]


def choose(target: str, entries: Sequence[Entry], axes: Sequence[Axis]) -> Choice:
    """The version that does best on validation of those the gate lets become `target`; of equal ones the smaller.

    Where the evidence of one of them does not speak of validation, by the test split. axes: what matters there. A
    version of which the gate says nothing is not proposed.
    """
    versions = [entry for entry in entries if entry.version is not None]
    passing = [entry for entry in versions if entry.refusals.get(target, "not judged") is None]
    by = _chosen_by(passing)
    proposed = max(passing, key=lambda entry: rank(entry.gain(by), entry.version or 0), default=None)
    serving = next((entry for entry in versions if target.removeprefix("@") in entry.aliases), None)
    others = tuple(
        (entry, _why_not(entry, target, proposed, by, entries, axes))
        for entry in versions
        if entry is not proposed
    )
    reason = _why(target, proposed, passing, serving, entries, axes)
    return Choice(target, serving, proposed, reason, others)


def _chosen_by(passing: Sequence[Entry]) -> str:
    by = passing[0].by if passing else TOP1
    return by.chosen_by if all(by.chosen_by in entry.metrics for entry in passing) else by.metric


def _why(
    target: str,
    proposed: Entry | None,
    passing: Sequence[Entry],
    serving: Entry | None,
    entries: Sequence[Entry],
    axes: Sequence[Axis],
) -> str:
    held = _serving_words(target, serving, proposed)
    if proposed is None:
        return f"No version passes.{held}"
    by = _chosen_by(passing)
    best, where = proposed.metrics[by].value, " on validation" if by.startswith("validation.") else ""
    equal = [entry.label for entry in passing if entry is not proposed and entry.metrics[by].value == best]
    first = f"the best {proposed.by.label}{where} of {len(passing)} that pass"
    if len(passing) == 1:
        first = "the only version that passes"
    elif equal:
        first += f", with {_listed(equal)}; the earlier version goes first"
    numbers = [
        f"{axis.label} {show_metric(proposed.metrics[axis.metric])}"
        for axis in axes
        if axis.metric in proposed.metrics
    ]
    return f"{proposed.label}: {first}. {'; '.join(numbers)}.{held}{_hint(proposed, passing, entries, axes)}"


def _hint(proposed: Entry, passing: Sequence[Entry], entries: Sequence[Entry], axes: Sequence[Axis]) -> str:
    """What a person should look at before they follow the proposal."""
    hint = ""
    if rival := _dominator(proposed, passing, axes):
        hint += f" But {rival.label} passes too, {_comparison(rival, proposed, axes)}."
    loose = [entry for entry in entries if entry.version is None]
    if rival := _dominator(proposed, loose, axes):
        hint += (
            f" And {rival.label}, which is not a version yet, is {_comparison(rival, proposed, axes)}: name it under "
            "deployments to have it judged."
        )
    return hint


def _serving_words(target: str, serving: Entry | None, proposed: Entry | None) -> str:
    if serving is None:
        return f" No version that is shown carries {target}."
    if serving is proposed:
        return f" It carries {target} already."
    refusal = serving.refusals.get(target)
    today = f", and would be refused today ({refusal})" if refusal else ""
    return f" Now {serving.label} carries it{today}."


def _why_not(
    entry: Entry,
    target: str,
    proposed: Entry | None,
    by: str,
    entries: Sequence[Entry],
    axes: Sequence[Axis],
) -> str:
    refusal = entry.refusals.get(target, "the gate has not judged it")
    if refusal is not None:
        reason = f"refused: {refusal.removeprefix('refused: ')}"
    else:
        assert proposed is not None
        mine, best = entry.metrics[by].value, proposed.metrics[by].value
        where = " on validation" if by.startswith("validation.") else ""
        if mine == best:
            reason = f"passes; an equal {entry.by.label}{where}, but registered later"
        else:
            numbers = f"{show_number(mine)} against {show_number(best)}"
            reason = f"passes; a worse {entry.by.label}{where} ({numbers})"
    if rival := _dominator(entry, entries, axes):
        reason += f". {rival.label} is {_comparison(rival, entry, axes)}"
    return reason


def _dominator(entry: Entry, among: Sequence[Entry], axes: Sequence[Axis]) -> Entry | None:
    measured = [axis for axis in axes if axis.metric in entry.metrics]
    rivals = [other for other in among if dominates(other.metrics, entry.metrics, measured)]
    return max(
        rivals, key=lambda other: (other.gain(other.by.metric), other.version is not None), default=None
    )


def _comparison(rival: Entry, entry: Entry, axes: Sequence[Axis]) -> str:
    measured = [axis for axis in axes if axis.metric in entry.metrics]
    better = better_on(rival.metrics, entry.metrics, measured)
    assert better
    return f"nowhere worse, and better in {_listed([axis.label for axis in better])}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
