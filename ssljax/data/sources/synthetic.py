"""Patterns made on the spot, for tests: each class is a smooth random one, shifted by up to an eighth, of varying
contrast, under noise."""

import re

import numpy as np

from ssljax.data.sources.asked import Arrays
from ssljax.data.sources.splits import check_memory

FORM = 'synthetic:HxWxC:K'
CLASSES = 10_000  # at most


def read(asked, config):
    """As sources.__init__ says, for images HxWxC in K classes.

    Raises:
      ValueError: another form, or images that are too large, or too many for memory.
    """
    form = re.fullmatch(r'([0-9]{1,9})x([0-9]{1,9})x([1-4]):([0-9]{1,9})', asked.rest)
    if not form or min(map(int, form.groups())) < 1 or not 2 <= int(form[4]) <= CLASSES:
        raise ValueError(
            f"{asked} is not of the form 'synthetic:HxWxC:K' with 1 to 4 "
            f"channels and 2 to {CLASSES:,} classes, such as 'synthetic:32x32x3:10'."
        )
    h, w, c, k = map(int, form.groups())
    if h * w > config.max_pixels:
        raise ValueError(
            f'{asked}: images of {h:,} x {w:,} pixels are more than config.data.max_pixels={config.max_pixels}.'
        )
    check_memory(h * w * c * (2 * 25 * max(k, 100) + 4 * 8 * 3 * k), asked)  # images twice; waves, as they are added
    random = np.random.Generator(np.random.Philox(np.random.SeedSequence((h, w, c, k))))
    y, x = np.mgrid[:h, :w] / np.array([h, w])[:, None, None]
    waves, phases = random.integers(-2, 3, (2, k, c, 4)), random.uniform(0, 2 * np.pi, (k, c, 4))
    patterns = (
        np.sin(2 * np.pi * (waves[0][..., None, None] * y + waves[1][..., None, None] * x) + phases[..., None, None])
        .mean(2)
        .transpose(0, 2, 3, 1)
    )
    patterns /= np.abs(patterns).max((1, 2, 3), keepdims=True)

    def draw(n):
        labels = np.arange(n) % k
        images = np.empty((n, h, w, c), np.uint8)
        dy, dx = random.integers(-(h // 8), h // 8 + 1, n), random.integers(-(w // 8), w // 8 + 1, n)
        contrast = random.uniform(50, 100, n)
        for i in range(n):
            pattern = np.roll(patterns[labels[i]], (dy[i], dx[i]), (0, 1))
            images[i] = np.clip(127.5 + contrast[i] * pattern + random.normal(0, 25, (h, w, c)), 0, 255)
        return Arrays(images, labels)

    return tuple(map(str, range(k))), {'train': draw(max(2000, 20 * k)), 'test': draw(max(500, 5 * k))}
