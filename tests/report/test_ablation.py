"""The sections on variants and on what was tuned, and the statistics in the tables."""

import copy
import json

import numpy as np

from ssljax import report, stats
from ssljax.report.compare import ways_of
from ssljax.report.headline import headline
from tests.report.test_game import part_of
from tests.report.test_report import make_result, make_run, plain, read_page, set_gains

DECISIONS = {
    'seconds': 150.0,
    'trials': 7,
    'decisions': [
        {
            'field': 'transfer.scratch.optim.lr',
            'before': 0.05,
            'value': 0.01,
            'why': 'Best of <three> rates.',
            'seconds': 60.0,
            'plot': {
                'title': 'Learning rate',
                'xlabel': 'rate',
                'ylabel': 'Validation top-1 (%)',
                'xscale': 'log',
                'x': [0.001, 0.01, 0.1],
                'series': {'one': [61.0, 64.0, None]},
                'chosen': 0.01,
                'band': {'low': [60.0, 63.0, None], 'high': [62.0, 65.0, None]},
            },
        },
        {
            'field': 'transfer.augment',
            'before': '',
            'value': 'flip',
            'why': 'Higher.',
            'seconds': 30.0,
            'plot': {
                'title': 'Augmentation',
                'xlabel': '',
                'ylabel': 'Validation top-1 (%)',
                'xscale': 'category',
                'x': ['none', 'flip'],
                'series': {'one': [61.0, 64.0], 'two': [None, 60.0]},
                'chosen': 'flip',
                'band': None,
            },
        },
        {'field': 'transfer.batch_size', 'before': 64, 'value': 50, 'why': 'Fits.', 'seconds': 0.0, 'plot': None},
    ],
}


def add_variants(result, variants, gains):
    """`result` with a way for each variant, better by gains[name] on every seed, give or take."""
    rng = np.random.default_rng(1)
    result['config'] |= {'variants': variants, 'transfer': {'augment': ''}}
    for seed in result['seeds']:
        for name, way, _ in variants:
            seed['ways'][name] = copy.deepcopy(seed['ways'][way])
            seed['ways'][name]['test']['top1'] += gains[name] + rng.normal(0, 0.001)
    return result


VARIANTS = [
    ['augmented', 'scratch', [['transfer.augment', 'crop(4)|flip']]],
    ['slow', 'finetune', [['optim.lr', 0.01], ['transfer.augment', 'flip']]],
]


def test_variants_stand_beside_their_way(tmp_path):
    result = add_variants(make_run(tmp_path), VARIANTS, {'augmented': 0.02, 'slow': -0.1})
    (tmp_path / 'result.json').write_text(json.dumps(result))
    page = read_page(tmp_path)
    words = plain(part_of(page, 'Ablation'))
    assert ' '.join("augmented From scratch transfer.augment '' crop(4)|flip".split()) in ' '.join(
        words.replace('&#39;', "'").split()
    )
    gain = stats.difference(
        [(s['ways']['slow']['test']['top1'], s['ways']['finetune']['test']['top1']) for s in result['seeds']]
    )
    assert f'−{-100 * gain["mean"]:.2f} ± {100 * gain["std"]:.2f}' in words
    assert f'−{-100 * gain["low"]:.2f} to −{-100 * gain["high"]:.2f}' in words
    assert ways_of(result).index('slow') == ways_of(result).index('finetune') + 1
    assert 'Difference between each variant' in page
    assert headline(result).startswith('Fine-tuned'), 'the headline is about a way, not about a variant of it'


def test_without_variants_and_tuning_neither_shows(tmp_path):
    make_run(tmp_path)
    page = read_page(tmp_path)
    assert '<h2>Ablation' not in page and '<h2>What was tuned' not in page


def test_what_was_tuned(tmp_path):
    make_run(tmp_path)
    (tmp_path / 'tuning').mkdir()
    (tmp_path / 'tuning' / 'decisions.json').write_text(json.dumps(DECISIONS))
    part = part_of(read_page(tmp_path), 'What was tuned')
    words = ' '.join(plain(part).split())
    assert '7 trials, 2 min 30 s' in words and 'Best of &lt;three&gt; rates.' in words
    assert 'transfer.scratch.optim.lr 0.05 0.01' in words and 'Fits.' in words
    assert f'--config={tmp_path}/tuning/tuned.py' in words
    assert part.count('<img') == 2 and words.count('Cross: no result.') == 2


def test_one_seed_has_dashes():
    result = make_result(seeds=1)
    text = report.table(result)
    row = next(line for line in text.splitlines() if line.startswith('Fine-tuned'))
    assert row.split('  ')[-1].strip() == '10.2 s' and row.count('–') == 3
    assert 'nan' not in text.lower() and 'one seed, so' in text


def test_a_lead_that_may_be_chance_is_no_win():
    result = make_result(seeds=2)
    set_gains(result, [0.01, 0.03])
    said = headline(result)
    assert (
        'did not differ clearly: +2.00 ± 1.41 points over 2 seeds' in said
        and 'too few seeds' in said
        and 'p =' not in said
    )
