"""Vision Transformers: timm's names, which DINO, DINOv2, MAE and CLIP have, too, and torchvision's."""

import functools

import numpy as np

from ssljax.foreign import links
from ssljax.models.vit import positions

_TIMM = {
    'token': 'cls_token', 'registers': 'reg_token', 'place': 'pos_embed', 'embed': 'patch_embed.proj',
    'pre': 'norm_pre', 'block': 'blocks.{}', 'qkv': 'attn.qkv.{}', 'out': 'attn.proj', 'norm1': 'norm1',
    'norm2': 'norm2', 'dense1': 'mlp.fc1', 'dense2': 'mlp.fc2', 'norm': 'norm', 'head': 'head',
}  # fmt: skip
_TORCHVISION = {
    'token': 'class_token', 'place': 'encoder.pos_embedding', 'embed': 'conv_proj', 'pre': '',
    'block': 'encoder.layers.encoder_layer_{}', 'qkv': 'self_attention.in_proj_{}', 'out': 'self_attention.out_proj',
    'norm1': 'ln_1', 'norm2': 'ln_2', 'dense1': 'mlp.0', 'dense2': 'mlp.3', 'norm': 'encoder.ln', 'head': 'heads.head',
}  # fmt: skip


def _make(names: dict, paths: dict, config, shape) -> list[links.Link]:
    found = [_embedding(names, paths, config, shape)]
    rules = {
        r'backbone/embed/norm': names['pre'],
        r'backbone/block\d+/norm': names['norm'],
        r'backbone/block(\d+)/(norm[12]|dense[12])': lambda m: f'{_block(names, m[1])}.{names[m[2]]}',
        r'head/logits': names['head'],
    }
    found += links.renamed(paths, links.pattern(rules))
    found.append(links.kernel('params/backbone/embed/kernel', f'{names["embed"]}.weight', 4))
    if 'params/backbone/embed/bias' in paths:
        found.append(links.same('params/backbone/embed/bias', f'{names["embed"]}.bias'))
    for i in range(1, config.depth + 1):
        ours, theirs = f'params/backbone/block{i}', _block(names, i)
        if f'{ours}/attention/out/kernel' not in paths:
            continue
        found.append(_qkv(f'{ours}/attention/{{}}/kernel', f'{theirs}.{names["qkv"].format("weight")}'))
        found.append(_qkv(f'{ours}/attention/{{}}/bias', f'{theirs}.{names["qkv"].format("bias")}'))
        found.append(_out(f'{ours}/attention/out/kernel', f'{theirs}.{names["out"]}.weight'))
        found.append(links.same(f'{ours}/attention/out/bias', f'{theirs}.{names["out"]}.bias'))
        for k in (1, 2):
            if f'{ours}/scale{k}' in paths:
                found.append(links.same(f'{ours}/scale{k}', f'{theirs}.ls{k}.gamma'))
    return found


def _block(names: dict, number) -> str:
    return names['block'].format(int(number) - 1)


def _qkv(ours: str, theirs: str) -> links.Link:
    """Kernels [width, heads, n] or biases [heads, n] of query, key and value <-> [3 width, width] or [3 width]."""
    return links.Link(
        tuple(ours.format(part) for part in ('query', 'key', 'value')),
        (theirs,),
        lambda a: (
            (np.concatenate([x.reshape(-1, x.shape[-1] * x.shape[-2]).T for x in a]),)
            if a[0].ndim == 3
            else (np.concatenate([x.reshape(-1) for x in a]),)
        ),
        lambda a, shapes: tuple(x.T.reshape(s) for x, s in zip(np.split(a[0], 3), shapes)),
    )


def _out(ours: str, theirs: str) -> links.Link:
    """[heads, n, width] <-> [width, heads n]."""
    return links.Link(
        (ours,), (theirs,), lambda a: (a[0].reshape(-1, a[0].shape[-1]).T,), lambda a, s: (a[0].T.reshape(s[0]),)
    )


