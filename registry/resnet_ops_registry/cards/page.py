"""A model card as one self-contained page."""

from html import escape

from resnet_ops.page import document, facts, pill, table
from resnet_ops_registry.cards.model_card import ModelCard
from resnet_ops_registry.cards.parts import Section
from resnet_ops_registry.gate.verdict import OBSERVED, PASSES

__all__ = ["as_page"]

MARK = "written by people"


def as_page(card: ModelCard) -> str:
    """The whole card as HTML."""
    pills = " ".join(_verdict(name, verdict) for name, verdict in sorted(card.verdicts.items()))
    head = (
        f"<h1>{escape(card.title)}</h1><p class=soft>{escape(card.origin)}</p>"
        + (f"<p>{pills}</p>" if pills else "")
        + facts([(fact.name, fact.value, fact.more) for fact in card.headline])
    )
    return document(f"Model card: {card.title}", head + "".join(map(_section, card.sections)))


def _verdict(name: str, verdict: str) -> str:
    if verdict.startswith(PASSES):
        return pill(f"{name}: passes", "good")
    return pill(f"{name}: {'would be refused' if verdict.startswith(OBSERVED) else 'refused'}", "bad")


def _section(section: Section) -> str:
    mark = f" {pill(MARK, 'plain')}" if section.by_hand else ""
    parts = [f"<h2>{escape(section.title)}{mark}</h2>"]
    parts += [f"<p>{escape(note)}</p>" for note in section.notes]
    if section.points:
        parts.append("<ul>" + "".join(f"<li>{escape(point)}</li>" for point in section.points) + "</ul>")
    if section.table:
        rows: list[tuple[str, list[str]]] = [(row.kind, list(row.cells)) for row in section.table.rows]
        parts.append(table(list(section.table.columns), rows))
    if section.commands:
        parts.append(f"<pre>{escape(chr(10).join(section.commands))}</pre>")
    return "".join(parts)
