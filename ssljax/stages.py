"""One stage of a run: which method it trains, on which batches, from which weights."""

import functools
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from ssljax import config as configs
from ssljax import guard, loop, methods, model_json, optim
from ssljax.core import split
from ssljax.data import feed as feeds
from ssljax.data.memory import fits
from ssljax.data.sources import Source
from ssljax.devices import fsdp
from ssljax.devices.platform import once_options
from ssljax.foreign import start
from ssljax.methods import labeled_loss, supervised
from ssljax.processes import hosts, preempt
from ssljax.program import make_program
from ssljax.progress import log
from ssljax.progress.trackers import Tracker
from ssljax.settings import resolve
from ssljax.storage import files
from ssljax.transfer import take_backbone

TEST = 'val/test_{}'  # targets.main, in metrics.jsonl with evaluate.best_on_test


class Context(NamedTuple):
    """What all seeds of a run share. `programs` holds what was compiled, see `once`; `represent` comes from
    label_set.representative; `resolved` has the resolve.Decisions that went into `config`; a `quiet` run shows no
    progress; `tracker` gets its metrics."""

    config: ConfigDict
    workdir: Path
    source: Source
    mesh: jax.sharding.Mesh
    meta: dict
    programs: dict
    methods: dict
    represent: Callable | None
    resolved: list
    quiet: bool = False
    tracker: Tracker | None = None

    def once(self, key: tuple, make: Callable):
        """What make() returned when it was first asked for under this key, such as a compiled program."""
        if key not in self.programs:
            self.programs[key] = make()
        return self.programs[key]


class Settings(NamedTuple):
    """How a kind of stage is trained.

    base: pretrain, frozen, scratch, finetune, second, or a semi-supervised method's name; the kind itself except for a
    variant. config: the run's, with the variant's changes. section: the part of it that has the batch size. cfg: the
    stage's own part.
    """

    base: str
    config: ConfigDict
    section: str
    cfg: ConfigDict


def settings(config, kind: str) -> Settings:
    """The Settings of a kind of stage."""
    way, config = configs.variant(config, kind)
    base = configs.KINDS.get(way, way)
    config = methods.with_optimiser(config, base)
    section = base if base == 'pretrain' else 'semi' if base in methods.SEMI else 'transfer'
    return Settings(base, config, section, config[section][base] if section == 'transfer' else config[section])


def kind_of(way: str) -> str:
    """The kind of stage that a way ends with; for a variant, its own name."""
    return configs.KINDS.get(way, way)


def pretraining_seed(config, seed: int) -> int:
    """The seed whose pretraining a seed uses."""
    return config.seeds[0] if config.pretrain.shared else seed


def classifier(config, shape, classes: int, kind: str, sets=None):
    """The Method of a kind of stage that trains a classifier of images of `shape` (H, W, C); sets: for multi-label
    images, as in ssljax.targets."""
    base, config, _, cfg = settings(config, kind)
    if base in methods.SEMI:
        return methods.semi(base, config, shape, classes)
    return supervised.make(config, classes, frozen=base == 'frozen', smoothing=cfg.label_smoothing, sets=sets)


def initial(run: Context, kind: str, seed: int, init=None) -> dict:
    """The initial variables of a kind of stage, with the weights of backbone.init_from if it `begins_given`; `init`, by
    default its method's, is compiled once for all seeds."""

    def make():
        begin, extra = init or run.methods[kind].init, run.source.unlabeled
        count = len(run.source.train) + (0 if extra is None else len(extra))
        batch = {'image': np.zeros((1, *run.source.shape), np.uint8), 'unlabeled_count': count}
        draw, options, layout = (lambda key: begin(key, batch)), once_options(), fsdp.layout(run.config, run.mesh)
        program = jax.jit(draw, compiler_options=options)
        if layout:
            params_of = lambda found: found['params']
            program = layout.compiled(draw, params_of, jax.random.key(0), compiler_options=options)
        check_size(kind, program.trace(jax.random.key(0)).out_info)
        return program

    variables = run.once(('init', kind), make)(jax.random.fold_in(jax.random.key(seed), 0))
    if init is None and begins_given(run.config, kind):
        variables = take_backbone(given_weights(run, kind), variables, run.config.backbone.init_from)
    return variables


def begins_given(config, kind: str) -> bool:
    """Whether the method of a kind of stage begins with the weights of backbone.init_from: pretraining, and
    semi-supervised ones that would begin with random weights. The others get them as a pretrained backbone."""
    _, config, section, _ = settings(config, kind)
    own = section == 'pretrain' or section == 'semi' and config.semi.start == 'random'
    return bool(config.backbone.init_from) and own


def given_weights(run: Context, kind: str) -> dict:
    """The variables of backbone.init_from; read once for each network."""
    backbone = settings(run.config, kind).config.backbone
    key = 'init_from', backbone.to_json_best_effort()
    return run.once(key, lambda: start.read(backbone, run.source.shape))


def check_size(kind: str, shapes) -> None:
    """Raises ValueError for a network that does not fit in memory together with its gradient and a copy."""
    size = sum(int(np.prod(leaf.shape)) * leaf.dtype.itemsize for leaf in jax.tree.leaves(shapes))
    if not fits(3 * size, 1.0):
        raise ValueError(
            f'the network of {kind} has {size / 2**30:,.1f} GiB of weights, too much to train in memory: '
            'reduce backbone.width, backbone.depth or the width of the layers on top.'
        )


