"""The report of a run written from files like those a run leaves."""

import json
import re

import numpy as np
import pytest

from ssljax import report
from ssljax.report import embed
from ssljax.report.__main__ import main
from ssljax.report.headline import headline
from ssljax.report.pictures import filter_sheet
from ssljax.report.read import read_rows

WAYS = {'random_frozen': 0.62, 'scratch': 0.80, 'frozen': 0.78, 'finetune': 0.83, 'two_stage': 0.82}


def scores(rng, top1, k):
    """A test entry whose numbers belong together: confusion counts, and what follows from them."""
    each = 1000
    confusion = np.stack([rng.multinomial(each, (1 - top1) / k + top1 * (np.arange(k) == i)) for i in range(k)])
    right = np.diag(confusion)
    entry = {'top1': float(right.sum() / confusion.sum()), 'loss': float(2 * (1 - top1))}
    if k > 5:
        entry['top5'] = min(1.0, entry['top1'] + 0.12)
    return entry | {'per_class': (right / each).tolist(), 'confusion': confusion.tolist()}


def make_result(k=10, seeds=3, pretrain=True, names=None, gain=0.0):
    rng = np.random.default_rng(0)
    ways = WAYS if pretrain else {'scratch': 0.8}
    found = []
    for seed in range(seeds):
        entry = {'seed': seed, 'pretrain': None, 'ways': {}}
        entry['partition'] = {
            'labeled': {'count': 10 * k, 'hash': f'sha256:{seed}f00', 'per_class': [10] * k},
            'val': {'count': 60 * k, 'hash': 'sha256:aa', 'per_class': [60] * k},
            'unlabeled': {'count': 530 * k, 'hash': 'sha256:bb', 'per_class': [530] * k},
        }
        for way, top1 in ways.items():
            top1 += rng.normal(0, 0.004) + gain * (way not in ('scratch', 'random_frozen'))
            entry['ways'][way] = {
                'test': scores(rng, top1, k),
                'val': {'top1': top1 + 0.005},
                'best_step': 300,
                'steps': 600,
                'seconds': 10.2,
                'images_per_second': 5123.0,
            }
        if pretrain:
            entry['pretrain'] = {
                'method': 'rotation',
                'steps': 1000,
                'epochs': 5.0,
                'seconds': 60.1,
                'images_per_second': 9000.0,
                'val': {'top1': 0.9853, 'loss': 0.0512},
            }
            entry['knn'] = {
                what: {'val': {'top1': v}, 'test': {'top1': v - 0.01}, 'k': 20}
                for what, v in (('pretrained', 0.7712), ('random', 0.7012))
            }
            entry['probe'] = {
                what: {
                    'best': 'conv2',
                    'layers': {
                        f'conv{i}': {
                            'val': v - 0.02 * abs(i - 2),
                            'test': v - 0.01 - 0.02 * abs(i - 2) + rng.normal(0, 0.003),
                            'dim': 3136,
                            'l2': 1e-4,
                        }
                        for i in range(1, 5)
                    },
                }
                for what, v in (('pretrained', 0.8012), ('random', 0.7312))
            }
        found.append(entry)
    result = {
        'name': 'fashion_mnist',
        'command': 'python -m ssljax.main --config=configs/rotation.py',
        'seeds': found,
        'config': {
            'data': {'source': 'tfds:fashion_mnist', 'labels': '1000'},
            'optim': {'lr': 0.1, 'note': '<b>&'},
        },
        'started': '2026-01-02T03:04:05',
        'seconds': 812.3,
        'versions': {'python': '3.11.9', 'jax': '0.10.2'},
        'hardware': {'platform': 'cpu', 'device': 'AMD EPYC', 'devices': 1, 'host_cores': 2},
        'data': {
            'source': 'tfds:fashion_mnist',
            'shape': [28, 28, 1],
            'classes': names or [f'class {i}' for i in range(k)],
            'counts': {
                'train': 600 * k,
                'val': 60 * k,
                'labeled': 10 * k,
                'unlabeled': 530 * k,
                'test': 1000 * k,
            },
            'hashes': {'train': 'sha256:1234abcd', 'test': 'sha256:5678ef'},
        },
        'protocol': 'Selection on validation; the test split is read once.',
        'published': [
            {'what': 'scratch', 'value': 60.0, 'setting': 'LeNet, 1,000 labels', 'source': 'A paper, Table 2'}
        ],
    }
    result['summary'] = {way: {'top1': stats([seed['ways'][way]['test']['top1'] for seed in found])} for way in ways}
    return result


