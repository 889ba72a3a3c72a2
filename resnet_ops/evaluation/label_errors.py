"""Labels that are probably wrong, by confident learning (Northcutt, Jiang and Chuang 2021, arXiv:1911.00068)."""

import numpy as np

__all__ = ["find_label_errors"]


def find_label_errors(probabilities: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(M,) places of images whose labels are probably wrong, the surest first, and (M,) the class each seems to be.

    probabilities: (N, C) rows that sum to 1, by a model that has not seen the images. labels: (N,) class indices.
    An image is counted for the most probable of the classes whose probability is at least the mean that images with
    that label have of it (the confident joint, equations 1 and 2); those counted for another class than their label's
    are its entries off the diagonal. They are ordered by how far the label's probability lies below the highest.
    """
    classes = np.arange(probabilities.shape[1])
    own = labels[:, None] == classes
    count = own.sum(axis=0)
    usual = np.where(count > 0, (probabilities * own).sum(axis=0) / np.maximum(count, 1), np.inf)
    confident = np.where(probabilities >= usual, probabilities, -1.0)
    seems = confident.argmax(axis=1)
    places = np.flatnonzero((confident.max(axis=1) >= 0) & (seems != labels))
    margin = probabilities[places, labels[places]] - probabilities[places].max(axis=1)
    order = np.argsort(margin, kind="stable")
    return places[order], seems[places[order]]
