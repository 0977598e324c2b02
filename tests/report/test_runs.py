"""Runs are compared like with like: with their own controls, or with equal ones of another run."""

import copy
import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssljax.config import base, to_dict
from ssljax.report import fair
from ssljax.report.runs import compare_runs


def make(method='simclr', scratch=None, finetune=(0.60, 0.62, 0.64), random=False, **changed):
    """A result with, of each seed, fine-tuning and, where given, training from scratch."""
    config = base()
    config.update_from_flattened_dict({'transfer.ways': ('scratch', 'finetune')} | changed)
    result = {
        'name': method,
        'config': to_dict(config),
        'data': {'hashes': {'train': 'aa', 'test': 'bb'}, 'classes': ['x', 'y'], 'shape': [8, 8, 1],
                 'counts': {'test': 500}},
        'seeds': [],
    }  # fmt: skip
    for i, top1 in enumerate(finetune):
        ways = {'finetune': {'steps': 40, 'test': {'top1': top1}}}
        if scratch:
            ways['scratch'] = {'steps': fair.steps(result, {'partition': {'labeled': {'count': 128}}}),
                               'test': {'top1': scratch[i]}}  # fmt: skip
        parts = {name: {'hash': f'{name}{i}', 'count': 128} for name in ('labeled', 'val')}
        seed = {'seed': i, 'pretrain': {'method': method}, 'partition': parts, 'ways': ways}
        seed['probe'] = {'pretrained': {'best': 'a', 'layers': {'a': {'test': top1, 'val': top1}}}}
        if random:
            seed['probe']['random'] = {'best': 'a', 'layers': {'a': {'test': 0.5, 'val': 0.5}}}
        result['seeds'].append(seed)
    return result


def compared(tmp_path, *results):
    """({first cell: the row by header}, the sentences below) of the table."""
    folders = []
    for i, result in enumerate(results):
        folders.append(tmp_path / str(i))
        folders[-1].mkdir(exist_ok=True)
        (folders[-1] / 'result.json').write_text(json.dumps(result))
    lines = compare_runs(folders).splitlines()
    rows = [[c.strip() for c in re.split(r'(?<!\\)\|', line)[1:-1]] for line in lines if line.startswith('|')]
    return {row[0]: dict(zip(rows[0], row)) for row in rows[2:]}, [s for s in lines if s and not s.startswith('|')]


def test_a_run_is_held_against_its_own_scratch(tmp_path):
    one = make('rotation', scratch=(0.58, 0.59, 0.62))
    two = make('simclr', scratch=(0.50, 0.50, 0.50), **{'transfer.batch_size': 128})
    for order in ((one, two), (two, one)):
        rows, said = compared(tmp_path, *order)
        assert rows['rotation']['Fine-tuned'] == '62.00 ± 2.00 (+2.33 ± 0.58)'
        assert rows['simclr']['Fine-tuned'] == '62.00 ± 2.00 (+12.00 ± 2.00)'
        assert rows['from scratch (rotation)']['Fine-tuned'].startswith('59.67')
        assert rows['from scratch (simclr)']['Fine-tuned'].startswith('50.00')
        pace = '40 steps of 64', '20 steps of 128'
        pace = pace if order[1] is one else pace[::-1]
        assert any('not trained alike' in s and f'{pace[0]} against {pace[1].replace(" steps", "")}' in s for s in said)


def test_a_scratch_is_shared_where_all_agrees(tmp_path):
    one, two = make('rotation', scratch=(0.58, 0.59, 0.62), random=True), make('simclr', finetune=(0.7, 0.7, 0.7))
    rows, said = compared(tmp_path, one, two)
    assert rows['simclr']['Fine-tuned'] == '70.00 ± 0.00 (+10.33 ± 2.08)' and not said
    assert rows['simclr']['Linear probe'] == '70.00 ± 0.00 (+20.00 ± 0.00)'
    other = make('byol', scratch=(0.1, 0.1, 0.1), **{'backbone.width': 8})
    rows, _ = compared(tmp_path, other, one, two)
    assert rows['simclr']['Fine-tuned'] == '70.00 ± 0.00 (+10.33 ± 2.08)', 'not that of the wider network'


def test_other_seeds_are_not_paired(tmp_path):
    two = make('simclr')
    for seed in two['seeds']:
        seed['seed'] += 10
    rows, said = compared(tmp_path, make('rotation', scratch=(0.58, 0.59, 0.62)), two)
    assert '(' not in rows['simclr']['Fine-tuned'] and any('no seeds in common' in s for s in said)


def leaves(tree, prefix=''):
    found = []
    for name, value in tree.items():
        found += leaves(value, f'{prefix}{name}.') if isinstance(value, dict) else [prefix + name]
    return found


CONFIG = to_dict(base())
OF_CONFIG = [f for f in leaves(CONFIG) if any(f == name or f.startswith(f'{name}.') for name in fair.SCRATCH)]
CHANGED = [
    *[('config', *f.split('.')) for f in OF_CONFIG if f.rsplit('.', 1)[1] not in ('epochs', 'examples')],
    *[tuple(f.split('.')) for f in fair.RESULT],
    *[('seeds', 1, *f.split('.')) for f in fair.SEED],
    ('config', 'transfer', 'frozen', 'epochs'),
]  # fmt: skip


def change(tree, path):
    *parents, last = path
    for name in parents:
        tree = tree[name]
    old = tree[last]
    tree[last] = [*old, 3] if isinstance(old, list) else not old if isinstance(old, bool) else (
        f'{old}x' if isinstance(old, str) else (old or 0) + 7)  # fmt: skip


@given(path=st.sampled_from(CHANGED))
@settings(max_examples=50)
def test_changing_any_field_stops_the_pairing(tmp_path_factory, path):
    one, two = make('rotation', scratch=(0.58, 0.59, 0.62)), make('simclr')
    two = copy.deepcopy(two)
    change(two, path)
    rows, said = compared(tmp_path_factory.mktemp('runs'), one, two)
    if path[0] == 'seeds':  # one seed of three is another one: the others are paired
        assert rows['simclr']['Fine-tuned'] == '62.00 ± 2.00 (+2.00 ± 0.00)'
    else:
        assert '(' not in rows['simclr']['Fine-tuned'], path
        assert any(s.startswith('simclr: not paired with from scratch of rotation') for s in said)
    assert any('not trained alike' in s for s in said)


def test_steps_and_batch_size_are_named(tmp_path):
    one = make('rotation', scratch=(0.58, 0.59, 0.62), **{'transfer.scratch.steps': 2000})
    two = make('simclr', **{'transfer.scratch.steps': 500, 'transfer.batch_size': 128})
    _, said = compared(tmp_path, one, two)
    assert 'simclr: not paired with from scratch of rotation: 500 steps of 128 against 2,000 of 64.' in said


@pytest.mark.parametrize('name', ['a|b', '<b>x</b>', '`x`', '[x](y)', 'two\nlines', '*x*'])
def test_a_name_stays_in_its_cell(tmp_path, name):
    text = compare_runs([write(tmp_path, make(name))])
    row = text.splitlines()[2]
    assert len(re.split(r'(?<!\\)\|', row)) == len(text.splitlines()[0].split('|'))
    assert '<b>' not in text


def write(folder, result):
    (folder / 'result.json').write_text(json.dumps(result))
    return folder
