"""One run: pretrain -> transfer -> evaluate -> report, for every seed; each stage is resumable."""

import functools
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from ssljax import (
    checkpoint,
    evaluate,
    files,
    label_set,
    methods,
    models,
    optim,
    preempt,
    provenance,
    report,
    result,
    train,
)
from ssljax import config as configs
from ssljax.data import feed as feeds
from ssljax.data import partition as partitions
from ssljax.data import sources
from ssljax.data.split import concat
from ssljax.evals import gallery, watch
from ssljax.methods import network, supervised
from ssljax.sharding import check_batch, make_mesh
from ssljax.transfer import held_layers, take_backbone

PRETRAINED = ('frozen', 'finetune', 'two_stage')  # the ways that start from a pretrained backbone


class Run(NamedTuple):
    """What all seeds of a run share. `programs` holds each stage's compiled program once it was needed; `represent` is
    that of label_set.representative."""

    config: object
    workdir: Path
    source: object
    mesh: jax.sharding.Mesh
    meta: dict
    programs: dict
    methods: dict
    represent: Callable | None


def run(config, workdir) -> dict:
    """Does the whole run, or what is left of it, in `workdir`; returns the content of result.json.

    Raises:
      ValueError, OSError: something the user can mend; the message says what and how.
      preempt.Preempted: SIGTERM came; the same command goes on from here.
    """
    began, workdir = time.time(), Path(workdir)
    configs.check(config)
    with files.lock(workdir):
        return _run(config, workdir, began)


def _run(config, workdir: Path, began: float) -> dict:
    _claim(config, workdir)
    source = sources.load(config.data)
    state = _prepare(config, workdir, source)
    for seed in config.seeds:
        train_seed(state, seed)
    preempt.check()
    seeds = [evaluate_seed(state, seed) for seed in config.seeds]
    outcome = result.assemble(config, source, seeds, began)
    files.write_json(workdir / 'result.json', outcome)
    print(report.table(outcome))
    print(f'\nReport: {report.write(workdir)}')
    return outcome


def _claim(config, workdir: Path) -> None:
    """Stores the config in a new workdir; refuses one in which another config has begun."""
    new, old = configs.to_dict(config), files.read_json(workdir / 'config.json')
    if old is not None and (changed := configs.differences(old, new)):
        raise ValueError(
            f'{workdir} holds a run of another config ({"; ".join(changed[:8])}). '
            'Give another --workdir, or the same config to go on with it.'
        )
    if old is None:
        files.write_json(workdir / 'config.json', new)


def _prepare(config, workdir, source) -> Run:
    mesh = make_mesh()
    for batch_size in (config[k].batch_size for k in ('pretrain', 'semi', 'transfer', 'evaluate')):
        check_batch(batch_size, mesh)
    meta = {
        'config': configs.to_dict(config),
        'data': {'shape': list(source.shape), 'train': source.train.digest()},
        'versions': provenance.versions(),
    }
    old = files.read_json(workdir / 'data.json')
    if old is not None and old != meta['data']:
        raise ValueError(
            f'the training images of {config.data.source} are not those that {workdir} was begun with '
            f'(sha256 {meta["data"]["train"][:12]}, was {old["train"][:12]}): restore them or give another --workdir.'
        )
    files.write_json(workdir / 'data.json', meta['data'])
    known = {}
    if uses_pretraining(config):
        check_layers(config)
        known['pretrain'] = methods.pretext(config, source.shape)
    for stage in ('frozen', 'scratch', 'finetune', 'second'):
        known[stage] = supervised.make(
            config,
            len(source.classes),
            frozen=stage == 'frozen',
            smoothing=config.transfer[stage].label_smoothing,
        )
    for way in methods.SEMI.keys() & set(config.transfer.ways):
        known[way] = methods.semi(way, config, source.shape, len(source.classes))
    return Run(config, workdir, source, mesh, meta, {}, known, label_set.representative(config, source, mesh))


def uses_pretraining(config) -> bool:
    """Whether the run trains a backbone without labels itself.

    Raises:
      ValueError: ways that need a pretrained backbone, and none is trained or given.
    """
    if config.transfer.checkpoint:
        return False
    if config.pretrain.method not in ('', 'none'):
        return True
    if wanted := [w for w in config.transfer.ways if w in PRETRAINED]:
        raise ValueError(
            f'transfer.ways has {", ".join(wanted)}, which start from a pretrained backbone, but pretrain.method is '
            'none and transfer.checkpoint is empty: set one of them, or leave those ways out.'
        )
    return False


