"""What a run reads, recorded when it starts and compared whenever it is resumed."""

import hashlib
from pathlib import Path

import numpy as np

from ssljax.storage import files, paths

SPLITS = ('train', 'val', 'test', 'unlabeled')
MOST = 200_000  # images of a split whose names and contents are kept one by one
SHOWN = 3  # names in a message


def splits_of(source) -> dict:
    """{name: Split} of all that a source has, including the images that no evaluation shows."""
    listed = source.listed or {}
    found = {name: listed.get(name, getattr(source, name)) for name in SPLITS}
    # Tuning is given no test split and records none.
    return {k: v for k, v in found.items() if v is not None and (k != 'test' or source.test is not None)}


def summary(config, source) -> dict:
    """What data.json and each checkpoint keep: `of_source`, and 'given', the SHA-256 of the files that the config
    names."""
    given = {field: sha for field, p in named(config).items() if (sha := content(p))}
    return of_source(source) | {'given': given | of_sets(source)}


def of_sets(source) -> dict:
    """{what: SHA-256} of the sets of classes that multi-label images have; {} for others."""
    if source.sets is None:
        return {}
    said = repr(source.classes).encode() + str(source.sets.shape).encode() + source.sets.tobytes()
    return {'the labels (several classes an image)': hashlib.sha256(said).hexdigest()}


def of_source(source) -> dict:
    """'shape', the SHA-256 of each split under its name (None: the source has none), and 'counts'."""
    splits = splits_of(source)
    absent = {name: None for name in ('val', 'unlabeled') if name not in splits}
    return (
        {'shape': list(source.shape)}
        | {name: split.digest() for name, split in splits.items()}
        | absent
        | {'counts': {name: len(split) for name, split in splits.items()}}
    )


def named(config) -> dict:
    """{field: path} of the files that a config names and whose content decides what is trained."""
    found = {'data.labels': config.data.labels.removeprefix('list:') if config.data.labels.startswith('list:') else ''}
    found |= {'data.annotations': config.data.annotations}
    found |= {'data.features': config.data.features if config.data.choose != 'random' else ''}
    found |= {'transfer.checkpoint': config.transfer.checkpoint, 'backbone.init_from': config.backbone.init_from}
    return {field: path for field, path in found.items() if path}


def alike(old: dict, new: dict) -> bool:
    """Whether two records are of the same images; what one of them lacks does not count."""
    return all(old[k] == new[k] for k in ('shape', *SPLITS) if k in old and k in new)


def check(old: dict, new: dict, source, directory, what: str, kept=None) -> dict:
    """What to record from now on: `new`, with what an earlier version of `old` did not store.

    Args:
      old, new: from `summary`; old may lack all but 'shape' and 'train'.
      source: the source of `new`.
      directory: the run's, for the message.
      what: config.data.source, for the message.
      kept: where `keep` has written, if not in `directory`.

    Raises:
      ValueError: something is not as it was; the message says what.
    """
    changes = [f'the image shape is {new["shape"]}, was {old["shape"]}'] if old['shape'] != new['shape'] else []
    for name in SPLITS:
        if name in old and name in new and old[name] != new[name]:
            changes.append(_change(name, old, new, splits_of(source), Path(kept or directory)))
    before = old.get('given', {})
    changes += [f'the content of {f} has changed' for f, sha in new['given'].items() if before.get(f, sha) != sha]
    if changes:
        raise ValueError(
            f'the data of {what} is not what {directory} was started with: {"; ".join(changes)}. '
            'Restore it, or give another --workdir.'
        )
    merged = {k: old.get(k, {}) | new[k] for k in ('counts', 'given')}
    return old | new | merged


def keep(source, directory) -> None:
    """Writes data.npz: of each image of a split, hashes of its name and of its content, to say what changed later."""
    arrays: dict = {}
    for name, split in splits_of(source).items():
        if len(split) <= MOST:
            arrays |= {f'{name}_content': contents(split), f'{name}_labels': split.labels}
            if names := split.names():
                arrays[f'{name}_names'] = _hashes(_bytes(n) for n in names)
    files.write_npz(Path(directory) / 'data.npz', arrays)


