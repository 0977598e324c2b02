"""One seed of a run: every stage in order, its images, and what is measured at the end."""

import functools
import sys
from typing import NamedTuple

import numpy as np

from ssljax import evaluation, guard, label_set, loop, model_json, models, ways
from ssljax.data import partition as partitions
from ssljax.data import readable
from ssljax.data.split import Split, apart, concat
from ssljax.evals import watch
from ssljax.methods import network
from ssljax.models.layers import Backbone
from ssljax.records import begun, result
from ssljax.settings import suits
from ssljax.stages import Context, given_weights, initial, kind_of, pretraining_seed, task, train_stage
from ssljax.storage import checkpoint, files
from ssljax.transfer import held_layers


class Seed(NamedTuple):
    """The outcome of training with one seed.

    ways: {way: Stage}. pretrained, random: variables with params['backbone'], for `backbone`, which is whole or,
    from a checkpoint that lacks the upper layers, ends at `layer`, the layer that transfer taps.
    splits: the Splits 'labeled', 'val' and 'test'; unlabeled: that of all training images.
    stopped: {way, or 'pretrain': guard.entry} of what has no result.
    """

    partition: partitions.Partition
    splits: dict
    unlabeled: Split
    classes: tuple
    ways: dict
    layer: str
    backbone: Backbone
    pretrained: dict | None
    pretrain_record: dict | None
    random: dict
    stopped: dict

    def outcome(self) -> tuple[bool, dict]:
        """(whether there is something to report, `stopped`)."""
        asked = self.ways or self.stopped.keys() - {'pretrain'}
        return bool(self.ways if asked else self.pretrained), self.stopped


def train_seed(run: Context, seed: int) -> Seed:
    """Every stage of one seed, in order; finished ones are read from disk. If a guard stops one, only those that start
    from it are not trained.

    Raises:
      guard.Leak: hidden labels reach a loss.
    """
    config, source = run.config, run.source
    rows, images = seed_images(run, seed)
    labeled, val = images['labeled'], images['val']
    stopped = {}
    if 'pretrain' in run.methods:
        pretrained, record, stopped = _pretrain(run, seed, images)
    else:
        pretrained, record = given_backbone(run)
    trained, stopped = ways.train_ways(run, seed, images, pretrained, stopped)
    layer = models.layer_or_last(config.backbone, config.transfer.layer)
    variables = pretrained and pretrained[0]
    backbone = held_layers(config.backbone, source.shape, variables['params']['backbone'] if variables else None)
    bare = network.Network(backbone, '')
    random = initial(run, 'backbone', seed, lambda key, batch: network.init(bare, key, batch['image']))
    splits = {'labeled': labeled, 'val': val, 'test': source.test}
    return Seed(
        rows, splits, images['unlabeled'], source.classes, trained, layer, backbone, variables, record, random, stopped
    )


def _pretrain(run: Context, seed: int, images: dict) -> tuple:
    """((variables, where they are), record, {} or {'pretrain': guard.entry}) of the pretraining that a seed uses; the
    first is None if a guard stopped it."""
    method, owner = {'method': run.config.pretrain.method}, pretraining_seed(run.config, seed)
    if owner != seed:
        images = seed_images(run, owner)[1]
    shown = sample(images['unlabeled'], run.methods['pretrain'].images, owner)
    start, look = initial(run, 'pretrain', owner), _watch(run, images, owner)
    try:
        stage = train_stage(run, 'pretrain', 'pretrain', owner, shown, images['val'], start, look)
    except guard.Stopped as error:
        return None, method, {'pretrain': guard.entry(error, 'pretrain')}
    record = stage.record if owner == seed else {'shared': owner}
    return (stage.variables, str(run.workdir / f'seed{owner}/pretrain')), record | method, {}


def seed_images(run: Context, seed: int) -> tuple:
    """(Partition, {'labeled', 'unlabeled', 'val': Split}) of one seed; raises ValueError without validation images."""
    rows = label_set.rows(run.config, run.source, run.represent, seed, run.workdir / f'seed{seed}')
    labeled, val = readable.verified(run.source.train.take(rows.labeled)), validation(run.source, rows)
    if (count := len(rows.labeled) - len(labeled)) and len(labeled):
        bad = readable.noted(run.source.train.take(rows.labeled)).get('names', ())
        print(
            f'warning: seed {seed}: {len(rows.labeled)} labelled images were requested, {count} cannot be decoded'
            + (f' ({", ".join(map(repr, bad))}{", ..." if count > len(bad) else ""})' if bad else '')
            + f', using {len(labeled)}',
            file=sys.stderr,
        )
    if not len(labeled):
        raise ValueError(f'None of the {len(rows.labeled)} labelled images of seed {seed} can be decoded.')
    if not len(val):
        raise ValueError(
            f'data.val is {run.config.data.val!r}: validation selects the weights, so it needs at least one image.'
        )
    check_selection(run.config, val, run.source.targets, seed)
    return rows, {'labeled': labeled, 'unlabeled': unlabeled_images(run.source, rows), 'val': val}


