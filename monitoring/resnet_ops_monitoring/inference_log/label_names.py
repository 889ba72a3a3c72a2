"""Which class a person means by a label."""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from resnet_ops.errors import DataError

__all__ = ["as_classes"]


def as_classes(labels: Sequence[tuple[str, str]], classes: Mapping[str, Collection[str]]) -> list[str]:
    """The class that each (digest of the model, label) means; as it is where the model's classes are not known.

    Blanks around a label do not count, and `7.0` is 7 where there is a class 7. Raises DataError that counts the labels
    that are no class.
    """
    spellings = {digest: {name.strip(): name for name in names} for digest, names in classes.items()}
    meant, strangers = [], Counter[str]()
    for digest, label in labels:
        known = spellings.get(digest)
        found = label if known is None else _meant(label.strip(), known)
        if found is None:
            strangers[label] += 1
        meant.append(found or label)
    if strangers:
        shown = ", ".join(f"{label!r} ({count} times)" for label, count in strangers.most_common(10))
        names = sorted({name for each in classes.values() for name in each})
        raise DataError(
            f"{strangers.total()} of {len(labels)} labels are not classes of the model that answered: {shown}. Its "
            f"classes are {', '.join(names[:20])}{' ...' if len(names) > 20 else ''}. Nothing was labelled."
        )
    return meant


def _meant(label: str, known: Mapping[str, str]) -> str | None:
    if label in known:
        return known[label]
    number = re.fullmatch(r"([0-9]+)\.0+", label)
    return known.get(number[1]) if number else None
