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
    guard,
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
from ssljax.core import split
from ssljax.data import feed as feeds
from ssljax.data import partition as partitions
from ssljax.data import sources
from ssljax.data.split import concat
from ssljax.data.toy import is_plane
from ssljax.evals import embed, gallery, watch
from ssljax.methods import network, supervised
from ssljax.sharding import check_batch, make_mesh
from ssljax.transfer import held_layers, take_all, take_backbone

PRETRAINED = ('frozen', 'finetune', 'two_stage')  # the ways that start from a pretrained backbone
KINDS = {'random_frozen': 'frozen', 'two_stage': 'second'}  # of stage, where it is not called as the way


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
    claim(config, workdir)
    source = sources.load(config.data)
    if config.tune:
        from ssljax import tune  # not at the top: it runs stages of experiments

        config = tune.tuned(config, workdir, source)
    state = prepare(config, workdir, source)
    for seed in config.seeds:
        train_seed(state, seed)
    preempt.check()
    seeds = [evaluate_seed(state, seed) for seed in config.seeds]
    outcome = result.assemble(config, source, seeds, began)
    files.write_json(workdir / 'result.json', outcome)
    print(report.table(outcome))
    print(f'\nReport: {report.write(workdir)}')
    return outcome


def claim(config, workdir: Path) -> None:
    """Stores the config in a new workdir; refuses one in which another config has begun."""
    new, old = configs.to_dict(config), files.read_json(workdir / 'config.json')
    if old is not None and (changed := configs.differences(old, new)):
        raise ValueError(
            f'{workdir} holds a run of another config ({"; ".join(changed[:8])}). '
            'Give another --workdir, or the same config to go on with it.'
        )
    if old is None:
        files.write_json(workdir / 'config.json', new)


def prepare(config, workdir, source) -> Run:
    """What all seeds share; raises ValueError where `workdir` was begun with other training images."""
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
    for kind in ('scratch', *(kind_of(config, way) for way in config.transfer.ways)):
        known[kind] = classifier(config, source, kind)
    return Run(config, workdir, source, mesh, meta, {}, known, label_set.representative(config, source, mesh))


class Plan(NamedTuple):
    """How a kind of stage is trained.

    base: pretrain, frozen, scratch, finetune, second, or a semi-supervised method's name; the kind itself but for a
    variant. config: the run's, with what the variant changes. section: the part of it that has the batch size. cfg: the
    stage's own part.
    """

    base: str
    config: object
    section: str
    cfg: object


def plan(config, kind: str) -> Plan:
    """The Plan of a kind of stage."""
    way, config = configs.variant(config, kind)
    base = KINDS.get(way, way)
    section = base if base == 'pretrain' else 'semi' if base in methods.SEMI else 'transfer'
    return Plan(base, config, section, config[section][base] if section == 'transfer' else config[section])


def kind_of(config, way: str) -> str:
    """The kind of stage that a way ends with: the name of a variant is one."""
    return KINDS.get(way, way)


def classifier(config, source, kind: str):
    """The Method of a kind of stage that trains a classifier."""
    base, config, _, cfg = plan(config, kind)
    if base in methods.SEMI:
        return methods.semi(base, config, source.shape, len(source.classes))
    return supervised.make(config, len(source.classes), frozen=base == 'frozen', smoothing=cfg.label_smoothing)


def uses_pretraining(config) -> bool:
    """Whether the run trains a backbone without labels itself.

    Raises:
      ValueError: ways that need a pretrained backbone, and none is trained or given.
    """
    if config.transfer.checkpoint:
        return False
    if config.pretrain.method not in ('', 'none'):
        return True
    if wanted := [w for w in config.transfer.ways if needs_pretraining(config, w)]:
        raise ValueError(
            f'transfer.ways has {", ".join(wanted)}, which start from a pretrained backbone, but pretrain.method is '
            'none and transfer.checkpoint is empty: set one of them, or leave those ways out.'
        )
    return False


def needs_pretraining(config, way: str) -> bool:
    """Whether a way starts from a pretrained backbone."""
    way, config = configs.variant(config, way)
    return way in PRETRAINED or way in methods.SEMI and config.semi.start == 'pretrained'


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

    where = config.transfer.checkpoint or str(directory / 'pretrain')
    images, ways = {'labeled': labeled, 'unlabeled': unlabeled, 'val': val}, {}
    for way in config.transfer.ways:
        ways[way] = _way(run, way, seed, images, ways, pretrained and (pretrained, where))
    layer = config.transfer.layer or models.layer_names(config.backbone)[-1]
    backbone = held_layers(config.backbone, source.shape, pretrained['params']['backbone'] if pretrained else None)
    bare = network.Network(backbone, '')
    random = _init(run, 'backbone', seed, lambda key, batch: network.init(bare, key, batch['image']))
    splits = {'labeled': labeled, 'val': val, 'test': source.test}
    return Seed(rows, splits, source.classes, ways, layer, backbone, pretrained, record, random)