def check_selection(config, val, targets, seed: int) -> None:
    """Raises ValueError if the metric that selects the weights is not defined on the validation Split."""
    counts, known = targets.counts(val.labels), int((val.labels >= 0).sum())
    if not counts.any():
        raise ValueError(
            f'None of the {len(val)} validation images of seed {seed} has any of the classes, so nothing can be '
            'selected by them: increase data.val.'
        )
    if config.select == 'auroc' and not ((counts > 0) & (counts < known)).any():
        raise ValueError(
            f'config.select is auroc, but the {len(val)} validation images of seed {seed} are not of two classes, so '
            f'there is no ROC curve: increase data.val, or set --config.select={targets.select[0]}.'
        )


def given_backbone(run: Context):
    """((variables, where they are from), record) of transfer.checkpoint, else of backbone.init_from, or (None, None)
    where both are empty.

    Raises:
      ValueError: the backbone of the checkpoint has other options than the config's.
    """
    config = run.config
    where, weights = config.transfer.checkpoint, config.backbone.init_from
    if weights and not where:
        return (given_weights(run, 'scratch'), weights), {'weights': weights, 'method': weights}
    if not where:
        return None, None
    variables, meta = checkpoint.load_variables(where)
    suits.check_form(config, meta['config'], where)
    return (variables, where), {'checkpoint': where, 'method': model_json.trained_by(meta)}


def single_stage(run: Context, way: str, seed: int) -> loop.Task:
    """The Task for loop.fit of a way that is one stage on labelled images, in a run that pretrains nothing."""
    _, images = seed_images(run, seed)
    start = ways.beginning(run, way, seed, {}, given_backbone(run)[0])
    return task(run, kind_of(way), way, seed, images['labeled'], images['val'], start)


def validation(source, rows):
    """The validation Split: the source's own, or the rows carved from the training labels."""
    return source.val if source.val is not None else readable.verified(source.train.take(rows.val))


def unlabeled_images(source, rows):
    """All training images but validation, and the unlabelled folder's; no labels."""
    train = source.train.take(np.sort(np.concatenate([rows.labeled, rows.unlabeled])))
    train = readable.settled(train)
    if source.unlabeled is None:
        return train.hide()
    others = apart(source.unlabeled, source.train.take(rows.val))
    return concat([train, readable.settled(others)]).hide()


def sample(images, count: int, seed: int):
    """`count` images of a Split at random, or all if it is 0 or more than there are."""
    if not count or count >= len(images):
        return images
    return images.take(np.sort(partitions.permutation(len(images), seed, 0)[:count]))


def _watch(run: Context, images: dict, seed: int):
    """(step, variables) -> nearest-neighbour accuracy on some validation images, and the spread of their features, or,
    if they are too few for that, of unlabelled images; None if it is off."""
    config = run.config
    if not config.pretrain.watch:
        return None
    program = run.once(('watch',), lambda: watch.compiled(config, run.methods['pretrain'], run.source.shape))
    known, shown = (sample(images[k], config.pretrain.watch, seed) for k in ('labeled', 'val'))
    others = sample(images['unlabeled'], max(config.pretrain.watch, watch.LEAST), seed)
    look = functools.partial(
        watch.look, program, labeled=known, val=shown, others=others, k=config.evaluate.knn,
        targets=run.source.targets, batch_size=config.evaluate.batch_size, mesh=run.mesh,
    )  # fmt: skip
    return lambda step, variables: look(variables)


def evaluate_seed(run: Context, seed: int) -> dict:
    """The record of one seed for result.json. A seed that has one is not measured again: the test split is read
    once."""
    directory = run.workdir / f'seed{seed}'
    before = begun.evaluation(directory)
    if before and (not (run.config.evaluate.figures and before['ways']) or begun.figures(directory)):
        return before
    trained = train_seed(run, seed)
    record, arrays = evaluation.of_seed(run, trained, directory)
    if arrays:
        files.write_npz(directory / 'figures.npz', arrays)
    if before:
        return before
    rows = result.sets(trained.partition, run.source)
    record = {'seed': seed, 'partition': rows, 'pretrain': trained.pretrain_record} | record
    record |= {'stopped': trained.stopped} if trained.stopped else {}
    files.write_json(directory / 'evaluation.json', record)
    return record
