"""What decoding at a fraction changes, on real photographs."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from ssljax.data import decode


# Bounds of what ssljax/data/decode.py and docs/own_images.md state, of other photographs.
@pytest.mark.parametrize(
    ('size', 'mean', 'most', 'decibels'), [(96, 0, 0, 99), (64, 4.2, 110, 31), (48, 1.8, 50, 39), (40, 1.4, 40, 41)]
)
def test_photographs_decoded_at_a_fraction_are_as_near_as_stated(shared_data, size, mean, most, decibels):
    with zipfile.ZipFile(shared_data('imagenette.zip')) as archive:
        names = [name for name in archive.namelist() if name.startswith('val/') and name.endswith('.jpg')]
        files = [archive.read(name) for name in names[:: len(names) // 150]]
    apart = []
    for data in files:
        whole = Image.open(io.BytesIO(data)).convert('RGB')
        side = min(whole.size)
        left, top = (whole.width - side) / 2, (whole.height - side) / 2
        box = left, top, left + side, top + side
        exact = np.asarray(whole.resize((size, size), Image.Resampling.BILINEAR, box)).astype(float)
        apart.append(np.abs(decode.decode(data, size, 3) - exact))
    apart = np.array(apart)
    assert len(apart) >= 150 and apart.mean() <= mean and apart.max() <= most
    assert (apart**2).mean() <= 255**2 / 10 ** (decibels / 10)
