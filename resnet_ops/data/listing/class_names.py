"""Names of classes: which are possible, and which are perhaps one class, spelt in two ways."""

import unicodedata
from collections import defaultdict
from collections.abc import Mapping
from typing import Literal

from resnet_ops.errors import DataError

__all__ = ["spelling_of"]


def spelling_of(
    counts: Mapping[str, int], similar: Literal["ask", "merge", "keep"], where: str
) -> dict[str, str]:
    """For each name the one that is used. counts: images of each.

    Names are similar that differ only in case, blanks or how an accent is coded. Raises DataError for a name that holds
    a line break or another control character, and for similar names where `similar` is `ask`.
    """
    impossible = [name for name in counts if not name.strip() or not name.isprintable()]
    if impossible:
        raise DataError(
            f"{where}: class names are empty or hold characters that cannot be shown: "
            f"{', '.join(map(repr, impossible))}. Rename them."
        )
    groups = defaultdict(list)
    for name in sorted(counts):
        groups["".join(unicodedata.normalize("NFKC", name).casefold().split())].append(name)
    alike = [group for group in groups.values() if len(group) > 1]
    if alike and similar == "ask":
        shown = "; ".join(
            " and ".join(f"{name!r} ({counts[name]} images)" for name in group) for group in alike
        )
        raise DataError(
            f"{where}: these classes differ only in case, blanks or accents' codes: {shown}. Rename them; or say in "
            "params.yaml what they are: data.similar_classes: merge (one class, by the name with most images) or keep"
        )
    if similar == "keep":
        return {name: name for name in counts}
    used = {}
    for group in groups.values():
        used.update(dict.fromkeys(group, max(group, key=lambda name: counts[name])))
    return used