def check_parts(own: Settings, method) -> None:
    """Raises ValueError if a stage is to process a batch in parts and its `method` cannot."""
    base, config, section, cfg = own
    if cfg.accumulate == 1 or method.per_image:
        return
    field = f'transfer.{base}' if section == 'transfer' else section
    what = config.pretrain.method if section == 'pretrain' else base if section == 'semi' else 'mixup'
    raise ValueError(
        f'{field}.accumulate is {cfg.accumulate}, but {what} compares, counts or mixes the images of a batch, so its '
        f'parts would give a different loss: set --config.{field}.accumulate=1. To save memory, set '
        '--config.backbone.remat=True or --config.fsdp.devices=N.'
    )


def train_stage(run: Context, kind: str, name: str, seed: int, images, val, variables, watch=None) -> loop.Stage:
    """Trains the stage `name` with the program of its kind; the images of a semi-supervised one are a pair of Splits,
    labelled and unlabelled."""
    preempt.check()
    given = task(run, kind, name, seed, images, val, variables)
    if run.config.evaluate.best_on_test and kind != 'pretrain':
        stage = _fit_and_test(run, given, watch)
    else:
        stage = loop.fit(given, watch)
    model_json.write(given.directory, given.meta, stage.record)
    return stage


def _fit_and_test(run: Context, given: loop.Task, watch) -> loop.Stage:
    """`loop.fit` with the best targets.main on test in the record."""
    path, test = given.directory / 'metrics.jsonl', TEST.format(given.targets.main)
    _whole(path)
    stage = loop.fit(given, _also_test(run, given, watch))
    found = [row[test] for row in log.read(path) if test in row]
    return stage._replace(record=stage.record | {'best_on_test': max(found)})


@hosts.only_first
def _whole(path: Path) -> None:
    """Sets aside a stage whose metrics.jsonl is incomplete: a part could give another maximum."""
    if path.parent.is_dir() and (log.parse(path)[1] or not path.exists()):
        files.set_aside(path.parent, f'{path.name}, which best_on_test is taken from, is damaged or missing')


def task(run: Context, kind: str, name: str, seed: int, images, val, variables) -> loop.Task:
    """The Task for loop.fit of a stage; arguments as for `train_stage`."""
    own = settings(run.config, kind)
    base, config, _, cfg = own
    steps, inputs, decided = resolve.stage(own, images, run.mesh)
    feed, counts = make_feed(run, kind, inputs, seed), class_counts(run, kind, inputs)

    def make():
        optim.log_rules(cfg.optim, variables['params'])
        method, per_call = run.methods[kind], config.steps_per_call
        check_parts(own, method)
        return make_program(
            method, cfg, steps=steps, get=feed.get, mesh=run.mesh, steps_per_call=per_call,
            layout=fsdp.layout(config, run.mesh), remat=config.backbone.remat,
        )  # fmt: skip

    return loop.Task(
        # Label sets of different sizes may differ in steps and path, and in how often they have each class.
        program=run.once(('train', kind, steps, feed.path, *counts), make),
        variables=variables,
        feed=feed,
        val=val,
        cfg=cfg,
        key=jax.random.fold_in(jax.random.key(seed), zlib.crc32(name.encode())),
        mesh=run.mesh,
        directory=run.workdir / f'seed{seed}' / name,
        # For pretraining also the task: its accuracy is not that of the classes.
        title='' if run.quiet else f'seed {seed} · {name}' + f' ({config.pretrain.method})' * (base == 'pretrain'),
        meta=run.meta | {'stage': name, 'seed': seed, 'method': base},
        select='last' if base == 'pretrain' else 'best',
        log_every=config.log_every,
        save_every=config.save_every,
        save_keep=config.save_keep,
        eval_batch=config.evaluate.batch_size,
        track=run.tracker and functools.partial(run.tracker.log, f'seed{seed}/{name}'),
        resolved=decided,
        metric='top1' if base == 'pretrain' else config.select,
        targets=run.source.targets,
    )


def _also_test(run: Context, given: loop.Task, watch):
    """`watch` with targets.main on the test split, which has no part in the choice of weights and is no fair figure."""
    main = given.targets.main

    def look(step, variables):
        params, state = split(variables)
        found = loop.measured(given._replace(val=run.source.test, metric=main), params, state)
        return (watch(step, variables) if watch else {}) | {f'test_{main}': found[main]}

    return look


def make_feed(run: Context, kind: str, inputs: tuple, seed: int):
    """The batches of a kind of stage; inputs: from resolve.Stage."""
    if len(inputs) == 2 and not run.methods[kind].teach:
        guard.hidden(inputs[1].images.labels)
    made = [feeds.make_feed(i.images, batch_size=i.batch_size, seed=seed, mesh=run.mesh, path=i.path) for i in inputs]
    feed: Any = feeds.JointFeed(*made) if len(made) == 2 else made[0]
    if counts := class_counts(run, kind, inputs):
        feed.get = functools.partial(feeds.get_counted, feed.get, counts)
    return feed


def class_counts(run: Context, kind: str, inputs: tuple) -> tuple[int, ...]:
    """targets.class_counts of the labelled images of a stage, if its loss depends on it; else (). inputs: from
    resolve.Stage."""
    _, config, section, _ = settings(run.config, kind)
    if section == 'pretrain' or not labeled_loss.counts_classes(config):
        return ()
    labels = inputs[0].images.labels
    return run.source.targets.class_counts(labels)
