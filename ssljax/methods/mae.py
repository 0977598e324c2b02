"""MAE: what is in the masked patches? He, Chen, Xie, Li, Dollar & Girshick, CVPR 2022 (arXiv:2111.06377).

Published on ImageNet (1600 epochs, fine-tuned at 224 pixels): ViT-B 83.6%, ViT-L 85.9%, ViT-H 86.9%.
"""

import jax
import jax.numpy as jnp

from ssljax.core import Method
from ssljax.data import augment
from ssljax.methods import network, reconstruction
from ssljax.models import layers
from ssljax.models.vit import PatchDecoder, patches, unpatches, unpick
from ssljax.settings.fields import WIDEST, real, whole

OPTIONS = dict(
    mask=real(0.75, 0.01, 0.99),  # share of the patches that are hidden
    norm=True,  # whether targets are normalised per patch
    width=whole(32, 1, WIDEST),  # features of the decoder
    depth=whole(1, 1, 1000),  # blocks of the decoder; 8 in the paper
    heads=whole(2, 1, 1024),  # attention heads of the decoder
)
REMEDY = 'lower optim.lr, widen the decoder, or mask less of the picture'


def make(config, shape) -> Method:
    """The backbone encodes the visible patches only; a small transformer reconstructs the pixels of the masked ones.

    As in the paper: random masks (section 3) and squared error on masked patches alone, on pixels normalised by their
    patch's mean and standard deviation (section 3, "Reconstruction target"), as in the published code with the unbiased
    variance + 1e-6. There is no class token; the paper found pooled features as good (appendix A.1).

    Raises:
      ValueError: a backbone other than vit, images that cannot be cut into patches, or an option out of range.
    """
    options, side = config.pretrain.mae, config.backbone.patch
    if config.backbone.name != 'vit':
        raise ValueError(
            f'mae encodes visible patches only, which backbone.name={config.backbone.name!r} cannot do: set '
            '--config.backbone.name=vit.'
        )
    if shape[0] % side or shape[1] % side:
        raise ValueError(
            f'images of {shape[0]}x{shape[1]} cannot be cut into patches of {side}x{side}: set backbone.patch to a '
            'divisor or data.image_size to a multiple.'
        )
    grid = (shape[0] // side, shape[1] // side)
    count = grid[0] * grid[1]
    visible = int(count * (1 - options.mask))
    if not 0 < visible < count:
        raise ValueError(
            f'pretrain.mae.mask={options.mask} leaves {visible} of {count} patches visible: some must be visible and '
            'some masked; change it, or use a smaller backbone.patch.'
        )
    if options.width % 4 or options.width % options.heads or options.depth < 1:
        raise ValueError(
            f'pretrain.mae has width={options.width}, heads={options.heads}, depth={options.depth}: the width must be '
            'a multiple of the heads and of 4, the depth 1 or more.'
        )
    dtype = layers.common(config.backbone)['dtype']
    decoder = PatchDecoder(grid, side * side * shape[2], options.width, options.depth, options.heads, dtype)
    net = network.build(config, shape, ('decoder', decoder))
    if net.layer == 'token':
        raise ValueError(
            f'mae reconstructs patches, but pretrain.layer is the class token: set '
            f'--config.pretrain.layer=block{config.backbone.depth or 4}.'
        )
    distort = network.augmentation(config, 'mae')

    def run(params, key, x, train):
        keep, hidden = masking(key, len(x), count, visible)
        seen = net.backbone.apply({'params': params['backbone']}, x, train, keep)[net.layer]
        made = decoder.apply({'params': params['decoder']}, seen, keep, train)
        pixels = patches(x, side)
        mean, scale = moments(pixels) if options.norm else (0.0, 1.0)
        errors = jnp.square(made - (pixels - mean) / scale).mean(axis=2)
        return jnp.sum(errors * hidden, axis=1) / (count - visible), hidden[:, :, None], made * scale + mean

    def loss(params, state, ema, batch, key):
        k_aug, k_mask = jax.random.split(key)
        x = augment.normalize(distort(k_aug, augment.to_float(batch['image'])))
        losses = run(params, k_mask, x, True)[0]
        return losses.mean(), (state, network.means({'loss': losses}))

    def measure(params, state, batch):
        losses = run(params, jax.random.key(0), network.to_input(batch['image']), False)[0]
        return network.means({'loss': losses}, batch['mask'])

    def show(params, state, images):
        x = network.to_input(images)
        _, hidden, made = run(params, jax.random.key(0), x, False)
        seen = patches(x, side) * (1 - hidden)
        columns = {
            'input': unpatches(seen, shape, side),
            'reconstruction': unpatches(seen + made * hidden, shape, side),
        }
        return {'original': augment.to_float(images)} | {k: reconstruction.picture(v) for k, v in columns.items()}

    return Method(
        init=lambda key, batch: network.init(net, key, batch['image']),
        loss=loss,
        measure=measure,
        show=show,
        per_image=True,
    )


def masking(key, batch: int, count: int, visible: int):
    """For each of `batch` images, `visible` of `count` patches at random, [B, visible] int32, and whether each patch is
    hidden, [B, count] float32."""
    keep = jnp.argsort(jax.random.uniform(key, (batch, count)), axis=1)[:, :visible]
    return keep, unpick(jnp.zeros((*keep.shape, 1)), keep, count, jnp.ones(1))[:, :, 0]


def moments(pixels):
    """Mean and standard deviation, [B, N, 1], of patches [B, N, P]; the latter is the root of the unbiased variance +
    1e-6."""
    mean = pixels.mean(axis=2, keepdims=True)
    variance = jnp.sum(jnp.square(pixels - mean), axis=2, keepdims=True) / max(pixels.shape[2] - 1, 1)
    return mean, jnp.sqrt(variance + 1e-6)