def check_layers(config) -> None:
    """Raises ValueError where transfer taps a layer that pretraining does not reach, or one that is unknown."""
    names = models.layer_names(config.backbone)
    for field in ('pretrain', 'transfer'):
        models.build(config.backbone, config[field].layer)
    trained, tapped = (config[field].layer or names[-1] for field in ('pretrain', 'transfer'))
    if names.index(trained) < names.index(tapped):
        raise ValueError(
            f'pretrain.layer={trained} leaves the layers above it untrained, but transfer takes {tapped}: set '
            f'--config.transfer.layer={trained} or one below it.'
        )


class Seed(NamedTuple):
    """The outcome of training with one seed.

    ways: {way: Stage}. pretrained, random: variables with params['backbone'], for `backbone`, which is whole or,
    from a checkpoint that lacks the upper layers, ends at `layer`, the layer that transfer taps.
    splits: the Splits 'labeled', 'val' and 'test'.
    """

    partition: object
    splits: dict
    classes: tuple
    ways: dict
    layer: str
    backbone: object
    pretrained: dict | None
    pretrain_record: dict | None
    random: dict


def train_seed(run: Run, seed: int) -> Seed:
    """Every stage of one seed, in order; finished ones are read from disk."""
    config, source = run.config, run.source
    directory = run.workdir / f'seed{seed}'
    rows = label_set.rows(config, source, run.represent, seed, directory)
    labeled, val = source.train.take(rows.labeled), validation(source, rows)
    if not len(val):
        raise ValueError(f'data.val is {config.data.val!r}: validation chooses the weights, so it needs some images.')
    unlabeled, pretrained, record = unlabeled_images(source, rows), None, None
    if 'pretrain' in run.methods:
        images = some(unlabeled, run.methods['pretrain'].images, seed)
        eye = _watch(run, labeled, val, seed)
        stage = _stage(run, 'pretrain', 'pretrain', seed, images, val, _init(run, 'pretrain', seed), eye)
        pretrained, record = stage.variables, stage.record | {'method': config.pretrain.method}
    elif config.transfer.checkpoint:
        pretrained, meta = checkpoint.load_variables(config.transfer.checkpoint)
        record = {'checkpoint': config.transfer.checkpoint, 'method': meta['config']['pretrain']['method']}

    start = _init(run, 'scratch', seed)
    where = config.transfer.checkpoint or str(directory / 'pretrain')
    taken = take_backbone(pretrained, start, where) if pretrained else None
    ways = {}
    for way in config.transfer.ways:
        if way in methods.SEMI:
            eye = functools.partial(gallery.keep, _gallery(run, way), directory / way)
            ways[way] = _stage(run, way, way, seed, (labeled, unlabeled), val, _init(run, way, seed), eye)
            continue
        kind, first = {
            'random_frozen': ('frozen', start),
            'scratch': ('scratch', start),
            'frozen': ('frozen', taken),
            'finetune': ('finetune', taken),
            'two_stage': ('second', ways['frozen'].variables if 'frozen' in ways else None),
        }[way]
        ways[way] = _stage(run, kind, way, seed, labeled, val, first)
    layer = config.transfer.layer or models.layer_names(config.backbone)[-1]
    backbone = held_layers(config.backbone, source.shape, pretrained['params']['backbone'] if pretrained else None)
    bare = network.Network(backbone, '')
    random = _init(run, 'backbone', seed, lambda key, batch: network.init(bare, key, batch['image']))
    splits = {'labeled': labeled, 'val': val, 'test': source.test}
    return Seed(rows, splits, source.classes, ways, layer, backbone, pretrained, record, random)


def _init(run: Run, kind: str, seed: int, init=None) -> dict:
    """The initial variables of a kind of stage; `init`, by default its method's, is compiled once for all seeds."""
    name = f'{kind} init'
    if name not in run.programs:
        init = init or run.methods[kind].init
        run.programs[name] = jax.jit(lambda key: init(key, {'image': _one_image(run.source)}))
    return run.programs[name](jax.random.fold_in(jax.random.key(seed), 0))


def _one_image(source):
    return np.zeros((1, *source.shape), np.uint8)


def validation(source, rows):
    """The validation Split: the source's own, or the rows carved from the training labels."""
    return source.val if source.val is not None else source.train.take(rows.val)


