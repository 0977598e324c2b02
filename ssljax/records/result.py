"""From the records of the seeds to result.json: what was done, on what, and the spread over seeds."""

import datetime
import time

from ssljax import metrics, stats
from ssljax.config import to_dict
from ssljax.data import partition as partitions
from ssljax.data import readable
from ssljax.records import provenance, recorded
from ssljax.records.protocol import protocol
from ssljax.settings.schema import SCHEMA


def sets(partition, source) -> dict:
    """{set: count, hash of the indices, images per class (of those with a known label)}."""
    out = {}
    live = source.train.images.settled() if hasattr(source.train.images, 'settled') else True
    for name, rows in partition._asdict().items():
        lost = readable.noted(source.train.take(rows))
        if lost and (live or name != 'unlabeled'):  # those of a stream are replaced
            rows = rows[~readable.is_bad(source.train.take(rows))]
        per_class = source.targets.counts(source.train.labels[rows])
        out[name] = {'count': len(rows), 'hash': partitions.digest(rows), 'per_class': per_class.tolist()}
        out[name] |= {'unreadable': lost} if lost else {}
    return out


def assemble(config, source, seeds: list[dict], began: float, seconds: float | None = None) -> dict:
    """The whole of result.json.

    Args:
      config: the run's config.
      source: the data.
      seeds: each seed's record.
      began: time.time() at the start of the run, that of its first process.
      seconds: that all its processes took; by default those since `began`.
    """
    counts = _counts(seeds[0], source)
    hashes = {name: split.digest() for name, split in recorded.splits_of(source).items()}
    outcome = {
        'schema': SCHEMA,
        'name': config.name,
        'command': provenance.command(),
        'config': to_dict(config),
        'started': datetime.datetime.fromtimestamp(began, datetime.UTC).isoformat(timespec='seconds'),
        'seconds': time.time() - began if seconds is None else seconds,
        'versions': provenance.versions(),
        'hardware': provenance.hardware(),
        'data': {
            'source': config.data.source,
            'shape': list(source.shape),
            'classes': list(source.classes),
            'counts': counts,
            'hashes': hashes,
            'per_class': _per_class(source),
            **({'multilabel': True} if source.targets.multilabel else {}),
            **_left_out(source),
            **({'range': list(source.range)} if source.range is not None else {}),
        },
        'protocol': protocol(config, seeds, source) + _left_out_words(source),
        'published': [dict(zip(('what', 'value', 'setting', 'source'), p)) for p in config.published],
        'seeds': seeds,
    }
    return outcome | summarise(seeds, config.get('variants', ()), source.targets.main)


def _left_out(source) -> dict:
    """{'unreadable': {split: count and first names}, 'unknown_labels': {split: count}}, without what is empty."""
    splits = {'train': source.train, 'unlabeled': source.unlabeled} | (source.listed or {})
    lost = {name: found for name, split in splits.items() if split is not None and (found := readable.noted(split))}
    return ({'unreadable': lost} if lost else {}) | ({'unknown_labels': source.unknown} if source.unknown else {})


def _left_out_words(source) -> str:
    found = _left_out(source)
    lost = found.get('unreadable', {}).items()
    parts = [f'{entry["count"]} {name} images could not be decoded' for name, entry in lost]
    parts += [f'{count} {name} images have no known label' for name, count in found.get('unknown_labels', {}).items()]
    if not parts:
        return ''
    return f' Excluded from every evaluation: {"; ".join(parts)}.'


def _counts(record: dict, source) -> dict:
    counts = {'train': len(source.train), 'test': len(source.test)}
    counts |= {k: record['partition'][k]['count'] for k in ('labeled', 'val', 'unlabeled')}
    counts |= {'val': len(source.val)} if source.val is not None else {}
    return counts | ({'further unlabeled': len(source.unlabeled)} if source.unlabeled is not None else {})


def _per_class(source) -> dict:
    """{split: images of each class} of the splits that every seed has."""
    splits = {name: getattr(source, name) for name in ('train', 'val', 'test')}
    return {name: source.targets.counts(split.labels).tolist() for name, split in splits.items() if split is not None}


def summarise(seeds: list[dict], variants=(), main: str = 'top1') -> dict:
    """What is known over seeds of each way's test accuracy, and of its paired differences, same seed by same seed.

    Args:
      seeds: each seed's record.
      variants: config.variants, (name, way, changed fields).
      main: of ssljax.targets, the metric whose differences are taken.

    Returns:
      'summary': {way: {each of metrics.TITLES that was measured: stats.spread, 'seeds': how many have a result}};
      'versus_scratch': {way: stats.against}, `main` less that of training from scratch; with variants also
      'versus_unchanged': {variant: the same, less that of the way that it derives from}. A guard may have stopped
      a way with some of the seeds. p_holm is corrected for all ways that were compared with the same one.
    """
    order = dict.fromkeys(w for s in seeds for w in s['ways'])
    tests = {w: [s['ways'][w]['test'] if w in s['ways'] else {} for s in seeds] for w in order}
    summary = {
        w: {m: stats.spread([test.get(m) for test in found]) for m in metrics.TITLES if any(m in t for t in found)}
        | {'seeds': sum(bool(test) for test in found)}
        for w, found in tests.items()
    }
    values = {w: [test.get(main) for test in found] for w, found in tests.items()}
    out = {'summary': summary, 'versus_scratch': stats.against(values)}
    return out | ({'versus_unchanged': stats.against_origin(values, variants)} if variants else {})
