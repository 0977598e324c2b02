"""Every field that may be left open ('auto', '' or 0) is decided here, once, and with its reason.

What depends on the config, the images' shape and the devices is decided by `resolve` before anything is trained; what
depends on the images of a seed, by `stage` when a stage begins. `summary` joins both for the result.
"""

from typing import NamedTuple

import numpy as np

from ssljax import config as configs
from ssljax import methods, metrics, models
from ssljax.data import feed as feeds
from ssljax.methods import network
from ssljax.program import steps_a_call
from ssljax.settings import fields


class Decision(NamedTuple):
    """What was decided for a field that the config leaves open.

    field: its dotted name. value: the decision. why: the reason, for the report.
    """

    field: str
    value: object
    why: str


class Input(NamedTuple):
    """The images that a stage trains on, how many per step, and where they are kept ('resident' or 'stream')."""

    images: object
    batch_size: int
    path: str


class Stage(NamedTuple):
    """What is decided when a stage begins.

    steps: its optimiser steps. inputs: one Input, or those of the labelled and the unlabelled images. decided: the
    Decisions.
    """

    steps: int
    inputs: tuple[Input, ...]
    decided: list[Decision]


def resolve(config, shape, mesh, span=None, multilabel: bool = False) -> tuple:
    """(the config with every field decided that does not depend on a seed's images, the Decisions).

    Args:
      config: the run's.
      shape: (H, W, C) of the images.
      mesh: the devices.
      span: the source's range of values, (low, high), or None.
      multilabel: whether an image may have several classes.
    """
    decided = [*_backbone(config.backbone, shape), *_layers(config), *_augment(config), *_device(config, mesh)]
    if span is not None and config.data.range == 'auto':
        why = 'percentiles of a sample of the training files, which hold more than 8 bits a channel'
        decided.append(Decision('data.range', ','.join(map(repr, span)), why))
    if (select := metrics.selected(config.select, multilabel)) != config.select:
        why = 'an image may have several classes, for which top-1 is not defined'
        decided.append(Decision('select', select, why))
    resolved = config.copy_and_resolve_references()
    resolved.update_from_flattened_dict({d.field: d.value for d in decided})
    resolved.variants = tuple(_variant(config, *entry) for entry in config.variants)
    return resolved, decided


def of_methods(known: dict) -> list[Decision]:
    """What the options of methods stand for that the config leaves open; known: {kind of stage: core.Method}."""
    return list(dict.fromkeys(Decision(*entry) for method in known.values() for entry in method.decided))


def stage(settings, images, mesh) -> Stage:
    """What is decided when a stage begins.

    Args:
      settings: stages.Settings.
      images: the Split that it trains on, or a pair, labelled and unlabelled.
      mesh: the devices.
    """
    base, config, section, cfg = settings
    pair, found = section == 'semi', []
    batch = config[section].batch_size
    batches = (labeled_batch(config, len(images[0]), mesh), batch) if pair else (batch,)
    if pair and not config.semi.labeled_batch_size:
        why = f'all {len(images[0]):,} labelled images' if batches[0] < batch else 'as many as unlabelled ones'
        found.append(Decision('semi.labeled_batch_size', batches[0], why))
    splits = images if pair else (images,)
    placed = [input_path(split, config.data.path, mesh) for split in splits]
    if config.data.path == 'auto':
        names = ('labelled: ', 'unlabelled: ') if len({(path, why) for _, path, why in placed}) > 1 else ('', '')
        told = [Decision('data.path', path, name + why) for name, (_, path, why) in zip(names, placed)]
        found += dict.fromkeys(told)
    steps = stage_steps(config, 'semi' if pair else base, len(splits[-1]))
    if not cfg.steps:
        field = section if base == 'pretrain' or pair else f'transfer.{base}'
        found.append(Decision(f'{field}.steps', steps, _duration(config, base, cfg, len(splits[-1]), batch)))
    inputs = tuple(Input(split, size, path) for (split, path, _), size in zip(placed, batches))
    return Stage(steps, inputs, found)


def input_path(split, given: str, mesh) -> tuple:
    """(the Split, or a copy of it without the rest of its set, 'resident' or 'stream', why).

    With 'auto', images are resident if the set that the split belongs to, or else the split, fits in a quarter of the
    memory that is free on the host and on each device.
    """
    if given != 'auto':
        return split, given, ''
    whole = len(split.images) * int(np.prod(split.shape))
    if mesh in split.images.on_device or feeds.fits_devices(whole, mesh, split.images.in_memory(), 0.25):
        return split, 'resident', f'the set ({_size(whole)}) fits in a quarter of the free memory'
    if feeds.fits_devices(split.nbytes, mesh, False, 0.25):
        why = f'the split ({_size(split.nbytes)} of {_size(whole)}) fits in a quarter of the free memory'
        return split.compact(), 'resident', why
    return split, 'stream', f'{_size(split.nbytes)} do not fit in a quarter of the free memory'


