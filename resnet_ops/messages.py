"""What the library says while it works, with nothing but Python: the core runs where rich is not installed."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Progress", "plain", "say", "silent"]

Progress = Callable[[int, int], None]
"""Takes the number of steps done and of steps in all."""

_CONTROL = {
    code: "\N{REPLACEMENT CHARACTER}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"
}

_silence: list[bool] = []


def plain(text: str) -> str:
    """The text without signs that move a terminal: what is shown may come from anybody."""
    return text.translate(_CONTROL)


def say(text: str) -> None:
    """Print a line to standard output, at once: workers of one training share it."""
    if not any(_silence):
        sys.stdout.write(plain(f"{text}\n"))
        sys.stdout.flush()


@contextmanager
def silent(wanted: bool) -> Iterator[None]:
    """While the block runs, `say` says nothing if that is `wanted`, as of a worker that does not lead."""
    _silence.append(wanted)
    try:
        yield
    finally:
        _silence.pop()
