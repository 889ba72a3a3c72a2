"""A model card as markdown: whole, and short enough to be a version's description in MLflow."""

import re
from collections.abc import Iterator

from resnet_ops_registry.attestations.evidence import MLFLOW, show_metric
from resnet_ops_registry.cards.model_card import ModelCard
from resnet_ops_registry.cards.parts import Section, Table
from resnet_ops_registry.cards.results import CORRUPTION, SLICE, lowest

__all__ = ["LONGEST_DESCRIPTION", "as_markdown", "as_text", "description"]

LONGEST_DESCRIPTION = 5000
"""Characters that MLflow keeps of a version's description."""
MAIN_METRICS = (
    "test.top1",
    "operating.sensitivity",
    "operating.specificity",
    "test.macro_f1",
    "test.dice",
    "test.boundary_f1",
    "test.ap50",
    "test.recall",
    "test.precision",
    "test.worst_class_recall",
    "test.worst_slice",
    "test.ece",
    "calibrated.ece",
    "robustness.mean_accuracy",
    "size.parameters",
    "size.bytes",
)
BY_HAND = "(written by people)"
_SPECIAL = re.compile(r"[\\`*\[\]<>|&~#]|(?<!\w)_|_(?!\w)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def as_text(text: str) -> str:
    """Plain text as markdown that shows just that, on one line: a name may come from anybody."""
    return _SPECIAL.sub(lambda found: f"&#{ord(found[0])};", _CONTROL.sub(" ", text).strip())


def as_markdown(card: ModelCard) -> str:
    """The whole card."""
    lines = [f"# {as_text(card.title)}", "", as_text(card.origin), ""]
    lines += ["| at a glance | | |", "|---|---|---|"]
    lines += [f"| {as_text(f.name)} | **{as_text(f.value)}** | {as_text(f.more)} |" for f in card.headline]
    for section in card.sections:
        lines += ["", *_section(section)]
    return "\n".join(lines) + "\n"


def _section(section: Section) -> Iterator[str]:
    yield f"## {as_text(section.title)}" + (f" {BY_HAND}" if section.by_hand else "")
    for note in section.notes:
        yield from ("", as_text(note))
    if section.points:
        yield ""
        yield from (f"- {as_text(point)}" for point in section.points)
    if section.table:
        yield ""
        yield from _table(section.table)
    if section.commands:
        yield ""
        yield from ("    " + _CONTROL.sub(" ", command) for command in section.commands)


def _table(table: Table) -> Iterator[str]:
    yield "| " + " | ".join(as_text(name) for name, _ in table.columns) + " |"
    yield "|" + "|".join("---:" if right else "---" for _, right in table.columns) + "|"
    for row in table.rows:
        yield "| " + " | ".join(map(as_text, row.cells)) + " |"


def description(card: ModelCard, whole: str) -> str:
    """What a version's page shows: the main numbers, the worst ones by name, limits, and a link to the `whole` card.

    At most 5,000 characters; limits that do not fit are left to the whole card.
    """
    found = card.evidence.metrics
    latencies = [name for name in sorted(found) if re.search(r"\.latency_p9[59]_ms$", name)]
    first = card.evidence.compared_by.metric
    single = (name for name in latencies if not re.search(r"\.batch\d+\.", name))
    names = list(dict.fromkeys([first, *MAIN_METRICS, *single]))
    if card.evidence.format == MLFLOW:
        names = list(dict.fromkeys([*(name for name in names if name in found), *sorted(found)]))
    rows = [
        f"| {as_text(name)} | {as_text(show_metric(found[name]))} |" for name in names[:25] if name in found
    ]
    use = card.texts.intended_use
    lines = [
        as_text(card.origin),
        "",
        *(
            [f"**Intended use** {BY_HAND}: {as_text(use[:500])}{'…' if len(use) > 500 else ''}", ""]
            if use
            else []
        ),
        "| metric | value |",
        "|---|---|",
        *rows,
        *_worst(card),
        "",
        f"Data, slices, robustness, speed, how to reproduce: [the whole model card]({whole})",
    ]
    for limit in card.limits:
        longer = [*lines, *([] if "**Limits**" in lines else ["", "**Limits**", ""]), f"- {as_text(limit)}"]
        if len("\n".join(longer)) <= LONGEST_DESCRIPTION:
            lines = longer
    return "\n".join(lines)[:LONGEST_DESCRIPTION]


def _worst(card: ModelCard) -> Iterator[str]:
    for words, prefix in (("worst slice", SLICE), ("worst corruption", CORRUPTION)):
        worst = lowest(card.evidence.metrics, prefix)
        if worst:
            name, metric = worst[0]
            yield f"| {words}: {as_text(name[:200])} | {as_text(show_metric(metric))} |"
