"""What can be wrong with a config before any data is read: each field by its own definition, then combinations of
fields."""

import re

from absl import logging
from ml_collections import ConfigDict

from ssljax import config as configs
from ssljax import methods, models
from ssljax.settings import fields
from ssljax.text import wording


def check(config) -> None:
    """Raises ValueError for the first field, or the first combination of fields, that is invalid; warns of a field of
    the backbone that has no effect."""
    known = configs.definitions()
    whole(config, configs.fields())
    for name, field in known.items():
        fields.check(name, _get(config, name), field)
    choice(config.data)
    size(config.data)
    for warning in models.unused(config.backbone):
        logging.warning('%s', warning)
    if config.data.choose != 'random' and not config.data.features:
        raise ValueError(
            f'data.choose is {config.data.choose}, which compares images with a pretrained backbone: give one, for '
            'example --config.data.features=runs/simclr.'
        )
    if config.pretrain.method not in ('', 'none'):
        methods.terms(config.pretrain.method)
        _duration('pretrain', config.pretrain)
    changes(config.study.pretrained, known, 'study.pretrained', ('pretrain.',))
    _known_ways(config, known)
    for way in config.transfer.ways:
        _durations(*configs.variant(config, way))
    trained = {configs.variant(config, way)[0] for way in config.transfer.ways}
    if 'two_stage' in trained and 'frozen' not in config.transfer.ways:
        raise ValueError('transfer.ways has two_stage without frozen, its first stage: add frozen.')


def choice(data) -> None:
    """Raises ValueError if `typical` would read labels, or if `typical_oracle` is given a total in place of a count per
    class."""
    per_class = data.labels.strip().endswith('/class')
    if data.choose == 'typical' and per_class:
        raise ValueError(
            f'data.choose is typical with data.labels={data.labels!r}: choosing per class would read the '
            'class of every training image, which is unknown for unlabelled images. Give a total, for example '
            '--config.data.labels=100; or, to study that case, --config.data.choose=typical_oracle.'
        )
    if data.choose == 'typical_oracle' and not per_class:
        raise ValueError(
            f'data.choose is typical_oracle with data.labels={data.labels!r}: the oracle chooses within each class, so '
            'give a count such as 10/class; a total is chosen by --config.data.choose=typical, which reads no labels.'
        )


def size(data) -> None:
    """Raises ValueError if images would be larger than data.max_pixels, or are to be resized without a size."""
    if data.resize != 'crop' and not data.image_size:
        raise ValueError(
            f'data.resize is {data.resize}, but data.image_size is 0, which keeps images as stored: give the size, for '
            'example --config.data.image_size=64.'
        )
    if data.image_size**2 > data.max_pixels:
        raise ValueError(
            f'data.image_size is {data.image_size}, so images would have {data.image_size**2:,} pixels, more than '
            f'data.max_pixels={data.max_pixels}: lower the first or raise the second.'
        )


def whole(config, tree: dict, prefix='') -> None:
    """Raises ValueError if a config lacks a field of the tree, or has one that is not in it: a recipe may have misspelt
    it."""
    if not isinstance(config, ConfigDict):
        raise ValueError(f'{prefix[:-1] or "the config"} is {wording.shown(config)}; it must be a config section.')
    try:
        keys = list(config)
    except TypeError:  # they cannot be sorted
        raise ValueError(
            f'{prefix[:-1] or "the config"} has a field whose name is not a string, such as config[3]: every name must '
            'be a string (a recipe set it).'
        ) from None
    for key in keys:
        if key not in tree:
            near = wording.nearest(str(key), tree)
            raise ValueError(f'the config has no field {prefix}{key}{near} (a recipe set it).')
    for key, value in tree.items():
        if key not in config:
            raise ValueError(f'the config lacks the field {prefix}{key}: recipes start from ssljax.config.base().')
        if isinstance(value, dict):
            whole(config[key], value, f'{prefix}{key}.')
        elif isinstance(config[key], ConfigDict):
            raise ValueError(f'{prefix}{key} is a config section; it must be {fields.of(value).allowed}.')


def changes(entries, known: dict, field: str, sections: tuple) -> None:
    """Checks what variants or pretrainings change.

    Args:
      entries: (name, ..., ((field, value), ...)) of each.
      known: {dotted name: Field} of the config.
      field: the field that holds the entries.
      sections: prefixes of the fields that can be changed.

    Raises:
      ValueError: a name that is empty or repeated, another field, or a value that it cannot have.
    """
    names = [entry[0] for entry in entries]
    for name in names:
        if not name or names.count(name) > 1:
            raise ValueError(f'{field} has the name {wording.shown(name)}: names must be unique and not empty.')
    able = [name for name in known if name.startswith(sections)]
    for name, *_, changed in entries:
        for key, value in changed:
            if key not in able:
                raise ValueError(
                    f'{field}: {name} changes {wording.shown(key)}{wording.nearest(key, able)}; only fields of '
                    f'{" and ".join(s[:-1] for s in sections)} can be changed.'
                )
            fields.check(f'{field}: {key} of {name}', value, known[key])


def _known_ways(config, known: dict) -> None:
    named = (*configs.base().transfer.ways, *methods.SEMI)
    for name, way, _ in config.variants:
        if not re.fullmatch(r'[a-z][a-z0-9_]{0,99}', name) or name in (*named, 'pretrain', 'second'):
            raise ValueError(
                f'variants has the name {wording.shown(name)}: names consist of lowercase letters, digits and _, begin '
                'with a letter '
                'and differ from every other way.'
            )
        if way not in named:
            raise ValueError(
                f'the variant {name} derives from the way {wording.shown(way)}{wording.nearest(way, named)} (known: '
                f'{", ".join(named)}).'
            )
    changes(config.variants, known, 'variants', ('transfer.', 'semi.'))
    allowed = (*named, *(name for name, *_ in config.variants))
    for way in config.transfer.ways:
        if way not in allowed:
            raise ValueError(
                f'transfer.ways has {wording.shown(way)}{wording.nearest(way, allowed)} (known: {", ".join(allowed)}).'
            )


def _durations(way: str, config) -> None:
    """Raises ValueError if a way has no duration, or several, under the config that it is trained with."""
    transfer = config.transfer
    if way in methods.SEMI:
        _duration('semi', config.semi)
    elif way in ('frozen', 'random_frozen', 'two_stage'):
        _duration('transfer.frozen', transfer.frozen)
        if way == 'two_stage':
            _duration('transfer.second', transfer.second)
    elif _given(transfer[way]):
        _duration(f'transfer.{way}', transfer[way])
    elif not (_given(transfer.frozen) or 'two_stage' in transfer.ways and _given(transfer.second)):
        raise ValueError(
            f'transfer.{way} has no duration, and neither does transfer.frozen, which it would be taken from: set one, '
            f'for example --config.transfer.{way}.steps=1000.'
        )


def _given(node) -> list[str]:
    return [k for k in ('epochs', 'steps', 'examples') if node[k]]


def _duration(name: str, node) -> None:
    if len(_given(node)) != 1:
        said = ', '.join(f'{k}={node[k]}' for k in ('epochs', 'steps', 'examples'))
        raise ValueError(
            f'{name} has {said}: exactly one of these must give the duration. '
            f'Set the others to 0, for example --config.{name}.epochs=0 --config.{name}.steps=1000.'
        )


def _get(config, name: str):
    for part in name.split('.'):
        config = config[part]
    return config
