"""One run: pretrain -> transfer -> evaluate -> report, for every seed; each stage is resumable."""

import functools
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ssljax import (
    beforehand,
    begun,
    checkpoint,
    checks,
    elapsed,
    evaluate,
    exhausted,
    files,
    guard,
    held,
    label_set,
    loop,
    methods,
    models,
    preempt,
    provenance,
    recorded,
    resolve,
    result,
    schema,
    ways,
)
from ssljax import config as configs
from ssljax.data import augment, leaks, readable, sources, summary
from ssljax.data import partition as partitions
from ssljax.data.memory import fits
from ssljax.data.split import concat
from ssljax.evals import watch
from ssljax.methods import network
from ssljax.models.layers import Backbone
from ssljax.sharding import check_batch, make_mesh
from ssljax.stages import Run, classifier, initial, kind_of, task, train_stage
from ssljax.transfer import held_layers


def run(config, workdir, tuner: Callable | None = None) -> dict:
    """Does the whole run, or what is left of it, in `workdir`; returns the content of result.json.

    Args:
      config: the run's config.
      workdir: where it is kept.
      tuner: (config, workdir, source) -> config, of a run that tunes itself.

    Raises:
      ValueError, OSError: something the user can mend; the message says what and how.
      guard.Stopped: a guard stopped every way of every seed; where some have a result, result.json names the others.
      preempt.Preempted: the run was asked to stop; the same command goes on from here.
    """
    began, workdir = time.time(), Path(workdir)
    config = as_begun(config, workdir)
    checks.check(config)
    if config.tune and tuner is None:
        raise ValueError('config.tune is True, and no tuner is given: use ssljax.train, which brings its own.')
    with files.lock(workdir), exhausted.explained(config):
        return _run(config, workdir, began, tuner)


def _run(config, workdir: Path, began: float, tuner) -> dict:
    claim(config, workdir)
    elapsed.begin(workdir, began)
    try:
        return _work(config, workdir, tuner)
    finally:
        elapsed.end(workdir)


def _work(config, workdir: Path, tuner) -> dict:
    source = sources.load(config.data)
    summary.show(source)
    if config.tune:
        config = tuner(config, workdir, source)
    state = prepare(config, workdir, source)
    warnings = leaks_of(workdir, source)
    check_trained({seed: train_seed(state, seed).outcome() for seed in config.seeds})
    preempt.check()
    seeds = [evaluate_seed(state, seed) for seed in config.seeds]
    outcome = result.assemble(config, source, seeds, *elapsed.total(workdir))
    outcome['resolved'] = [d._asdict() for d in state.resolved]
    outcome['data'] |= {'warnings': warnings} if warnings else {}
    files.write_json(workdir / 'result.json', outcome)
    show(outcome, workdir)
    return outcome


def show(outcome: dict, workdir: Path) -> None:
    """Prints the table and draws the page. All is trained and kept by now: what fails here is a warning."""
    from ssljax import report  # not at the top: matplotlib takes a second to import, and training needs none of it

    try:
        print(report.table(outcome), flush=True)
        page = report.write(workdir)
        if not Path(page).is_file():
            raise FileNotFoundError(f'{page} was deleted as soon as it was written')
        print(f'\nReport: {page}', flush=True)
    except Exception as error:
        held.check(workdir / 'result.json')  # where the directory is gone, nothing is kept
        print(
            f'warning: the report could not be drawn ({type(error).__name__}: {error}). All results are kept in '
            f'{workdir / "result.json"}; to draw it again: python -m ssljax.report {shlex.quote(str(workdir))}',
            file=sys.stderr,
        )


def as_begun(config, workdir: Path):
    """The config under the names of today, where `workdir` was begun with one that had others."""
    try:
        old = files.read_json(workdir / 'config.json') or {}
        choose = old['data']['choose']
    except (OSError, ValueError, TypeError, KeyError):
        return config  # none, or a damaged one, of which `claim` speaks
    if choose == config.data.choose == 'typical':
        config = config.copy_and_resolve_references()
        schema.renamed(config.data)
    return config


