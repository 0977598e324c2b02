"""Choosing images with any number of classes so that every class keeps its share: iterative stratification (Sechidis,
Tsoumakas & Vlahavas, ECML PKDD 2011, section 3.2), as an order of which every prefix is stratified."""

import numpy as np

LOOK = 16  # next images of a class, of which the one that brings the shares closest together is taken


def first(hot, order, count: int, leave: int = 0) -> np.ndarray:
    """The first `count` places of an order in which every class keeps its share; those of a smaller count are among
    them.

    The class with the smallest share taken is next, the rarest in a tie. Of its next LOOK images, the one that leaves
    the classes nearest to their shares, by the chi-squared distance, is taken. The paper takes the class with the
    fewest images left and sends them to the subsets that lack it most; with turns by share, a subset can be of any
    size. Images of no class are a class of their own.

    Args:
      hot: [N, K] bool, the classes of each image.
      order: int64 [N], a permutation: of images that are alike, the first in it is taken.
      count: how many.
      leave: images that every class keeps, if it has them.

    Returns:
      int64 [n], in the order taken; n is smaller if no further image can be taken.
    """
    hot = np.concatenate([hot, ~hot.any(1, keepdims=True)], axis=1)[order]
    total = hot.sum(0)
    free, taken = np.ones(len(hot), bool), np.zeros(len(total))
    chosen: list[int] = []
    queues = [list(np.flatnonzero(column)[::-1]) for column in hot.T]  # the next is the last
    rarity = np.argsort(np.argsort(total, kind='stable'), kind='stable')
    open_ = total > 0
    while len(chosen) < count and open_.any():
        share = taken / np.maximum(total, 1)
        turn = min(np.flatnonzero(open_), key=lambda k: (share[k], rarity[k]))
        seen = _next(queues[turn], free)
        seen = [row for row in seen if np.all(~hot[row] | (total - taken > leave))]
        if not seen:
            open_[turn] = False
            continue
        wanted = total * (len(chosen) + 1) / len(hot)
        row = seen[(((taken + hot[seen] - wanted) ** 2) / np.maximum(total, 1)).sum(1).argmin()]
        free[row] = False
        taken += hot[row]
        chosen.append(row)
    return order[np.array(chosen, np.int64)]


def _next(queue: list, free) -> list:
    """At most LOOK free rows from the end of a queue; others met there are removed."""
    found: list = []
    kept: list = []
    while queue and len(found) < LOOK:
        row = queue.pop()
        if free[row]:
            found.append(row)
            kept.append(row)
    queue.extend(reversed(kept))
    return found
