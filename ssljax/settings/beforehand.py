"""Checks, on shapes alone and before training, for what would stop a later stage of a run."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax.errors import ScopeParamShapeError

from ssljax import config as configs
from ssljax import methods, models, optim, ways
from ssljax.core import moves, split
from ssljax.data import augment
from ssljax.settings import suits
from ssljax.stages import Context, begins_given, check_parts, check_size, given_weights, kind_of, settings
from ssljax.storage import checkpoint
from ssljax.transfer import take_backbone


def check(run: Context) -> None:
    """Raises ValueError if a stage of a run could not be trained: rules of its optimiser that do not fit its
    parameters, a network that does not fit in memory, a pool that its maps are too small for, views of a size that it
    cannot take, or a start from weights of a different architecture."""
    shapes = functools.cache(lambda kind: initial_shapes(run, kind))
    for kind in kinds(run):
        network = network_of(run, kind)
        check_parts(settings(run.config, kind), run.methods[kind])
        check_pool(run, kind)
        check_rules(run, kind, shapes(network)['params'])
        check_size(kind, shapes(network))
        check_views(run, kind, shapes(network))
        if begins_given(run.config, kind):
            take_backbone(given_weights(run, kind), shapes(network), run.config.backbone.init_from)
    check_probe(run)
    where = run.config.transfer.checkpoint
    given = checkpoint.load_shapes(where) if where else None
    if run.config.backbone.init_from and not where and 'pretrain' not in run.methods:
        where, given = run.config.backbone.init_from, given_weights(run, 'scratch')
    for way in run.config.transfer.ways:
        if ways.needs_pretraining(run.config, way):
            target = shapes(network_of(run, kind_of(way)))
            take_backbone(given or shapes('pretrain'), target, where or 'of the pretraining')


def kinds(run: Context) -> list[str]:
    """The kinds of stages that a run trains, in order."""
    found = ['pretrain'] if 'pretrain' in run.methods else []
    for way in run.config.transfer.ways:
        found += [*(k for k in ways.starts_from(run, way) if k != 'pretrain'), kind_of(way)]
    return list(dict.fromkeys(found))


def network_of(run: Context, kind: str) -> str:
    """The kind whose method has the network of `kind`: those that train on labelled images share one, except for
    variants."""
    base, _, section, _ = settings(run.config, kind)
    return 'scratch' if section == 'transfer' and base == kind else kind


def initial_shapes(run: Context, kind: str) -> dict:
    """The variables of a kind of stage, as shapes."""
    batch = {'image': np.zeros((1, *run.source.shape), np.uint8), 'unlabeled_count': 1}
    return jax.eval_shape(lambda key: run.methods[kind].init(key, batch), jax.random.key(0))


def check_rules(run: Context, kind: str, params) -> None:
    """Raises ValueError if rules of the optimiser of a kind of stage leave a parameter out."""
    base, _, section, cfg = settings(run.config, kind)
    stage = f'transfer.{base}' if section == 'transfer' else section
    for field in ('rules', 'decay'):
        try:
            optim.factors(cfg.optim[field], params)
        except ValueError as e:
            of = f' of {kind}' * (kind not in (base, section))
            raise ValueError(f'{stage}.optim.{field}{of}: {e}') from None


def check_pool(run: Context, kind: str) -> None:
    """Raises ValueError if the head of a kind of stage pools a map to more cells than it has pixels."""
    _, config, section, _ = settings(run.config, kind)
    field = 'pretrain' if section == 'pretrain' else 'transfer'
    pool = config[field].pool
    layer = models.layer_or_last(config.backbone, config[field].layer)
    if not pool.startswith('grid'):
        return
    shape = maps(config.backbone, run.source.shape)[layer].shape
    side = int(pool.removeprefix('grid'))
    if len(shape) == 4 and side * side > shape[1] * shape[2]:
        most = min(shape[1:3])
        raise ValueError(
            f'{field}.pool is {pool}, {side}x{side} cells, but the map of the layer {layer} has {shape[1]}x{shape[2]} '
            f'pixels for images of {"x".join(map(str, run.source.shape))}: set --config.{field}.pool=grid{most} or '
            'less, avg or flatten.'
        )


def check_views(run: Context, kind: str, variables) -> None:
    """Raises ValueError if augmentation changes the size of the images and a kind of stage cannot handle that: its head
    takes the flattened map, it restores the whole image, or it joins images that were augmented differently."""
    base, config, section, _ = settings(run.config, kind)
    shape, method, changed = run.source.shape, run.methods[kind], {}
    for field, spec in suits.pipelines(config, base).items():
        if (found := augment.size(spec, shape)) != shape[:2] and spec not in changed:
            changed[spec] = f'{field} turns images of {shape[0]}x{shape[1]} pixels into {found[0]}x{found[1]}'
    if not changed:
        return
    of = lambda *sides, dtype='int32': jax.ShapeDtypeStruct(sides, dtype)
    rows, images = of(16), of(16, *shape, dtype='uint8')
    batch = {'image': images, 'label': rows, 'index': rows, 'progress': of(dtype='float32')}
    batch |= {'unlabeled': images, 'unlabeled_label': rows, 'unlabeled_index': rows, 'unlabeled_count': of()}
    batch |= {'class_counts': of(len(run.source.classes))}
    params, state = split(variables)
    try:
        for own, others, loss in moves(method, params):
            jax.eval_shape(loss, others | own, state, params, batch, jax.random.key(0))
    except (TypeError, ValueError, ScopeParamShapeError) as error:
        part = 'pretrain' if section == 'pretrain' else 'transfer'
        name, flat = config.pretrain.method if part == 'pretrain' else kind, config[part].pool == 'flatten'
        remedy = f'set --config.{part}.pool=avg, or leave out size=' if flat else 'leave out size='
        if base in methods.SEMI:
            remedy += ', or give all pipelines the same'
        raise ValueError(
            f'{" and ".join(changed.values())}, on which {name} cannot be trained'
            f'{f" with {part}.pool=flatten" * flat}: {remedy}.'
        ) from error


def check_probe(run: Context) -> None:
    """Raises ValueError if the linear probes pool to more cells than the largest map of the backbone has pixels."""
    pool, usual = run.config.evaluate.probe_pool, configs.base().evaluate.probe_pool
    if not run.config.evaluate.probe or pool == usual or not pool.startswith('grid'):
        return
    sides = [shape[1:3] for a in maps(run.config.backbone, run.source.shape).values() if len(shape := a.shape) == 4]
    side = int(pool.removeprefix('grid'))
    if sides and side * side > max(h * w for h, w in sides):
        most = max(min(s) for s in sides)
        raise ValueError(
            f'evaluate.probe_pool is {pool}, {side}x{side} cells, but the largest map of the backbone has '
            f'{"x".join(map(str, max(sides)))} pixels: set --config.evaluate.probe_pool=grid{most} or less, avg or '
            'flatten.'
        )


def maps(backbone, shape) -> dict:
    """{layer: the shape of its activation} of config.backbone for one image of `shape` (H, W, C)."""
    module = models.build(backbone)
    x = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    return jax.eval_shape(lambda x: module.init_with_output(jax.random.key(0), x, train=False)[0], x)
