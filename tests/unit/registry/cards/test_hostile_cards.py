"""Names from outside stay text on a model card, whatever they hold."""

import html
import re

from resnet_ops_registry.cards.model_card import CardTexts, ModelCard, build_card
from resnet_ops_registry.cards.page import as_page
from resnet_ops_registry.cards.text import as_markdown, as_text, description
from tests.unit.registry.cards.test_model_card import DAY, FULL, card, evidence, one, share, words

HOSTILE = "<img src=x onerror=alert(1)>|**b** [l](javascript:alert(1)) `c`\n# h &amp; _i_ \x1b[2J"


def hostile() -> ModelCard:
    named = {
        f"test.slice.{HOSTILE}": share(0.1, 40),
        f"test.recall.{HOSTILE}": share(0.1, 40),
        f"robustness.accuracy.{HOSTILE}": share(0.1, 40),
        f"{HOSTILE}.latency_p99_ms": one(3, "ms"),
    }
    said = evidence(
        {**FULL, **named},
        member=HOSTILE,
        data={HOSTILE: HOSTILE},
        environment={HOSTILE: HOSTILE},
        hardware={HOSTILE: {HOSTILE: HOSTILE}},
        checks={HOSTILE: False},
        seeds={HOSTILE: 1},
    )
    texts = CardTexts(intended_use=HOSTILE, limits=HOSTILE)
    return build_card(HOSTILE, 3, said, "9" * 64, texts, {HOSTILE: HOSTILE}, DAY)


def test_hostile_names_stay_text_on_the_page() -> None:
    page = as_page(hostile())
    tags = set(re.findall(r"<([a-zA-Z!]\w*)", page))
    assert tags <= set(re.findall(r"<([a-zA-Z!]\w*)", as_page(card()))) | {"ul", "li"}
    assert "<img src=x onerror=alert(1)>" in words(page)
    assert "http://" not in page
    assert "https://" not in page


def test_hostile_names_stay_text_in_markdown_and_break_no_table() -> None:
    for text in (as_markdown(hostile()), description(hostile(), "#/whole")):
        outside = [line for line in text.splitlines() if not line.startswith("    ")]
        told = "\n".join(outside)
        for sign in ("<", "`", "\x1b", "](javascript", "**b**"):
            assert sign not in told, sign
        assert {line.count("|") for line in outside if "|" in line} <= {3, 4, 6, 8}
        assert not any(line.startswith("# h") for line in outside)


def test_escaped_text_says_what_it_said() -> None:
    assert html.unescape(as_text("a|b <c> [d](e) `f` *g* _h_ ~i~ #j \\k &amp;")) == (
        "a|b <c> [d](e) `f` *g* _h_ ~i~ #j \\k &amp;"
    )
    assert as_text("test.worst_class_recall") == "test.worst_class_recall"
