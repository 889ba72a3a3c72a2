"""Which class a person means by a label."""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from resnet_ops.errors import DataError

__all__ = ["as_classes"]


def as_classes(
    labels: Sequence[tuple[Sequence[str], str]], classes: Mapping[str, Collection[str]]
) -> list[str]:
    """The class that each (digests of the models that answered, label) means: of the first that has it.

    A label is about the image: one model may know a class that another has not. It is left as it is where the classes
    of one of them are not known. Blanks around a label do not count, and `7.0` is 7 where there is a class 7. Raises
    DataError that counts the labels that are no class.
    """
    spellings = {digest: {name.strip(): name for name in names} for digest, names in classes.items()}
    meant, strangers = [], Counter[str]()
    for digests, label in labels:
        known = [spellings[digest] for digest in digests if digest in spellings]
        found = next(filter(None, (_meant(label.strip(), each) for each in known)), None)
        if found is None and len(known) == len(digests):
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
