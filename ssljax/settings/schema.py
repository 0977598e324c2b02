"""What makes two configs the same run, and how the configs of earlier versions are read.

A run keeps its identity when the code grows. Only the sections that it uses are compared. A field that its version did
not have counts as its default, and does not change the id of a study's cell. What is renamed or means something else is
brought to its present form by `upgrade`.
"""

import functools
import json
import re
from pathlib import Path

from ssljax import config as configs
from ssljax import methods

SCHEMA = 4  # of what is written to disk; to be raised with an entry in MIGRATIONS
# Fields on which no number of a run depends. Seeds may be added (see `changes`).
FREE: tuple = 'published', 'save_every', 'save_keep', 'log_every', 'seeds', 'tracker', 'study.', 'plan.', 'answer.'
FREE += 'data.data_dir', 'data.manual_dir', 'data.cache', 'fsdp.', 'backbone.remat'  # the last two: up to rounding
# Those on which nothing depends before a seed has been evaluated.
LATE = tuple(
    f'evaluate.{name}' for name in ('probe', 'probe_pool', 'probe_l2', 'random', 'figures', 'reference', 'positive')
)
STAGE_PARTS = ('optim',)  # parts of pretrain and semi that are no method's options


def to_dict(config) -> dict:
    """`config.to_dict` with the schema's number, as it is written to disk."""
    return configs.to_dict(config) | {'schema': SCHEMA}


def upgrade(plain: dict) -> dict:
    """A config as it was written to disk, of any version, brought to this version: every field of today's, and those of
    the old one that no longer exist."""
    plain = json.loads(json.dumps(plain))
    for number in range(plain.pop('schema', 1), SCHEMA):
        MIGRATIONS[number](plain)
    return _tree(_defaults() | flat(plain))


def _typical(plain: dict) -> None:
    renamed(plain.get('data', {}))


def _copies(plain: dict) -> None:
    if 'data' in plain:
        plain['data'].setdefault('copies', 'anywhere')


def _upright(plain: dict) -> None:
    if 's4l_rotation' in plain.get('semi', {}):
        plain['semi']['s4l_rotation'].setdefault('classified', 'upright')


# {number: function that brings a plain config of that schema to the next, in place}
MIGRATIONS = {1: _typical, 2: _copies, 3: _upright}


def renamed(data) -> None:
    """Gives what `data` asks for its present name, in place: `typical` with a count per class was an oracle without the
    name. `data`: config.data, or the plain dict of one."""
    if data.get('choose') == 'typical' and str(data.get('labels', '')).strip().endswith('/class'):
        data['choose'] = 'typical_oracle'


def restored(plain: dict):
    """The ConfigDict of a config as it was written to disk, of any version; fields that are gone are left out."""
    config = configs.base()
    known = configs.definitions()
    config.update_from_flattened_dict({k: _tuples(v) for k, v in flat(upgrade(plain)).items() if k in known})
    return config


def changes(old: dict, new: dict) -> list[str]:
    """Lines 'field: old -> new' for what differs between two runs in the fields that either depends on; [] if the
    second continues the first.

    Args:
      old: a plain config as it was written to disk, of any version.
      new: `to_dict` of one of today's. Its seeds are those of the old one, and perhaps more.
    """
    old, new = upgrade(old), upgrade(new)
    lines = configs.differences(*(_tree(_used(plain)) for plain in (old, new)))
    if not set(old['seeds']) <= set(new['seeds']):
        lines.append(f'seeds: {old["seeds"]!r} -> {new["seeds"]!r}, which drops some that were used')
    elif _shared(new) and old['seeds'][0] != new['seeds'][0]:
        first = old['seeds'][0]
        lines.append(
            f'seeds: {old["seeds"]!r} -> {new["seeds"]!r}, but the pretraining of seed {first} serves all seeds: keep '
            'it first'
        )
    return lines


def sections(plain: dict) -> dict:
    """A plain config without the parts that its run does not use."""
    return _tree(_used(plain))


