"""Nearly equal images across splits as a rule of the data's page, with the pictures."""

from html import escape

from resnet_ops.data import PreparedData
from resnet_ops.data.near_duplicates import LIKENESS, find_near_duplicates
from resnet_ops.thumbnail import thumbnail
from resnet_ops_monitoring.validation.manifest_checks import ManifestCheck

__all__ = ["check_near_duplicates"]

SHOWN = 12
"""Pairs on the page."""
LISTED = 3
"""Pairs that are named where the rule is told."""
SIDE = 96


def check_near_duplicates(data: PreparedData) -> tuple[ManifestCheck, str]:
    """Whether an image of validation or test is nearly one of train, and a part of the page with those that are.

    Raises DataError where one of the splits has no image.
    """
    pairs, count = find_near_duplicates(data, "train", ("validation", "test"))
    rule = f"no image of validation or test nearly equal to one of train ({count:,} looked up)"
    if not pairs:
        return ManifestCheck("warning", rule, True, ""), ""
    named = ", ".join(
        f"{data.rows[each.row].path} like {data.rows[each.trained].path}" for each in pairs[:LISTED]
    )
    found = (
        f"{len(pairs)}, such as {named}. Look at the pairs below: where both show the same part or scene, accuracy on "
        "them says little; name what they share under data.group"
    )
    figures = "".join(
        f"{_figure(data, each.row, each.likeness)}{_figure(data, each.trained, None)}"
        for each in pairs[:SHOWN]
    )
    section = (
        "<h2>Nearly equal images in two splits</h2><p class='soft small'>Pairs of an image that is measured on and one "
        f"that is trained on, {min(SHOWN, len(pairs))} of {len(pairs)}, the most alike first: correlation of their "
        f"thumbnails, from which the typical image is taken out, {LIKENESS} and above.</p>"
        f"<div class='thumbs'>{figures}</div>"
    )
    return ManifestCheck("warning", rule, False, found), section


def _figure(data: PreparedData, row: int, likeness: float | None) -> str:
    about = data.rows[row]
    caption = f"{about.split}: {about.path}, {about.class_name}"
    if likeness is not None:
        caption += f"; likeness {likeness:.4f}"
    picture = thumbnail(data.images[row], SIDE)
    return (
        f'<figure><img alt="{escape(caption)}" src="{picture}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )
