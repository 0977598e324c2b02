"""The page shows whether confidences can be trusted, and the most confident errors."""

import re

import numpy as np
import pytest

from ssljax import calibration, evaluation
from ssljax.data.split import ArrayImages, Split
from ssljax.report import calibrated, insight
from ssljax.report.read import Run
from ssljax.targets import OneClass


def run_of(result, figures, path):
    return Run(path, result, None, figures, path / 'seed0' / 'figures.npz', {})


def test_the_table_has_the_means_over_seeds(tmp_path):
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(0, 4, (200, 3)), rng.integers(0, 3, 200)
    seeds, errors = [], []
    for seed in (0, 1):
        kept = {
            'temperature': 2.0 + seed,
            'before': calibration.reliability(logits, labels, 1.0),
            'test': calibration.reliability(logits, labels, 2.0 + seed),
        }
        errors.append(100 * kept['test']['ece'])
        seeds.append(
            {'seed': seed, 'ways': {'scratch': {'val': {'top1': 0.5}, 'test': {'top1': 0.4}, 'calibration': kept}}}
        )
    section = calibrated.calibration(run_of({'seeds': seeds}, {}, tmp_path))
    text = re.sub('<[^>]+>', ' ', str(section.body))
    assert '2.50' in text and f'{np.mean(errors):.2f}' in text and 'data:image/svg' in section.body
    seeds[0]['ways']['scratch'].pop('calibration')
    seeds[1]['ways']['scratch'].pop('calibration')
    assert calibrated.calibration(run_of({'seeds': seeds}, {}, tmp_path)) is None


def test_the_most_confident_errors_come_first(tmp_path):
    images = np.arange(40, dtype=np.uint8).repeat(16).reshape(40, 4, 4, 1)
    labels = np.arange(40) % 2
    logits = np.zeros((40, 2))
    logits[np.arange(40), labels] = 1.0
    for margin, row in enumerate((7, 3, 30)):
        logits[row] = 0
        logits[row, 1 - labels[row]] = 5.0 - margin
    labels[11] = -1  # unknown: no error
    arrays = evaluation.mistakes(Split(ArrayImages(images), labels), logits, 'scratch', OneClass(2))
    assert arrays['mistake_images'][:, 0, 0, 0].tolist() == [7, 3, 30]
    assert (arrays['mistake_labels'] == labels[[7, 3, 30]]).all() and (
        arrays['mistake_said'] != arrays['mistake_labels']
    ).all()
    assert (np.diff(arrays['mistake_confidence']) < 0).all()
    result = {'data': {'classes': ['<cat>', 'dog']}, 'seeds': [{'seed': 0, 'ways': {}}]}
    body = str(insight.mistakes(run_of(result, arrays, tmp_path)).body)
    assert body.count('<img') == 3 and '&lt;cat&gt; → dog' in body or 'dog → &lt;cat&gt;' in body
    assert evaluation.mistakes(Split(ArrayImages(images), logits.argmax(1)), logits, 'scratch', OneClass(2)) == {}


@pytest.mark.parametrize('count', [5, 10, 30, 99, 200])
def test_one_image_in_a_hundred_is_unlike_the_others_however_few_there_were(count):
    rng = np.random.default_rng(count)
    draw = lambda *shape: np.exp(rng.normal(-2, 0.4, shape))
    share = np.mean([np.mean(draw(500) > calibration.limit(draw(count))) for _ in range(200)])
    assert 0.004 < share < 0.016
    assert calibration.limit(draw(1)) == calibration.FARTHEST
