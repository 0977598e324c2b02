"""What a study computes: cells and the pretrainings that they share, each known by a hash of what it depends on."""

import functools
import hashlib
import json
from typing import NamedTuple

from ml_collections import ConfigDict

from ssljax import config as configs
from ssljax import methods, model_json, stages, ways
from ssljax.processes import hosts
from ssljax.settings import checks, schema
from ssljax.storage import checkpoint
from ssljax.studies import sweep
from ssljax.text import wording

PRETRAINED = 'pretrained'  # the folder of the pretrainings


class Job(NamedTuple):
    """Something that one worker computes at a time: a cell, or a pretraining that cells share.

    folder: its place in the study's directory, PRETRAINED/ID or cells/ID. config: the whole config of its run.
    """

    folder: str
    config: ConfigDict


class Cell(NamedTuple):
    """One training and its row of the table.

    id: hex hash of the config. labels, point, pretrain, way, seed: what the row says of it; `pretrain` is the name of
    the pretraining, '' for a way that starts without. needs: the pretraining's Job, or None.
    """

    id: str
    labels: str
    point: dict
    pretrain: str
    way: str
    seed: int
    job: Job
    needs: Job | None


def cells(config, points=()) -> list[Cell]:
    """The cells of a study, those that share a compiled program next to each other.

    Every point of the sweep, and the base that they are compared with, is combined with every label budget of
    study.labels, every pretraining of study.pretrained, every way and every seed. Cells that depend on the same things
    are one: training from scratch does not depend on how a backbone is pretrained.

    Args:
      config: the study's config.
      points: {field: value} of each setting.

    Raises:
      ValueError: a config that cannot be run, an unknown field, or a tuner switched on.
    """
    if config.tune:
        raise ValueError(
            'tune is True, but cells that tune themselves are not comparable: tune once (ssljax tune) and '
            'give the study the resulting config.'
        )
    checks.check(config)
    if config.study.together < 0:
        raise ValueError(
            f'study.together is {config.study.together}: give the maximum number of cells trained at once, 1 '
            'for one by one, or 0 for as many as there are seeds.'
        )
    base = configs.base()
    found, known = [], configs.field_names(base)
    budgets = tuple(config.study.labels) or (config.data.labels,)
    if len(set(budgets)) < len(budgets):
        raise ValueError(f'study.labels repeats a budget: {", ".join(budgets)}.')
    _check_reference(config)
    named = _pretrainings(config, known)
    _check_given(config, points)
    trained_by = functools.cache(_trained_by)
    for point in points:
        changed = config.copy_and_resolve_references()
        changed.update_from_flattened_dict(point)
        checks.check(changed)
    for point in ({}, *[p for p in points if p]):
        jobs: dict = {}
        where = point.get('transfer.checkpoint', config.transfer.checkpoint)
        pretrainings = {trained_by(where): {}} if where else named
        for way in config.transfer.ways:
            for name, changes in pretrainings.items() if ways.needs_pretraining(config, way) else (('', ()),):
                for labels in budgets:
                    found += _of_seeds(config, base, point, name, dict(changes), labels, way, jobs)
    return list({cell.id: cell for cell in reversed(found)}.values())[::-1]


def _check_reference(config) -> None:
    way = config.study.reference.split(':')[0]
    if way not in config.transfer.ways and config.study.reference != configs.base().study.reference:
        raise ValueError(
            f'study.reference is {config.study.reference!r}, but this is not a way of the study'
            f'{wording.nearest(way, config.transfer.ways)}: it must be one of {", ".join(config.transfer.ways)}, or '
            'WAY:PRETRAINING of study.pretrained.'
        )


def _pretrainings(config, known) -> dict:
    """{name: {field: value}}: those of study.pretrained, or the config's own."""
    named = {}
    for name, changes in config.study.pretrained:
        for field, _ in changes:
            if field not in known or not field.startswith('pretrain.'):
                raise ValueError(
                    f'study.pretrained: {name} changes {field!r}{wording.nearest(field, known)}; it can change fields '
                    'of pretrain.'
                )
        named[name] = dict(changes)
    return named or {config.pretrain.method: {}}


def _check_given(config, points) -> None:
    if any('pretrain.shared' in changes for changes in (*points, *(dict(c) for _, c in config.study.pretrained))):
        raise ValueError(
            'pretrain.shared holds for a whole study: set --config.pretrain.shared, and leave it out of the sweep and '
            'of study.pretrained.'
        )
    given = [where for where in (config.transfer.checkpoint, *(p.get('transfer.checkpoint') for p in points)) if where]
    if config.study.pretrained and given:
        raise ValueError(
            f'study.pretrained trains {", ".join(name for name, _ in config.study.pretrained)}, but '
            f'transfer.checkpoint={given[0]} gives a trained backbone: leave one of them empty.'
        )


