"""A reservoir: rows drawn at random, the same however they were split up before."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["Reservoir", "draw", "hash_priority", "join"]

_Keys = NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class Reservoir:
    """At most so many rows, those with the smallest hash priorities, ascending; so the first n are a draw of n.

    priorities: (k,) uint64. ids: (k,) str. embedding: (k, F). probabilities: (k, K).
    """

    priorities: _Keys
    ids: NDArray[np.str_]
    embedding: NDArray[np.float32]
    probabilities: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.priorities)


def hash_priority(ids: "pd.Series[str]", seed: int) -> _Keys:
    """(n,) a pseudo-random number for each id, by SipHash: it depends on its id and the seed alone."""
    names = ids.astype(str).to_numpy(dtype=object)
    return pd.util.hash_array(names, hash_key=f"{seed:016d}"[-16:], categorize=False)


def draw(priorities: _Keys, ids: NDArray[Any], most: int) -> NDArray[np.intp]:
    """Places of the `most` smallest priorities, ascending; equal ones by id. ids: (n,) of str."""
    places = np.arange(len(priorities))
    if len(priorities) > most:
        places = np.flatnonzero(priorities <= np.partition(priorities, most - 1)[most - 1])
    ordered = places[np.lexsort((ids[places].astype(np.str_), priorities[places]))]
    return np.asarray(ordered[:most], dtype=np.intp)


def join(left: Reservoir, right: Reservoir, most: int) -> Reservoir:
    """The reservoir of both sides' rows."""
    priorities, ids = (
        np.concatenate([left.priorities, right.priorities]),
        np.concatenate([left.ids, right.ids]),
    )
    places = draw(priorities, ids, most)
    return Reservoir(
        priorities=priorities[places],
        ids=np.array(ids[places].tolist(), dtype=np.str_),
        embedding=np.concatenate([left.embedding, right.embedding])[places],
        probabilities=np.concatenate([left.probabilities, right.probabilities])[places],
    )
