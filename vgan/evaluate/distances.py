"""Distances between sets of points. Arrays in, numbers out: no network, no files.

Letters in shapes: N points, D features, K directions.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist

__all__ = ["Directions", "frechet", "mean_distance", "principal_directions"]

Points = NDArray[np.floating[Any]]


class Directions(NamedTuple):
    """An orthonormal basis of the directions in which a set of points varies most."""

    centre: Points  # D
    basis: Points  # D x K, the direction of most variance first

    def project(self, points: Points) -> Points:
        """Coordinates of `points` (N x D) in this basis, N x K."""
        coordinates: Points = (np.asarray(points, np.float64) - self.centre) @ self.basis
        return coordinates

    def variance_kept(self, points: Points) -> float:
        """Share of the variance of `points` (N x D) that these directions hold; 1 for points that do not vary."""
        total = np.asarray(points, np.float64).var(0).sum()
        return float(self.project(points).var(0).sum() / total) if total > 0 else 1.0


def principal_directions(points: Points, count: int) -> Directions:
    """The first `count` principal directions of `points` (N x D); fewer where N or D is smaller.

    Their signs are those of the singular value decomposition at hand; no distance depends on them.
    """
    points = np.asarray(points, np.float64)
    centre = points.mean(0)
    _, _, directions = np.linalg.svd(points - centre, full_matrices=False)
    return Directions(centre, directions[:count].T)


def frechet(a: Points, b: Points) -> float:
    """Squared Fréchet distance between the Gaussians fitted to `a` (N x D) and `b` (M x D).

    |mean a - mean b|² + tr A + tr B - 2 tr (A B)^½ with covariances A and B (Dowson and Landau 1982; Heusel et al.
    2017, https://arxiv.org/abs/1706.08500, section 4). The last trace is the sum of the singular values of A^½ B^½,
    and these are those of (centred a)(centred b)ᵀ but for a factor: no matrix root is taken, so nothing becomes
    complex or unstable where N < D and the covariances are singular.

    Like every such distance it shrinks as N grows: compare only distances of equally many points.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if min(len(a), len(b)) < 2:
        raise ValueError(f"expected at least 2 points on each side, got {len(a)} and {len(b)}")
    centred_a, centred_b = a - a.mean(0), b - b.mean(0)
    # QR first: a D x D decomposition instead of N x M where there are many points.
    triangle_a, triangle_b = (np.linalg.qr(centred).R for centred in (centred_a, centred_b))
    cross = np.linalg.svd(triangle_a @ triangle_b.T, compute_uv=False).sum()
    free_a, free_b = len(a) - 1, len(b) - 1
    shift = np.square(a.mean(0) - b.mean(0)).sum()
    spread = np.square(centred_a).sum() / free_a + np.square(centred_b).sum() / free_b
    # Rounding can leave a hair below zero for equal sets.
    return max(float(shift + spread - 2 * cross / np.sqrt(free_a * free_b)), 0.0)


def mean_distance(points: Points) -> float:
    """Mean Euclidean distance between two different points of `points` (N x D): how varied they are."""
    if len(points) < 2:
        raise ValueError(f"expected at least 2 points, got {len(points)}")
    return float(pdist(np.asarray(points, np.float64)).mean())