def unlabeled_images(source, rows):
    """All training images but validation, and the unlabelled folder's; no labels."""
    train = source.train.take(np.sort(np.concatenate([rows.labeled, rows.unlabeled])))
    return (concat([train, source.unlabeled]) if source.unlabeled is not None else train).hide()


def some(images, count: int, seed: int):
    """`count` images of a Split at random, or all where it is 0 or more than there are."""
    if not count or count >= len(images):
        return images
    return images.take(np.sort(partitions.permutation(len(images), seed, 0)[:count]))


def _watch(run: Run, labeled, val, seed: int):
    """(step, variables) -> nearest-neighbour accuracy and spread on some validation images; None where it is off."""
    config = run.config
    if not config.pretrain.watch:
        return None
    if 'watch' not in run.programs:
        run.programs['watch'] = watch.compiled(config, run.methods['pretrain'], run.source.shape)
    known, shown = (some(images, config.pretrain.watch, seed) for images in (labeled, val))
    look = functools.partial(
        watch.look, run.programs['watch'], labeled=known, val=shown, k=config.evaluate.knn,
        classes=len(run.source.classes), batch_size=config.evaluate.batch_size, mesh=run.mesh,
    )  # fmt: skip
    return lambda step, variables: look(variables)


def _gallery(run: Run, way: str):
    name = f'{way} gallery'
    if name not in run.programs:
        run.programs[name] = gallery.compiled(run.methods[way], run.source.shape)
    return run.programs[name]


def _stage(run: Run, kind: str, name: str, seed: int, images, val, variables, eye=None) -> train.Stage:
    """Trains the stage `name` with the program of its kind: pretrain, frozen, scratch, finetune, second, or the name of
    a semi-supervised method, whose images are a pair of Splits, labelled and unlabelled."""
    preempt.check()
    config = run.config
    section = kind if kind == 'pretrain' else 'semi' if kind in methods.SEMI else 'transfer'
    cfg = config[section][kind] if section == 'transfer' else config[section]
    if section == 'semi':
        feed = feeds.JointFeed(
            _feed(run, images[0], labeled_batch(config, len(images[0]), run.mesh), seed),
            _feed(run, images[1], cfg.batch_size, seed),
        )
    else:
        feed = _feed(run, images, config[section].batch_size, seed)
    if kind not in run.programs:
        steps = configs.stage_steps(config, 'semi' if section == 'semi' else kind, feed.n)
        run.programs[kind] = train.make_program(
            run.methods[kind],
            cfg,
            steps=steps,
            get=feed.get,
            mesh=run.mesh,
            steps_per_call=config.steps_per_call,
        )
        optim.log_rules(cfg.optim, variables['params'])
    return train.fit(
        run.programs[kind],
        variables,
        feed=feed,
        val=val,
        cfg=cfg,
        key=jax.random.fold_in(jax.random.key(seed), zlib.crc32(name.encode())),
        mesh=run.mesh,
        directory=run.workdir / f'seed{seed}' / name,
        title=f'seed {seed} · {name}',
        meta=run.meta | {'stage': name, 'seed': seed},
        select='last' if kind == 'pretrain' else 'best',
        log_every=config.log_every,
        save_every=config.save_every,
        eval_batch=config.evaluate.batch_size,
        watch=eye,
    )


def _feed(run: Run, images, batch_size: int, seed: int) -> feeds.Feed:
    return feeds.make_feed(images, batch_size=batch_size, seed=seed, mesh=run.mesh, path=run.config.data.path)


def labeled_batch(config, images: int, mesh) -> int:
    """Labelled images a step of a semi-supervised method: what config.semi says, by default all of few, filled up to a
    multiple of the devices."""
    if config.semi.labeled_batch_size:
        return config.semi.labeled_batch_size
    return min(-(-images // mesh.size) * mesh.size, config.semi.batch_size)


def evaluate_seed(run: Run, seed: int) -> dict:
    """The record of one seed for result.json. A seed that has one is not measured again: the test split is read
    once."""
    directory = run.workdir / f'seed{seed}'
    if record := files.read_json(directory / 'evaluation.json'):
        return record
    trained = train_seed(run, seed)
    print(f'seed {seed} · evaluation', file=sys.stderr)
    record, arrays = evaluate.evaluate(run.config, run.mesh, run.methods, trained, directory)
    if arrays:
        files.write_npz(directory / 'figures.npz', arrays)
    rows = result.sets(trained.partition, run.source)
    record = {'seed': seed, 'partition': rows, 'pretrain': trained.pretrain_record} | record
    files.write_json(directory / 'evaluation.json', record)
    return record