def set_gains(result, gains):
    """Makes every way that much better than training from scratch, seed by seed."""
    for seed, gain in zip(result['seeds'], gains):
        scratch = seed['ways']['scratch']['test']['top1']
        for way, entry in seed['ways'].items():
            entry['test']['top1'] = scratch + gain * (way != 'scratch')


def stats(values):
    return {
        'mean': np.mean(values),
        'std': np.std(values, ddof=1) if len(values) > 1 else None,
        'values': values,
    }


def make_run(folder, *, k=10, n=25, channels=1, side=12, images=None, labels=None, **kwargs):
    """Writes what a run with these arguments leaves; images and labels may be real ones."""
    rng = np.random.default_rng(1)
    result = make_result(k, **kwargs)
    (folder / 'result.json').write_text(json.dumps(result))
    for seed in result['seeds']:
        stages = {way: entry['val']['top1'] for way, entry in seed['ways'].items()}
        if seed['pretrain']:
            stages['pretrain'] = 0.985
        for stage, final in stages.items():
            path = folder / f'seed{seed["seed"]}' / stage / 'metrics.jsonl'
            path.parent.mkdir(parents=True)
            rows = []
            for step in range(50, 601, 50):
                top1 = final * (1 - np.exp(-step / 120)) + rng.normal(0, 0.006)
                rows.append({'step': step, 'epoch': step / 200, 'train/loss': 2.3 * (1 - top1), 'train/top1': top1})
                if step % 100 == 0:
                    rows.append({'step': step, 'val/loss': 2.4 * (1 - top1), 'val/top1': top1 - 0.01})
            path.write_text('\n'.join(json.dumps(row) for row in rows) + '\n{"step": 650, "tra')
    if images is None:
        images = rng.integers(0, 255, (n, side, side, channels), dtype=np.uint8)
        labels = np.arange(n) % k
    features = images.reshape(len(images), -1).astype(np.float32)
    near = [np.argsort(((features - features[q]) ** 2).sum(1))[1:7] for q in range(4)]
    np.savez(
        folder / 'seed0' / 'figures.npz',
        features=features,
        features_labels=labels,
        features_of='finetune',
        query_images=images[:4],
        query_labels=labels[:4],
        neighbor_images=images[near],
        neighbor_labels=labels[near],
        filters=rng.normal(size=(5, 5, channels, 20)).astype(np.float32),
        labeled_images=images[:60],
        labeled_labels=labels[:60],
    )
    return result


def read_page(folder):
    page = report.write(folder).read_text(encoding='utf-8')
    assert self_contained(page) and 'could not be drawn' not in page
    return page


def self_contained(page):
    outside = re.findall(r'(?:src|href)=(?!["\']?(?:data:image/|#))[^>]*|url\(|@import|<script|<link', page)
    return not outside


def plain(page):
    return re.sub(r'<[^>]*>', ' ', page)


def test_page_holds_the_numbers(tmp_path):
    result = make_run(tmp_path)
    page = read_page(tmp_path)
    words = plain(page)
    top1 = result['summary']['finetune']['top1']
    assert f'{100 * top1["mean"]:.2f} ± {100 * top1["std"]:.2f}' in words
    paired = np.subtract(top1['values'], result['summary']['scratch']['top1']['values'])
    assert f'+{100 * paired.mean():.2f} ± {100 * paired.std(ddof=1):.2f}' in words
    for expected in (
        'Fine-tuned',
        'Random features, frozen',
        '98.53',
        '0.0512',
        '9,000',
        '5,123',
        '77.12',
        '80.12',
        'sha256:1234abcd',
        'sha256:2f00',
        'LeNet, 1,000 labels',
        'AMD EPYC',
        '0.10.2',
        '13 min 32 s',
        '10 each',
        'configs/rotation.py',
        'read once',
        'PCA',
    ):
        assert expected in words, expected
    assert 'config.optim.note = &#34;&lt;b&gt;&amp;&#34;' in page and '<b>' not in page
    assert not list(tmp_path.glob('.report*'))
    assert read_page(tmp_path) == page, 'writing again gives the same page'


