"""Each sentence of the protocol is true of the setting that it is printed under."""

import os
from types import SimpleNamespace

import numpy as np
import pytest

from ssljax.config import base
from ssljax.progress import elapsed
from ssljax.records import protocol, result
from ssljax.targets import OneClass

RECORD = {
    'seed': 0,
    'pretrain': {'method': 'rotation', 'steps': 12, 'images': 1940},
    'partition': {'labeled': {'count': 30, 'hash': 'a', 'per_class': [10, 10, 10]}, 'val': {'count': 60},
                  'unlabeled': {'count': 1910}},
    'ways': {'scratch': {'steps': 40, 'test': {'top1': 0.5}}},
}  # fmt: skip
CARVED = object()


def source(val=0, unlabeled=0, carved=False, test=500):
    return SimpleNamespace(
        train=Images(2000, CARVED), test=Images(test, CARVED if carved else object()),
        val=Images(val, object()) if val else None, unlabeled=Images(unlabeled, object()) if unlabeled else None,
        classes=('a', 'b', 'c'), targets=OneClass(3),
    )  # fmt: skip


class Images(list):
    def __init__(self, n, images):
        super().__init__([0] * n)
        self.images = images


def said(record=None, of=None, seeds=(0, 1, 2), **changed):
    config = base()
    config.update_from_flattened_dict({'data.labels': '10/class', 'seeds': seeds} | changed)
    records = [record or RECORD] * len(seeds)
    return protocol.protocol(config, records, of or source())


@pytest.mark.parametrize(
    'changed, of, expected, absent',
    [
        ({}, {}, 'stratified by class, drawn anew for every seed', 'oracle'),
        ({'seeds': (0,)}, {}, 'drawn with the seed', 'every seed'),
        ({'data.labels': 'list:x.txt'}, {}, 'named in a list, the same for every seed', 'oracle'),
        ({'data.labels': 'all'}, {}, 'all but the validation images, which are drawn anew', 'oracle'),
        ({'data.labels': 'all'}, {'val': 70}, 'all that have a label, the same for every seed', 'drawn anew'),
        ({}, {'val': 70}, '70 validation images provided by the source, the same for every seed', 'data.val'),
        ({'data.val': '30%'}, {'val': 70}, 'data.val is ignored', '60 validation'),
        ({}, {}, '60 additional labelled images for validation, taken from the training', 'by the source'),
        ({'data.choose': 'typical', 'data.labels': '30'}, {}, 'chosen without looking at labels', 'oracle'),
        ({'data.choose': 'typical_oracle'}, {}, 'chosen by an oracle that reads the class of every', 'without looking'),
        ({'data.choose': 'typical'}, {}, 'chosen by an oracle that reads the class of every', 'without looking'),
        ({'data.pool': 100}, {}, 'Of the other training images, 100 are used', 'further'),
        ({}, {'unlabeled': 40}, '40 additional unlabelled images are used', 'data.pool'),
        ({}, {}, 'The test split of 500 images was read once per seed, after all training', 'set aside'),
        ({'seeds': (0,)}, {}, 'was read once, after all training', 'per seed'),
        ({}, {'carved': True}, 'set aside from the training images (20%, the same for every seed)', 'best on test'),
        ({'evaluate.best_on_test': True}, {}, 'read at every evaluation during training', 'read once'),
        ({'transfer.scratch.patience': 3}, {}, 'Validation also stops scratch early', 'tuning'),
        ({'tune': True}, {}, 'Tuned settings were chosen beforehand', 'also stops'),
        ({'transfer.checkpoint': 'runs/x'}, {}, 'is from runs/x; which images it was trained on', 'Pretrained by'),
        ({}, {}, 'Pretrained by rotation for 12 steps of 128 on 1,940 unlabelled images', 'is from'),
        ({}, {}, 'Trained: all weights from scratch for 40 steps of 64 images.', 'early'),
        # Wilson: (0.5 +- 1.96 * sqrt(0.5 * 0.5 / 500 + 1.96 ** 2 / (4 * 500 ** 2)) ...)
        ({}, {}, 'an accuracy of 50.0 % has a 95% interval of 45.6 to 54.4 %; the spread', 'linear probe'),
    ],
)  # fmt: skip
def test_what_is_said_of_a_setting(changed, of, expected, absent):
    text = said(of=source(**of), **changed)
    assert expected in text and absent not in text


