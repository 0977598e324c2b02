"""Images whose size in bytes is that of their pixels, whatever they show."""

import numpy as np
from PIL import Image


def write(path, value: int) -> None:
    """A gray image of 8x8 pixels of one value; makes its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8), value, np.uint8)).save(path, 'BMP')