def contents(split):
    """uint64 [N], a hash of each image of a Split."""
    split.digest()
    return split.contents


def _hashes(items):
    return np.array([int.from_bytes(hashlib.sha256(i).digest()[:8], 'little') for i in items], np.uint64)


def _change(name, old, new, splits, directory) -> str:
    title = {'train': 'training', 'val': 'validation', 'unlabeled': 'unlabelled'}.get(name, name)
    n, before = new['counts'].get(name, 0), old.get('counts', {}).get(name, 0 if old[name] is None else None)
    text = f'the {title} images ({n:,} now' + (f', {before:,} before' if before is not None else '')
    text += f'; sha256 {str(new[name])[:12]}, was {str(old[name])[:12]})'
    kept = _kept(directory, name)
    if name not in splits or f'{name}_content' not in kept:
        return text
    return text + ': ' + (_details(splits[name], kept, name) or 'their order or labels have changed')


def _kept(directory, name) -> dict:
    """What `keep` wrote of a split, or {}: it only adds to a message."""
    try:
        found = files.read_npz(directory / 'data.npz') or {}
    except (files.Damaged, OSError):
        return {}
    found = {k: v for part in ('content', 'labels', 'names') if (v := found.get(k := f'{name}_{part}')) is not None}
    whole = f'{name}_content' in found and f'{name}_labels' in found and len({v.shape for v in found.values()}) == 1
    return found if whole and all(v.ndim == 1 and v.dtype.kind in 'iu' for v in found.values()) else {}


def _details(split, kept, name) -> str:
    content, was = contents(split), kept[f'{name}_content']
    names = split.names()
    if not names or f'{name}_names' not in kept:
        came, left = (int((~np.isin(a, b)).sum()) for a, b in ((content, was), (was, content)))
        relabelled = int((split.labels != kept[f'{name}_labels']).sum()) if len(was) == len(content) else 0
        parts = [(came, 'new'), (left, 'gone'), (0 if came or left else relabelled, 'relabelled')]
        return ', '.join(f'{count} {word}' for count, word in parts if count)
    now, then = _hashes(_bytes(n) for n in names), kept[f'{name}_names']
    place = {h: i for i, h in enumerate(then.tolist())}
    at = np.array([place.get(h, -1) for h in now.tolist()])
    same = at >= 0
    labels = kept[f'{name}_labels']
    changed = same & ((content != was[at]) if len(was) else same)
    moved = same & ~changed & ((split.labels != labels[at]) if len(labels) else same)
    gone = int((~np.isin(then, now)).sum())
    found = [(~same, 'added'), (changed, 'changed'), (moved, 'relabelled')]
    said = [f'{int(rows.sum())} {word} ({_some(names, rows)})' for rows, word in found if rows.any()]
    return ', '.join(said + ([f'{gone} removed'] if gone else []))


def _bytes(name: str) -> bytes:
    return name.encode(errors='surrogatepass')  # of a name that is not UTF-8


def _some(names, rows) -> str:
    rows = np.flatnonzero(rows)
    return ', '.join(repr(names[i]) for i in rows[:SHOWN]) + (', …' if len(rows) > SHOWN else '')


def content(path) -> str | None:
    """SHA-256 of a file or of the weights of a checkpoint's directory; None if nothing is there."""
    path = Path(paths.expand(path))
    places = [path, path / 'model', path / 'checkpoints', path / 'pretrain/model']  # as checkpoint.load_variables
    places += sorted(path.glob('seed*/pretrain/model'))
    is_step = lambda p: p.is_dir() and any(c.name.isdigit() for c in p.iterdir())  # noqa: E731
    place = path if path.is_file() else next((p for p in places if is_step(p)), None)
    if place is None:
        return None
    sha = hashlib.sha256()
    for file in [place] if place.is_file() else sorted(p for p in place.rglob('*') if p.is_file()):
        sha.update(str(file.relative_to(place)).encode())
        with open(file, 'rb') as f:
            sha.update(hashlib.file_digest(f, 'sha256').digest())
    return sha.hexdigest()
