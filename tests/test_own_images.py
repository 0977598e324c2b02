"""Small sets as people bring them, from the files to a trained model."""

import numpy as np
import pytest
from PIL import Image

import ssljax
from ssljax import experiment
from ssljax.data import summary


@pytest.fixture
def thirty(tmp_path):
    """Thirty photographs of three sizes, twenty of which a CSV gives a class, by four cameras; and the CSV."""
    random, rows = np.random.default_rng(0), ['file;label;group']
    for i in range(30):
        size = [(24, 16), (16, 24), (20, 20)][i % 3]
        array = random.integers(0, 60, (*size, 3)) + (i % 2) * 150
        Image.fromarray(array.astype(np.uint8)).save(tmp_path / f'IMG_{i:03}.jpg')
        rows += [f'IMG_{i:03}.jpg;{["dark", "light"][i % 2]};cam{i // 2 % 4}'] if i < 20 else []
    (tmp_path / 'labels.csv').write_text('\n'.join(rows), encoding='utf-16')
    return f'csv:{tmp_path}/labels.csv'


@pytest.mark.usefixtures('drawn')
def test_thirty_images_with_amounts_that_were_meant_for_more(thirty, config, tmp_path, capsys):
    config.data.update(source=thirty, image_size=8, resize='pad', labels='50', val='200')
    config.transfer.ways, config.pretrain.method = ('scratch',), 'none'
    config.transfer.scratch.update(steps=6, evals=2)
    config.evaluate.update(probe=False, knn=0)
    result = experiment.run(config, tmp_path / 'run')
    said = capsys.readouterr().err
    assert "data.labels='50', but there are no more" in said and "data.val='200', which is too many: 10%" in said
    assert 'and 10 unlabelled images' in said and 'groups' in said
    assert '; 50 were asked for' in result['protocol']
    assert 'in whole groups' in result['protocol']
    parts = result['seeds'][0]['partition']
    assert parts['labeled']['count'] + parts['val']['count'] + result['data']['counts']['test'] == 20
    assert 'black bars' in (tmp_path / 'run/report.html').read_text()
    model = ssljax.load(tmp_path / 'run')
    assert model.predict(sorted(tmp_path.glob('*.jpg'))).shape == (30, 2) and model.classes == ('dark', 'light')


def test_a_gray_set_of_16_bits(tmp_path):
    """Twelve bits in files of sixteen, without folders: one range, and the classes by the names."""
    random = np.random.default_rng(0)
    for i in range(24):
        array = random.integers(0, 4096, (8, 8)).astype(np.uint16)
        Image.fromarray(array).save(tmp_path / f'{["ok", "broken"][i % 2]}-{i // 4}-{i:02}.png')
    s = ssljax.load_data(f'folder:{tmp_path}', pattern='{label}-{group}-{}.png')
    assert s.classes == ('broken', 'ok') and s.shape == (8, 8, 1) and 3900 < s.range[1] < 4096
    assert len(s.train) + len(s.test) == 24 and not set(s.train.groups) & set(s.test.groups)
    assert 'become 0 to 255' in summary.text(s)
