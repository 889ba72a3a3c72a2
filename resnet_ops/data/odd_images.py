"""What a person should know of the images that were read, counted over all of them."""

from collections.abc import Sequence
from statistics import median

from resnet_ops.data.decoding import Facts
from resnet_ops.data.params import DataParams
from resnet_ops.errors import DataError

__all__ = ["bits_needed", "notes_on_images"]

CUT_OFF = 0.1
"""Share of an image that is cut off, from which on it is said."""
DARK = 8
"""Where the median image reaches less than one part in so many of the range, it is said."""


def bits_needed(facts: Sequence[Facts]) -> int:
    """Bits of the brightest 16-bit grey pixel, rounded up to an even number, 8 to 16; 16 where there is none."""
    highest = [each.highest_grey for each in facts if each.highest_grey is not None]
    return max(8, -(-max(highest).bit_length() // 2) * 2) if highest else 16


def notes_on_images(names: Sequence[str], facts: Sequence[Facts], params: DataParams, bits: int) -> list[str]:
    """One line for each thing that is odd, with how many images and the first of them.

    bits: as which 16-bit grey was read. Raises DataError when colours of 16 bits have lost most of their levels.
    """
    of = dict(zip(names, facts, strict=True))

    dark = [name for name, each in of.items() if each.dark_colour]
    if dark and len(dark) == sum(each.deep_colour for each in facts):
        raise DataError(
            f"{len(dark)} images have colours of 16 bits that use less than a quarter of their range ({dark[0]} ...). "
            "Of these the upper 8 bits are read, and little would be left. Save them with 8 bits."
        )
    notes = _note(
        [name for name, each in of.items() if each.metadata_damaged],
        "have damaged metadata, which were skipped; their pixels are used",
    )
    notes += _note(
        [name for name, each in of.items() if each.several],
        "are files of several frames or pages, of which the first is used",
    )
    notes += _note(
        [name for name, each in of.items() if each.transparent],
        f"are transparent: grey {params.background} shows through (data.background in params.yaml)",
    )
    if params.fit == "crop":
        lost = {name: 1 - min(each.size) / max(each.size) for name, each in of.items()}
        odd = [name for name in sorted(lost, key=lambda name: -lost[name]) if lost[name] >= CUT_OFF]
        most = f"{max(lost.values()):.0%}"
        notes += _note(
            odd, f"are not square and lose up to {most} of their area; data.fit: pad keeps all of it"
        )
    notes += _notes_on_windows(of, params)
    return notes if params.window is not None else notes + _notes_on_grey(of, params, bits)


def _notes_on_windows(of: dict[str, Facts], params: DataParams) -> list[str]:
    by = {
        what: [name for name, each in of.items() if each.shown_by == what] for what in ("file", "bits", None)
    }
    if params.window is not None:
        return _note(by[None], "have 8 bits, which data.window leaves as they are")
    wish = (
        "set data.window in params.yaml, so that equal values look alike in all images, and in those to come"
    )
    return [
        *_note(by["file"], f"are DICOM, and are shown through the window that each file brings; {wish}"),
        *_note(by["bits"], f"are DICOM without a window, and are shown by all bits that are stored; {wish}"),
    ]


def _note(odd: list[str], what: str) -> list[str]:
    """A line with how many images and the first of them; none where there is none."""
    return [f"{len(odd)} images {what} ({', '.join(odd[:3])}{' ...' if len(odd) > 3 else ''})"] if odd else []


def _notes_on_grey(of: dict[str, Facts], params: DataParams, bits: int) -> list[str]:
    highest = {name: each.highest_grey for name, each in of.items() if each.highest_grey is not None}
    if not highest:
        return []
    notes = []
    brightest = max(highest, key=lambda name: highest[name])
    cut = [name for name, value in highest.items() if value >= 1 << bits]
    if params.grey_bits == "auto":
        notes.append(
            f"{len(highest)} grey images of 16 bits use {bits} of them (up to {highest[brightest]:,} in {brightest}). "
            f"With data.grey_bits: {bits} in params.yaml images to come are read alike"
        )
    elif cut:
        notes.append(
            f"{len(cut)} grey images are brighter than data.grey_bits: {bits} holds, and were cut off at white "
            f"(up to {highest[brightest]:,} in {brightest})"
        )
    middle = median(highest.values())
    if middle * DARK < 1 << bits:
        notes.append(
            f"Half of the {len(highest)} grey images of 16 bits are nearly black: they reach {middle:,.0f} of "
            f"{(1 << bits) - 1:,}. Set data.grey_bits in params.yaml to the bits that the detector has"
        )
    return notes
