"""Points in the plane as images of one pixel and two channels: data on which a decision can be seen whole."""

import numpy as np

RINGS = {'inner': 0.4, 'outer': 0.8}  # class: radius
NOISE = 0.03  # of each coordinate; the rings are 13 standard deviations apart


def circles(n, seed):
    """Two rings around 0 with Gaussian noise, their points alternating.

    Args:
      n: number of points.
      seed: of the angles and the noise, an int of 0 or more.

    Returns:
      (images uint8 [n, 1, 1, 2], the first and the second coordinate, where v is v / 127.5 - 1 in [-1, 1];
      labels int32 [n], 0 for the inner ring, 1 for the outer).
    """
    random = np.random.Generator(np.random.Philox(np.random.SeedSequence(seed)))
    labels = np.arange(n, dtype=np.int32) % len(RINGS)
    angles = random.uniform(0, 2 * np.pi, n)
    radii = np.array(list(RINGS.values()))[labels]
    places = radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1) + random.normal(0, NOISE, (n, 2))
    return to_bytes(places).reshape(n, 1, 1, 2), labels


def to_bytes(places):
    """Coordinates in [-1, 1] as the nearest uint8; points outside are moved to the edge."""
    return np.uint8(np.clip(np.round((places + 1) * 127.5), 0, 255))


def is_plane(shape) -> bool:
    """Whether images of this shape (H, W, C) are points in the plane: one pixel of two channels."""
    return tuple(shape) == (1, 1, 2)
