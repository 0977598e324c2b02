"""Checkpoints: separate Orbax items, so that a backbone can be read without knowing the optimiser.

A stage's directory holds `checkpoints/STEP` while it trains (items params, state, ema, opt, progress, meta) and
`model/0` when it has ended (items params, state, meta: the weights that the stage chose).
"""

import contextlib
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging

from ssljax import paths
from ssljax.files import check_space, disk_errors

ITEMS = ('params', 'state', 'ema', 'opt', 'progress', 'best')


def open_manager(directory, keep: int = 1) -> ocp.CheckpointManager:
    """A manager of `directory` that keeps the newest `keep` steps; a save is complete when it returns."""
    options = ocp.CheckpointManagerOptions(
        max_to_keep=keep, enable_async_checkpointing=False, cleanup_tmp_directories=True
    )
    handlers = {item: ocp.StandardCheckpointHandler() for item in ITEMS} | {'meta': ocp.JsonCheckpointHandler()}
    with quiet():
        return ocp.CheckpointManager(Path(directory).absolute(), options=options, item_handlers=handlers)


def save(manager, step: int, items: dict, meta: dict) -> None:
    """Writes the non-empty trees of `items` and `meta` under `step`. The one before stays until this is complete.

    Raises:
      OSError: no space is left; what was there before is untouched.
    """
    if manager.latest_step() == step:
        return
    check_space(manager.directory, 2**20 + sum(a.nbytes for a in jax.tree.leaves(items)))
    trees = {k: ocp.args.StandardSave(v) for k, v in items.items() if jax.tree.leaves(v)}
    with quiet(), disk_errors(manager.directory):
        manager.save(step, args=ocp.args.Composite(meta=ocp.args.JsonSave(meta), **trees), force=True)


def restore(manager, step: int, like: dict) -> dict:
    """Reads the trees of `like` (arrays or shapes with shardings) from `step`; empty ones are taken from `like`."""
    wanted = {k: v for k, v in like.items() if jax.tree.leaves(v)}
    abstract = {
        k: ocp.args.StandardRestore(jax.tree.map(ocp.utils.to_shape_dtype_struct, v)) for k, v in wanted.items()
    }
    with quiet():
        return like | dict(manager.restore(step, args=ocp.args.Composite(**abstract)))


def load_variables(path) -> tuple[dict, dict]:
    """The variables and the meta of a trained stage, as host arrays, wherever they were trained.

    Args:
      path: a stage's directory, its `model` or `checkpoints`, or a run's directory (its first seed's pretraining).

    Raises:
      FileNotFoundError: nothing of the kind is there.
    """
    cpu = jax.sharding.SingleDeviceSharding(jax.local_devices(backend='cpu')[0])
    path = Path(paths.expand(path))
    places = [path, path / 'model', path / 'checkpoints', path / 'pretrain/model']
    places += sorted(path.glob('seed*/pretrain/model'))
    for place in places:
        if not place.is_dir() or not any(p.name.isdigit() for p in place.iterdir()):
            continue
        manager = open_manager(place)
        step = manager.latest_step()
        trees = {}
        for item in ('params', 'state'):
            if (place / str(step) / item).is_dir():
                with quiet():
                    shapes = manager.item_metadata(step)[item].tree
                trees[item] = jax.tree.map(lambda m: jax.ShapeDtypeStruct(m.shape, m.dtype, sharding=cpu), shapes)
        with quiet():
            args = {k: ocp.args.StandardRestore(v) for k, v in trees.items()}
            got = manager.restore(step, args=ocp.args.Composite(meta=ocp.args.JsonRestore(), **args))
        host = jax.tree.map(np.asarray, {'params': got['params'], **(got['state'] if 'state' in trees else {})})
        return host, got['meta']
    raise FileNotFoundError(
        f'no checkpoint at {path}: give the directory of a run (with seed0/pretrain/model in it) or of one stage.'
    )


@contextlib.contextmanager
def quiet():
    """Orbax tells every step of its work at INFO and of items left unread at WARNING."""
    level = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(level)
