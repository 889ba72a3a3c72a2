"""A reservoir: rows drawn at random, the same however they were split up before."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["Reservoir", "draw", "join", "lottery"]

_Keys = NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class Reservoir:
    """At most so many rows, those with the smallest lots, ascending; so the first n are a draw of n.

    lots: (k,) uint64. ids: (k,) str. embedding: (k, F). probabilities: (k, K).
    """

    lots: _Keys
    ids: NDArray[np.str_]
    embedding: NDArray[np.float32]
    probabilities: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.lots)


def lottery(ids: "pd.Series[str]", seed: int) -> _Keys:
    """(n,) a pseudo-random number for each id, by SipHash: a row's lot depends on its id and the seed alone."""
    names = ids.astype(str).to_numpy(dtype=object)
    return pd.util.hash_array(names, hash_key=f"{seed:016d}"[-16:], categorize=False)


def draw(lots: _Keys, ids: NDArray[Any], most: int) -> NDArray[np.intp]:
    """Places of the `most` smallest lots, ascending; equal lots by id. ids: (n,) of str."""
    places = np.arange(len(lots))
    if len(lots) > most:
        places = np.flatnonzero(lots <= np.partition(lots, most - 1)[most - 1])
    ordered = places[np.lexsort((ids[places].astype(np.str_), lots[places]))]
    return np.asarray(ordered[:most], dtype=np.intp)


def join(left: Reservoir, right: Reservoir, most: int) -> Reservoir:
    """The reservoir of both sides' rows."""
    lots, ids = np.concatenate([left.lots, right.lots]), np.concatenate([left.ids, right.ids])
    places = draw(lots, ids, most)
    return Reservoir(
        lots=lots[places],
        ids=np.array(ids[places].tolist(), dtype=np.str_),
        embedding=np.concatenate([left.embedding, right.embedding])[places],
        probabilities=np.concatenate([left.probabilities, right.probabilities])[places],
    )
