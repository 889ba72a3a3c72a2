"""Proof by labels that a version makes too many mistakes, which holds however often it is looked at."""

import math
from collections.abc import Sequence

from scipy import special

__all__ = ["proof_of_mistakes", "proof_of_worse", "proof_since"]


def proof_since(right: int, wrong: int, floor: float) -> float:
    """Log of the evidence that labelled answers are right less often than `floor`, a share in (0, 1).

    The likelihood ratio of all accuracies below the floor, alike probable before, against the floor (Robbins 1970,
    "Statistical methods related to the law of the iterated logarithm"). While each answer is right with at least that
    probability it is a supermartingale that starts at 1, so that it ever exceeds c with probability 1/c at most (Ville
    1939), whenever and however often one looks.
    """
    if right + wrong == 0:
        return 0.0
    a, b = right + 1, wrong + 1
    below = float(special.betainc(a, b, floor))
    log_below = math.log(below) if below > 0 else -math.inf
    mixture = log_below + float(special.betaln(a, b)) - math.log(floor)
    return mixture - right * math.log(floor) - wrong * math.log1p(-floor)


def proof_of_mistakes(days: Sequence[tuple[int, int]], first: int, floor: float) -> float:
    """Log of the evidence that accuracy is below `floor` since one of these days.

    days: right and wrong labelled answers of each day up to now, oldest first. first: number of the oldest one, 1 for
    the first day of the version's service. The evidence since day k has the weight 1/(k (k + 1)) in the sum. All
    weights together make 1, so that the sum too exceeds 1/alpha with probability alpha at most, over the whole life of
    a version (such a mixture of supermartingales is one: Shin, Ramdas and Rinaldo 2023, "E-detectors"). A sum over
    the last days only leaves terms out, which are not negative.
    """
    logs, right, wrong = [], 0, 0
    for back, (more_right, more_wrong) in enumerate(reversed(days)):
        right, wrong = right + more_right, wrong + more_wrong
        start = first + len(days) - 1 - back
        logs.append(proof_since(right, wrong, floor) - math.log(start * (start + 1)))
    return float(special.logsumexp(logs)) if logs else -math.inf


def proof_of_worse(tried: int, usual: int, share: float, tolerated: float) -> float:
    """Log of the evidence that faults befall the requests to one version more than `tolerated` times as often.

    tried, usual: requests with a fault that were given to it, and to the other version. share: of all requests that it
    was given, each by a coin of its own that knows nothing of the request. Then, whatever the faults are and however
    often they come at this or that time, each falls to it with probability share * tolerated / (share * tolerated + 1 -
    share) at most, so that `proof_since` says what they prove.
    """
    odds = share * tolerated / (1 - share)
    return proof_since(usual, tried, 1 / (1 + odds))
