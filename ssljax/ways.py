"""The ways of training a classifier: from which weights each starts, and what stages it has."""

import functools
from typing import Any

from ssljax import config as configs
from ssljax import evaluation, guard, loop, methods
from ssljax.data.toy import is_plane
from ssljax.evals import embed, gallery
from ssljax.stages import Context, initial, kind_of, settings, train_stage
from ssljax.transfer import take_all, take_backbone

PRETRAINED = ('frozen', 'finetune', 'two_stage')  # the ways that start from a pretrained backbone


def needs_pretraining(config, way: str) -> bool:
    """Whether a way starts from a pretrained backbone."""
    way, config = configs.variant(config, way)
    return way in PRETRAINED or way in methods.SEMI and config.semi.start == 'pretrained'


def starts_from(run: Context, way: str) -> list[str]:
    """The stages that a way starts from: 'pretrain', 'frozen', 'scratch'."""
    base, config, section, _ = settings(run.config, kind_of(way))
    first = ['pretrain'] if needs_pretraining(run.config, way) else []
    if base == 'second':
        first.append('frozen')
    if section == 'semi' and (config.semi.start == 'scratch' or run.methods[way].teach):
        first.append('scratch')
    return first


def train_ways(run: Context, seed: int, images: dict, pretrained, stopped: dict) -> tuple[dict, dict]:
    """Trains all ways; if a guard stops one, the others go on, except those that start from it.

    Args:
      images, pretrained: as for `train_way`.
      stopped: {'pretrain': guard.entry} if the pretraining was stopped, else {}.

    Returns:
      ({way: Stage}, `stopped` with the entries of the ways that have no Stage).

    Raises:
      guard.Leak: hidden labels reach a loss.
    """
    trained: dict = {}
    stopped = dict(stopped)
    for way in run.config.transfer.ways:
        if missing := [name for name in starts_from(run, way) if name in stopped]:
            stopped[way] = guard.unstarted(missing[0], stopped[missing[0]])
            continue
        try:
            trained[way] = train_way(run, way, seed, images, trained, pretrained)
        except guard.Leak:
            raise
        except guard.Stopped as error:
            stopped[way] = guard.entry(error, way)
    return trained, stopped


def train_way(run: Context, way: str, seed: int, images: dict, ways: dict, pretrained) -> loop.Stage:
    """Trains one way.

    Args:
      images: the Splits 'labeled', 'unlabeled' and 'val'.
      ways: the Stages of the earlier ways.
      pretrained: (variables with a trained backbone, where they are from), or None.
    """
    kind = kind_of(way)
    if settings(run.config, kind).section == 'semi':
        return _joint(run, way, seed, images, ways, pretrained, initial(run, way, seed))
    start = beginning(run, way, seed, ways, pretrained)
    return train_stage(run, kind, way, seed, images['labeled'], images['val'], start)


def beginning(run: Context, way: str, seed: int, ways: dict, pretrained) -> dict:
    """The initial variables of a way that trains on labelled images alone; the rest as for `train_way`."""
    kind = kind_of(way)
    base = settings(run.config, kind).base
    if base == 'second':
        return ways['frozen'].variables
    # Those that are not variants share one network: its initialisation is compiled once.
    start = initial(run, 'scratch' if base == kind else kind, seed)
    if needs_pretraining(run.config, way):
        start = take_backbone(pretrained[0], start, pretrained[1])
    return start


def _joint(run: Context, way: str, seed: int, images: dict, ways: dict, pretrained, start) -> loop.Stage:
    """Trains a semi-supervised way; if its method has a teacher, one generation after the other."""
    method, config = run.methods[way], settings(run.config, way).config
    labeled, unlabeled, val = (images[k] for k in ('labeled', 'unlabeled', 'val'))
    teacher: Any = None
    if method.teach or config.semi.start == 'scratch':
        teacher = ways.get('scratch') or train_stage(
            run, 'scratch', 'scratch', seed, labeled, val, initial(run, 'scratch', seed)
        )
    if config.semi.start == 'pretrained':
        start = take_backbone(pretrained[0], start, pretrained[1])
    elif config.semi.start == 'scratch':
        start = take_all(teacher.variables, start, 'scratch')
    shown, kind = unlabeled, 'scratch'
    for generation in range(1, method.generations + 1):
        last = generation == method.generations
        name = way if last else f'{way}_{generation}'
        if method.teach and not loop.finished(run.workdir / f'seed{seed}' / name):
            shown = _taught(run, method, kind, teacher, unlabeled)
        watch = _gallery(run, way, seed) if method.sample or is_plane(run.source.shape) else None
        teacher = train_stage(run, way, name, seed, (labeled, shown), val, start, watch)
        kind = way
    return teacher


def _taught(run: Context, method, kind: str, teacher: loop.Stage, unlabeled):
    """The unlabelled images that a teacher is sure of, with the classes that it gives them; kind: its kind of stage."""
    size = run.config.evaluate.batch_size
    predict = evaluation.predictor(run, kind)
    rows, classes = method.teach(embed.outputs(predict, teacher.variables, unlabeled, batch_size=size, mesh=run.mesh))
    return unlabeled.take(rows).relabel(classes)


def _gallery(run: Context, way: str, seed: int):
    """(step, variables) -> {}, which keeps generated images or the map of the plane for the report."""
    program = run.once(('gallery', way), lambda: gallery.compiled(run.methods[way], run.source.shape))
    return functools.partial(gallery.keep, program, run.workdir / f'seed{seed}' / way)