def check_trained(outcomes: dict[int, tuple]) -> None:
    """Raises guard.Stopped where nothing is left to report; outcomes: {seed: Seed.outcome()}."""
    if any(trained for trained, _ in outcomes.values()):
        return
    for seed, (_, stopped) in outcomes.items():
        for name in stopped:
            guard.refuse(stopped, name, f'seed {seed} · {name}')


def leaks_of(workdir: Path, source) -> list[str]:
    """Warnings about the data; looked for once, printed, and kept in data.json."""
    kept = files.read_json(workdir / 'data.json') or {}
    if 'warnings' not in kept:
        kept['warnings'] = leaks.find(source)
        for text in kept['warnings']:
            print(f'warning: {text}', file=sys.stderr)
        files.write_json(workdir / 'data.json', kept)
    return kept['warnings']


def claim(config, workdir: Path) -> None:
    """Stores the config in a new workdir, or in one in which nothing has been trained; refuses one in which another
    config has begun."""
    new = schema.to_dict(config)
    old, kept = begun.stored(workdir, 'config'), (workdir / 'config.json').exists()
    if old is not None and not kept and config.tune:
        old = None  # what the stages say has what was tuned
    if old is not None and not kept:  # a study gives its cells a checkpoint that their config does not name
        old['transfer']['checkpoint'] = new['transfer']['checkpoint']
    changed = schema.changes(old, new) if old is not None else []
    if changed and not begun.trained(workdir):
        begun.clear(workdir)
        old = None
    elif changed:
        raise ValueError(
            f'{workdir} holds a run of another config ({"; ".join(changed[:8])}). '
            'Give another --workdir, or the same config to go on with it.'
        )
    if old is None or not kept or old['seeds'] != new['seeds']:
        files.write_json(workdir / 'config.json', new)


def prepare(config, workdir, source, quiet: bool = False) -> Run:
    """What all seeds share.

    Raises:
      ValueError: what `workdir` has trained was trained with other data, there is only one class, or something in the
        config does not suit the data.
    """
    check_classes(config, source)
    mesh = make_mesh()
    if source.val is not None and config.data.val != configs.base().data.val and not quiet:
        print(
            f'warning: data.val={config.data.val!r} is not used: {config.data.source} brings {len(source.val):,} '
            'validation images of its own.',
            file=sys.stderr,
        )
    check_batches(config, source.shape, mesh)
    asked, (config, decided) = config, resolve.resolve(config, source.shape, mesh)
    meta: dict = {
        'config': schema.to_dict(asked),
        'data': recorded.summary(config, source),
        'versions': provenance.versions(),
        'classes': list(source.classes),
    }
    if source.range is not None:
        meta['data']['range'] = list(source.range)
    old, meta['data'] = bound(config, workdir, source, meta['data'])
    new = old != meta['data']
    if not quiet and (new or not (workdir / 'data.npz').exists()):
        recorded.keep(source, workdir)
    if new or not (workdir / 'data.json').exists():  # a stage may know them, too
        files.write_json(workdir / 'data.json', meta['data'])
    check_pipelines(config, source.shape)
    known = {}
    if uses_pretraining(config):
        check_layers(config)
        for way in config.transfer.ways:
            if ways.needs_pretraining(config, way):
                check_layers(configs.variant(config, way)[1])
        known['pretrain'] = methods.pretext(config, source.shape)
    for kind in ('scratch', *(kind_of(way) for way in config.transfer.ways)):
        known[kind] = classifier(config, source.shape, len(source.classes), kind)
    represent = label_set.representative(config, source, mesh)
    state = Run(config, workdir, source, mesh, meta, {}, known, represent, decided, quiet)
    if not quiet:  # a quiet one has a stage or two, which begin now
        beforehand.check(state)
    return state


def bound(config, workdir: Path, source, new: dict) -> tuple[dict | None, dict]:
    """(what `workdir` was begun with, what to record from now on), of recorded.summary. Where nothing has been trained
    there, it is bound to no data: label sets that were drawn from others are removed.

    Raises:
      ValueError: what was trained there was trained with other data.
    """
    old = begun.stored(workdir, 'data')
    if old is None:
        return None, new
    try:
        return old, recorded.check(old, new, source, workdir, config.data.source)
    except ValueError:
        if begun.trained(workdir):
            raise
    begun.clear(workdir, ('data.json', 'data.npz'))
    return None, new


def check_classes(config, source) -> None:
    """Raises ValueError where a classifier is asked for and there is nothing to tell apart."""
    if len(source.classes) == 1 and config.transfer.ways:
        raise ValueError(
            f'there is only one class, {source.classes[0]!r}: a classifier needs two or more. Put the images of each '
            'class into a folder of its own, or pretrain alone, with --config.transfer.ways=().'
        )


def check_batches(config, shape, mesh) -> None:
    """Raises ValueError for a batch that does not divide over the devices, or that the memory cannot hold."""
    sizes = {f'{s}.batch_size': config[s].batch_size for s in ('pretrain', 'semi', 'transfer', 'evaluate')}
    for way in config.transfer.ways:
        base, own = configs.variant(config, way)
        section = 'semi' if base in methods.SEMI else 'transfer'
        sizes |= {f'{section}.batch_size of {way}': own[section].batch_size}
        if section == 'semi' and own.semi.labeled_batch_size:
            sizes |= {f'semi.labeled_batch_size of {way}': own.semi.labeled_batch_size}
    for field, size in sizes.items():
        try:
            check_batch(size, mesh)
        except ValueError as e:
            raise ValueError(f'{field}: {e}') from None
        if not fits(4 * size * int(np.prod(shape)), 0.8):
            raise ValueError(
                f'{field} is {size}: a batch of that size of images of {"x".join(map(str, shape))} '
                'does not fit the memory. Give a smaller one, or a smaller data.image_size.'
            )


