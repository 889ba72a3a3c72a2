"""Whether work grows with the length of what is read, not with its square."""

import gc
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from resnet_ops.errors import ConfigError, DataError, EvidenceError

__all__ = ["is_linear"]

REFUSED = (ConfigError, DataError, EvidenceError)


def is_linear(
    parse: Callable[[Any], Any],
    make: Callable[[int], Any],
    length: int,
    refused: tuple[type[Exception], ...] = REFUSED,
) -> bool:
    """Whether ten times the length costs about ten times the work.

    A square would make it a hundred times; 40 are let pass. What is too short to be measured counts as a millisecond.
    """
    short, long = make(length), make(10 * length)
    return _seconds(parse, long, refused) <= 40 * max(_seconds(parse, short, refused), 1e-3)


def _seconds(parse: Callable[[Any], Any], text: Any, refused: tuple[type[Exception], ...]) -> float:
    """Of the processor, the least of three; without the garbage collector, which looks at the whole process."""
    spent = []
    gc.disable()
    try:
        for _ in range(3):
            began = time.process_time()
            with suppress(*refused):
                parse(text)
            spent.append(time.process_time() - began)
    finally:
        gc.enable()
    return min(spent)
