"""A weighted sum of several pretext tasks on one backbone (cf. Doersch & Zisserman, ICCV 2017, arXiv:1708.07860)."""

from typing import Any

import jax
import jax.numpy as jnp

from ssljax.core import Method


def make(parts: dict[str, tuple[float, Method]]) -> Method:
    """One method made of several, {name: (weight, method)}; its loss is the weighted sum of theirs.

    The backbone is shared; every other part of the parameters and of the state belongs to one method and is kept under
    '<method>.<part>'. BatchNorm's running statistics pass from one method to the next. Metrics are '<method>.<metric>'
    and 'loss'.

    Raises:
      ValueError: more than one method with a momentum teacher; they would need different averages of one backbone.
    """
    averaged = [name for name, (_, method) in parts.items() if method.ema_decay]
    if len(averaged) > 1:
        raise ValueError(
            f'pretrain.method sums {" and ".join(averaged)}, but only one task of a sum may have a momentum teacher.'
        )

    def init(key, batch):
        whole = {}
        for i, (name, (_, method)) in enumerate(parts.items()):
            for c, tree in method.init(jax.random.fold_in(key, i), batch).items():
                own = {_key(name, k): v for k, v in tree.items()}
                whole[c] = own | whole.get(c, {})  # the first method's backbone
        return whole

    def loss(params, state, ema, batch, key):
        total, metrics = 0.0, {}
        for i, (name, (weight, method)) in enumerate(parts.items()):
            average = _own(name, ema) if method.ema_decay else None
            k = jax.random.fold_in(key, i)
            value, (new, found) = method.loss(_own(name, params), _own_state(name, state), average, batch, k)
            total += weight * value
            state = {c: v | {_key(name, k): t for k, t in new.get(c, {}).items()} for c, v in state.items()}
            metrics |= {f'{name}.{k}': v for k, v in found.items()}
        return total, (state, metrics | {'loss': (total, jnp.ones(()))})

    def measure(params, state, batch):
        total, metrics = 0.0, {}
        for name, (weight, method) in parts.items():
            found = method.measure(_own(name, params), _own_state(name, state), batch)
            total += weight * found['loss'][0] / jnp.maximum(found['loss'][1], 1e-12)
            metrics |= {f'{name}.{k}': v for k, v in found.items()}
        return metrics | {'loss': (total * batch['mask'].sum(), batch['mask'].sum())}

    def show(params, state, images):
        columns = {}
        for name, (_, method) in parts.items():
            if method.show:
                found = method.show(_own(name, params), _own_state(name, state), images)
                columns |= {f'{name}: {k}': v for k, v in found.items()}
        return columns

    def project(params):
        for name, (_, method) in parts.items():
            if method.project:
                params = params | {_key(name, k): v for k, v in method.project(_own(name, params)).items()}
        return params

    watched = next(((n, m) for n, (_, m) in parts.items() if m.embed), None)
    limits = [method.images for _, method in parts.values() if method.images]
    return Method(
        init=init,
        loss=loss,
        measure=measure,
        ema_decay=parts[averaged[0]][1].ema_decay if averaged else None,
        embed=_embed(*watched) if watched else None,
        show=show if any(method.show for _, method in parts.values()) else None,
        views=sum(method.views for _, method in parts.values()),
        per_image=all(method.per_image for _, method in parts.values()),
        images=min(limits, default=0),
        decided=tuple(entry for _, method in parts.values() for entry in method.decided),
        project=project if any(method.project for _, method in parts.values()) else None,
        remedy=(watched or next(iter((n, m) for n, (_, m) in parts.items())))[1].remedy,
    )


def _key(name: str, part: str) -> str:
    return part if part == 'backbone' else f'{name}.{part}'


def _own(name: str, tree: dict) -> dict:
    """The sub-tree of one method, with its own names."""
    own = {k.removeprefix(f'{name}.'): v for k, v in tree.items() if k.startswith(f'{name}.')}
    return own | ({'backbone': tree['backbone']} if 'backbone' in tree else {})


def _own_state(name: str, state: dict) -> dict:
    return {c: own for c, tree in state.items() if (own := _own(name, tree))}


def _embed(name: str, method: Method):
    """`embed` of the sum: that of one of its tasks."""
    embed: Any = method.embed
    return lambda p, s, x: embed(_own(name, p), _own_state(name, s), x)
