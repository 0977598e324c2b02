"""How cost grows: each curve's points, and the figure."""

import json
import math

import numpy as np

from benchmarks import growth


def test_each_curve_has_rows_and_the_figure_is_drawn(tmp_path, monkeypatch):
    points = (growth.Point('batch', 8, 32), growth.Point('images', 8, 64))
    monkeypatch.setattr(growth, 'POINTS', points)
    growth.main(['--seconds=0.01', f'--out={tmp_path}/deep/growth.json'])
    rows = json.loads((tmp_path / 'deep/growth.json').read_text())['rows']
    assert [(row['curve'], row['images']) for row in rows] == [('batch', 32), ('images', 64)]
    assert all(row['images_s'] > 0 and row['peak_memory'] > 2**20 for row in rows)
    assert 'Images per second' in (tmp_path / 'deep/growth.svg').read_text()


def test_a_stream_is_read_from_end_to_end():
    assert growth.point('stream', 16, 100, 0.0)['steps'] == math.ceil(100 / 16)


def test_drawn_images_are_the_same_when_read_again():
    images = growth.Drawn(10)
    assert images.read([3, 4]).shape == (2, *images.shape)
    assert (images.read([3, 4]) == images.read(np.array([3, 4]))).all()
