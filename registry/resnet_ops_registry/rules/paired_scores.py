"""Two models on the same images, with scores in [0, 1]: is the one better than the other by more than a difference?

A test that holds its error for every distribution of scores, also where a candidate loses rarely but then much, which
no average over few images shows: the capital of a mixture over bets (Waudby-Smith and Ramdas 2024, "Estimating means of
bounded random variables by betting").
"""

import numpy as np

__all__ = ["betting_p"]

BETS = 64


def betting_p(differences: np.ndarray, difference: float) -> float:
    """p-value of the null hypothesis that the mean of candidate less champion is at most `difference`.

    differences: (n,) within -1 and 1, of independent images. Under the null, each bet of a share of the capital on the
    images gains nothing on average, so neither does the mean of the capitals; by Markov's inequality the chance that it
    reaches 1 / p is at most p. The order of the images does not matter.
    """
    values, null = (differences + 1) / 2, (difference + 1) / 2
    shares = np.linspace(0, 0.99 / null, BETS + 1)[1:]
    # one bet at a time: all of them at once take half a gigabyte of the server for half a million images
    capital = np.array([np.log1p(share * (values - null)).sum() for share in shares])
    highest = float(capital.max())
    return min(1.0, float(np.exp(-highest) / np.exp(capital - highest).mean())) if highest > 0 else 1.0
