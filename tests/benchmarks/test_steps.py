"""The benchmark of training steps: one row, its command line, its protocol."""

import json

import jax
import numpy as np
import pytest

from benchmarks import jobs, ours, steps, worker
from ssljax import optim
from ssljax.core import init_state


def test_a_row_has_what_the_table_and_the_file_want(tmp_path, capsys, monkeypatch):
    job = jobs.Job('rotation_nin', 'rotation', 'nin', 8, 2, views=4)
    monkeypatch.setattr(jobs, 'table', lambda accelerator: {job.name: job})
    out = tmp_path / 'deep' / 'steps.json'
    steps.main(['rotation_nin', '--rounds=2', '--seconds=0.01', f'--out={out}'])
    record = json.loads(out.read_text())
    (row,) = record['rows']
    found = row['ours']
    assert row['views'] == 8 and found['parameters']['backbone'] == 1410368
    assert found['ms']['least'] <= found['ms']['median'] <= found['ms']['largest'] and len(found['ms']['rounds']) == 2
    assert found['views_s'] == pytest.approx(8000 / found['ms']['median'])
    assert 0 < found['of_product'] < 1 and found['peak_memory'] > 0 and found['compile'] > 0
    assert {'hardware', 'versions', 'date', 'command'} <= record.keys()
    assert 'rotation_nin' in capsys.readouterr().out


def test_the_operations_of_a_step_are_those_of_its_convolutions():
    """NIN at 32 pixels by hand, 2 FLOP a product, forward and two gradients, but none for the images; XLA leaves out
    the products with zeros at the border."""
    job = jobs.Job('rotation_nin', 'rotation', 'nin', 32, 2, views=4)
    config = ours.config_of(job, 'float32')
    method, tx = ours.method_of(job, config)[0], optim.make(config.pretrain.optim, 10)[0]
    batch = {'image': np.zeros((2, 32, 32, 3), np.uint8), 'label': np.zeros(2, int), 'index': np.arange(2)}
    key = jax.random.key(0)
    ts = jax.eval_shape(lambda key: init_state(method, tx, method.init(key, batch)), key)
    first = 5 * 5 * 3 * 192 * 32**2
    rest = (192 * 160 + 160 * 96) * 32**2 + (25 * 96 + 2 * 192) * 192 * 16**2 + 2 * (9 + 2) * 192**2 * 8**2
    by_hand = job.seen * 2 * (2 * first + 3 * rest)
    assert 0.85 * by_hand < ours.plain_flop(job, 'float32', tx, ts, batch, key) < by_hand


@pytest.mark.parametrize(
    'argv, says',
    (
        (['rotation_nim'], "did you mean 'rotation_nin'"),
        (['--dtype=float16'], 'float32, bfloat16'),
        (['--rounds=0'], '1 or more'),
        (['--batch=-1'], '1 or more'),
        (['--compile'], '--peer=torch'),
    ),
)
def test_a_wrong_command_line_is_told_what_to_do(argv, says, capsys):
    with pytest.raises(SystemExit):
        steps.main(argv)
    assert says in capsys.readouterr().err


def test_a_process_that_ends_is_named():
    with pytest.raises(RuntimeError, match='benchmarks.ours ended with code 1'):
        worker.Worker('benchmarks.ours', '{', 'float32')
