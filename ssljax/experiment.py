"""One run: pretrain -> transfer -> evaluate -> report, for every seed; each stage is resumable."""

import functools
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ssljax import (
    checkpoint,
    evaluate,
    files,
    label_set,
    methods,
    models,
    preempt,
    provenance,
    result,
    ways,
)
from ssljax import config as configs
from ssljax.data import partition as partitions
from ssljax.data import sources, summary
from ssljax.data.split import concat
from ssljax.evals import watch
from ssljax.methods import network
from ssljax.sharding import check_batch, make_mesh
from ssljax.stages import Run, arguments, classifier, initial, kind_of, train_stage
from ssljax.transfer import held_layers


def run(config, workdir) -> dict:
    """Does the whole run, or what is left of it, in `workdir`; returns the content of result.json.

    Raises:
      ValueError, OSError: something the user can mend; the message says what and how.
      preempt.Preempted: the run was asked to stop; the same command goes on from here.
    """
    began, workdir = time.time(), Path(workdir)
    configs.check(config)
    with files.lock(workdir):
        return _run(config, workdir, began)


def _run(config, workdir: Path, began: float) -> dict:
    claim(config, workdir)
    source = sources.load(config.data)
    summary.show(source)
    if config.tune:
        from ssljax import tune  # not at the top: it runs stages of experiments

        config = tune.tuned(config, workdir, source)
    state = prepare(config, workdir, source)
    for seed in config.seeds:
        train_seed(state, seed)
    preempt.check()
    seeds = [evaluate_seed(state, seed) for seed in config.seeds]
    from ssljax import report  # not at the top: matplotlib takes a second to import, and training needs none of it

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


def prepare(config, workdir, source, quiet: bool = False) -> Run:
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
    for kind in ('scratch', *(kind_of(way) for way in config.transfer.ways)):
        known[kind] = classifier(config, source, kind)
    return Run(config, workdir, source, mesh, meta, {}, known, label_set.representative(config, source, mesh), quiet)


def uses_pretraining(config) -> bool:
    """Whether the run trains a backbone without labels itself.

    Raises:
      ValueError: ways that need a pretrained backbone, and none is trained or given.
    """
    if config.transfer.checkpoint:
        return False
    if config.pretrain.method not in ('', 'none'):
        return True
    if wanted := [w for w in config.transfer.ways if ways.needs_pretraining(config, w)]:
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
    rows, images = seed_images(run, seed)
    labeled, val = images['labeled'], images['val']
    if 'pretrain' in run.methods:
        shown = some(images['unlabeled'], run.methods['pretrain'].images, seed)
        eye = _watch(run, labeled, val, seed)
        stage = train_stage(run, 'pretrain', 'pretrain', seed, shown, val, initial(run, 'pretrain', seed), eye)
        where, record = str(run.workdir / f'seed{seed}/pretrain'), stage.record | {'method': config.pretrain.method}
        pretrained = stage.variables, where
    else:
        pretrained, record = given_backbone(config)
    trained = {}
    for way in config.transfer.ways:
        trained[way] = ways.train_way(run, way, seed, images, trained, pretrained)
    layer = config.transfer.layer or models.layer_names(config.backbone)[-1]
    variables = pretrained and pretrained[0]
    backbone = held_layers(config.backbone, source.shape, variables['params']['backbone'] if variables else None)
    bare = network.Network(backbone, '')
    random = initial(run, 'backbone', seed, lambda key, batch: network.init(bare, key, batch['image']))
    splits = {'labeled': labeled, 'val': val, 'test': source.test}
    return Seed(rows, splits, source.classes, trained, layer, backbone, variables, record, random)


def seed_images(run: Run, seed: int) -> tuple:
    """(Partition, {'labeled', 'unlabeled', 'val': Split}) of one seed; raises ValueError without validation images."""
    rows = label_set.rows(run.config, run.source, run.represent, seed, run.workdir / f'seed{seed}')
    labeled, val = run.source.train.take(rows.labeled), validation(run.source, rows)
    if not len(val):
        raise ValueError(
            f'data.val is {run.config.data.val!r}: validation chooses the weights, so it needs some images.'
        )
    return rows, {'labeled': labeled, 'unlabeled': unlabeled_images(run.source, rows), 'val': val}


def given_backbone(config):
    """((variables, where they are from), record) of transfer.checkpoint, or (None, None) where it is empty."""
    where = config.transfer.checkpoint
    if not where:
        return None, None
    variables, meta = checkpoint.load_variables(where)
    return (variables, where), {'checkpoint': where, 'method': meta['config']['pretrain']['method']}


def single_stage(run: Run, way: str, seed: int) -> dict:
    """What train.fit is given for a way that is one stage on labelled images, of a run that pretrains nothing."""
    _, images = seed_images(run, seed)
    start = ways.beginning(run, way, seed, {}, given_backbone(run.config)[0])
    return arguments(run, kind_of(way), way, seed, images['labeled'], images['val'], start)


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


def evaluate_seed(run: Run, seed: int) -> dict:
    """The record of one seed for result.json. A seed that has one is not measured again: the test split is read
    once."""
    directory = run.workdir / f'seed{seed}'
    if record := files.read_json(directory / 'evaluation.json'):
        return record
    trained = train_seed(run, seed)
    if not run.quiet:
        print(f'seed {seed} · evaluation', file=sys.stderr)
    record, arrays = evaluate.evaluate(run, trained, directory)
    if arrays:
        files.write_npz(directory / 'figures.npz', arrays)
    rows = result.sets(trained.partition, run.source)
    record = {'seed': seed, 'partition': rows, 'pretrain': trained.pretrain_record} | record
    files.write_json(directory / 'evaluation.json', record)
    return record
