"""A reservoir: rows drawn at random, the same however they were split up before; of each group of rows one."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["Reservoir", "draw", "hash_priority", "join"]

_Keys = NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class Reservoir:
    """At most so many rows, those with the smallest hash priorities, ascending; so the first n are a draw of n.

    Of rows of one group, which are alike, there is only the one of the smallest priority: what is left is independent.
    priorities: (k,) uint64. groups: (k,) a hash of the row's group; its priority where it is its own. ids: (k,) str.
    embedding: (k, F). probabilities: (k, K) or the scalars of a task, (k, M). predicted: (k,) places of classes.
    """

    priorities: _Keys
    groups: _Keys
    ids: NDArray[np.str_]
    embedding: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    predicted: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.priorities)

    def first(self, n: int) -> "Reservoir":
        """The first n rows, which are a draw of n."""
        return Reservoir(*(getattr(self, each.name)[:n] for each in fields(self)))

    @property
    def grouped(self) -> bool:
        """Whether any row is of a group."""
        return bool((self.groups != self.priorities).any())


def hash_priority(ids: "pd.Series[str]", seed: int) -> _Keys:
    """(n,) a pseudo-random number for each id, by SipHash: it depends on its id and the seed alone."""
    names = ids.astype(str).to_numpy(dtype=object)
    return pd.util.hash_array(names, hash_key=f"{seed:016d}"[-16:], categorize=False)


def draw(priorities: _Keys, groups: _Keys, ids: NDArray[Any], most: int) -> NDArray[np.intp]:
    """Places of the `most` smallest priorities, one a group, ascending; equal ones by id. ids: (n,) of str."""
    places = np.arange(len(priorities))
    if (groups != priorities).any():
        places = np.lexsort((ids.astype(np.str_), priorities, groups))
        places = places[np.append(True, np.diff(groups[places]) != 0)]
    if len(places) > most:
        some = priorities[places]
        places = places[some <= np.partition(some, most - 1)[most - 1]]
    ordered = places[np.lexsort((ids[places].astype(np.str_), priorities[places]))]
    return np.asarray(ordered[:most], dtype=np.intp)


def join(left: Reservoir, right: Reservoir, most: int) -> Reservoir:
    """The reservoir of both sides' rows."""
    priorities, groups, ids = (
        np.concatenate([getattr(left, name), getattr(right, name)])
        for name in ("priorities", "groups", "ids")
    )
    places = draw(priorities, groups, ids, most)
    return Reservoir(
        priorities=priorities[places],
        groups=groups[places],
        ids=np.array(ids[places].tolist(), dtype=np.str_),
        embedding=np.concatenate([left.embedding, right.embedding])[places],
        probabilities=np.concatenate([left.probabilities, right.probabilities])[places],
        predicted=np.concatenate([left.predicted, right.predicted])[places],
    )
