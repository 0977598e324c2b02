"""From the records of the seeds to result.json: what was done, on what, and the spread over seeds."""

import datetime
import time

import numpy as np

from ssljax import provenance
from ssljax.config import to_dict
from ssljax.data import partition as partitions


def sets(partition, source) -> dict:
    """{set: count, hash of the indices, images per class (of those with a known label)}."""
    out = {}
    for name, rows in partition._asdict().items():
        labels = source.train.labels[rows]
        per_class = np.bincount(labels[labels >= 0], minlength=len(source.classes))
        out[name] = {'count': len(rows), 'hash': partitions.digest(rows), 'per_class': per_class.tolist()}
    return out


def assemble(config, source, seeds: list[dict], began: float) -> dict:
    """The whole of result.json.

    Args:
      config: the run's config.
      source: the data.
      seeds: each seed's record.
      began: time.time() at the start of this process.
    """
    first = seeds[0]['partition']
    counts = {'train': len(source.train), 'test': len(source.test)}
    counts |= {k: first[k]['count'] for k in ('labeled', 'val', 'unlabeled')}
    if source.val is not None:
        counts['val'] = len(source.val)
    hashes = {'train': source.train.digest(), 'test': source.test.digest()}
    outcome = {
        'name': config.name,
        'command': provenance.command(),
        'config': to_dict(config),
        'started': datetime.datetime.fromtimestamp(began, datetime.UTC).isoformat(timespec='seconds'),
        'seconds': time.time() - began,
        'versions': provenance.versions(),
        'hardware': provenance.hardware(),
        'data': {
            'source': config.data.source,
            'shape': list(source.shape),
            'classes': list(source.classes),
            'counts': counts,
            'hashes': hashes,
        },
        'protocol': _protocol(config, counts, seeds[0]['ways']),
        'published': [dict(zip(('what', 'value', 'setting', 'source'), p)) for p in config.published],
        'seeds': seeds,
    }
    return outcome | summarise(seeds)


def _protocol(config, counts, ways: dict) -> str:
    """What was done, in words; `ways` are the records of the first seed's."""
    n, size = counts['labeled'], config.transfer.batch_size
    what = {
        'random_frozen': 'a head on random features',
        'frozen': 'a head on frozen features',
        'scratch': 'all weights from scratch',
        'finetune': 'all weights in fine-tuning',
        'two_stage': 'all weights after the frozen run (two-stage)',
    }
    trained = [
        f'{what.get(way, way)} for {record["steps"]} steps of '
        + (f'{size} images' if way in what else f'{config.semi.batch_size} unlabelled images beside labelled ones')
        for way, record in ways.items()
    ]
    listed = config.data.labels.startswith('list:')
    chosen = ', the same for each seed' if listed else ', the most typical' if config.data.choose == 'typical' else ''
    return (
        f'{n} labelled images ({config.data.labels!r}{chosen}) and {counts["val"]} validation images per seed, drawn '
        'anew for each seed. Weights, layer and regularisation are chosen on validation; the test split of '
        f'{counts["test"]} images was read once, after all training.'
        + (f' Trained: {"; ".join(trained)}.' if trained else '')
    )


def summarise(seeds: list[dict]) -> dict:
    """Mean, sample standard deviation and values over seeds of each way's test accuracy, and of its paired
    difference to the same seed's training from scratch."""
    ways = seeds[0]['ways']
    summary = {
        w: {m: _spread([s['ways'][w]['test'][m] for s in seeds]) for m in ('top1', 'top5') if m in ways[w]['test']}
        for w in ways
    }
    versus = {}
    if 'scratch' in ways:
        for w in ways.keys() - {'scratch'}:
            pairs = [(s['ways'][w]['test']['top1'], s['ways']['scratch']['test']['top1']) for s in seeds]
            versus[w] = _spread([a - b for a, b in pairs])
    return {'summary': summary, 'versus_scratch': {w: versus[w] for w in ways if w in versus}}


def _spread(values: list[float]) -> dict:
    std = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {'mean': float(np.mean(values)), 'std': std, 'values': values}