def test_ways_say_how_they_were_trained():
    ways = {
        'fixmatch': {'steps': 300}, 'noisy_student': {'steps': 300}, 'plain': {'steps': 40}, 'two_stage': {'steps': 20},
    }  # fmt: skip
    variants = (('plain', 'scratch', (('transfer.batch_size', 32),)),)
    text = said(RECORD | {'ways': ways, 'probe': {'x': 1}}, variants=variants, **{'semi.start': 'pretrained'})
    assert 'fixmatch for 300 steps of 64 unlabelled images plus labelled ones, starting from the pretrained' in text
    assert 'each of 2 generations' in text and 'plain (scratch with transfer.batch_size=32) for 40 steps of 32' in text
    assert 'after the frozen stage (two-stage) for 20 steps' in text and "the linear probe's layer" in text


def test_steps_that_differ_by_seed_and_classes_without_label():
    config = base()
    config.seeds = (0, 1)
    other = RECORD | {'ways': {'scratch': {'steps': 28}}}
    assert 'for 28 to 40 steps' in protocol.protocol(config, [RECORD, other], source())
    few = RECORD | {'partition': RECORD['partition'] | {'labeled': {'count': 2, 'per_class': [1, 1, 0]}}}
    assert 'Up to 1 of 3 classes have no labelled image' in protocol.protocol(config, few, source())


def test_a_study_says_no_more_than_is_true():
    config = base()
    config.study.labels = ('1/class', '4/class')
    text = protocol.of_study(config)
    assert 'nested and the same for all ways' in text and 'shared by all label budgets' in text and 'read once' in text
    config.data.choose = 'typical_oracle'
    assert 'nested' not in protocol.of_study(config) and 'oracle' in protocol.of_study(config)
    config.data.update(choose='random', pool=10)
    assert 'shared' not in protocol.of_study(config) and 'data.pool' in protocol.of_study(config)
    config.evaluate.best_on_test = True
    assert 'read once' not in protocol.of_study(config)
    assert 'same for all ways' not in protocol.of_study(config, [{'data.choose': 'random'}])
    config.transfer.ways = ('scratch',)
    assert 'retraining' not in protocol.of_study(config)


def test_time_is_the_sum_over_processes(tmp_path):
    elapsed.begin(tmp_path, 1000.0)
    elapsed.end(tmp_path, 1030.0)
    elapsed.begin(tmp_path, 2000.0)
    metrics = tmp_path / 'seed0/pretrain/metrics.jsonl'
    metrics.parent.mkdir(parents=True)
    metrics.write_text('x')
    for path in (*tmp_path.rglob('*'),):
        os.utime(path, (2007.0, 2007.0))
    (tmp_path / '.lock').write_text('')
    elapsed.begin(tmp_path, 3000.0)  # the second was killed; it wrote for 7 seconds
    assert elapsed.total(tmp_path, 3005.0) == (1000.0, 30.0 + 7.0 + 5.0)
    (tmp_path / 'time.json').write_text('{')
    assert elapsed.total(tmp_path, 5.0) == (5.0, 0.0)


def test_a_finished_run_is_not_made_longer(tmp_path):
    (tmp_path / 'result.json').write_text('{"started": "2026-01-02T03:04:05+00:00", "seconds": 60.0}')
    elapsed.begin(tmp_path)
    elapsed.end(tmp_path)
    began, seconds = elapsed.total(tmp_path)
    assert seconds == pytest.approx(60.0) and began == pytest.approx(1767323045.0)


def test_a_run_begun_before_times_were_kept(tmp_path):
    (tmp_path / 'config.json').write_text('{}')
    os.utime(tmp_path / 'config.json', (500.0, 500.0))
    done = tmp_path / 'seed0/scratch/done.json'
    done.parent.mkdir(parents=True)
    done.write_text('{"seconds": 11.0}')
    elapsed.begin(tmp_path, 1000.0)
    assert elapsed.total(tmp_path, 1004.0) == (500.0, 15.0)


def test_further_unlabelled_images_are_counted():
    train = np.zeros(3)
    of = SimpleNamespace(train=train, test=train, val=None, unlabeled=np.zeros(7))
    assert result._counts(RECORD, of)['further unlabeled'] == 7
