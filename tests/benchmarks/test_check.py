"""The benchmark of `ssljax check`: the files that both sides get, and the table."""

import sys
import zipfile

import numpy as np
import pytest
from PIL import Image

from benchmarks import check


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / 'x.zip'
    with zipfile.ZipFile(path, 'w') as zipped:
        for i in range(12):
            image = Image.fromarray(np.random.default_rng(i).integers(0, 256, (20, 20, 3), np.uint8))
            image.save(tmp_path / 'one.png')
            zipped.write(tmp_path / 'one.png', f'train/{"ab"[i % 2]}/{i}.png')
    return path


def test_an_even_sample_is_unpacked(archive, tmp_path):
    assert check.unpacked(str(archive), tmp_path / 'some', 6) == 6
    assert len(list((tmp_path / 'some').rglob('*.png'))) == 6
    assert check.unpacked(str(archive), tmp_path / 'all', 100) == 12


def test_both_sides_are_timed_on_the_same_files(archive, monkeypatch):
    monkeypatch.setattr(check, 'PEER', 'print(\'{"near_duplicates": 3, "dark": 0}\')')
    monkeypatch.setattr(
        check, 'ours', lambda root, out: {'seconds': 2.0, 'found': {'dark': len(list(root.rglob('*.png')))}}
    )
    row = check.measure(str(archive), sys.executable, rounds=2)
    assert (
        row['images'] == 12 and row['ours']['found'] == {'dark': 12} and row['peer']['found'] == {'near_duplicates': 3}
    )
    assert len(row['peer']['rounds']) == 2 and row['ratio']['median'] == row['peer']['median'] / 2
    assert check.line(row).startswith('x')