def check_pipelines(config, shape) -> None:
    """Raises ValueError for an augmentation pipeline that the stages of a run use and that does not suit images of
    `shape` (H, W, C)."""
    found = {}
    if uses_pretraining(config):
        own = config.pretrain
        found = {'pretrain.augment': own.augment}
        for name in methods.terms(own.method):
            found |= {f'pretrain.{name}.{k}': own[name].get(k, '') for k in ('augment', 'augment2')}
    for way in config.transfer.ways:
        base, changed = configs.variant(config, way)
        found[f'transfer.augment of {way}'] = changed.transfer.augment
        if base in methods.SEMI:
            found |= {f'semi.{k} of {way}': changed.semi[k] for k in ('augment', 'strong')}
    for field, spec in found.items():
        augment.suits(spec, shape, field)


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
    splits: the Splits 'labeled', 'val' and 'test'. stopped: {way, or 'pretrain': guard.entry} of what has no result.
    """

    partition: partitions.Partition
    splits: dict
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


def train_seed(run: Run, seed: int) -> Seed:
    """Every stage of one seed, in order; finished ones are read from disk. One that a guard stops ends those alone that
    start from it.

    Raises:
      guard.Leak: hidden labels reach a loss.
    """
    config, source = run.config, run.source
    rows, images = seed_images(run, seed)
    labeled, val = images['labeled'], images['val']
    stopped = {}
    if 'pretrain' in run.methods:
        shown = some(images['unlabeled'], run.methods['pretrain'].images, seed)
        eye = _watch(run, images, seed)
        where, pretrained, record = str(run.workdir / f'seed{seed}/pretrain'), None, {}
        try:
            stage = train_stage(run, 'pretrain', 'pretrain', seed, shown, val, initial(run, 'pretrain', seed), eye)
            pretrained, record = (stage.variables, where), stage.record
        except guard.Stopped as error:
            stopped['pretrain'] = guard.entry(error, 'pretrain')
        record |= {'method': config.pretrain.method}
    else:
        pretrained, record = given_backbone(config)
    trained, stopped = ways.train_ways(run, seed, images, pretrained, stopped)
    layer = config.transfer.layer or models.layer_names(config.backbone)[-1]
    variables = pretrained and pretrained[0]
    backbone = held_layers(config.backbone, source.shape, variables['params']['backbone'] if variables else None)
    bare = network.Network(backbone, '')
    random = initial(run, 'backbone', seed, lambda key, batch: network.init(bare, key, batch['image']))
    splits = {'labeled': labeled, 'val': val, 'test': source.test}
    return Seed(rows, splits, source.classes, trained, layer, backbone, variables, record, random, stopped)


def seed_images(run: Run, seed: int) -> tuple:
    """(Partition, {'labeled', 'unlabeled', 'val': Split}) of one seed; raises ValueError without validation images."""
    rows = label_set.rows(run.config, run.source, run.represent, seed, run.workdir / f'seed{seed}')
    labeled, val = readable.verified(run.source.train.take(rows.labeled)), validation(run.source, rows)
    if (count := len(rows.labeled) - len(labeled)) and len(labeled):
        bad = readable.noted(run.source.train.take(rows.labeled)).get('names', ())
        print(
            f'warning: seed {seed}: {len(rows.labeled)} labelled images were asked for, {count} cannot be decoded'
            + (f' ({", ".join(map(repr, bad))}{", ..." if count > len(bad) else ""})' if bad else '')
            + f', {len(labeled)} are used',
            file=sys.stderr,
        )
    if not len(labeled):
        raise ValueError(f'None of the {len(rows.labeled)} labelled images of seed {seed} can be decoded.')
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


def single_stage(run: Run, way: str, seed: int) -> loop.Task:
    """What loop.fit is given for a way that is one stage on labelled images, of a run that pretrains nothing."""
    _, images = seed_images(run, seed)
    start = ways.beginning(run, way, seed, {}, given_backbone(run.config)[0])
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
    return concat([train, readable.settled(source.unlabeled)]).hide()


def some(images, count: int, seed: int):
    """`count` images of a Split at random, or all where it is 0 or more than there are."""
    if not count or count >= len(images):
        return images
    return images.take(np.sort(partitions.permutation(len(images), seed, 0)[:count]))


def _watch(run: Run, images: dict, seed: int):
    """(step, variables) -> nearest-neighbour accuracy on some validation images, and the spread of their features, or,
    where they are too few for one, of unlabelled images; None where it is off."""
    config = run.config
    if not config.pretrain.watch:
        return None
    program = run.once(('watch',), lambda: watch.compiled(config, run.methods['pretrain'], run.source.shape))
    known, shown = (some(images[k], config.pretrain.watch, seed) for k in ('labeled', 'val'))
    others = some(images['unlabeled'], max(config.pretrain.watch, watch.LEAST), seed)
    look = functools.partial(
        watch.look, program, labeled=known, val=shown, others=others, k=config.evaluate.knn,
        classes=len(run.source.classes), batch_size=config.evaluate.batch_size, mesh=run.mesh,
    )  # fmt: skip
    return lambda step, variables: look(variables)


def evaluate_seed(run: Run, seed: int) -> dict:
    """The record of one seed for result.json. A seed that has one is not measured again: the test split is read
    once."""
    directory = run.workdir / f'seed{seed}'
    before = begun.evaluation(directory)
    if before and (not (run.config.evaluate.figures and before['ways']) or begun.figures(directory)):
        return before
    trained = train_seed(run, seed)
    record, arrays = evaluate.evaluate(run, trained, directory)
    if arrays:
        files.write_npz(directory / 'figures.npz', arrays)
    if before:
        return before
    rows = result.sets(trained.partition, run.source)
    record = {'seed': seed, 'partition': rows, 'pretrain': trained.pretrain_record} | record
    record |= {'stopped': trained.stopped} if trained.stopped else {}
    files.write_json(directory / 'evaluation.json', record)
    return record