def test_missing_parts(tmp_path):
    make_run(tmp_path, seeds=1)
    result = json.loads((tmp_path / 'result.json').read_text())
    for seed in result['seeds']:
        for part in ('pretrain', 'knn', 'probe', 'partition'):
            del seed[part]
        for entry in seed['ways'].values():
            for part in ('top5', 'per_class', 'confusion'):
                del entry['test'][part]
    for part in (
        'summary',
        'published',
        'protocol',
        'hardware',
        'versions',
        'config',
        'data',
        'started',
        'seconds',
    ):
        del result[part]
    (tmp_path / 'result.json').write_text(json.dumps(result))
    (tmp_path / 'seed0' / 'figures.npz').unlink()
    page = read_page(tmp_path)
    assert 'Top-5' not in plain(page) and 'on one seed: too few seeds to tell' in plain(page)
    (tmp_path / 'result.json').write_text('{}')
    assert 'no test accuracy yet' in plain(read_page(tmp_path))


@pytest.mark.parametrize('k', [1, 2, 100])
def test_few_and_many_classes(tmp_path, k):
    names = [f'a rather long <class> name {i}' for i in range(k)]
    make_run(tmp_path, k=k, seeds=2, names=names, channels=3)
    page = read_page(tmp_path)
    assert '<class>' not in page and 'a rather long &lt;class&gt; name 0' in page
    assert ('Test top-5' in page) == (k > 5)


def test_one_seed_and_no_pretraining(tmp_path):
    make_run(tmp_path, seeds=1, pretrain=False)
    words = plain(read_page(tmp_path))
    assert 'From scratch reached' in words and 'no pretraining' in words and 'Frozen features' not in words


def test_an_unknown_way_and_stage_keep_their_names(tmp_path):
    make_run(tmp_path)
    result = json.loads((tmp_path / 'result.json').read_text())
    for seed in result['seeds']:
        seed['ways']['fixmatch_x'] = dict(seed['ways']['finetune'], val={'top1': 0.99})
    (tmp_path / 'result.json').write_text(json.dumps(result))
    stage = tmp_path / 'seed0' / 'teacher_y'
    stage.mkdir()
    (stage / 'metrics.jsonl').write_text('{"step": 1, "train/agreement": 0.5}\n')
    words = plain(read_page(tmp_path))
    assert 'fixmatch_x beat training from scratch' in words and 'stage &#34;teacher_y&#34;' in words


def test_headline_is_honest():
    assert 'Fine-tuned beat training from scratch by' in headline(make_result(gain=0.05))
    assert 'lost to training from scratch by' in headline(make_result(gain=-0.2))
    tie = make_result(seeds=2)
    set_gains(tie, [0.01, -0.01])
    assert 'did not differ clearly: +0.00 ± 1.41 points' in headline(tie)


@pytest.mark.parametrize('seeds', [1, 2, 3])
def test_only_three_seeds_beat(tmp_path, seeds):
    result = make_run(tmp_path, seeds=seeds, gain=0.1)
    values = [0.1, 0.1001, 0.0999][:seeds]
    set_gains(result, values)
    (tmp_path / 'result.json').write_text(json.dumps(result))
    said, page = headline(result), plain(read_page(tmp_path))
    assert '10,000 test images: 95% interval of that accuracy' in said and '(Wilson)' in page
    assert '10,000 test images (95% interval of the best accuracy ' in report.table(result)
    for text in (said, page, report.table(result)):
        assert ('beat' in text) == (seeds == 3) and ('too few seeds to tell' in text) == (seeds < 3)
    assert ('p, Holm' in page) == (seeds == 3)


def test_table():
    text = report.table(make_result())
    assert 'Fine-tuned' in text and '±' in text and 'Against scratch' in text
    assert len({len(line) for line in text.splitlines()[1:-1]}) == 1
    assert 'no test accuracy' in report.table({})


def test_command_line(tmp_path, capsys):
    (tmp_path / 'result.json').write_text('{}')
    assert main([str(tmp_path)]) == 0 and 'report.html' in capsys.readouterr().out
    assert main([str(tmp_path / 'nothing')]) == 1 and 'does not exist' in capsys.readouterr().err
    assert main([]) == 2
    (tmp_path / 'result.json').write_text('{')
    with pytest.raises(ValueError, match='not valid JSON'):
        report.write(tmp_path)


