"""What the report says beside top-1."""

import json
import re

import numpy as np
import pytest

from ssljax import report, stats
from ssljax.evals import classify, intervals
from ssljax.metrics import SELECT
from ssljax.records.result import summarise
from ssljax.report import by_class
from ssljax.report.headline import sentences

LABELS = np.repeat([0, 1], [180, 20])
HELP = {'scratch': 0.0, 'finetune': 1.5}


def record(seed, counts=(90, 10)):
    """Two ways, one with a larger margin, measured as a run does."""
    rng, out, right = np.random.default_rng(seed), {}, {}
    for way, margin in HELP.items():
        logits = rng.normal(size=(200, 2)) + (0.5 + margin) * np.eye(2)[LABELS] + [1.0, 0.0]
        found = classify.scores(logits, LABELS)
        found |= {'intervals': intervals.intervals(logits, LABELS, found)}
        right[way] = classify.rank(logits, LABELS) <= 1
        times = {'best_step': 5, 'steps': 10, 'seconds': 1.0, 'images_per_second': 9.0}
        out[way] = {
            'val': {name: found[name] for name in SELECT},
            'test': found,
        } | times
    against = {way: stats.mcnemar(own, right['scratch']) for way, own in right.items() if way != 'scratch'}
    parts = {'labeled': {'count': sum(counts), 'hash': 'x', 'per_class': list(counts)}}
    return {'seed': seed, 'ways': out, 'partition': parts, 'mcnemar': against}


def result(seeds=1, select='top1', counts=(90, 10)):
    found = [record(seed, counts) for seed in range(seeds)]
    data = {'classes': ['well', 'ill'], 'counts': {'test': 200, 'labeled': 100}, 'per_class': {'test': [180, 20]}}
    return {'name': 'lesions', 'config': {'select': select}, 'seeds': found, 'data': data} | summarise(found)


def page(folder, found):
    (folder / 'result.json').write_text(json.dumps(found))
    report.write(folder)
    return re.sub(r'\s+', ' ', re.sub(r'<[^>]*>', ' ', (folder / 'report.html').read_text()))


def test_the_table_has_the_test_images_the_majority_and_the_balanced_accuracy():
    found = result()
    text = report.table(found)
    header, _, *rows = text.splitlines()[1:]
    assert 'By 200 test images' in header and 'Balanced accuracy %' in header
    last = next(row for row in rows if row.startswith('Always the majority class'))
    assert '90.00' in last and '50.00' in last
    assert len({len(line) for line in (header, *rows[:3])}) == 1
    test = found['seeds'][0]['ways']['scratch']['test']
    row = next(row for row in rows if row.startswith('From scratch'))
    for name in ('top1', 'balanced_accuracy'):
        low, high = test['intervals'][name]
        assert f'{100 * test[name]:.2f}' in row and f'{100 * low:.2f} to {100 * high:.2f}' in row


def test_of_balanced_classes_top1_stands_alone():
    found = result(counts=(10, 10))
    assert by_class.imbalance(found) == 9.0, 'of the test images'
    found['data']['per_class']['test'] = [100, 100]
    assert by_class.imbalance(found) == 1.0 and 'Balanced accuracy' not in report.table(found)
    found['config']['select'] = 'balanced_accuracy'
    assert 'Balanced accuracy' in report.table(found)


@pytest.mark.parametrize('seeds', [1, 2, 3])
def test_two_networks_are_compared_only_where_seeds_are_too_few(tmp_path, seeds):
    found = result(seeds, 'auroc')
    said = ' '.join(sentences(found))
    assert ('McNemar' in said) == (seeds < 3) and ('this compares two trained networks' in said) == (seeds < 3)
    assert 'By macro AUROC on the test set: Fine-tuned' in said
    assert ('beat' in said) == (seeds == 3) or 'did not differ' in said
    text = page(tmp_path, found)
    assert 'Metrics by class' in text and 'Sensitivity %' in text and 'the positive class, &#34;ill&#34;' in text
    assert 'Weights were selected by macro AUROC on validation.' in text and 'the p of the exact test' in text
    assert 'Dash-dotted: always the majority class, 90.0 %' in text


def test_a_result_of_an_earlier_version_has_none_of_it(tmp_path):
    found = result(2)
    for seed in found['seeds']:
        del seed['mcnemar']
        for way in seed['ways'].values():
            way['test'] = {k: way['test'][k] for k in ('top1', 'loss', 'per_class', 'confusion')}
    found |= summarise(found['seeds'])
    del found['data']['per_class'], found['config']
    text = page(tmp_path, found) + report.table(found)
    assert 'Metrics by class' not in text and 'McNemar' not in text and 'Balanced accuracy' not in text
    assert 'Always the majority class' in text, 'by the confusion matrix'
