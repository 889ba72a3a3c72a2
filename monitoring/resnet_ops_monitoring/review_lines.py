"""The part of a window's page that changes after it was written: what people said of it."""

import re
from collections.abc import Sequence
from html import escape

__all__ = ["reviews_section", "with_reviews"]

_SECTION = re.compile(r'<section id="reviews">.*?</section>', re.DOTALL)


def reviews_section(lines: Sequence[str]) -> str:
    """Who said what and when, newest first, as `resnet_ops_registry.reviews.reviews_of` gives it."""
    if lines:
        said = f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"
        more = "Each is signed, and in the ledger: resnet-ops ledger show"
    else:
        said, more = "<p>Nobody yet.</p>", "Say that you have seen it: resnet-ops drift ack WINDOW --key NAME"
    return (
        f'<section id="reviews"><h2>Reviewed by</h2>{said}<p class="soft small">{escape(more)}</p></section>'
    )


def with_reviews(page: str, lines: Sequence[str]) -> str:
    """The page with these reviews instead of those that it holds."""
    return _SECTION.sub(lambda _: reviews_section(lines), page, count=1)