def _way(run: Run, way: str, seed: int, images: dict, ways: dict, pretrained) -> train.Stage:
    """Trains one way.

    Args:
      images: the Splits 'labeled', 'unlabeled' and 'val'.
      ways: the Stages of the ways before.
      pretrained: (variables with a trained backbone, where they are from), or None.
    """
    kind = kind_of(run.config, way)
    base, config, section, _ = plan(run.config, kind)
    start = _init(run, kind, seed)
    if section == 'semi':
        return _joint(run, way, seed, images, ways, pretrained, start)
    if way == 'two_stage' or configs.variant(run.config, way)[0] == 'two_stage':
        start = ways['frozen'].variables
    elif needs_pretraining(run.config, way):
        start = take_backbone(pretrained[0], start, pretrained[1])
    return _stage(run, kind, way, seed, images['labeled'], images['val'], start)


def _joint(run: Run, way: str, seed: int, images: dict, ways: dict, pretrained, start) -> train.Stage:
    """Trains a semi-supervised way; where its method has a teacher, one generation after the other."""
    method, config = run.methods[way], plan(run.config, way).config
    labeled, unlabeled, val = (images[k] for k in ('labeled', 'unlabeled', 'val'))
    teacher = None
    if method.teach or config.semi.start == 'scratch':
        teacher = ways.get('scratch') or _stage(
            run, 'scratch', 'scratch', seed, labeled, val, _init(run, 'scratch', seed)
        )
    if config.semi.start == 'pretrained':
        start = take_backbone(pretrained[0], start, pretrained[1])
    elif config.semi.start == 'scratch':
        start = take_all(teacher.variables, start, 'scratch')
    shown, predict = unlabeled, run.methods['scratch'].predict
    for generation in range(1, method.generations + 1):
        last = generation == method.generations
        name = way if last else f'{way}_{generation}'
        if method.teach and not (run.workdir / f'seed{seed}' / name / 'done.json').exists():
            shown = _taught(run, method, predict, teacher, unlabeled)
        eye = _gallery(run, way, seed) if method.sample or is_plane(run.source.shape) else None
        teacher = _stage(run, way, name, seed, (labeled, shown), val, start, eye)
        predict = method.predict
    return teacher


def _taught(run: Run, method, predict, teacher: train.Stage, unlabeled):
    """The unlabelled images that a teacher is sure of, with the classes that it gives them."""
    see = embed.compiled(lambda variables, x: predict(*split(variables), x))
    size = run.config.evaluate.batch_size
    rows, classes = method.teach(embed.outputs(see, teacher.variables, unlabeled, batch_size=size, mesh=run.mesh))
    return unlabeled.take(rows).relabel(classes)


def _init(run: Run, kind: str, seed: int, init=None) -> dict:
    """The initial variables of a kind of stage; `init`, by default its method's, is compiled once for all seeds."""
    name = f'{kind} init'
    if name not in run.programs:
        init = init or run.methods[kind].init
        extra = run.source.unlabeled
        count = len(run.source.train) + (0 if extra is None else len(extra))
        batch = {'image': np.zeros((1, *run.source.shape), np.uint8), 'unlabeled_count': count}
        run.programs[name] = jax.jit(lambda key: init(key, batch))
    return run.programs[name](jax.random.fold_in(jax.random.key(seed), 0))


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


def _gallery(run: Run, way: str, seed: int):
    """(step, variables) -> {}, which keeps generated images or the map of the plane for the report."""
    name = f'{way} gallery'
    if name not in run.programs:
        run.programs[name] = gallery.compiled(run.methods[way], run.source.shape)
    return functools.partial(gallery.keep, run.programs[name], run.workdir / f'seed{seed}' / way)


def _stage(run: Run, kind: str, name: str, seed: int, images, val, variables, eye=None) -> train.Stage:
    """Trains the stage `name` with the program of its kind; the images of a semi-supervised one are a pair of Splits,
    labelled and unlabelled."""
    preempt.check()
    base, config, section, cfg = plan(run.config, kind)
    feed = make_feed(run, kind, images, seed)
    if kind not in run.programs:
        steps = configs.stage_steps(config, 'semi' if section == 'semi' else base, feed.n)
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
        select='last' if base == 'pretrain' else 'best',
        log_every=config.log_every,
        save_every=config.save_every,
        eval_batch=config.evaluate.batch_size,
        watch=eye,
    )


def make_feed(run: Run, kind: str, images, seed: int):
    """The batches of a kind of stage; images as for `_stage`."""
    _, config, section, cfg = plan(run.config, kind)
    if section != 'semi':
        return _feed(run, images, config[section].batch_size, seed)
    labeled, unlabeled = images
    if not run.methods[kind].teach:
        guard.hidden(unlabeled.labels)
    few = labeled_batch(config, len(labeled), run.mesh)
    return feeds.JointFeed(_feed(run, labeled, few, seed), _feed(run, unlabeled, cfg.batch_size, seed))


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
