"""What must agree between two runs before a result of one is compared with a control of the other."""

from typing import NamedTuple

from ml_collections import ConfigDict

from ssljax.report.compare import pick, seeds_of
from ssljax.report.words import shown
from ssljax.settings import resolve, schema


class Fact(NamedTuple):
    """Something that must agree: in words, and the column that it has in the table of a study ('': none)."""

    words: str
    column: str = ''


# By its place in result.json: the images and the classes.
RESULT = {
    'data.hashes.train': Fact('training images', 'hash_train'),
    'data.hashes.test': Fact('test images', 'hash_test'),
    'data.classes': Fact('classes', 'classes'),
    'data.shape': Fact('image shapes'),
    'data.counts.test': Fact('numbers of test images'),
}
# By its place in each seed: which images have labels, and which choose the weights.
SEED = {
    'partition.labeled.hash': Fact('label sets', 'hash_labeled'),
    'partition.val.hash': Fact('validation images', 'hash_val'),
}
# Fields of the config, for a result without hashes of its images: all that decides which these are.
UNHASHED = (
    'data.source', 'data.image_size', 'data.channels', 'data.labels', 'data.choose', 'data.features', 'data.pool',
    'data.val', 'data.test', 'data.unlabeled',
)  # fmt: skip
# Of the config, for training from scratch: parts with all their fields, or single fields. The duration is compared in
# steps, since it can be given in several ways.
SCRATCH = (
    'backbone', 'transfer.layer', 'transfer.hidden', 'transfer.pool', 'transfer.augment', 'transfer.mixup',
    'transfer.dropout', 'transfer.batch_size', 'transfer.scratch',
)  # fmt: skip
# Of the config, for what is measured on the features of random weights.
RANDOM = ('backbone', 'transfer.layer', 'evaluate.probe_pool', 'evaluate.probe_l2', 'evaluate.knn')
_DURATION = ('epochs', 'steps', 'examples')


def setting(result: dict, seed: dict, fields) -> dict:
    """What decides the control of one seed of a run.

    Args:
      result: result.json.
      seed: one of its seeds.
      fields: SCRATCH or RANDOM.

    Returns:
      {field: value}; None for what the result does not say. Two runs may share a control of a seed if these are equal.
    """
    config, found = result.get('config') or {}, {name: pick(result, *name.split('.')) for name in RESULT}
    found |= {name: pick(seed, *name.split('.')) for name in SEED}
    found['data.resize'] = pick(config, 'data', 'resize') or 'crop'  # hashes are of files, not of pixels
    if None in (found['data.hashes.train'], found['partition.labeled.hash']):
        found |= {name: pick(config, *name.split('.')) for name in UNHASHED}
    for name in fields:
        value = pick(config, *name.split('.'))
        found |= schema.flat(value, f'{name}.') if isinstance(value, dict) else {name: value}
    if fields is SCRATCH:
        found = {name: v for name, v in found.items() if name not in [f'transfer.scratch.{d}' for d in _DURATION]}
        found['steps'] = steps(result, seed)
    return found


def steps(result: dict, seed: dict):
    """Steps of training from scratch: those that were taken or, in a run without it, those that the config gives it;
    without a config that says so, those of fine-tuning, which trains all weights, too. None if nothing tells."""
    taken = pick(seed, 'ways', 'scratch', 'steps')
    patience = pick(result, 'config', 'transfer', 'scratch', 'patience')
    if taken is not None and not patience:
        return taken
    images = pick(seed, 'partition', 'labeled', 'count')
    try:
        return resolve.stage_steps(ConfigDict(result['config']), 'scratch', images)
    except (KeyError, TypeError, AttributeError, ValueError, ZeroDivisionError):
        return taken if taken is not None else pick(seed, 'ways', 'finetune', 'steps')


def differences(own: dict, other: dict) -> list[str]:
    """How two settings differ, steps and batch size first: ['2,000 steps of 64 against 500 of 128', ...]; [] if a
    control may be shared."""
    apart = [name for name in {**own, **other} if own.get(name) != other.get(name)]
    found, pace = [], ('steps', 'transfer.batch_size')
    if set(pace) & set(apart):
        (one, each), (two, other_each) = ([shown(of.get(name)) for name in pace] for of in (own, other))
        found.append(f'{one} steps of {each} against {two} of {other_each}')
    for name in apart:
        if fact := (RESULT | SEED).get(name):
            found.append(f'different {fact.words}')
        elif name not in pace:
            found.append(f'{name} {shown(own.get(name))} against {shown(other.get(name))}')
    return found


def by_seed(result: dict, fields) -> dict:
    """{seed: setting} of a run."""
    return {seed.get('seed', i): setting(result, seed, fields) for i, seed in enumerate(seeds_of(result))}
