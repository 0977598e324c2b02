"""Vision Transformer (Dosovitskiy et al. 2021, arXiv:2010.11929). By default it has no class token: the features are
the map of patches, as in the pooled variant of MAE (He et al. 2022, arXiv:2111.06377, appendix A.1). With `token`,
positions 'learnt' and gelu 'exact' it is the paper's network, as torchvision and timm have it, also that of DINO (Caron
et al. 2021); with `layer_scale` (Touvron et al. 2021, arXiv:2103.17239) that of DINOv2, with `registers` (Darcet et al.
2024, arXiv:2309.16588) that of DINOv2 with registers, and with `pre_norm` that of CLIP (Radford et al. 2021)."""

import collections
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from ssljax.models import layers
from ssljax.settings.fields import WIDEST, choice, flag, whole, whole_or_usual

OPTIONS = dict(
    width=whole_or_usual(64, 1, WIDEST),  # features
    depth=whole_or_usual(4, 1, 1000),  # blocks
    heads=whole(4, 1, 1024),  # of the attention; a divisor of the width
    patch=whole(4, 1, 2**14),  # pixels a side of a patch; a divisor of the image's
    token=flag(False),  # a class token, which is then the last layer, [B, width]
    positions=choice('sine', 'sine', 'learnt'),
    gelu=choice('auto', 'auto', 'tanh', 'exact', 'quick'),  # quick: x sigmoid(1.702 x), as in OpenAI's CLIP
    layer_scale=flag(False),  # a learnt factor for each feature of both residual branches
    registers=whole(0, 0, 1024),  # further learnt tokens, which only attention reads; with `token`
    pre_norm=flag(False),  # a norm before the first block, no bias in the patch embedding, epsilon 1e-5
)

EPSILONS = {False: 1e-6, True: 1e-5}  # of every norm, without and with `pre_norm`

_dense = functools.partial(layers.Dense, kernel_init=nn.initializers.xavier_uniform())


