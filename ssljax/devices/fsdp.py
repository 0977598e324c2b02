"""Weights that are sharded over devices (fully sharded data parallelism; cf. ZeRO, Rajbhandari et al. 2020,
arXiv:1910.02054).

Each device of the mesh's axis 'fsdp' holds a part of the parameters, of their averages and of the optimiser's state,
and updates only that. A step gathers the parameters once, for the loss and its gradient (`gathering`); if blocks are
recomputed (backbone.remat), XLA gathers those of a block where they are needed, and again for the gradient, as ZeRO's
stage 3 does. With jax.checkpoint around the whole loss, this took more memory than the weights: its barrier makes XLA
keep what it would otherwise fuse.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ssljax.core import Method
from ssljax.devices.sharding import put, replicated
from ssljax.rules import by_name, path_name

AXIS = 'fsdp'


class Layout(NamedTuple):
    """How weights are sharded.

    Attributes:
      mesh: with the axis 'fsdp'.
      rules: 'regex=axis; regex=axis' over the names of parameters. An axis is a number, which may count from the end
        (-1 is the last), 'none', or 'auto': the longest one that divides evenly, the last of equals.
      least: 'auto' leaves parameters of fewer elements whole.
    """

    mesh: Mesh
    rules: str = '.*=auto'
    least: int = 0

    def weights(self, params) -> Any:
        """A tree like `params` (arrays or shapes) with the sharding of each.

        Raises:
          ValueError: a rule that cannot be read or splits an axis that does not divide evenly, or a parameter that no
            rule covers.
        """
        axes = by_name(self.rules, params, read_axis, 'rule of fsdp.rules', 'axis', '.*=auto')
        return jax.tree_util.tree_map_with_path(self._sharding, params, axes)

    def of(self, tree, params) -> Any:
        """A tree like `tree`, which holds weights, averages, optimiser states and others, with the sharding of each:
        a parameter's for whatever has its name and shape, replicated for all else."""
        split = jax.tree_util.tree_leaves_with_path(self.weights(params))
        known = {path_name(path): (p.shape, s) for (path, s), p in zip(split, jax.tree.leaves(params))}

        def find(path, leaf):
            parts = path_name(path).split('/')
            for i in range(len(parts)):
                shape, sharding = known.get('/'.join(parts[i:]), (None, None))
                if shape == leaf.shape:
                    return sharding
            return replicated(self.mesh)

        return jax.tree_util.tree_map_with_path(find, tree)

    def put(self, variables: dict) -> dict:
        """Copies of variables, from the host or from devices, placed where they belong."""
        return jax.tree.map(jnp.copy, put(variables, self.of(variables, variables['params'])))

    def compiled(self, make: Callable, params_of: Callable, *args, **options) -> Callable:
        """`make` compiled so that no device ever holds all of what it returns; params_of: (the shapes of that) -> the
        parameters among them; args: arrays or shapes."""
        shapes = jax.eval_shape(make, *args)
        return jax.jit(make, out_shardings=self.of(shapes, params_of(shapes)), **options)

    def hold(self, ts) -> Any:
        """The train state, sharded, inside a compiled function."""
        return jax.lax.with_sharding_constraint(ts, self.of(ts, ts.params))

    def gather(self, params) -> Any:
        """The parameters, whole on every device, inside a compiled function."""
        return jax.lax.with_sharding_constraint(params, replicated(self.mesh))

    def _sharding(self, path, leaf, axis) -> NamedSharding:
        count, shape = self.mesh.shape[AXIS], leaf.shape
        if axis == 'auto':
            fit = [i for i, n in enumerate(shape) if n % count == 0] if math.prod(shape) >= self.least else []
            axis = max(fit, key=lambda i: (shape[i], i), default='none')
        if axis == 'none':
            return replicated(self.mesh)
        if not -len(shape) <= axis < len(shape) or shape[axis] % count:
            raise ValueError(
                f'fsdp.rules splits axis {axis} of {path_name(path)}, whose shape is {tuple(shape)}, over {count} '
                'devices: use an axis that divides evenly, auto or none.'
            )
        axis %= len(shape)
        return NamedSharding(self.mesh, PartitionSpec(*[None] * axis, AXIS))


def layout(config, mesh: Mesh) -> Layout | None:
    """The Layout that config.fsdp asks for, or None where every device holds all weights."""
    return Layout(mesh, config.fsdp.rules, config.fsdp.least) if AXIS in mesh.axis_names else None


def gathering(method: Method, layout: Layout) -> Method:
    """The method for sharded weights: its losses and its evaluation gather them first."""

    def whole(function):
        return lambda params, *args: function(layout.gather(params), *args)

    def trained(loss):
        return lambda params, state, ema, *args: loss(layout.gather(params), state, ema and layout.gather(ema), *args)

    return method._replace(
        loss=trained(method.loss),
        turns=tuple((own, trained(loss)) for own, loss in method.turns),
        measure=whole(method.measure),
        predict=method.predict and whole(method.predict),
    )


def read_axis(text: str) -> str | int:
    """The value of a rule; raises ValueError if it is none."""
    text = text.strip()
    return text if text in ('auto', 'none') else int(text)
