"""The part of a window's page that changes after it was written: what people said of it."""

import re
from collections.abc import Sequence
from html import escape

from resnet_ops_monitoring.drift.verdict import Verdict

__all__ = ["reviews_section", "with_reviews"]

_SECTION = re.compile(r'<section id="reviews">.*?</section>', re.DOTALL)


def reviews_section(verdict: Verdict, lines: Sequence[str]) -> str:
    """Who said what and when, newest first, as `gate.reviews.reviews_of` gives it; and how to answer."""
    reviews = (
        f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>" if lines else "<p>Nobody yet.</p>"
    )
    window = verdict.window
    answers = [("Confirm that you have seen it", f"drift ack {window} --key NAME")]
    if verdict.status in ("alarm", "warning"):
        answers += [
            (
                "Return the alias to the previous version",
                f"drift rollback {window} champion --why TEXT --key NAME",
            ),
            ("This is the new normal", f"drift accept {window} --why TEXT --key NAME"),
        ]
    steps = "".join(
        f"<li>{escape(what)}: <code>resnet-ops {escape(command)}</code></li>" for what, command in answers
    )
    return (
        f'<section id="reviews"><h2>Reviewed by</h2>{reviews}<p class="soft small">Answers are signed, and kept in the '
        f'ledger (<code>resnet-ops ledger show</code>):</p><ul class="soft small">{steps}</ul></section>'
    )


def with_reviews(page: str, verdict: Verdict, lines: Sequence[str]) -> str:
    """The page with these reviews instead of those that it holds."""
    return _SECTION.sub(lambda _: reviews_section(verdict, lines), page, count=1)
