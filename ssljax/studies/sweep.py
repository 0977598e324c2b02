"""Points of an ablation: {config field: value}, written as text or by a config file's `sweep(config)`."""

import itertools
import math
import re

import numpy as np

from ssljax import config as configs
from ssljax.settings import fields
from ssljax.text import wording

HOW = (
    "Write 'FIELD=VALUE,VALUE; FIELD=VALUE,VALUE' for a grid, 'list: FIELD=VALUE FIELD=VALUE; FIELD=VALUE' for single "
    "points, or 'random N: FIELD=VALUE,VALUE; FIELD=LOW..HIGH' ('FIELD=log LOW..HIGH': log-uniform) for N drawn at "
    'random.'
)


def parse(text: str, config) -> list[dict]:
    """The points of a sweep written as text, in order and without repetition.

    Args:
      text: see HOW. Values are parsed as the field's present type; a text or a tuple that has commas is written in
        quotes or brackets.
      config: the config whose fields they change.

    Raises:
      ValueError: text that is not a sweep, an unknown field, or a value of another type.
    """
    text = text.strip()
    if listed := re.fullmatch(r'list:(.*)', text, re.S):
        points = [
            dict(_assign(part, config, single=True) for part in fields.split(entry, ' '))
            for entry in fields.split(listed[1], ';')
        ]
    elif drawn := re.fullmatch(r'random\s+(\d+):(.*)', text, re.S):
        points = _random(int(drawn[1]), drawn[2], config)
    else:
        axes = [_assign(part, config) for part in fields.split(text, ';')]
        names = [field for field, _ in axes]
        if len(set(names)) < len(names):
            raise ValueError(f'The sweep {text!r} names a field twice.')
        points = [dict(zip(names, values)) for values in itertools.product(*(values for _, values in axes))]
    return check(points, config)


def check(points, config) -> list[dict]:
    """The points without repetition; ValueError for what is not {known field: value of its type}."""
    out, definitions = [], configs.definitions()
    for point in points:
        if not isinstance(point, dict):
            raise ValueError(f'sweep(config) returns {point!r}; it must return a list of {{field: value}}.')
        for field, value in point.items():
            known(field, config)
            fields.check(f'the sweep: {field}', value, definitions[field])
        if point not in out:
            out.append(point)
    if not out:
        raise ValueError(f'The sweep is empty. {HOW}')
    return out


def known(field: str, config) -> None:
    """Raises ValueError for a field that the config lacks, or that is not part of a cell."""
    names = configs.field_names(config)
    if field not in names:
        raise ValueError(f'a sweep changes {field!r}, but the config has no such field{wording.nearest(field, names)}.')
    if field in ('seeds', 'name', 'tune') or field.startswith(('study.', 'tuning.')):
        raise ValueError(f'a sweep cannot change {field}: it is the same for all cells of a study.')


def of_pretraining(field: str) -> bool:
    """Whether only ways that start from a pretrained backbone depend on a field."""
    return field.startswith('pretrain.') or field == 'transfer.checkpoint'


def title(point: dict) -> str:
    """'pretrain.rotations=4 backbone.blocks=3'; '' for the base."""
    return ' '.join(f'{field}={_shown(value)}' for field, value in point.items())


def _shown(value) -> str:
    return f'{value:.4g}' if isinstance(value, float) else repr(value) if value in ('', None) else str(value)


def _random(count: int, text: str, config) -> list[dict]:
    rng, points = np.random.Generator(np.random.Philox(0)), []
    axes = []
    for part in fields.split(text, ';'):
        found = re.fullmatch(r'\s*([\w.]+)\s*=\s*(log\s+)?([-+.\deE]+)\.\.([-+.\deE]+)\s*', part)
        if not found:
            axes.append(_assign(part, config))
            continue
        field, log, low, high = found.groups()
        known(field, config)
        low, high = float(low), float(high)
        if not low < high or log and low <= 0:
            raise ValueError(f'The range {low} to {high} of {field} is empty' + (', or not above 0.' if log else '.'))
        axes.append((field, (low, high, bool(log))))
    for _ in range(count):
        point = {}
        for field, values in axes:
            if isinstance(values, list):
                point[field] = values[rng.integers(len(values))]
                continue
            low, high, log = values
            drawn = math.exp(rng.uniform(math.log(low), math.log(high))) if log else rng.uniform(low, high)
            point[field] = round(drawn) if isinstance(_present(field, config), int) else float(f'{drawn:.4g}')
        points.append(point)
    return points


def _assign(part: str, config, single=False):
    field, mark, text = part.strip().partition('=')
    field = field.strip()
    if not mark or not text.strip():
        raise ValueError(f'{part.strip()!r} is not part of a sweep. {HOW}')
    known(field, config)
    values = [_value(field, v.strip(), config) for v in ([text] if single else fields.split(text, ','))]
    return (field, values[0]) if single else (field, values)


def _present(field: str, config):
    for part in field.split('.'):
        config = config[part]
    return config


def _value(field: str, text: str, config):
    definition = configs.definitions()[field]
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in '\'"'
    bare = text[1:-1] if quoted and isinstance(definition.default, str) else text
    return fields.read(field, bare, definition)
