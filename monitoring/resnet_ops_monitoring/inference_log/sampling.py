"""Which requests a log keeps: a uniform share of them, which stands for all, and others for what is in them."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnet_ops.errors import ConfigError

__all__ = ["EVERYTHING", "Sampling"]

_WHOLE = 2**64


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """What a writer keeps. Drift, accuracy and the share of failures are judged by what the rate drew, and that alone.

    rate: share of requests, in (0, 1]. Whether one is drawn is decided by its id, so it is the same for champion,
    canary and shadow, and when a request is sent again. unsure: an answer whose highest probability is below this is
    kept in any case, to be looked at and labelled; 0 for none. Raises ConfigError for other numbers.
    """

    rate: float
    unsure: float

    def __post_init__(self) -> None:
        if not (0 < self.rate <= 1 and 0 <= self.unsure <= 1):
            raise ConfigError(
                "A log's sampling takes a rate above 0 and up to 1 and a confidence from 0 to 1, not "
                f"{self.rate:g} and {self.unsure:g}. Correct them where the writer is opened."
            )

    def kept(
        self, request_id: str, probabilities: NDArray[np.floating[Any]] | None = None
    ) -> tuple[float, float] | None:
        """The probability with which such a row is kept, and the rate that drew it, NaN where none did; None to leave.

        probabilities: (classes,), of an answer; of one with scalars the confidence alone, (1,).
        """
        interesting = bool(self.unsure and probabilities is not None and probabilities.max() < self.unsure)
        drawn = self.rate == 1 or _number(request_id) < self.rate * _WHOLE
        if not (drawn or interesting):
            return None
        return 1.0 if interesting else self.rate, self.rate if drawn else np.nan


EVERYTHING = Sampling(rate=1.0, unsure=0.0)


def _number(request_id: str) -> int:
    """As if drawn from all 64-bit numbers, and independent of the hash priority that reservoirs draw by."""
    digest = hashlib.blake2b(request_id.encode(), digest_size=8, person=b"sampling").digest()
    return int.from_bytes(digest, "little")