def labeled_batch(config, images: int, mesh) -> int:
    """Labelled images per step of a semi-supervised method: what config.semi says, by default all if they are few,
    rounded up to a multiple of the devices and of the parts of a batch."""
    if config.semi.labeled_batch_size:
        return config.semi.labeled_batch_size
    least = mesh.size * config.semi.accumulate
    return min(-(-images // least) * least, config.semi.batch_size)


def steps_per_call(config, mesh) -> int:
    """Steps that are compiled into one call."""
    return config.steps_per_call or steps_a_call(mesh)


def total_steps(node, *, images: int, batch_size: int) -> int:
    """Optimiser steps of a stage over `images` images: at least one, or 0 if it has no duration."""
    if node.steps:
        return int(node.steps)
    examples = node.examples or node.epochs * images
    return max(round(examples / batch_size), 1) if examples else 0


def stage_steps(config, kind: str, images: int) -> int:
    """Optimiser steps of a stage. 'scratch' and 'finetune' without a duration are as long as 'frozen' and 'second'
    together, so that every way that trains all weights takes the same number of steps."""
    if kind in ('pretrain', 'semi'):
        return total_steps(config[kind], images=images, batch_size=config[kind].batch_size)
    t = config.transfer
    steps = {k: total_steps(t[k], images=images, batch_size=t.batch_size) for k in (kind, 'frozen', 'second')}
    return max(steps[kind] or steps['frozen'] + steps['second'] * ('two_stage' in t.ways), 1)


def summary(decided: list[Decision], records: list[dict]) -> list[dict]:
    """What a run left open and what was decided, for its result: a Decision as a dict each. One that holds for only
    some stages or seeds names them.

    Args:
      decided: from `resolve`.
      records: the records of its seeds, whose stages have what `stage` decided as 'resolved'.
    """
    found: dict = {}
    for record in records:
        entries = {'pretrain': record.get('pretrain') or {}} | record['ways']
        for name, entry in entries.items():
            for d in entry.get('resolved', ()):
                places = found.setdefault(d['field'], {}).setdefault((repr(d['value']), d['why']), (d, {}))[1]
                places.setdefault(name, []).append(record['seed'])
    out = [d._asdict() for d in decided]
    for told in found.values():
        for d, places in told.values():
            some = {name: ' and '.join(map(str, at)) for name, at in places.items() if len(at) < len(records)}
            where = ', '.join(f'{name} of seed {some[name]}' if name in some else name for name in places)
            out.append(d | {'why': f'{d["why"]} ({where})'} if len(told) > 1 else d)
    return out


def _duration(config, base: str, cfg, images: int, batch: int) -> str:
    if cfg.examples:
        return f'{cfg.examples:,} examples, {batch} per step'
    if cfg.epochs:
        return f'{cfg.epochs:g} epochs of {images:,} images, {batch} per step'
    return 'as long as frozen' + (' and second together' if 'two_stage' in config.transfer.ways else '')


def _size(count: int) -> str:
    power = min(max(count.bit_length() - 1, 0) // 10, 3)
    return f'{count} bytes' if not power else f'{count / 2 ** (10 * power):,.1f} {("KiB", "MiB", "GiB")[power - 1]}'


def _backbone(config, shape) -> list[Decision]:
    """The stem, by the size of the images; and what an option of 0 stands for."""
    options, found = models.BACKBONES[config.name].OPTIONS, []
    stem = models.stem_for(config, shape)
    if 'stem' in options and stem != config.stem:
        side = min(shape[:2])
        why = f'images are {side} pixels, {"below" if side < 64 else "at least"} 64'
        found.append(Decision('backbone.stem', stem, why))
    if config.init_from:
        settled, why = models.usual(config), 'backbone.init_from has the weights of another library'
        open_ = [k for k in models.AUTO if k in (*models.COMMON, *options) and config[k] == 'auto']
        found += [Decision(f'backbone.{k}', settled[k], why) for k in open_]
    usual = {name: fields.of(field).usual for name, field in options.items() if fields.of(field).usual is not None}
    why = f'the default of {config.name}'
    return found + [Decision(f'backbone.{k}', v, why) for k, v in usual.items() if config[k] == 0]


def _layers(config) -> list[Decision]:
    """The layer of the backbone that heads are put on."""
    last, why = models.layer_or_last(config.backbone, ''), f'the last layer of {config.backbone.name}'
    sections = ('pretrain', 'transfer') if _tasks(config) else ('transfer',)
    return [Decision(f'{section}.layer', last, why) for section in sections if not config[section].layer]


def _augment(config) -> list[Decision]:
    """The pipelines that are taken from another field if they are empty."""
    own = {f'pretrain.{name}.augment': config.pretrain[name].augment for name in _tasks(config)}
    found = [Decision(field, config.pretrain.augment, 'as pretrain.augment') for field in own if not own[field]]
    if any(configs.variant(config, way)[0] in methods.SEMI for way in config.transfer.ways):
        found += [Decision('semi.augment', network.weak(config), 'as transfer.augment')] * (not config.semi.augment)
    return [decision for decision in found if decision.value]


def _tasks(config) -> list[str]:
    """The pretext tasks that a run trains itself."""
    given = config.transfer.checkpoint or config.pretrain.method in ('', 'none')
    return [] if given else list(methods.terms(config.pretrain.method))


def _variant(config, name: str, way: str, changes: tuple) -> tuple:
    """An entry of config.variants; if its semi.augment is empty, with the one that its own changes lead to."""
    changed = configs.variant(config, name)[1]
    if way in methods.SEMI and not changed.semi.augment:
        changes = (*(c for c in changes if c[0] != 'semi.augment'), ('semi.augment', network.weak(changed)))
    return name, way, changes


def _device(config, mesh) -> list[Decision]:
    platform = mesh.devices.flat[0].platform
    cpu, why = platform == 'cpu', f'the device is a {platform.upper()}'
    found = []
    if config.backbone.conv == 'auto':
        found.append(Decision('backbone.conv', 'fast' if cpu else 'xla', why))
    if config.steps_per_call == 0:
        slow = ', where steps in a compiled loop are slow' if cpu else ', which would idle between short calls'
        found.append(Decision('steps_per_call', steps_a_call(mesh), why + slow))
    return found