def test_resumed_rows_replace_earlier_ones(tmp_path):
    path = tmp_path / 'metrics.jsonl'
    path.write_text('{"step": 2, "train/loss": 3}\n{"step": 1, "train/loss": 4}\n{"step": 2, "train/loss": 1}\n{"st')
    assert read_rows(path)['train/loss'].to_dict() == {1: 4, 2: 1}


@pytest.mark.parametrize('channels', [1, 2, 3, 4])
def test_filter_sheet(channels):
    weights = np.zeros((3, 3, channels, 5), np.float32)
    weights[0, 0, :, 0] = 1.0
    sheet, shown = filter_sheet(weights)
    assert sheet.dtype == np.uint8 and shown == 5
    assert sheet.ndim == (3 if channels == 3 else 2)
    assert (sheet[9, 9] == 255).all() and (sheet[-20, 20] == 127).all()


def test_map_falls_back_to_pca_and_is_kept(tmp_path, monkeypatch):
    features = np.random.default_rng(0).normal(size=(40, 60)).astype(np.float32)
    with monkeypatch.context() as patch:
        patch.setitem(__import__('sys').modules, 'umap', None)
        xy, how = embed.cached_embed(features, tmp_path / 'map.npz')
    assert xy.shape == (40, 2) and 'not installed' in how and not (tmp_path / 'map.npz').exists()
    monkeypatch.setattr(embed, 'embed', lambda features: (xy + 1, 'UMAP'))
    embed.cached_embed(features, tmp_path / 'map.npz')
    monkeypatch.setattr(embed, 'embed', None)
    again, how = embed.cached_embed(features, tmp_path / 'map.npz')
    np.testing.assert_array_equal(again, xy + 1)
    assert how == 'UMAP'


def make_compared(folder, method, probe, knn, finetune, controls):
    """A run of two seeds; only one with controls measured the random weights and training from scratch."""
    seeds = []
    for i in range(2):
        ways = {'finetune': {'test': {'top1': finetune[i]}}} | (
            {'scratch': {'test': {'top1': 0.5}}} if controls else {}
        )
        layers = {'a': {'test': 0.1, 'val': 0.2}, 'b': {'test': probe[i], 'val': 0.3}}
        seed = {'seed': i, 'pretrain': {'method': method, 'seconds': 60.0, 'images_per_second': 1500.0}, 'ways': ways}
        seed |= {
            'knn': {'pretrained': {'test': {'top1': knn[i]}}},
            'probe': {'pretrained': {'best': 'b', 'layers': layers}},
        }
        if controls:
            seed['knn']['random'] = {'test': {'top1': 0.4}}
            seed['probe']['random'] = {'best': 'a', 'layers': {'a': {'test': 0.3 + 0.1 * i, 'val': 0.3}}}
        seeds.append(seed)
    folder.mkdir()
    result = {'config': {'data': {'labels': '10'}, 'backbone': {'name': 'cnn'}}, 'seeds': seeds}
    (folder / 'result.json').write_text(json.dumps(result))
    return str(folder)


def test_runs_are_compared_with_the_controls_of_any(tmp_path, capsys):
    one = make_compared(tmp_path / 'one', 'rotation', (0.5, 0.7), (0.5, 0.5), (0.6, 0.6), True)
    two = make_compared(tmp_path / 'two', 'simclr', (0.8, 0.8), (0.6, 0.6), (0.4, 0.6), False)
    assert main([one, two]) == 0
    lines = [re.split(r'\s*\|\s*', line.strip('| ')) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ['Pretraining', 'Neighbours', 'Linear probe', 'Fine-tuned', 'Pretraining s', 'Images/s']
    assert lines[2][:3] == ['simclr', '60.00 ± 0.00 (+20.00 ± 0.00)', '80.00 ± 0.00 (+45.00 ± 7.07)']
    assert lines[2][3:] == ['50.00 ± 14.14 (+0.00 ± 14.14)', '60', '1,500']
    assert lines[3][2] == '60.00 ± 14.14 (+25.00 ± 7.07)'
    assert lines[4][:3] == ['random weights', '40.00 ± 0.00', '35.00 ± 7.07']
    assert lines[5][:4] == ['from scratch', '–', '–', '50.00 ± 0.00']
