"""What the joint-embedding methods share: two augmented views, projectors, a momentum teacher, evaluation."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from ssljax.core import Method
from ssljax.data import augment
from ssljax.losses import relative_std
from ssljax.methods import network


def make(
    config,
    name,
    shape,
    compare,
    *heads,
    watch='projector',
    tau=None,
    held=None,
    memory=None,
) -> Method:
    """A method that compares the embeddings of several views of each image.

    The two views of all images (more, if the method has an option `views`) pass through the network as one batch, so
    BatchNorm's statistics are computed over all of them; the papers' code passes one view after the other. In
    evaluation, the views are drawn with a fixed key, the network is its own teacher, and padding rows are replaced by
    real ones (`fill`), because the loss depends on the whole batch: its values are comparable only at the same
    evaluate.batch_size.

    Args:
      config: the run's config; config.pretrain.<name> has the method's options. `augment2`, if there is one, is the
        pipeline of the second views, '' for that of the first; with `local_views` above 0, that many more views, by
        `local_augment`, are seen by the student only (multi-crop).
      name: the method's name.
      shape: (H, W, C) of the images.
      compare: (student, teacher, state, progress) -> (rows, state). student and teacher are {head: [V, B, D] float32}
        by view; the teacher has only the first two views and, with `tau`, no gradient; without `tau`, it is the
        student. rows are {metric: scalar or [B] float32} with 'loss'.
      heads: (name, module) pairs on the backbone, see network.Network.
      watch: the head that `embed` returns and whose spread is the training metric 'embedding_std'.
      tau: progress -> decay of the teacher's weights; None: no teacher.
      held: {head: share}: the head's parameters get no gradient until that share of the steps is done.
      memory: further collections of the state, {collection: tree of arrays}, that `compare` keeps.

    Raises:
      ValueError: no augmentation, so that both views would be equal, or an option out of range.
    """
    net = network.build(config, shape, *heads)
    views = pipelines(config, name)

    def loss(params, state, ema, batch, key):
        progress = batch['progress']
        params = params | {
            head: jax.tree.map(lambda w: jnp.where(progress < share, jax.lax.stop_gradient(w), w), params[head])
            for head, share in (held or {}).items()
        }
        x, local = views.draw(key, batch['image'])
        count = len(batch['image'])
        student, new = embed_views(net, params, state, x, local, count, train=True)
        teacher = jax.lax.stop_gradient(embed_views(net, ema, state, x, None, count, train=True)[0]) if tau else student
        rows, new = compare(student, teacher, new, progress)
        ones = jnp.ones(count, jnp.float32)
        std = relative_std(jax.lax.stop_gradient(student[watch][0])), jnp.ones(())
        return jnp.mean(rows['loss']), (new, network.means(rows, ones) | {'embedding_std': std})

    def measure(params, state, batch):
        x, local = views.draw(jax.random.key(0), fill(batch['image'], batch['mask']))
        student, _ = embed_views(net, params, state, x, local, len(batch['image']), train=False)
        return network.means(compare(student, student, state, jnp.ones(()))[0], batch['mask'])

    def embed(params, state, images):
        return network.apply(net, params, state, network.to_input(images), train=False)[0][watch]

    def show(params, state, images):
        x, local = views.draw(jax.random.key(0), images)
        first, second = x.reshape(-1, len(images), *x.shape[1:])[:2]
        columns = {'original': augment.to_float(images), 'view 1': first, 'view 2': second}
        return columns if local is None else columns | {'local view': local[: len(images)]}

    return Method(
        init=lambda key, batch: network.init(net, key, batch['image']) | (memory or {}),
        loss=loss,
        measure=measure,
        ema_decay=tau and (lambda progress, step: tau(progress)),
        embed=embed,
        show=show,
        views=views.per_image,
    )


class Views(NamedTuple):
    """draw: (key, images [B, H, W, C] uint8) -> (views [V * B, H, W, C], all first views before all second ones; local
    views [L * B, h, w, C], or None), float32 in [0, 1]. per_image: views per image, V + L; V is 2 or the option
    `views`."""

    draw: Callable
    per_image: int


def pipelines(config, name: str) -> Views:
    """The views that config.pretrain and config.pretrain.<name> ask for; raises ValueError as `make`."""
    cfg, options = config.pretrain, config.pretrain[name]
    if not (options.augment or cfg.augment or options.get('augment2', '')):
        raise ValueError(
            f'{name} compares two augmented views of an image, but pretrain.augment is empty, so they would be '
            "identical: set it, for example --config.pretrain.augment='random_resized_crop((0.2, 1.0))|flip|"
            "color_jitter(0.4, 0.4, 0.2, 0.1)'."
        )
    count, equal = options.get('local_views', 0), options.get('views', 2)
    if count and cfg.pool == 'flatten':
        raise ValueError(
            f'pretrain.{name}.local_views is {count}, but pretrain.pool=flatten gives smaller views a feature vector '
            'of a different length: set pretrain.pool to avg or gridN.'
        )
    first = network.augmentation(config, name)
    second = augment.parse(options.get('augment2', ''))
    local = augment.parse(options.get('local_augment', ''))

    def draw(key, images):
        keys = jax.random.split(key, 3)
        x = augment.to_float(images)
        if options.get('augment2', ''):
            both = jnp.concatenate([first(keys[0], x), second(keys[1], x)])
        else:
            both = first(keys[0], jnp.concatenate([x] * equal))  # jnp.tile would put all on each device
        return both, local(keys[2], jnp.concatenate([x] * count)) if count else None

    return Views(draw, equal + count)


def embed_views(net, params, state, x, local, rows: int, *, train: bool):
    """({head: [V, B, D] float32}, the new state) of the views x [V' * B, H, W, C] and the local ones [L * B, h, w, C]
    or None, float32 in [0, 1], of B = `rows` images; V is V' + L."""
    outputs = []
    for part in (x,) if local is None else (x, local):
        out, state = network.apply(net, params, state, augment.normalize(part), train=train)
        outputs.append({k: v.reshape(-1, rows, v.shape[-1]) for k, v in out.items() if k != 'backbone'})
    return jax.tree.map(lambda *v: jnp.concatenate(v), *outputs), state


def momentum(name: str, base: float):
    """progress -> tau = 1 - (1 - base) (cos(pi progress) + 1) / 2, from base to 1 (BYOL, arXiv:2006.07733, 3.3).

    Raises:
      ValueError: base is not in [0, 1).
    """
    if not 0 <= base < 1:
        raise ValueError(f'pretrain.{name}.momentum is {base}; it must be in [0, 1), for example 0.99.')
    return lambda progress: 1 - (1 - base) * (jnp.cos(math.pi * progress) + 1) / 2


def widths(config, name: str, field: str) -> tuple[int, ...]:
    """The option `field` as layer widths; ValueError unless there is at least one and all are positive."""
    given = tuple(config.pretrain[name][field])
    if not given or min(given) < 1:
        raise ValueError(f'pretrain.{name}.{field} is {given}; it must be layer widths, for example (256, 64).')
    return given


def positive(config, name: str, *fields: str) -> None:
    """ValueError unless each of these options is above 0."""
    for field in fields:
        value = config.pretrain[name][field]
        if not value > 0:
            raise ValueError(f'pretrain.{name}.{field} is {value}; it must be above 0.')


def fill(images, mask):
    """Images [B, ...] with each row of mask 0 replaced by one of mask 1, cycling through these; mask: [B] float32."""
    rows = jnp.arange(len(images))
    real = jnp.argsort(mask == 0, stable=True)[rows % jnp.maximum(jnp.sum(mask > 0), 1)]
    return images[jnp.where(mask > 0, rows, real)]
