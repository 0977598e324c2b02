"""model.json: describes a trained model next to its weights, so that it can be used without the data or the recipe of
its run."""

import re
from pathlib import Path

from ssljax import config as configs
from ssljax import metrics, models
from ssljax.data.decode import RESIZES
from ssljax.methods import SEMI
from ssljax.processes import hosts
from ssljax.settings import schema
from ssljax.storage import files

NAME = 'model.json'
KEYS = {'schema': int, 'classes': list, 'input': dict, 'way': str, 'method': str, 'config': dict, 'metrics': dict}
NORMALIZE = 'value / 127.5 - 1, of 0 to 255'


@hosts.only_first
def write(directory, meta: dict, record: dict) -> None:
    """Writes the model.json of a finished stage, unless there is one.

    Args:
      directory: the stage's.
      meta, record: of its checkpoint and its done.json.
    """
    path = Path(directory) / NAME
    if not path.exists():
        files.write_json(path, describe(meta, record))


def describe(meta: dict, record: dict, result: dict | None = None) -> dict:
    """The content of model.json.

    Args:
      meta: of the stage's checkpoint, of any version.
      record: the stage's done.json.
      result: the run's result.json, for what checkpoints of earlier versions lack.

    Returns:
      'classes' (names in the order of the outputs; [] for a backbone without a classifier); 'multilabel' (True if an
      image may have several of them, else absent); 'input': 'shape' [H, W, C], and how an image file is processed;
      'way', 'method', 'backbone', 'head', 'seed'; 'metrics'; 'config': the sections that rebuild the network;
      'data': hashes of what it was trained on; 'versions'.

    Raises:
      ValueError: neither `meta` nor `result` has the names of the classes.
    """
    way = meta['stage']
    config, base = _trained(meta, way)
    plain = configs.to_dict(config)
    used = schema.sections(plain)
    section = 'pretrain' if base == 'pretrain' else 'semi' if base in SEMI else 'transfer'
    kept = {name: used[name] for name in dict.fromkeys(('backbone', 'transfer', section))}
    kept |= {'data': {k: plain['data'][k] for k in ('image_size', 'max_pixels', 'resize')}}
    select = metrics.selected(plain['select'], bool(meta.get('multilabel')))
    data = meta['data']
    classes = [] if base == 'pretrain' else _classes(meta, result)
    size = plain['data']['image_size']
    return {
        'schema': schema.SCHEMA,
        'classes': classes,
        **({'multilabel': True} if classes and meta.get('multilabel') else {}),
        'input': {
            'shape': data['shape'],
            'range': data.get('range'),
            'resize': RESIZES[plain['data']['resize']].format(size=size) if size else 'none: images are as stored',
            'normalize': normalization(config.backbone),
        },
        'way': way,
        'method': base,
        'backbone': plain['backbone']['name'],
        'head': None if base == 'pretrain' else {k: plain['transfer'][k] for k in ('layer', 'hidden', 'pool')},
        'seed': meta['seed'],
        'chosen': f'the weights of step {record["best_step"]:,} of {record["steps"]:,}: '
        + ('the last' if base == 'pretrain' else f'the highest {metrics.TITLES[select]} on validation'),
        'metrics': {'val': record['val']},
        'config': kept,
        'data': {k: v for k, v in data.items() if k not in ('shape', 'range', 'warnings')},
        'versions': meta['versions'],
    }


def trained_by(meta: dict) -> str:
    """How the backbone of a checkpoint with this meta was trained: the pretext task, else the way."""
    way = meta.get('stage', 'pretrain')
    config, base = _trained(meta, way)
    return config.pretrain.method if base == 'pretrain' else way


def _trained(meta: dict, way: str) -> tuple:
    """(the config that a stage was trained with, how it was trained)."""
    origin, config = configs.variant(schema.restored(meta['config']), way)
    return config, meta.get('method') or _base(origin)


def normalization(backbone) -> str:
    """How the network of config.backbone normalises pixels of 0 to 255, in words."""
    name = models.usual(backbone).pixels
    mean, deviation = models.layers.PIXELS[name]
    return NORMALIZE if name == 'unit' else f'(value / 255 - {mean}) / {deviation}, by channel, of 0 to 255'


def _base(way: str) -> str:
    """How a stage of an earlier version was trained; it was named after its way, or after that and a generation."""
    generation = re.fullmatch(r'(.+)_\d+', way)
    way = generation[1] if way not in SEMI and generation and generation[1] in SEMI else way
    return configs.KINDS.get(way, way)


def _classes(meta: dict, result: dict | None) -> list:
    if 'classes' in meta:
        return meta['classes']
    if result:
        return result['data']['classes']
    raise ValueError(
        'neither this checkpoint nor the result.json of its run names the classes: run its command to the end, and '
        'load the run.'
    )


def read(directory) -> dict | None:
    """The content of a directory's model.json, or None if there is none.

    Raises:
      files.Damaged: it is not as it was written.
      ValueError: a later version wrote it.
    """
    with files.advising('restore it from a copy or, in a run, delete it: the rest of the run says the same'):
        found = files.read_json(Path(directory) / NAME, KEYS)
    if found and found['schema'] > schema.SCHEMA:
        raise ValueError(
            f'{Path(directory) / NAME} has schema {found["schema"]}, but this version of ssljax reads up to '
            f'{schema.SCHEMA}: update ssljax.'
        )
    return found