def _trained_by(where: str) -> str:
    """How the backbone of transfer.checkpoint was trained."""
    return model_json.trained_by(hosts.told(lambda: checkpoint.load_meta(where)))


def _of_seeds(config, base, point, name, changes, labels, way, jobs: dict) -> list[Cell]:
    """The cells of all seeds, with the rest in common.

    base: `configs.base()`, which is not changed. jobs: what budgets and ways share, {(digest of a pretraining with all
    seeds, seed): its Job}.
    """
    c = config.copy_and_resolve_references()
    c.unlock()
    c.update_from_flattened_dict(changes | point | {'data.labels': point.get('data.labels', labels)})
    checks.choice(c.data)
    origin = configs.variant(c, way)[0]
    c.update(name='cell', published=(), study=base.study, tuning=base.tuning)
    c.variants = tuple(v for v in c.variants if v[0] == way)
    c.transfer.ways = ('frozen', way) if origin == 'two_stage' else (way,)
    c.evaluate.update(knn=0, probe=False, random=False, figures=False)
    if origin not in methods.SEMI:
        c.semi = base.semi
    pretraining, needs = None, None
    if not ways.needs_pretraining(c, way):
        point = {k: v for k, v in point.items() if not sweep.of_pretraining(k)}
        c.pretrain = base.pretrain.copy_and_resolve_references()
        c.pretrain.method = 'none'
        c.transfer.checkpoint = ''
    elif not c.transfer.checkpoint and not (c.backbone.init_from and c.pretrain.method in ('', 'none')):
        pretraining = _pretraining(c, base)
        of_all = digest(pretraining)
        c.pretrain = base.pretrain
    found = []
    for seed in config.seeds:
        own = _of_seed(c, seed)
        if pretraining is not None:
            owner = stages.pretraining_seed(config, seed)
            if (of_all, owner) not in jobs:
                p = _of_seed(pretraining, owner)
                jobs[of_all, owner] = Job(f'{PRETRAINED}/{digest(p)}', p)
            needs = jobs[of_all, owner]
            own.transfer.checkpoint = needs.folder
        identity = digest(own)
        found.append(Cell(identity, own.data.labels, point, name, way, seed, Job(f'cells/{identity}', own), needs))
    return found


def _of_seed(config, seed):
    """A copy of a config, which shares no section with it, for one seed."""
    c = config.copy_and_resolve_references()
    c.seeds = (seed,)
    return c


def _pretraining(c, base):
    """The config that pretrains a cell's backbone. What it sees does not depend on the label budget unless the pool is
    limited: all training images but validation."""
    p = c.copy_and_resolve_references()
    p.unlock()
    p.update(name='pretraining', semi=base.semi, variants=())
    p.transfer = base.transfer.copy_and_resolve_references()
    p.transfer.ways = ()
    p.pretrain.update(watch=0, shared=False)
    if not p.data.pool and not p.data.labels.startswith('list:'):
        p.data.update(labels='1/class', choose='random', features='')
    return p


def digest(config) -> str:
    """16 hex digits of the SHA-256 of a config; where data and compiled steps are kept does not enter."""
    plain = schema.hashed(config)
    if plain['data']['choose'] == 'typical_oracle':
        plain['data']['choose'] = 'typical'  # its name in studies of earlier versions
    for field in ('data_dir', 'manual_dir', 'path', 'cache'):
        plain['data'].pop(field)
    for field in ('log_every', 'save_every', 'steps_per_call'):
        plain.pop(field)
    plain['study'].pop('together')
    plain.pop('save_keep', None)
    plain.pop('fsdp', None)
    plain['backbone'].pop('remat', None)
    return short_hash(plain)


def like(config) -> str:
    """16 hex digits, the same for cells of the same programs: they differ in the seed, the label set and the backbone
    that they start from."""
    plain = schema.hashed(config)
    for field in ('seeds', 'name'):
        plain.pop(field)
    for field in ('labels', 'pool', 'choose', 'features', 'cache'):
        plain['data'].pop(field)
    plain['transfer'].pop('checkpoint')
    return short_hash(plain)


def short_hash(plain) -> str:
    """16 hex digits of the SHA-256 of what JSON can represent."""
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]
