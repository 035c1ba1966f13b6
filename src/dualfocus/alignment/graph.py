"""All frames at once: pairs of near planes are registered, and one motion a frame is fitted to all pairs.

Planes far apart share no sharp content, so a frame is only registered to a few before it. Chained alone, their errors
would add up over a long stack; links of several lengths, weighed by how well each fits, keep them small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dualfocus.alignment.motion import Matrix, compose, from_parameters, inverse, to_parameters
from dualfocus.alignment.pairs import Level, Pair, best_shift, register

REACH = (1, 2, 4)  # planes between the two frames of a link
LEAST_CORRELATION = 0.3  # a link needs this much: unrelated photographs reach about 0.15
_ROUNDS = 6


@dataclass(frozen=True)
class Link:
    """A registered pair: frame `second` on frame `first`."""

    first: int
    second: int
    pair: Pair


def link_frame(
    pyramids: dict[int, list[Level]], motions: dict[int, Matrix], n: int, levels: list[Level], motion: str
) -> list[Link]:
    """Register frame n to the frames before it.

    Args:
        pyramids: levels of the frames before that are within reach.
        motions: motions of the frames before, from the first frame to each; that of n is added.
        n: the frame.
        levels: its levels.
        motion: the group.

    Returns:
        The links that fit; none means the frame lies on none of its neighbours.
    """
    links: list[Link] = []
    for other in [n - reach for reach in REACH if n - reach in pyramids]:
        if n in motions:  # chained through a nearer frame
            start, depth = compose(motions[n], inverse(motions[other])), 3
        else:
            start, depth = best_shift(pyramids[other], levels), None
        pair = register(pyramids[other], levels, motion, start, depth)
        if pair.correlation < LEAST_CORRELATION:
            continue
        links.append(Link(other, n, pair))
        motions.setdefault(n, compose(pair.matrix, motions[other]))
    motions.setdefault(n, np.eye(3))
    return links


def largest_group(count: int, links: Sequence[Link]) -> list[int]:
    """The frames of the largest group held together by links, in order; of equal ones the first."""
    group = list(range(count))
    for link in links:
        a, b = group[link.first], group[link.second]
        group = [min(a, b) if g in (a, b) else g for g in group]
    best = max(set(group), key=lambda g: (group.count(g), -g))
    return [n for n in range(count) if group[n] == best]


def solve(members: Sequence[int], links: Sequence[Link], motion: str) -> dict[int, Matrix]:
    """Motions from the first member to every member that agree best with all links.

    Minimises the sum over links (i, j) of r^T L r, with r the parameters of W_j^-1 H_ij W_i, which is the identity
    where the link's motion H_ij agrees with the frames' motions W, and L the link's information; links that disagree
    with the rest lose weight (Cauchy).
    """
    if len(members) == 1:
        return {members[0]: np.eye(3)}
    rank = {n: k for k, n in enumerate(members)}
    inner = [link for link in links if link.first in rank and link.second in rank]
    motions = _chain(members, inner)
    size = len(to_parameters(motion, np.eye(3)))
    for _ in range(_ROUNDS):
        rests = [to_parameters(motion, _disagreement(link, motions)) for link in inner]
        costs = np.array([r @ link.pair.information @ r for r, link in zip(rests, inner, strict=True)])
        limit = 4 * float(np.median(costs)) + 1e-12
        weights = [link.pair.information / (1 + cost / limit) for link, cost in zip(inner, costs, strict=True)]
        step = _normal_solve(inner, rank, rests, weights, size)
        for n in members:
            motions[n] = compose(motions[n], from_parameters(motion, step[rank[n]]))
    back = inverse(motions[members[0]])
    return {n: compose(matrix, back) for n, matrix in motions.items()}


def _disagreement(link: Link, motions: dict[int, Matrix]) -> Matrix:
    return compose(inverse(motions[link.second]), link.pair.matrix, motions[link.first])


def _chain(members: Sequence[int], links: Sequence[Link]) -> dict[int, Matrix]:
    """First guess: every member by its best link to one that is placed already."""
    motions: dict[int, Matrix] = {members[0]: np.eye(3)}
    while len(motions) < len(members):
        open_links = [link for link in links if (link.first in motions) != (link.second in motions)]
        best = max(open_links, key=lambda link: link.pair.correlation)
        if best.first in motions:
            motions[best.second] = compose(best.pair.matrix, motions[best.first])
        else:
            motions[best.first] = compose(inverse(best.pair.matrix), motions[best.second])
    return motions


def _normal_solve(
    links: Sequence[Link],
    rank: dict[int, int],
    rests: Sequence[NDArray[np.float64]],
    weights: Sequence[NDArray[np.float64]],
    size: int,
) -> NDArray[np.float64]:
    """(N, P) steps d that minimise the sum of (r + d_i - d_j)^T L (r + d_i - d_j), with the first at rest."""
    count = len(rank)
    matrix, target = np.zeros((count * size, count * size)), np.zeros(count * size)
    for link, rest, weight in zip(links, rests, weights, strict=True):
        a, b = (slice(rank[n] * size, rank[n] * size + size) for n in (link.first, link.second))
        matrix[a, a] += weight
        matrix[b, b] += weight
        matrix[a, b] -= weight
        matrix[b, a] -= weight
        target[a] -= weight @ rest
        target[b] += weight @ rest
    free = slice(size, None)
    step = np.zeros(count * size)
    step[free] = np.linalg.lstsq(matrix[free, free], target[free], rcond=1e-12)[0]
    return step.reshape(count, size)
