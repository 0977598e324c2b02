"""The benchmark of streamed datasets of TensorFlow Datasets: its rows and its table. Each side imports TensorFlow."""

import json

import numpy as np
import pytest
from PIL import Image

from benchmarks import page, tfds_set, tfds_stream


def test_every_side_has_a_row(tmp_path, capfd):
    pytest.importorskip('tensorflow_datasets')
    for i in range(6):
        path = tmp_path / 'photos' / ('cat', 'dog')[i % 2] / f'{i}.jpg'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (40, 50, 3), np.uint8)).save(path)
    tfds_set.main([str(tmp_path / 'photos'), str(tmp_path / 'set'), '--images=60', '--shards=3'])
    out = tmp_path / 'results/tfds_stream.json'
    given = ['--batch=4', '--size=16', '--rounds=2', '--seconds=0.05', f'--out={out}', '--noise=a test']
    tfds_stream.main([str(tmp_path / 'set'), *given])
    found = json.loads(out.read_text())
    assert [row['side'] for row in found['rows']] == ['tf.data script', 'ours, tfrecord', 'ours, array_record']
    assert found['index'].keys() == {'tfrecord', 'array_record'} and found['bytes'] > 10**6
    for row in found['rows']:
        for name in ('first_batch', 'first_cpu', 'rate', 'cpu'):
            assert 0 < row[name]['least'] <= row[name]['median'] <= row[name]['largest']
        assert row['memory'] > 2**27 and ('ratio' in row) == (row['side'] != 'tf.data script')
    assert 'ours, array_record' in capfd.readouterr().out
    text = page.filled('<!-- tfds_stream -->\n<!-- /tfds_stream -->', out.parent)
    assert '| ours, tfrecord |' in text and 'Meanwhile: a test.' in text


def test_a_set_that_is_not_there(tmp_path, capsys):
    with pytest.raises(SystemExit):
        tfds_stream.main([str(tmp_path)])
    assert 'make it with python -m benchmarks.tfds_set' in capsys.readouterr().err