def used(config) -> dict:
    """{dotted name: value} of the fields that the run of a config depends on."""
    return _used(configs.to_dict(config))


def hashed(config) -> dict:
    """The plain dict that stands for a config in a hash, in the first version's form. Later fields enter only if they
    are not at their default; unused ones have the first version's default, however it has changed since."""
    plain, defaults, first = _settled(configs.to_dict(config)), _defaults(), _first()
    fields = flat(plain)
    used, out = _of_used(fields, plain), dict(first)
    for name, value in fields.items():
        default = defaults.get(name, {})
        if value != default or name in first and name in used:
            out[name] = value
    return _tree(out)


@functools.cache
def _first() -> dict:
    """{dotted name: default} of the fields of the first version."""
    return json.loads((Path(__file__).with_name('schema1.json')).read_text())


def _defaults() -> dict:
    """{dotted name: default} of today's fields, as JSON has them."""
    return {name: _lists(field.default) for name, field in configs.definitions().items()}


def _used(plain: dict) -> dict:
    """{dotted name: value} of the fields that the run of a plain config depends on."""
    plain = _settled(plain)
    return _of_used(flat(plain), plain)


def _of_used(fields: dict, plain: dict) -> dict:
    """The entries of {dotted name: value} of a plain config that its run depends on."""
    left_out = tuple(f'{part.rstrip(".")}.' for part in (*FREE, *_unused(plain)))
    return {k: v for k, v in fields.items() if not f'{k}.'.startswith(left_out)}


def _settled(plain: dict) -> dict:
    """A plain config with the optimiser that its semi-supervised ways have, if it leaves that open and they agree."""
    given = plain['semi']['optim']
    found = [methods.optimiser(way, given) for way in sorted(_trained(plain) & methods.SEMI.keys())]
    if not found or any(other != found[0] for other in found):
        return plain
    return plain | {'semi': plain['semi'] | {'optim': found[0]}}


def _unused(plain: dict) -> list[str]:
    """Prefixes of the fields that the run of a plain config does not use."""
    unused = [] if plain['tune'] else ['tuning']
    for section, wanted in (('semi', _trained(plain) & _methods(plain['semi'])), ('pretrain', _pretext(plain))):
        unused += [f'{section}.{name}' for name in _methods(plain[section]) - wanted] if wanted else [section]
    return unused


def _trained(plain: dict) -> set:
    """The ways of a plain config, variants under the way that they are trained as."""
    ways = {name: way for name, way, _ in plain['variants']}
    return {ways.get(way, way) for way in plain['transfer']['ways']}


def _shared(plain: dict) -> bool:
    """Whether a run pretrains once for all seeds."""
    return plain['pretrain']['shared'] and bool(_pretext(plain))


def _methods(section: dict) -> set:
    """The methods that have a part of their own in `pretrain` or `semi`."""
    return {name for name, value in section.items() if isinstance(value, dict)} - {*STAGE_PARTS}


def _pretext(plain: dict) -> set:
    """The pretext tasks that a run trains itself."""
    if plain['transfer']['checkpoint']:
        return set()
    return _methods(plain['pretrain']) & set(re.findall(r'[a-z_]\w*', plain['pretrain']['method']))


def flat(tree: dict, prefix='') -> dict:
    """{dotted name: value}; an empty part is a value."""
    out: dict = {}
    for key, value in tree.items():
        out |= flat(value, f'{prefix}{key}.') if isinstance(value, dict) and value else {f'{prefix}{key}': value}
    return out


def _tree(flat: dict) -> dict:
    tree: dict = {}
    for name, value in flat.items():
        *parts, last = name.split('.')
        node = tree
        for part in parts:
            node = node.setdefault(part, {})
        node.setdefault(last, {} if value == {} else value)
    return tree


def _lists(value):
    return list(map(_lists, value)) if isinstance(value, tuple) else value


def _tuples(value):
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