def _embedding(names: dict, paths: dict, config, shape) -> links.Link:
    """Positions, and the tokens before the patches with their own positions added <-> each by itself. With registers,
    only patches have positions there, as in DINOv2."""
    prefix, rows, cols = 'params/backbone/embed', shape[0] // config.patch, shape[1] // config.patch
    width = paths[f'{prefix}/kernel'][-1]
    learnt = f'{prefix}/positions' in paths
    tokens = [name for name in ('token', 'registers') if f'{prefix}/{name}' in paths]
    before = bool(tokens) + config.registers

    def give(arrays):
        place = arrays[0] if learnt else positions(rows, cols, width)
        if tokens == ['token']:
            place = np.concatenate([np.zeros((1, width), place.dtype), place])
        return place[None], *(a.reshape(1, -1, width) for a in arrays[learnt:])

    def take(arrays, shapes):
        place = arrays[0].reshape(-1, width)
        first = _first(len(place), rows * cols, before, config.registers > 0)
        place, own = resized(place[first:], rows, cols), np.zeros((before, width), np.float32)
        own[:first] = arrays[0].reshape(-1, width)[:first]
        if not learnt and np.abs(place - positions(rows, cols, width)).max() > 1e-4:
            raise links.Mismatch('positions=learnt', 'the positions in the file are not sines')
        given = [a.reshape(-1, width) for a in arrays[1:]]
        if sum(map(len, given)) != before:
            raise ValueError
        whole = np.concatenate([*given, own[:0]]) + own
        found = {'token': whole[:1].reshape(-1), 'registers': whole[1:]}
        return (place,) * learnt + tuple(found[name] for name in tokens)

    ours = [f'{prefix}/positions'] * learnt + [f'{prefix}/{name}' for name in tokens]
    return links.Link(tuple(ours), (names['place'], *(names[name] for name in tokens)), give, take)


def _first(count: int, patches: int, before: int, alone: bool) -> int:
    """How many of `count` positions belong to the tokens before the patches: `before` of them, or none, which is tried
    first if `alone`. The rest are those of `patches`, or of another square map."""
    square = lambda n: n > 0 and (n == patches or round(n**0.5) ** 2 == n)
    asked = (0, before) if alone else (before, 0)
    return next((first for first in asked if square(count - first)), asked[0])


def resized(place: np.ndarray, rows: int, cols: int) -> np.ndarray:
    """Positions [N, width] of a square map for one of rows x cols, bicubic with antialias, as timm does it."""
    if len(place) == rows * cols:
        return place
    import jax

    side = round(len(place) ** 0.5)
    if side * side != len(place):
        raise ValueError
    square = place.reshape(side, side, -1)
    return np.asarray(jax.image.resize(square, (rows, cols, place.shape[1]), 'cubic')).reshape(rows * cols, -1)


def _misfit_torchvision(config, shape) -> str:
    wanted = {'token': True, 'gelu': 'exact', 'layer_scale': False, 'registers': 0, 'pre_norm': False}
    lacking = [f'{k}={config[k]}' for k, v in wanted.items() if config[k] != v]
    return ' and '.join(lacking) or ('' if shape[0] == shape[1] else 'images are not square')


def _code_torchvision(config, shape, classes: int) -> list[str]:
    lines = [
        'import torch, torchvision',
        f'net = torchvision.models.VisionTransformer(image_size={shape[0]}, patch_size={config.patch}, '
        f'num_layers={config.depth}, num_heads={config.heads}, hidden_dim={config.width}, '
        f'mlp_dim={4 * config.width}, num_classes={classes or 1000})',
    ]
    if shape[2] != 3:
        patch = f'{config.patch}, {config.patch}'
        lines.append(f'net.conv_proj = torch.nn.Conv2d({shape[2]}, {config.width}, {patch})')
    return lines + ['net.heads = torch.nn.Identity()'] * (not classes)


def _code_timm(config, shape, classes: int) -> list[str]:
    options = [
        f'img_size={tuple(shape[:2])}, patch_size={config.patch}, in_chans={shape[2]}, num_classes={classes}, '
        f'embed_dim={config.width}, depth={config.depth}, num_heads={config.heads}',
        "global_pool='token'" if config.token else "class_token=False, global_pool='avg', fc_norm=False",
    ]
    act = {'tanh': "act_layer='gelu_tanh'", 'quick': "act_layer='quick_gelu'"}
    options += [act[k] for k in act if k == config.gelu] + ['init_values=1e-5'] * config.layer_scale
    options += [f'reg_tokens={config.registers}, no_embed_class=True'] * (config.registers > 0)
    options += ['pre_norm=True, norm_layer=functools.partial(torch.nn.LayerNorm, eps=1e-5)'] * config.pre_norm
    imports = 'import functools, timm, torch' if config.pre_norm else 'import timm, torch'
    return [imports, f'net = timm.models.vision_transformer.VisionTransformer({", ".join(options)})']


def _differences(config, shape) -> list[str]:
    said = [] if config.token else ['there is no class token: the classifier is on the mean of the patches']
    said += ['GELU is its tanh approximation'] * (config.gelu == 'tanh')
    said += ['GELU is x sigmoid(1.702 x)'] * (config.gelu == 'quick')
    said += ['positions are sines, kept like learnt ones'] * (config.positions == 'sine')
    if config.positions == 'learnt' and config.token and not config.registers:
        said.append('the position of the class token is added to the token, and 0 in the table')
    return said


TORCHVISION = links.Layout(
    'torchvision', 'heads.head', functools.partial(_make, _TORCHVISION), _misfit_torchvision, _code_torchvision,
    _differences,
)  # fmt: skip
TIMM = links.Layout('timm', 'head', functools.partial(_make, _TIMM), links.of_size(), _code_timm, _differences)
