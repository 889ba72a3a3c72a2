"""What a cross-validation is called, and what it is told to be: known without torch."""

__all__ = ["CROSS", "WHAT"]

CROSS = "cross_validated"
"""How the names of its numbers begin: never as those of a version's own test split."""
WHAT = (
    "These numbers are of other models than the one that is registered: each was trained by the same recipe without "
    "one fold of the images, and asked about that fold. Together they show what the recipe reaches on images of this "
    "kind; intervals are for the mean of these models, and count the folds' errors as independent."
)
