"""The benchmark of `ssljax predict`: both sides see the same files, and the table has their times."""

import zipfile

import numpy as np
from PIL import Image

from benchmarks import page, predict


def test_a_row_has_both_sides_and_their_ratio(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / 'x.zip', 'w') as zipped:
        for i in range(12):
            Image.fromarray(np.full((20, 20, 3), 20 * i, np.uint8)).save(tmp_path / 'one.png')
            zipped.write(tmp_path / 'one.png', f'train/{"ab"[i % 2]}/{i}.png')
    monkeypatch.setattr(predict, 'train', lambda root, size, run: None)
    seen = []

    def quiet(command):
        seen.append(command)
        return 2.0 if 'predict' in command else 3.0 if '256' in command else 5.0

    monkeypatch.setattr(predict, '_quiet', quiet)
    row = predict.measure(str(tmp_path / 'x.zip'), 'peer', rounds=2)
    assert row['images'] == 12 and row['ours']['median'] == 2 and row['peer']['median'] == 3
    assert row['ratio']['median'] == 1.5 and len(seen) == 6 and predict.line(row).split()[0] == 'x'
    assert {c[5] if 'predict' in c else c[3] for c in seen} == {c[5] for c in seen if 'predict' in c}  # one folder
    assert '| x | 12 | 64 | 2.0 | 3.0 | 1.50 (1.50 to 1.50) |' in page.predict({'rows': [row]})