def patches(images: jax.Array, side: int) -> jax.Array:
    """[B, H, W, C] -> [B, (H / side) (W / side), side * side * C], in reading order; side divides H and W."""
    b, h, w, c = images.shape
    x = images.reshape(b, h // side, side, w // side, side, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(b, (h // side) * (w // side), side * side * c)


def unpatches(x: jax.Array, shape: tuple[int, int, int], side: int) -> jax.Array:
    """The inverse of `patches`: [B, N, side * side * C] -> [B, *shape]."""
    h, w, c = shape
    x = x.reshape(-1, h // side, w // side, side, side, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(-1, h, w, c)


def positions(rows: int, cols: int, width: int) -> np.ndarray:
    """[rows * cols, width] float32: one half of the features encodes the row, the other the column, each as sines,
    then cosines, of frequencies 10000^(-4 i / width), i < width / 4. Raises ValueError unless 4 divides `width`."""
    if width % 4:
        raise ValueError(f'backbone.width={width} is not possible: sine-cosine positions need a multiple of 4')
    angle = np.arange(max(rows, cols))[:, None] / 10000 ** (np.arange(width // 4) / (width // 4))
    code = np.concatenate([np.sin(angle), np.cos(angle)], 1).astype(np.float32)
    return np.concatenate([np.repeat(code[:rows], cols, 0), np.tile(code[:cols], (rows, 1))], 1)


def pick(x: jax.Array, keep: jax.Array) -> jax.Array:
    """Rows `keep` [B, n] int32 of x [N, d] or [B, N, d] -> [B, n, d]."""
    return x[keep] if x.ndim == 2 else jnp.take_along_axis(x, keep[:, :, None], axis=1)


class Embed(nn.Module):
    """Images [B, H, W, C] -> [B, N, width], or [B, n, width] of the patches `keep` [B, n]: a linear map of each patch
    plus its position. Other patches are never read. With `token`, a learnt vector comes first, then `registers` more:
    [B, 1 + registers + N, width]. With `norm`, all of these are normalised, as in CLIP, and the map has no bias."""

    width: int
    side: int
    dtype: jnp.dtype
    token: bool = False
    learnt: bool = False
    registers: int = 0
    norm: bool = False
    mode: str = 'auto'

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False, keep: jax.Array | None = None) -> jax.Array:
        rows, cols, c = x.shape[1] // self.side, x.shape[2] // self.side, x.shape[3]
        matrix = lambda key, shape: nn.initializers.xavier_uniform()(key, (np.prod(shape[:3]), shape[3])).reshape(shape)
        kernel = self.param('kernel', matrix, (self.side, self.side, c, self.width))
        bias = 0.0 if self.norm else self.param('bias', nn.initializers.zeros, (self.width,))
        x, place = patches(x, self.side), self.place(rows, cols)
        if keep is not None:
            x, place = pick(x, keep), pick(place, keep)
        y = x.astype(self.dtype) @ kernel.reshape(-1, self.width).astype(self.dtype)
        y += (bias + place).astype(self.dtype)
        if self.token:
            first = [self.param('token', nn.initializers.normal(0.02), (self.width,))[None]]
            if self.registers:
                first.append(self.param('registers', nn.initializers.normal(0.02), (self.registers, self.width)))
            whole = [jnp.broadcast_to(a.astype(self.dtype), (y.shape[0], *a.shape)) for a in first]
            y = jnp.concatenate([*whole, y], axis=1)
        if not self.norm:
            return y
        return layers.LayerNorm(epsilon=EPSILONS[True], dtype=self.dtype, mode=self.mode, name='norm')(y)

    def place(self, rows: int, cols: int) -> jax.Array:
        """The positions, [N, width] float32. That of the class token, which is the same for every image, is part of the
        token."""
        if self.learnt:
            return self.param('positions', nn.initializers.normal(0.02), (rows * cols, self.width))
        return jnp.asarray(positions(rows, cols, self.width))


class Attention(nn.Module):
    """Multi-head self-attention (Vaswani et al. 2017, section 3.2.2), [B, n, width] -> the same; its parameters are
    those of Flax's MultiHeadDotProductAttention."""

    heads: int
    dtype: jnp.dtype
    mode: str

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        width, dense = x.shape[-1], functools.partial(_dense, dtype=self.dtype, mode=self.mode)
        split = (self.heads, width // self.heads)
        weights = [dense(split, name=name).weights((width,)) for name in ('query', 'key', 'value')]
        kernel, bias = (jnp.concatenate(each, axis=-1) for each in zip(*weights))  # one product instead of three
        joined = layers.affine(x, kernel, bias, self.dtype, self.mode).reshape(*x.shape[:2], 3, *split)
        query, key, value = (jax.lax.index_in_dim(joined, i, axis=2, keepdims=False) for i in range(3))
        return dense((width,), name='out')(nn.dot_product_attention(query, key, value, dtype=self.dtype))


class Block(nn.Module):
    """Attention and an MLP of four times the width, each applied to the normalised input and added to it (pre-norm):
    [B, n, width] -> the same. The last block is `normalised` once more, as its output is what others read."""

    heads: int
    dtype: jnp.dtype
    normalised: bool = False
    gelu: str = 'tanh'
    layer_scale: bool = False
    epsilon: float = EPSILONS[False]
    mode: str = 'auto'

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        width, dense = x.shape[-1], functools.partial(_dense, dtype=self.dtype, mode=self.mode)
        norm = functools.partial(layers.LayerNorm, epsilon=self.epsilon, dtype=self.dtype, mode=self.mode)
        attention = Attention(self.heads, self.dtype, self.mode, name='attention')
        x = x + self.scaled('scale1', attention(norm(name='norm1')(x)))
        y = dense((4 * width,), name='dense1')(norm(name='norm2')(x))
        y = y * nn.sigmoid(1.702 * y) if self.gelu == 'quick' else nn.gelu(y, approximate=self.gelu == 'tanh')
        x = x + self.scaled('scale2', dense((width,), name='dense2')(y))
        return norm(name='norm')(x) if self.normalised else x

    def scaled(self, name: str, x: jax.Array) -> jax.Array:
        """LayerScale, which begins at 1e-5, as in DINOv2."""
        if not self.layer_scale:
            return x
        return x * self.param(name, nn.initializers.constant(1e-5), x.shape[-1:]).astype(self.dtype)


class Token(nn.Module):
    """The class token, [B, n, width] -> [B, width]."""

    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        return jax.lax.index_in_dim(x, 0, 1, keepdims=False)  # a slice, even with a symbolic batch size


class Vit(layers.Backbone):
    """`layers.Backbone` over patches.

    `module.apply(variables, x, train, keep)` gives maps [B, H / side, W / side, width]; with `keep` [B, n] int32 only
    these patches, counted in reading order, are encoded, and the activations are [B, n, width]. The class token is not
    part of them, but a layer of its own; registers are not part of any. Raises ValueError for images that cannot be cut
    into patches; `min_size` is their side.
    """

    tokens: int = 0  # before the patches

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False, keep: jax.Array | None = None) -> dict[str, jax.Array]:
        side = self.min_size
        if x.ndim != 4 or x.shape[1] % side or x.shape[2] % side:
            raise ValueError(
                f'images of shape {x.shape} cannot be cut into patches of {side}x{side}: they must be [B, H, W, C], '
                f'H and W multiples of {side}; set data.image_size to one, or backbone.patch to a divisor'
            )
        rows, cols = x.shape[1] // side, x.shape[2] // side
        x, activations = layers.pixels(x, self.pixels), collections.OrderedDict()
        for i, (name, make) in enumerate(self.layers):
            x = layers.call(make(name=name), x, train, remat=self.remat) if i else make(name=name)(x, train, keep)
            y = jax.lax.slice_in_dim(x, self.tokens, None, axis=1) if self.tokens and x.ndim == 3 else x
            activations[name] = y.reshape(-1, rows, cols, y.shape[-1]) if keep is None and y.ndim == 3 else y
        return activations


class PatchDecoder(nn.Module):
    """MAE's decoder: the pixels of all patches from the encoding of some.

    x [B, n, c] of the patches `keep` [B, n] int32, or the map [B, h, w, c] of all, is mapped to `width`; a learnt
    token stands in for every other patch; positions are added, and after `depth` blocks, a linear layer gives [B, N,
    pixels] float32, N = grid[0] * grid[1].
    """

    grid: tuple[int, int]
    pixels: int
    width: int
    depth: int
    heads: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, keep: jax.Array | None = None, train: bool = False) -> jax.Array:
        x = _dense((self.width,), dtype=self.dtype, name='embed')(x.reshape(x.shape[0], -1, x.shape[-1]))
        token = self.param('token', nn.initializers.normal(0.02), (self.width,)).astype(self.dtype)
        if keep is not None:
            x = unpick(x, keep, self.grid[0] * self.grid[1], token)
        x += positions(*self.grid, self.width).astype(self.dtype)
        for i in range(1, self.depth + 1):
            x = Block(self.heads, self.dtype, i == self.depth, name=f'block{i}')(x, train)
        return _dense((self.pixels,), name='pixels')(x.astype(jnp.float32))


def unpick(x: jax.Array, keep: jax.Array, count: int, fill: jax.Array) -> jax.Array:
    """The inverse of `pick`: [B, n, d] -> [B, count, d], the rows `keep` [B, n] from x and `fill` [d] elsewhere."""
    whole = jnp.broadcast_to(fill, (count, x.shape[2]))
    return jax.vmap(lambda x, keep: whole.at[keep].set(x, mode='promise_in_bounds', unique_indices=True))(x, keep)


def make(config) -> Vit:
    """embed, block1 .. blockN for config.depth = N, and token [B, width] with config.token.

    Every block is a map [B, H / patch, W / patch, width]; the last is normalised. Weights are Xavier uniform, as in
    MAE. Raises ValueError for a width that `heads` or 4 does not divide, and for registers without a token.
    """
    width, depth = config.width, config.depth
    if width % config.heads or width % 4:
        raise ValueError(
            f'backbone.width={width} with backbone.heads={config.heads} is not possible: the width must be a '
            'multiple of the heads and of 4, for example width=64, heads=4'
        )
    if config.registers and not config.token:
        raise ValueError(f'backbone.registers={config.registers} needs a class token: set --config.backbone.token=True')
    common = layers.common(config)
    block = functools.partial(
        Block, config.heads, gelu=config.gelu, layer_scale=config.layer_scale, epsilon=EPSILONS[config.pre_norm],
        **common,
    )  # fmt: skip
    blocks = [functools.partial(block, normalised=i == depth) for i in range(1, depth + 1)]
    learnt = config.positions == 'learnt'
    embed = functools.partial(
        Embed, width, config.patch, token=config.token, learnt=learnt, registers=config.registers, norm=config.pre_norm,
        **common,
    )  # fmt: skip
    named: list[tuple] = [('embed', embed)]
    named += [(f'block{i}', make) for i, make in enumerate(blocks, 1)]
    named += [('token', Token)] * config.token
    return Vit('vit', tuple(named), min_size=config.patch, tokens=config.token + config.registers)
