"""From the records of the seeds to result.json: what was done, on what, and the spread over seeds."""

import datetime
import time

import numpy as np

from ssljax import provenance, stats
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
    counts = _counts(seeds[0], source)
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
        }
        | ({'range': list(source.range)} if source.range is not None else {}),
        'protocol': protocol(config, seeds[0], source),
        'published': [dict(zip(('what', 'value', 'setting', 'source'), p)) for p in config.published],
        'seeds': seeds,
    }
    return outcome | summarise(seeds, config.get('variants', ()))


def _counts(record: dict, source) -> dict:
    counts = {'train': len(source.train), 'test': len(source.test)}
    counts |= {k: record['partition'][k]['count'] for k in ('labeled', 'val', 'unlabeled')}
    return counts | ({'val': len(source.val)} if source.val is not None else {})


def protocol(config, record: dict, source) -> str:
    """What was done, in words; `record` is a seed's."""
    counts, ways = _counts(record, source), record['ways']
    n, origin = counts['labeled'], {name: way for name, way, _ in config.get('variants', ())}
    what = {
        'random_frozen': 'a head on random features',
        'frozen': 'a head on frozen features',
        'scratch': 'all weights from scratch',
        'finetune': 'all weights in fine-tuning',
        'two_stage': 'all weights after the frozen run (two-stage)',
    }
    trained = []
    for way, record in ways.items():
        if way in origin:
            trained.append(f'{way} ({origin[way]} with changes) for {record["steps"]} steps')
            continue
        size = config.transfer.batch_size if way in what else config.semi.batch_size
        of = f'{size} images' if way in what else f'{size} unlabelled images beside labelled ones'
        trained.append(f'{what.get(way, way)} for {record["steps"]} steps of {of}')
    listed = config.data.labels.startswith('list:')
    chosen = ', the same for each seed' if listed else ', the most typical' if config.data.choose == 'typical' else ''
    return (
        f'{n} labelled images ({config.data.labels!r}{chosen}) and {counts["val"]} validation images per seed, drawn '
        'anew for each seed. Weights, layer and regularisation are chosen on validation; the test split of '
        f'{counts["test"]} images was read once, after all training.'
        + (f' Trained: {"; ".join(trained)}.' if trained else '')
    )


def summarise(seeds: list[dict], variants=()) -> dict:
    """What is known over seeds of each way's test accuracy, and of its paired differences, same seed by same seed.

    Args:
      seeds: each seed's record.
      variants: config.variants, (name, way, changed fields).

    Returns:
      'summary': {way: {'top1', 'top5': stats.spread}}; 'versus_scratch': {way: stats.against}, top-1 less that of
      training from scratch; with variants also 'versus_unchanged': {variant: the same, less the top-1 of the way that
      it derives from}. p_holm is corrected for all ways that were compared with the same one.
    """
    tests = {w: [s['ways'][w]['test'] for s in seeds] for w in seeds[0]['ways']}
    summary = {
        w: {m: stats.spread([test[m] for test in found]) for m in ('top1', 'top5') if m in found[0]}
        for w, found in tests.items()
    }
    top1 = {w: [test['top1'] for test in found] for w, found in tests.items()}
    out = {'summary': summary, 'versus_scratch': stats.against(top1)}
    return out | ({'versus_unchanged': stats.against_origin(top1, variants)} if variants else {})
