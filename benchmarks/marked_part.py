"""The part of a document that a benchmark writes: between two marks, all else stays."""

from pathlib import Path

from resnet_ops.files import write_text

__all__ = ["write_marked_part"]


def write_marked_part(document: Path, start: str, end: str, text: str) -> None:
    """Put `text` between the marks, each of which stands in the document once."""
    before, rest = document.read_text(encoding="utf-8").split(start)
    _, after = rest.split(end)
    write_text(document, f"{before}{start}{text}{end}{after}")
